"""Where events go on to from the journal. What authors of sinks import; the page for them is `base.py`.

`events` are the events that a sink is given. Nothing here is imported unless a sink is configured.
"""

from __future__ import annotations

from autolog.sinks.address import Address
from autolog.sinks.base import Origin, Sink, SinkError
from autolog.tracking import events
from autolog.tracking.values import number_of

__all__ = ["Address", "Origin", "Sink", "SinkError", "events", "number_of"]
