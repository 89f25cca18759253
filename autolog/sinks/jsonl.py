"""`jsonl:PATH` appends each event to a file or a named pipe, as a line of JSON like in the journal.

Lines are appended whole, so several processes may share a file. After a kill or on a full disk, a line may occur twice. If a
pipe's reader leaves, the lines in the pipe are lost.
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
    """Appends to `path`, which is absolute, and creates missing folders. If nobody reads a pipe, it tries again later."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        path = Address(url).rest.removeprefix("//")
        if not path:
            raise ValueError("jsonl: needs the path of a file or named pipe, such as 'jsonl:events.jsonl'.")
        self.path = os.path.abspath(os.path.expanduser(path))
        if os.path.isdir(self.path):
            raise ValueError(f"jsonl: needs the path of a file or named pipe; {self.path} is a folder.")
        self._fd = -1

    def identity(self) -> str:
        return f"jsonl:{self.path}"

    def write(self, events: Sequence[Event]) -> None:
        lines = encode(events)
        try:
            if self._fd < 0 or not os.path.exists(self.path):  # log rotation moves files away
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
        """Open the file or pipe. Return what to write first: a line break if the last line is torn."""
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
            )  # a blocking open would wait for a reader
            os.set_blocking(self._fd, True)
        else:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        return b""
