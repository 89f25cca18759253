"""Keeps our wrappers out of the count when Python looks for who is to blame: `warnings.warn(…, stacklevel=2)` in a framework's
`fit` is to name the user's line, and a filter for `__main__` is to see it, as without autolog.

`warnings`, and `logging` since Python 3.11, leave out frames of the import system while they count, and know them by their
file's name: one that has both `importlib` and `_bootstrap` in it. So our frames, which stand between a framework and its
caller, say that they are of such a file. A traceback still shows where they are, but not in a notebook or by pytest: these
leave out the frames that have a `__tracebackhide__`, which each of ours sets first.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_codes: dict[CodeType, CodeType] = {}


def hide_from_stacklevel(function: F) -> F:
    """Decorates a function that calls what a user has called, on the user's behalf."""
    plain = cast(FunctionType, function)
    plain.__code__ = code_of(plain.__code__)
    return function


def code_of(code: CodeType) -> CodeType:
    """The code that a `hide_from_stacklevel` function of this code has: one and the same for all that a closure makes."""
    known = _codes.get(code)
    if known is None:
        known = code.replace(co_filename=f"{code.co_filename} (not counted, as importlib._bootstrap is not)")
        _codes[code] = _codes[known] = known
    return known
