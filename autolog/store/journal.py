"""One process's append-only file of events, one JSON object per line.

Only its own process writes it, with plain `write()`: what was written survives `kill -9`, needs no lock, and is right on
network file systems. Readers take whole lines only, so they ignore a torn last line.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from autolog.tracking.events import (
    FORMAT_VERSION,
    AnyEvent,
    Event,
    JournalOpened,
    MetricsLogged,
    RunRecorded,
    now,
)
from autolog.tracking.values import key_of, number_of, plain

_encoder = msgspec.json.Encoder()
_decoder: Any = None


def encode(events: Sequence[Event]) -> bytes:
    """Return events as lines of JSON. Non-finite metrics become the strings of `number_of`: JSON has no such numbers."""
    finite = [
        _with_names_for_non_finite(event)
        if (type(event) is MetricsLogged and not _sum_is_finite(event.v))
        or (type(event) is RunRecorded and not _sum_is_finite(event.metrics))
        else event
        for event in events
    ]
    try:
        return _encoder.encode_lines(finite)
    except Exception:
        # One event that cannot be encoded must not take the batch with it.
        return b"".join(map(_encode_one, finite))


def _sum_is_finite(values: dict[str, float]) -> bool:
    try:
        return math.isfinite(sum(values.values()))
    except OverflowError:  # an int beyond a float's range
        return False


def _with_names_for_non_finite(event: MetricsLogged | RunRecorded) -> Any:
    def named(values: dict[str, float]) -> Any:
        return {key: number_of(_float(value)) for key, value in values.items()}

    if type(event) is MetricsLogged:
        return msgspec.structs.replace(event, v=named(event.v))
    assert isinstance(event, RunRecorded)
    return msgspec.structs.replace(event, metrics=named(event.metrics))


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond a float's range
        return math.inf if value > 0 else -math.inf


def _encode_one(event: Any) -> bytes:
    try:
        return _encoder.encode(event) + b"\n"
    except Exception:
        fields: dict[str, Any] = {name: plain(getattr(event, name)) for name in event.__struct_fields__}
        for name in ("v", "metrics") if isinstance(event, (MetricsLogged, RunRecorded)) else ():
            if name in fields:  # all of them; `plain` would cut
                fields[name] = {
                    key_of(key): number_of(_float(value)) for key, value in getattr(event, name).items()
                }
        try:
            return _encoder.encode({"e": event.__struct_config__.tag, **fields}) + b"\n"
        except Exception:
            return b""


def decode(line: bytes) -> AnyEvent | None:
    """Return the event of one line; None for a line that this version cannot read."""
    global _decoder
    if _decoder is None:  # building it takes a millisecond or two, and only readers need it
        _decoder = msgspec.json.Decoder(AnyEvent, strict=False)
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class JournalWriter:
    """The journal being written. Raises OSError if it cannot be written; the unwritten part comes first at the next try."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._pending = b""

    def open(self) -> None:
        """Open the file. Create it, its folders and its first line if there is none."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o666
        )
        if os.fstat(self._fd).st_size:
            return
        header = JournalOpened(
            FORMAT_VERSION, now(), socket.gethostname(), os.getpid(), process_start(os.getpid())
        )
        self._pending = _encoder.encode(header) + b"\n" + self._pending

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def is_deleted(self) -> bool:
        """Return whether the file has been deleted: anything written to it now would be lost."""
        return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0

    def keep(self, lines: bytes) -> None:
        """Take lines for the next `drain` to write."""
        self._pending += lines

    def put_first(self, lines: bytes) -> None:
        """Like `keep`, but ahead of what is kept."""
        self._pending = lines + self._pending

    def drain(self) -> None:
        """Append what is kept. What a full disk does not take stays, in order, for the next try."""
        while self._pending:
            written = os.write(self._fd, self._pending)
            self._pending = self._pending[written:]

    @property
    def unwritten(self) -> int:
        """Bytes that wait for room on the disk."""
        return len(self._pending)

    def forget_unwritten(self) -> list[AnyEvent]:
        """Drop what waits, except for the first line, which may be half on disk. Return the dropped events."""
        kept, _, rest = self._pending.partition(b"\n")
        self._pending = kept + b"\n"
        return [event for line in rest.splitlines() if (event := decode(line)) is not None]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def process_start(pid: int) -> str:
    """Return when a process of this machine started, as text to compare, to tell a reused pid from it; "" if unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            ticks = file.read().rpartition(b")")[2].split()[19].decode()
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return f"{file.read().strip()}/{ticks}"
    except (OSError, IndexError, ValueError):
        return ""


def read_from(path: Path, offset: int, end: int | None = None) -> Iterator[tuple[int, int, AnyEvent | None]]:
    """Yield the complete lines from byte `offset`, as (start of the line, end of it, event or None)."""
    with open(path, "rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n") or (end is not None and offset >= end):
                return
            start, offset = offset, offset + len(line)
            yield start, offset, decode(line)
