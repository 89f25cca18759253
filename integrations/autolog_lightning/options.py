"""The options for Lightning."""

from __future__ import annotations

from typing import Literal

from autolog.integration import Options


class LightningOptions(Options, frozen=True, kw_only=True):
    """Options for Lightning, in addition to those of all integrations."""

    log_checkpoints: bool | Literal["best", "all"] = "best"
    """Copy the best checkpoint, all checkpoints, or with `False` none into the run. Their paths are always recorded."""
