"""`jsonl:PATH` appends the events to a file or a named pipe, a line of JSON each, as the journal has them.

Lines are appended whole, so several processes may share a file. A repeat, which only a killed process or a full disk can cause,
is a line that occurs twice. What is in a pipe when its reader leaves is gone with it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from autolog.sinks.address import Address
from autolog.sinks.base import Sink, SinkError
from autolog.store.journal import encode
from autolog.tracking.events import Event

_LASTING_ERRORS = (PermissionError, IsADirectoryError, NotADirectoryError)


class JsonLinesSink(Sink):
    """`path` is absolute; folders that are missing are made. A pipe nobody reads is tried again."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        path = Address(url).rest.removeprefix("//")
        if not path:
            raise ValueError("jsonl: needs the path of a file or named pipe, as in 'jsonl:events.jsonl'.")
        self.path = os.path.abspath(os.path.expanduser(path))
        if os.path.isdir(self.path):
            raise ValueError(f"jsonl: needs the path of a file or named pipe; {self.path} is a folder.")
        self._fd = -1

    def identity(self) -> str:
        return f"jsonl:{self.path}"

    def write(self, events: Sequence[Event]) -> None:
        lines = encode(events)
        try:
            if self._fd < 0 or not os.path.exists(self.path):  # moved away, as log rotation does
                self.close()
                lines = self._open() + lines
            while lines:
                lines = lines[os.write(self._fd, lines) :]
        except OSError as error:
            self.close()
            why = error.strerror or str(error)
            raise SinkError(
                f"{self.path}: {why}", retryable=not isinstance(error, _LASTING_ERRORS)
            ) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> bytes:
        """Open the file or pipe. Returns what must come first: the end of a line that is torn."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        try:
            kind = os.stat(self.path).st_mode
        except FileNotFoundError:
            kind = stat.S_IFREG
        if stat.S_ISREG(kind):
            self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            size = os.lseek(self._fd, 0, os.SEEK_END)
            if size:
                os.lseek(self._fd, size - 1, os.SEEK_SET)
                return b"" if os.read(self._fd, 1) == b"\n" else b"\n"
        elif stat.S_ISFIFO(kind):
            self._fd = os.open(
                self.path, os.O_WRONLY | os.O_NONBLOCK
            )  # else it would wait for a reader for ever
            os.set_blocking(self._fd, True)
        else:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        return b""
