"""The options for Keras."""

from __future__ import annotations

from autolog.integration import Options


class KerasOptions(Options, frozen=True, kw_only=True):
    """Options for Keras, in addition to those of all integrations."""

    log_every_n_steps: int = 0
    """Also record an epoch's running means every so many batches; 0: only at the end of epochs. Reading them makes an
    accelerator wait."""
