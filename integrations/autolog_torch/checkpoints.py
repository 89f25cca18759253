"""The files that a script saves while it trains."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from autolog.integration import Run

if TYPE_CHECKING:
    from autolog_torch.options import TorchOptions


class Checkpoints:
    """Those of one run."""

    def __init__(self, options: TorchOptions) -> None:
        self._options = options
        self._paths: dict[str, None] = {}

    def saved(self, path: str) -> None:
        if len(self._paths) < 1000:
            self._paths.pop(path, None)
            self._paths[path] = None

    def keep(self, run: Run) -> None:
        paths, self._paths = self._paths, {}
        for path in paths:
            if os.path.isfile(path) and os.path.getsize(path) <= self._options.max_model_bytes:
                run.log_artifact(path, f"checkpoints/{os.path.basename(path)}")
