"""autolog records every training of a Python script: parameters, metrics, data, code, environment, the final model.

    import autolog
    autolog.autolog()

This module holds what users need; `autolog.integration` holds what authors of integrations need, `autolog.sinks` what authors
of sinks need.
Names are loaded when they are first used, so that importing autolog costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autolog.lazily import names
from autolog.version import __version__ as __version__

if TYPE_CHECKING:
    from autolog.api import (
        autolog,
        current_run,
        disable,
        enable,
        flush,
        last_run,
        load_model,
        run,
        runs,
        status,
        suspended,
    )
    from autolog.models.errors import ModelError, UntrustedModel
    from autolog.notebook import ui
    from autolog.store.query import FilterError
    from autolog.store.records import Point, RunRecord, Runs, UnknownRun
    from autolog.tracking.run import Run

__all__ = [
    "FilterError", "ModelError", "Point", "Run", "RunRecord", "Runs", "UnknownRun", "UntrustedModel", "autolog", "current_run",
    "disable", "enable", "flush", "last_run", "load_model", "run", "runs", "status", "suspended", "ui",
]  # fmt: skip

_find, __dir__ = names(
    globals(),
    {
        "autolog.api": (
            "autolog", "current_run", "disable", "enable", "flush", "last_run", "load_model", "run", "runs", "status",
            "suspended",
        ),
        "autolog.models.errors": ("ModelError", "UntrustedModel"),
        "autolog.notebook": ("ui",),
        "autolog.store.query": ("FilterError",),
        "autolog.store.records": ("Point", "RunRecord", "Runs", "UnknownRun"),
        "autolog.tracking.run": ("Run",),
    },
)  # fmt: skip

_MOVED = {
    **{
        name: name
        for name in (
            "ArraySpec", "Call", "FastPatch", "Hook", "IdentityMap", "Inside", "Integration", "ModelInput", "ModelNotSaved",
            "OnImport", "Options", "Patch", "SubclassPatch", "infer_signature", "look_at", "number_of", "observe_prediction",
            "observe_score", "plain", "weakly",
        )
    },
    "let_through": "reraise_if_signal",
    "provenance": "lineage",
    "quiet": "suppress_warnings",
}  # fmt: skip
"""Names that authors of integrations used to import from here, and their names in `autolog.integration`."""


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        return _find(name)
    import warnings

    from autolog import integration

    warnings.warn(
        f"autolog.{name} has moved: import {_MOVED[name]} from autolog.integration. It is still found here in this release.",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(integration, _MOVED[name])
