"""Hides our wrappers from `stacklevel`: `warnings.warn(…, stacklevel=2)` in a framework's `fit` must name the user's line, and
a filter for `__main__` must see it, as without autolog.

`warnings`, and `logging` since Python 3.11, skip frames of the import system when they count. They recognise these by a file
name that contains both `importlib` and `_bootstrap`, so our frames between a framework and its caller claim such a file name. A
traceback still shows our frames, except in notebooks and in pytest, which skip frames with a `__tracebackhide__`; each of ours
sets it first.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_codes: dict[CodeType, CodeType] = {}


def hide_from_stacklevel(function: F) -> F:
    """Decorate a function that calls an original on the user's behalf."""
    plain = cast(FunctionType, function)
    plain.__code__ = code_of(plain.__code__)
    return function


def code_of(code: CodeType) -> CodeType:
    """Return the code that `hide_from_stacklevel` gives to functions of this code: the same object for all closures."""
    known = _codes.get(code)
    if known is None:
        known = code.replace(co_filename=f"{code.co_filename} (not counted, as importlib._bootstrap is not)")
        _codes[code] = _codes[known] = known
    return known


def call_at(frame: FrameType, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a function from a frame that looks like `frame`: C code attributes its warnings to the innermost frame of Python.
    The traceback of an exception does not have that frame.
    """
    __tracebackhide__ = True
    key = frame.f_code, frame.f_lineno
    code = _calls.get(key)
    if code is None:
        if len(_calls) > 10_000:  # code that is made again and again
            _calls.clear()
        name, line = frame.f_code.co_filename, frame.f_lineno
        code = cast(FunctionType, _call).__code__.replace(co_filename=name, co_firstlineno=line)
        _calls[key] = code
    try:
        return FunctionType(code, frame.f_globals)(function, args)
    except BaseException as error:
        ours = error.__traceback__
        looks = ours.tb_next if ours is not None else None
        raise error.with_traceback(looks.tb_next if looks is not None else None)  # noqa: B904  (the same exception)


# On one line, which is then that of the frame.
_call: Callable[[Callable[..., Any], tuple[Any, ...]], Any] = lambda function, args: function(*args)  # noqa: E731
_calls: dict[tuple[CodeType, int], CodeType] = {}
