"""The checkpoints that a script saves by `torch.save`: which files are any, and which are copied into the run.

With `"last"` only the file that was written last is copied, when the run ends. With `"all"` each file is copied in the
background when it is first written, and once more at the end if it was written again: the exit waits for few copies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from autolog.integration import Run
from autolog_torch.options import TorchOptions

MANY = 1000
"""Files of one run."""


class Checkpoints:
    """Those of one run."""

    def __init__(self, options: TorchOptions) -> None:
        self._is_all = options.log_checkpoints in (True, "all")
        self._limit = options.max_model_bytes
        self._written: dict[str, bool] = {}
        """Whether each file is to be copied when the run ends; the one that was written last comes last."""
        self._names: dict[str, str] = {}
        self._bytes: dict[str, int] = {}

    def saved(self, run: Run, path: str) -> None:
        """The script has written a checkpoint."""
        is_known = self._written.pop(path, None) is not None
        if not is_known and len(self._written) >= MANY:
            return
        copy_now = self._is_all and not is_known and self._copy(run, path)
        self._written[path] = not copy_now

    def keep(self, run: Run) -> None:
        """Copy what is not copied yet. The run ends."""
        waiting = [path for path, waits in self._written.items() if waits]
        for path in waiting if self._is_all else waiting[-1:]:
            self._copy(run, path)
        self._written, self._names, self._bytes = {}, {}, {}

    def _copy(self, run: Run, path: str) -> bool:
        try:
            size = os.path.getsize(path)
        except OSError:  # the script has removed it
            return False
        others = sum(one for other, one in self._bytes.items() if other != path)
        name = self._name(path)
        if others + size > self._limit:
            run.note(
                f"{name} was not copied: with it, checkpoints would exceed max_model_bytes, {self._limit:,}."
            )
            return False
        self._bytes[path] = size
        run.log_artifact(path, name)
        return True

    def _name(self, path: str) -> str:
        """Its own, or with that of its folder where another one has the same."""
        if path not in self._names:
            folder, name = os.path.split(path)
            taken = set(self._names.values())
            found = f"checkpoints/{name}"
            while found in taken and os.path.basename(folder):
                folder, parent = os.path.split(folder)
                name = f"{parent}/{name}"
                found = f"checkpoints/{name}"
            self._names[path] = found
        return self._names[path]


def is_checkpoint(saved: Any, tensor: type, depth: int = 0) -> bool:
    """Whether what a script saves is a model or the state of one or of an optimizer, and not data or predictions: a module, or
    a mapping of names to parameters, or one of several things one of which is.
    """
    if hasattr(type(saved), "state_dict") and hasattr(type(saved), "load_state_dict"):
        return True
    if not isinstance(saved, Mapping) or not saved or depth > 2:
        return False
    if "param_groups" in saved and "state" in saved:
        return True
    names = [name for name in list(saved)[:20] if isinstance(name, str)]
    held = [saved[name] for name in names]
    # `layer.weight`, or the `weight` of a single layer.
    if any(
        isinstance(one, tensor) and name.rpartition(".")[2] in ("weight", "bias")
        for name, one in zip(names, held, strict=True)
    ):
        return True
    return any(is_checkpoint(one, tensor, depth + 1) for one in held)
