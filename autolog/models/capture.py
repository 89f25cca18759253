"""Takes a snapshot of a model on the training thread before `fit` returns, so that later changes do not affect the record.

Knows no framework and no folder layout.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from autolog.instrument.interrupts import reraise_if_signal
from autolog.instrument.quiet import suppress_warnings
from autolog.models.errors import ModelError, ModelNotSaved
from autolog.models.flavors import find, while_saving
from autolog.models.staging import Staging
from autolog.models.types import Snapshot


def snapshot(
    flavor: str,
    model: Any,
    *,
    staging_dir: str | os.PathLike[str],
    signature: dict[str, Any] | None = None,
    example: tuple[dict[str, Any], dict[str, bytes]] | None = None,
    model_format: str | None = None,
    max_bytes: int | None = None,
) -> Snapshot:
    """Serialise a model and leave it as it was. No warning gets out, whatever the model's own code does.

    `flavor` is a flavor's name, see `flavors`. A file over 64 MB goes to `staging_dir` while it is made, best a folder on the
    file system where the model will be. `model_format` is a choice that the flavor offers; None is its default. Raises
    ModelNotSaved with the reason; a file over `max_bytes` is given up as soon as its size is known.
    """
    staging = Staging(Path(staging_dir), max_bytes)
    reason = ""
    try:
        with suppress_warnings(), while_saving():
            captured = find(flavor).capture(model, staging, model_format)
        return Snapshot(
            flavor=flavor,
            model_class=f"{type(model).__module__}.{type(model).__qualname__}",
            files={**staging.content(), **(example[1] if example is not None else {})},
            entry=captured.entry,
            python_function=captured.python_function,
            modules=captured.modules,
            signature=signature,
            example=example[0] if example is not None else None,
        )
    except BaseException as error:
        staging.discard()
        if isinstance(error, ModelError) or not isinstance(error, Exception):
            raise
        reraise_if_signal(error)
        reason = f"{type(error).__name__}: {error}"[:500]
    # Outside the `except`, so that the error does not carry the failed attempt's frames, which hold the model.
    raise ModelNotSaved(reason)
