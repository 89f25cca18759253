"""Reads one journal from a kept position and feeds one sink. It reads only the disk, so the journal's process may be this one
or a dead one.

It has no threads and does not retry: it raises what the sink raises. `live` adds both.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from autolog.sinks.base import Origin, Sink, SinkError
from autolog.store.journal import decode, read_from
from autolog.store.layout import Layout, is_run_id
from autolog.tracking.events import AnyEvent, Event, RunChanged, RunRecorded, RunStarted, TagsSet

if TYPE_CHECKING:
    from autolog.store.records import RunRecord, Store

BATCH_BYTES = 256 * 1024
"""Some thousand points: decoding them holds the GIL for a millisecond or two."""
COUNTED_BYTES = 32 * 1024 * 1024
"""Counting more would delay the exit."""


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Locked(SinkError):
    """Another process feeds this sink from this journal now."""


class Follower:
    """Feeds `sink` from `journal`, from the kept position, or from byte `start` if that is given. With `only`, it delivers only
    events of these runs. It never delivers those of the runs in `without`.

    A change of a run is delivered as all its latest changes, whichever journals they are in: so several followers may deliver
    them in any order. With `records`, the store that the journal is in, the changes also come with the start of a run and with
    its tags. Without it, they come only when this journal changes the run, as in the process that trains.

    Delivery is at-least-once: the position is kept after each flush, and events after it are delivered again. Only one process
    at a time may deliver; others get `Locked`.
    """

    def __init__(
        self, sink: Sink, journal: Path, store: Layout, *, start: int | None = None, only: Collection[str] | None = None,
        without: Collection[str] = (), records: Store | None = None,
    ) -> None:  # fmt: skip
        self.sink = sink
        self.journal = journal
        self.delivered = 0
        """The number of events delivered so far."""
        self._store = store
        self._only = only
        self._without = without
        self._given_records = records
        self._own_records: Store | None = None
        self._note = _note_of(sink, journal, store, only) if sink.lasting else None
        self._claim = -1
        self._opened = False
        self._file: FileIO | None = None
        self._start = start
        self.concluded = False
        """Whether the events that follow from the journal's end are delivered, too."""
        self.position = self._kept() if start is None else start
        """The byte of the journal before which everything is delivered."""

    def advance(self) -> bool:
        """Deliver the next batch of events. Return whether there was one.

        Raises what the sink raises. The next call then delivers the same events again.
        """
        self._take()
        events, end = self._next()
        if end == self.position:
            return False
        self._deliver(list(self._with_changes(events)))
        self.position, self.concluded = end, False
        self._reached()
        return True

    def conclude(self, events: Sequence[Event]) -> None:
        """Deliver, once, events that are in no journal because the process died: the ends of its runs. Raises what the sink
        raises.
        """
        if not self.concluded:
            self._take()
            self._deliver(events)
            self.concluded = True
            self._reached()

    def _deliver(self, events: Sequence[Event]) -> None:
        if not events:
            return
        if not self._opened:
            earlier = partial(self._events_until, self.position)
            self.sink.open(Origin(self.journal.name, self._store.artifacts, earlier, self._record))
            self._opened = True
        self.sink.write(events)
        self.sink.flush()
        self.delivered += len(events)

    def left(self) -> str:
        """Return how many events on the disk are not delivered, such as `1,204 events`; "" if there are none."""
        try:
            with open(self.journal, "rb") as file:
                file.seek(self.position)
                count = file.read(COUNTED_BYTES).count(b"\n")
                more = "more than " if count and file.read(1) else ""
        except OSError:
            return ""
        return f"{more}{count:,} event{'s' * (count != 1)}" if count else ""

    def close(self) -> None:
        """Close the journal, then the sink. Raises what the sink raises."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._own_records is not None:
            self._own_records.close()
        try:
            if self._opened:
                self.sink.close()
                if self.sink.delivers_at_close:
                    self._keep()
        finally:
            if self._claim >= 0:
                os.close(self._claim)
                self._claim = -1

    # -- reading

    def _next(self) -> tuple[list[AnyEvent], int]:
        """Return the events of the next complete lines, and the byte where these end."""
        if self._file is None:
            try:
                self._file = FileIO(self.journal, "r")
            except FileNotFoundError:
                return [], self.position
        lines = self._lines(self._file)
        if not lines and os.fstat(self._file.fileno()).st_nlink == 0 and self.journal.exists():
            # The journal was deleted, and its writer has started a new one.
            self._file.close()
            self._file = FileIO(self.journal, "r")
            self.position = 0
            lines = self._lines(self._file)
        decoded = map(decode, lines.split(b"\n")[:-1])
        events = [event for event in decoded if event is not None and self._is_wanted(event)]
        return events, self.position + len(lines)

    def _is_wanted(self, event: Event) -> bool:
        run: str | None = getattr(event, "run", None)
        return run is None or (
            is_run_id(run) and (self._only is None or run in self._only) and run not in self._without
        )

    def _lines(self, file: FileIO) -> bytes:
        size = BATCH_BYTES
        while True:
            file.seek(self.position)
            data = file.read(size)
            lines = data[: data.rfind(b"\n") + 1]
            if lines or len(data) < size:
                return lines
            size *= 4  # a line longer than a batch

    def _events_until(self, end: int) -> Iterator[Event]:
        read = (event for _, _, event in read_from(self.journal, 0, end))
        return self._with_changes(event for event in read if event is not None and self._is_wanted(event))

    # -- changes, which several journals may make of one run

    def _with_changes(self, events: Iterable[AnyEvent]) -> Iterator[AnyEvent]:
        """Yield events, and behind them the latest changes of those runs whose names or tags they may set."""
        runs: dict[str, None] = {}
        for event in events:
            if isinstance(event, RunChanged):
                runs[event.run] = None
                continue
            if self._given_records is not None and isinstance(event, (RunStarted, RunRecorded, TagsSet)):
                runs[event.run] = None
            yield event
        if runs:
            yield from self._records().changes(runs)

    def _records(self) -> Store:
        if self._given_records is not None:
            return self._given_records
        if self._own_records is None:
            from autolog.store.records import Store  # loaded before: a record made the change

            self._own_records = Store(self._store)
        return self._own_records

    def _record(self, run: str) -> RunRecord | None:
        return self._records().run(run)

    # -- the kept position

    def _reached(self) -> None:
        if not self.sink.delivers_at_close:
            self._keep()

    def _take(self) -> None:
        """Lock this sink and journal against other processes. The system unlocks them when this process ends in any way. A
        forked child does not inherit the lock. On file systems without locks, this does nothing.
        """
        if self._note is None or self._claim >= 0 or fcntl is None:
            return
        try:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            # The store may come from a stranger: follow no links in it.
            how = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            claim = os.open(self._note.with_suffix(".lock"), how, 0o666)
        except OSError:  # the disk is full or read-only
            return
        try:
            fcntl.lockf(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(claim)
            raise Locked("another process delivers this journal") from None
        except OSError:
            pass
        self._claim = claim
        if self._start is None:  # another process may have moved the position before we had the lock
            self.position = self._kept()

    def _kept(self) -> int:
        """Return the kept position, or 0 if the journal has no line that ends there."""
        if self._note is None or not self._note.is_file():  # reading a device might never end
            return 0
        try:
            note: Any = msgspec.json.decode(self._note.read_bytes())
            position = note["position"]
            with open(self.journal, "rb") as file:
                file.seek(position - 1)
                if file.read(1) != b"\n":
                    return 0
            self.concluded = note.get("concluded") is True
            return position
        except (OSError, msgspec.MsgspecError, ValueError, LookupError, TypeError):
            return 0

    def _keep(self) -> None:
        if self._note is None:
            return
        note: dict[str, Any] = {
            "sink": self.sink.identity(),
            "journal": self.journal.name,
            "position": self.position,
        }
        if self.concluded:
            note["concluded"] = True
        draft = self._note.with_suffix(f".{os.getpid()}")
        try:
            try:
                file = open(draft, "xb")  # noqa: SIM115  a new file: an existing one may be a link
            except FileNotFoundError:
                self._note.parent.mkdir(parents=True, exist_ok=True)
                file = open(draft, "xb")  # noqa: SIM115
            with file:
                file.write(msgspec.json.encode(note))
            draft.replace(self._note)
        except OSError:
            # The disk is full or read-only, or a killed process with this pid left a file. An earlier position stays, and a
            # later process delivers some events again.
            try:
                draft.unlink()
            except OSError:
                pass


def _note_of(sink: Sink, journal: Path, store: Layout, only: Collection[str] | None = None) -> Path:
    """Return the file of this sink's position in this journal. Names of journals stay unique when a store is copied."""
    of_these = "" if only is None else "\n" + "\n".join(sorted(only))
    key = f"{sink.identity()}\n{journal.name}{of_these}".encode("utf-8", "surrogatepass")
    return store.followers / f"{hashlib.sha256(key).hexdigest()[:24]}.json"
