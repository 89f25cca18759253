"""Reads one journal from a kept position and feeds one sink. The same for the journal of this process, live, and for one of a
process that is gone: it reads what is on the disk and needs nothing else.

Knows no threads and no patience: it raises what the sink raises. `live` has those.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec

from autolog.sinks.base import Origin, Sink
from autolog.store.journal import decode, read_from
from autolog.store.layout import Layout
from autolog.tracking.events import AnyEvent, Event

BATCH_BYTES = 256 * 1024
"""Some thousand points: the interpreter's lock is held for a millisecond or two to read them."""
COUNTED_BYTES = 32 * 1024 * 1024
"""Exit must not wait for the counting of more."""


class Follower:
    """Feeds `sink` from `journal`, from where it was left: at the kept position, or at byte `start` if that is given.

    At-least-once: the position is kept after the sink has flushed, so that what comes between is delivered again.
    """

    def __init__(self, sink: Sink, journal: Path, store: Layout, *, start: int | None = None) -> None:
        self.sink = sink
        self.journal = journal
        self.delivered = 0
        """Events so far."""
        self._store = store
        self._note = _note_of(sink, journal, store) if sink.lasting else None
        self._opened = False
        self._file: FileIO | None = None
        self.position = self._kept() if start is None else start
        """Everything before this byte of the journal is delivered."""

    def advance(self) -> bool:
        """Deliver one batch of what is next, if there is anything. Returns whether there was.

        Raises what the sink raises; the same events come again at the next call.
        """
        events, end = self._next()
        if end == self.position:
            return False
        if events:
            if not self._opened:
                earlier = partial(self._events_until, self.position)
                self.sink.open(Origin(self.journal.name, self._store.artifacts, earlier))
                self._opened = True
            self.sink.write(events)
            self.sink.flush()
            self.delivered += len(events)
        self.position = end
        self._keep()
        return True

    def left(self) -> str:
        """How much is on the disk and not delivered, as in `1,204 events`; nothing if nothing is."""
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
        if self._opened:
            self.sink.close()

    # -- reading

    def _next(self) -> tuple[list[AnyEvent], int]:
        """The events of the next whole lines, and where these end."""
        if self._file is None:
            try:
                self._file = FileIO(self.journal, "r")
            except FileNotFoundError:
                return [], self.position
        lines = self._lines(self._file)
        if not lines and os.fstat(self._file.fileno()).st_nlink == 0 and self.journal.exists():
            # Deleted under the writer, and begun anew.
            self._file.close()
            self._file = FileIO(self.journal, "r")
            self.position = 0
            lines = self._lines(self._file)
        events = [event for line in lines.split(b"\n")[:-1] if (event := decode(line)) is not None]
        return events, self.position + len(lines)

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
        for _, _, event in read_from(self.journal, 0, end):
            if event is not None:
                yield event

    # -- the kept position

    def _kept(self) -> int:
        """The position as it was kept, or 0 if it is not one of this journal as it is now."""
        if self._note is None:
            return 0
        try:
            note: Any = msgspec.json.decode(self._note.read_bytes())
            position = note["position"]
            with open(self.journal, "rb") as file:
                file.seek(position - 1)
                return position if file.read(1) == b"\n" else 0
        except (OSError, msgspec.MsgspecError, ValueError, LookupError, TypeError):
            return 0

    def _keep(self) -> None:
        if self._note is None:
            return
        note = {"sink": self.sink.identity(), "journal": self.journal.name, "position": self.position}
        draft = self._note.with_suffix(f".{os.getpid()}")
        try:
            try:
                draft.write_bytes(msgspec.json.encode(note))
            except FileNotFoundError:
                self._note.parent.mkdir(parents=True, exist_ok=True)
                draft.write_bytes(msgspec.json.encode(note))
            draft.replace(self._note)
        except OSError:
            # Full or read-only: what is kept is an earlier position, and a later process delivers some events again.
            try:
                draft.unlink()
            except OSError:
                pass


def _note_of(sink: Sink, journal: Path, store: Layout) -> Path:
    """Where the position of this sink in this journal is kept. Journals' names are unique, wherever the store is copied."""
    key = f"{sink.identity()}\n{journal.name}".encode("utf-8", "surrogatepass")
    return store.followers / f"{hashlib.sha256(key).hexdigest()[:24]}.json"
