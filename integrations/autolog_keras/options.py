"""What users can choose for Keras."""

from __future__ import annotations

from autolog.integration import Options


class KerasOptions(Options, frozen=True, kw_only=True):
    """What can be chosen for Keras, beside what is common to all integrations."""

    log_every_n_steps: int = 0
    """Record the running means of an epoch every so many batches, too; 0: at the end of epochs only. To read them makes an
    accelerator wait."""
