"""What a journal says, to compare with what a sink got; and journals written for a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autolog.sinks import Sink
from autolog.sinks.follower import Follower
from autolog.store.journal import JournalWriter, encode, read_from
from autolog.store.layout import Layout
from autolog.tracking.events import Event, MetricsLogged, RunStarted

MLFLOW = (
    "mlflow.pyfunc", "mlflow.sklearn", "mlflow.store.tracking.sqlalchemy_store", "sklearn.linear_model",
    "sklearn.model_selection",
)  # fmt: skip
"""What scripts find imported that train and send to MLflow: see `autolog.testing.fresh`."""

TIMEOUT = 60.0
"""Seconds after which a test gives up. None takes that long, and nothing is measured against it."""


def events_of(journal: Path) -> list[Event]:
    """All events of a journal, in order."""
    return [event for _, _, event in read_from(journal, 0) if event is not None]


def points(start: int, stop: int, run: str = "r") -> list[Event]:
    """Losses of a run's steps from `start` up to `stop`."""
    return [MetricsLogged(run, step, 1000 + step, {"loss": 1.0 / (step + 1)}) for step in range(start, stop)]


def started(run: str = "r", name: str = "run") -> RunStarted:
    return RunStarted(run, 1000, name, "default")


class Journal:
    """A journal that the test writes itself, as the writer does."""

    def __init__(self, root: Path) -> None:
        self.store = Layout(root)
        self.path = self.store.new_journal()
        self._writer = JournalWriter(self.path)
        self._writer.open()
        self.append([])

    def append(self, events: Sequence[Event]) -> None:
        self._writer.keep(encode(events))
        self._writer.drain()

    def append_torn(self, text: bytes) -> None:
        """Bytes, as a full disk leaves them in the middle of a line."""
        with open(self.path, "ab") as file:
            file.write(text)

    def deliver(self, sink: Sink, start: int | None = None) -> None:
        """Feed all of it to a sink and close that."""
        deliver(Follower(sink, self.path, self.store, start=start))

    @property
    def events(self) -> list[Event]:
        return events_of(self.path)


def deliver(follower: Follower) -> None:
    while follower.advance():
        pass
    follower.close()
