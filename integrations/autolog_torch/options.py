"""What users can choose for PyTorch."""

from __future__ import annotations

from typing import Literal

from autolog.integration import Options


class TorchOptions(Options, frozen=True, kw_only=True):
    """What can be chosen for PyTorch, beside what is common to all integrations."""

    capture_reads: bool = True
    """Record the numbers that the script itself reads from tensors, as by `tensor.item()`, as `reads/<name>`."""
    log_checkpoints: bool | Literal["last", "all"] = "last"
    """Copy the checkpoints that the script writes by `torch.save`: the last one, all of them (`True` is the same), or none.
    They are copied as they are when the run ends, up to `max_model_bytes` in total.
    """
