"""What users can choose for Lightning."""

from __future__ import annotations

from typing import Literal

from autolog.integration import Options


class LightningOptions(Options, frozen=True, kw_only=True):
    """What can be chosen for Lightning, beside what is common to all integrations."""

    log_checkpoints: bool | Literal["best", "all"] = "best"
    """Copy the best checkpoint into the run, all of them, or with `False` none; their paths are recorded in any case."""
