"""Keeps warnings of user code that we call (a `__getstate__`, say) from being shown twice or from where nobody looks.

`warnings.catch_warnings` will not do on a training thread: it silences every thread of the process, and by counting the
filters as changed it makes Python forget which warnings it has shown already, so that the user would see them again.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_quiet: ContextVar[bool] = ContextVar("autolog_quiet", default=False)


class _HereOnly(type):
    """Makes `issubclass(any warning, Hushed)` true inside a `suppress_warnings()` block of the asking thread, else false."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        return _quiet.get()


class _Hushed(Warning, metaclass=_HereOnly):
    pass


_FILTER = ("ignore", None, _Hushed, None, 0)


@contextmanager
def suppress_warnings() -> Generator[None, None, None]:
    """No warning is shown, recorded or raised inside the block by this thread. Others are not affected, nor is what the
    interpreter remembers of warnings shown before.
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
