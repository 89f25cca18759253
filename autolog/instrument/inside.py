"""A mark that an integration sets on a thread while it runs certain code."""

from __future__ import annotations

import threading


class Inside(threading.local):
    """`with inside:` marks this thread while the block runs; `if inside:` reads the mark. Blocks may be nested."""

    _depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def __bool__(self) -> bool:
        return self._depth > 0
