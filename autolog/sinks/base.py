"""How to write a sink: a class that translates events for one backend. It need not know frameworks, open runs or threads.

A third party's sink is a subclass of `Sink` in any distribution. autolog finds it by an entry point with its URL's scheme:

    [project.entry-points."autolog.sinks"]
    carrier = "carrier_sink:CarrierSink"        # autolog.autolog(sinks=["carrier://loft/7"])

`carrier+http://…` finds it, too, unless there is an entry point with that full name.

    import carrier

    class CarrierSink(Sink):
        def __init__(self, url):                # in autolog(): only checks the URL
            super().__init__(url)
            self.loft = urlsplit(url).netloc

        def open(self, origin):                 # from here on, in the sink's own thread
            self.flock = carrier.Flock(self.loft)

        def write(self, events):
            for event in events:
                if isinstance(event, MetricsLogged):
                    self.flock.send(event.run, event.step, event.v)

The events are those of `autolog.tracking.events`, in the order of the journal. Ignore kinds that you do not know: there will be
new ones. Metrics may be NaN or infinite. An ended run may get more metrics, tags and files, and may end again. Children name
their parent. A `RunRecorded` is a whole child run in one event. A run's files are at `origin.file(event.run, event.path)`.
A `RunChanged` holds all changes of a run so far, whoever made them: set each thing in it. It may be about a run of another
journal, which the backend may not have (yet): then skip it, for the changes come again with the run's start. What the store
knows of such a run is `origin.record(event.run)`.

Every event comes at least once. It comes again after an error, or if the process is killed before it notes a delivery. If the
backend allows it, write events so that a repeat changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autolog.sinks.address import Address
from autolog.store.layout import file_of
from autolog.tracking.events import Event

if TYPE_CHECKING:
    from autolog.store.records import RunRecord


class SinkError(Exception):
    """A sink could not take events. If it is not `retryable`, only the next process tries again.

    Any other exception counts as retryable.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class Origin(NamedTuple):
    """The journal and the store that a sink's events come from."""

    journal: str
    """The journal's name. It is unique: a sink can make keys of it that identify repeats."""
    artifacts: Path
    """The folder of all runs' files. Use `file` to get one."""
    earlier: Callable[[], Iterator[Event]]
    """Reads again the events that were delivered before this process resumed, such as the start of a run in progress."""

    record: Callable[[str], RunRecord | None] = lambda run: None
    """Returns what all journals of the store say of a run; None if they say nothing. For `RunChanged` only: in a process that
    trains, the index of the store is brought up to date for it.
    """

    def file(self, run: str, path: str) -> Path | None:
        """Return the path of a run's file or folder, which may be deleted. Return None for a path outside the run's folder:
        a journal may come from a stranger.
        """
        return file_of(self.artifacts, run, path)


class Sink:
    """One destination of events. One thread at a time calls it, not always the same one, and never a training thread.

    It may take as long as it needs: it delays only itself. Messages of its exceptions are logged without the URL's credentials.
    """

    lasting: bool = True
    """Whether delivered events outlast the process, so that the position is kept. False for a live view, such as a console: it
    gets the events since its start, and none are delivered later.
    """

    delivers_at_close: bool = False
    """Whether the backend's client has its own queue, so that flushed events may be lost with this process. The position is
    kept only after `close`. Until then, a repeat starts at the journal's first event.
    """

    def __init__(self, url: str) -> None:
        """Check the URL during `autolog()`, without connecting. Raises ValueError for an invalid URL.

        Import what the sink needs here or in its module, which is loaded only if the sink is configured. Do not import later,
        on the sink's own thread: a child that is forked during an import hangs if it imports the same module.
        """
        self.url = url

    def identity(self) -> str:
        """Return a text that identifies this destination, without credentials. The position is kept under it."""
        return Address(self.url).safe

    def open(self, origin: Origin) -> None:
        """Prepare for events. Called before the first `write`, and again after a failure."""

    def write(self, events: Sequence[Event]) -> None:
        """Take events. May hold some back until `flush`.

        Raises SinkError. After an error here or in `flush`, all events since the last successful `flush` come again: drop those
        that were held back.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Return when all written events are delivered. Called after every `write`; afterwards the position is kept."""

    def close(self) -> None:
        """Close connections and files. This is the last call."""
