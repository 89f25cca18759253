"""Suppresses warnings from user code that autolog calls itself (a `__getstate__`, say): they would be shown twice, or out of
place.

`warnings.catch_warnings` is unfit for a training thread: it silences every thread of the process. It also marks the filters as
changed, which makes Python forget the warnings that it has shown, so that the user would see them again.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_quiet: ContextVar[bool] = ContextVar("autolog_quiet", default=False)


class _HereOnly(type):
    """Makes `issubclass(any warning, _Hushed)` true inside a `suppress_warnings()` block of the asking thread, else false."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        return _quiet.get()


class _Hushed(Warning, metaclass=_HereOnly):
    pass


_FILTER = ("ignore", None, _Hushed, None, 0)


@contextmanager
def suppress_warnings() -> Generator[None, None, None]:
    """Show, record and raise no warnings of this thread inside the block. Other threads are not affected, and the interpreter
    still remembers which warnings it has shown.
    """
    token = _quiet.set(True)
    filters = warnings.filters
    filters.insert(0, _FILTER)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    try:
        yield
    finally:
        _quiet.reset(token)
        try:
            filters.remove(_FILTER)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        except ValueError:  # the code inside has emptied the list itself
            pass
