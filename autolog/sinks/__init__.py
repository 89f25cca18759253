"""What authors of sinks import. `base.py` tells them how to write a sink.

`events` is the module of the events that a sink gets. This package is imported only if a sink is configured.
"""

from __future__ import annotations

from autolog.sinks.address import Address
from autolog.sinks.base import Origin, Sink, SinkError
from autolog.tracking import events
from autolog.tracking.values import number_of

__all__ = ["Address", "Origin", "Sink", "SinkError", "events", "number_of"]
