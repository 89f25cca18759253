"""`memory:` keeps events in a list, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from autolog.sinks.base import Sink
from autolog.tracking.events import Event


class MemorySink(Sink):
    """Collects all events so far in `events`."""

    lasting = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.events: list[Event] = []

    def write(self, events: Sequence[Event]) -> None:
        self.events += events
