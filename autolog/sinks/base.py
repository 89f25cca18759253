"""What a sink is. It translates events for one backend, and knows nothing of frameworks, of runs in progress or of threads.

A third party's sink is a subclass of `Sink` in any distribution, found by an entry point whose name is the scheme of its URL:

    [project.entry-points."autolog.sinks"]
    carrier = "carrier_sink:CarrierSink"        # autolog.autolog(sinks=["carrier://loft/7"])

`carrier+http://…` finds it too, unless there is an entry point of that whole name.

    import carrier

    class CarrierSink(Sink):
        def __init__(self, url):                # in autolog(): only looks at the URL
            super().__init__(url)
            self.loft = urlsplit(url).netloc

        def open(self, origin):                 # from here on in a thread of the sink's own
            self.flock = carrier.Flock(self.loft)

        def write(self, events):
            for event in events:
                if isinstance(event, MetricsLogged):
                    self.flock.send(event.run, event.step, event.v)

The events are those of `autolog.tracking.events`, in the order of the journal. There will be new ones: leave out what you do
not know. Metrics may be NaN or infinite. An ended run may get more metrics, tags and files, and may end again. Children name
their parent; a `RunRecorded` is a whole child run in one event. A run's files are at `origin.file(event.run, event.path)`.

Every event comes at least once, and may come again: after an error, and after the process was killed between a delivery and
the note of it. Write so that a repeat changes nothing, where the backend allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from autolog.sinks.address import Address
from autolog.store.layout import file_of
from autolog.tracking.events import Event


class SinkError(Exception):
    """A sink could not take events. Unless `retryable`, trying again would not help, and is left until the next process.

    Any other exception counts as retryable.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class Origin(NamedTuple):
    """Where a sink's events come from."""

    journal: str
    """The journal's name: unique, so that it can be part of a key that makes repeats recognisable."""
    artifacts: Path
    """The folder of all runs' files: ask `file` for one."""
    earlier: Callable[[], Iterator[Event]]
    """Reads again what was delivered before this process resumed: the starts of runs whose metrics still come, say."""

    def file(self, run: str, path: str) -> Path | None:
        """A run's file or folder, which may be there no more; None for a path that leads out of the run's folder, as a journal
        of somebody else's may have it.
        """
        return file_of(self.artifacts, run, path)


class Sink:
    """One destination of events. One thread at a time calls it, not always the same, and never the training's.

    It may take as long as it needs: it holds up nothing but itself. What it says in an exception is logged without the
    credentials of its URL.
    """

    lasting: bool = True
    """What was delivered is still there when the process has gone, so the position reached is kept. A view of the moment (a
    console) has False: it gets what happens from its beginning on, and misses nothing that it should get later.
    """

    delivers_at_close: bool = False
    """The backend's client has a queue of its own, so that what was flushed may be lost with this process: the position is kept
    only when `close` has returned. Until then, a repeat begins with the journal's first event.
    """

    def __init__(self, url: str) -> None:
        """Look at the URL, in `autolog()`, and connect to nothing. Raises ValueError for a wrong one.

        What the sink needs is imported here or by its module, which is loaded only for a sink that somebody asked for. Not
        later, on the sink's own thread: a child forked in the middle of an import waits for ever when it imports the same.
        """
        self.url = url

    def identity(self) -> str:
        """What tells this destination from others, without credentials: the position reached is kept under it."""
        return Address(self.url).safe

    def open(self, origin: Origin) -> None:
        """Get ready; called before the first `write`, and again if it failed."""

    def write(self, events: Sequence[Event]) -> None:
        """Take events. It may keep some back until `flush`.

        Raises SinkError. After an error here or in `flush`, everything since the last successful `flush` comes again: forget
        what was kept back.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Return when all that was written is where it belongs. Called after every `write`; then the position is kept."""

    def close(self) -> None:
        """Let go of connections and files. Nothing comes after it."""
