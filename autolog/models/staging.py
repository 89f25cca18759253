"""The files of a model while they wait to be written into its folder: in memory while small, on disk when not.

Knows nothing of what is in them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from pickle import PickleBuffer
from typing import BinaryIO

from autolog.models.errors import ModelNotSaved

MEMORY_LIMIT = 64 << 20
"""Bytes of one file that stay in memory. A larger file goes to disk as it is made, so that a large model is not held twice."""

CHUNK = 1 << 20


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """Return the rest of an open file, in chunks of a megabyte."""
    return iter(partial(file.read, CHUNK), b"")


class StagedFile:
    """A file that is written once. A pickler uses only `write`."""

    def __init__(self, staging_dir: Path, max_bytes: int | None) -> None:
        self.size = 0
        self._staging_dir = staging_dir
        self._max_bytes = max_bytes
        self._memory = io.BytesIO()
        self._disk: io.BufferedWriter | None = None
        self._path: Path | None = None

    def write(self, data: bytes | bytearray | memoryview | PickleBuffer) -> int:
        # A pickler passes on the memory of a large array itself: if it is refused here, it was never copied.
        length = memoryview(data).nbytes
        if self._max_bytes is not None and self.size + length > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._disk is None and self.size + length > MEMORY_LIMIT:
            self._disk = self._spill()
        if self._disk is None:
            self._memory.write(data)
        else:
            self._disk.write(data)
        self.size += length
        return length

    def _spill(self) -> io.BufferedWriter:
        self._staging_dir.mkdir(parents=True, exist_ok=True)
        self._path = self._staging_dir / f"model-{os.urandom(8).hex()}.tmp"
        disk = self._path.open("xb")
        disk.write(self._memory.getbuffer())
        self._memory = io.BytesIO()
        return disk

    def restart(self) -> None:
        """Empty the file, for a second try at writing it."""
        self.discard()
        self.size = 0
        self._memory = io.BytesIO()
        self._disk = self._path = None

    def content(self) -> bytes | Path:
        """End the writing. Return the bytes, or the path of the file that holds them."""
        if self._disk is None or self._path is None:
            return self._memory.getvalue()
        self._disk.close()
        return self._path

    def discard(self) -> None:
        if self._disk is not None and self._path is not None:
            try:
                self._disk.close()
            except (
                OSError
            ):  # the disk is full and the last block cannot be written: it is not wanted any more
                pass
            self._path.unlink(missing_ok=True)


class PlacedFile:
    """A file that a framework writes by itself, to `path`: some frameworks can only write to a path."""

    def __init__(self, staging_dir: Path, max_bytes: int | None, suffix: str) -> None:
        staging_dir.mkdir(parents=True, exist_ok=True)
        self.path = staging_dir / f"model-{os.urandom(8).hex()}.tmp{suffix}"
        self._max_bytes = max_bytes

    def content(self) -> bytes | Path:
        """Return the bytes, or the path if they are many. Raises ModelNotSaved if there are too many."""
        size = self.path.stat().st_size
        if self._max_bytes is not None and size > self._max_bytes:
            raise _too_large(self._max_bytes)
        if size > MEMORY_LIMIT:
            return self.path
        content = self.path.read_bytes()
        self.path.unlink()
        return content

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def _too_large(limit: int) -> ModelNotSaved:
    return ModelNotSaved(f"it is larger than the limit of {limit:,} bytes")


class Staging:
    """The files of one model that is being saved: `open("model.pkl").write(...)`.

    `directory` is where it keeps temporary files, on the file system where the model will be; it may not exist yet.
    """

    def __init__(self, staging_dir: Path, max_bytes: int | None) -> None:
        self.directory = staging_dir
        self._max_bytes = max_bytes
        self._files: dict[str, StagedFile | PlacedFile] = {}

    def open(self, name: str) -> StagedFile:
        """Return a new file to write. `name` is its path in the model folder, with `/`."""
        file = self._files[name] = StagedFile(self.directory, self._max_bytes)
        return file

    def place(self, name: str) -> Path:
        """Return where a framework that writes only to paths must write this file. The path has the suffix of `name`."""
        file = self._files[name] = PlacedFile(self.directory, self._max_bytes, os.path.splitext(name)[1])
        return file.path

    def content(self) -> dict[str, bytes | Path]:
        return {name: file.content() for name, file in self._files.items()}

    def discard(self) -> None:
        for file in self._files.values():
            file.discard()


def contains(files: Mapping[str, bytes | Path], needles: Iterable[bytes]) -> bool:
    """Return whether any of these byte strings (UTF-8 text: secrets, say) is in the model's files, as it is, as NumPy stores
    text, or escaped as in JSON. A spilled file is read a megabyte at a time. Compressed content is not searched.
    """
    wanted = {form for needle in needles for form in _forms(needle)}
    return bool(wanted) and any(_file_contains(content, wanted) for content in files.values())


def _forms(needle: bytes) -> Iterator[bytes]:
    if not needle:
        return
    yield needle
    try:
        text = needle.decode()
    except UnicodeDecodeError:
        return
    import json

    yield text.encode("utf-32-le")
    escaped = json.dumps(text)[1:-1]
    yield escaped.encode()
    yield json.dumps(escaped)[1:-1].encode()  # skops keeps JSON texts in a JSON document


def _file_contains(content: bytes | Path, wanted: Iterable[bytes]) -> bool:
    if isinstance(content, bytes):
        return any(form in content for form in wanted)
    overlap = max(map(len, wanted)) - 1
    tail = b""
    with content.open("rb") as file:
        for chunk in chunks(file):
            window = tail + chunk
            if any(form in window for form in wanted):
                return True
            tail = window[-overlap:] if overlap else b""
    return False


def sizes(files: Mapping[str, bytes | Path]) -> dict[str, int]:
    """Return the length of each file in bytes."""
    return {
        name: len(content) if isinstance(content, bytes) else content.stat().st_size
        for name, content in files.items()
    }
