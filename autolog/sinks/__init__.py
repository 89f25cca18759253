"""Where events go on to from the journal. For who writes a sink: `Sink`, `SinkError`, `Origin`; the page is `base.py`.

Nothing here is imported unless a sink is configured.
"""

from __future__ import annotations

from autolog.sinks.base import Origin, Sink, SinkError

__all__ = ["Origin", "Sink", "SinkError"]
