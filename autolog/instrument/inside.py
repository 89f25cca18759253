"""Whether a thread is inside of something that an integration has marked."""

from __future__ import annotations

import threading


class Inside(threading.local):
    """`with inside:` marks what runs in it, in this thread; `if inside:` asks. It may be nested."""

    _depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def __bool__(self) -> bool:
        return self._depth > 0
