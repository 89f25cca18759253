"""What users can choose for PyTorch."""

from __future__ import annotations

from autolog.integration import Options


class TorchOptions(Options, frozen=True, kw_only=True):
    """What can be chosen for PyTorch, beside what is common to all integrations."""

    capture_reads: bool = True
    """Record the numbers that the script itself reads from tensors, as by `tensor.item()`, as `reads/<name>`."""
    log_checkpoints: bool = True
    """Copy the files that the script writes by `torch.save`, as they are when the run ends."""
