"""Finds the name of the variable that the user passed: `X_test` in `model.predict(X_test)`.

It is read from the bytecode of the call. Reading it from the frame's variables would be simpler, but before Python 3.13 that
makes a copy of a function's variables, and the copy keeps them alive until the function returns.
"""

from __future__ import annotations

import sys
from collections.abc import Container
from functools import lru_cache
from types import CodeType, FrameType

DATA = ("X", "data", "x", "dataset")
"""The names that frameworks give to the first argument of a method that predicts."""


def of_first_argument(frameworks: Container[str]) -> str:
    """Return the name of the variable in the first argument of the user's intercepted call. Return "" if the argument is no
    variable, or if one of `frameworks` (top-level packages) is the caller.
    """
    frame = _caller()
    if frame is None or _package(frame) in frameworks:
        return ""
    return first_argument(frame.f_code, frame.f_lasti)


def is_called_by(frameworks: Container[str]) -> bool:
    """Return whether one of `frameworks` itself made the intercepted call."""
    frame = _caller()
    return frame is not None and _package(frame) in frameworks


def _caller() -> FrameType | None:
    """Return the frame that called the patched function."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_ours(_package(frame)):
        frame = frame.f_back
    return frame


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _is_ours(package: str) -> bool:
    return package == "wrapt" or package == "autolog" or package.startswith("autolog_")


@lru_cache(maxsize=4096)
def first_argument(code: CodeType, lasti: int) -> str:
    """Return the variable name in the first argument of the call at the instruction `lasti`, else "". Only calls in which every
    argument is a variable or a constant are understood: `f(X[:10])` and `f(data.X)` give "".
    """
    import dis

    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.offset > lasti:
            break
        if (
            instruction.is_jump_target
        ):  # `f(a if b else c)`: what was loaded before this may not be what is passed
            before.clear()
        if instruction.opname not in ("PRECALL", "CACHE", "EXTENDED_ARG", "NOP"):
            before.append(instruction)
    if not before:
        return ""
    call = before.pop()
    if call.opname not in ("CALL", "CALL_KW", "CALL_METHOD", "CALL_FUNCTION", "CALL_FUNCTION_KW"):
        return ""
    keywords: tuple[str, ...] = ()
    if before and (call.opname.endswith("_KW") or before[-1].opname == "KW_NAMES"):
        keywords = code.co_consts[int(before.pop().arg or 0)]
    wanted = int(call.arg or 0)
    arguments: list[str] = []
    while len(arguments) < wanted and before:
        instruction = before.pop()
        if not instruction.opname.startswith("LOAD_") or instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            return ""
        value = "" if instruction.opname == "LOAD_CONST" else instruction.argval
        arguments[:0] = value if isinstance(value, tuple) else [value]
    # Something must have been loaded before the arguments: what is called.
    if not before or len(arguments) != wanted or not wanted:
        return ""
    named = [keywords.index(name) for name in DATA if name in keywords] if len(keywords) == wanted else []
    index = named[0] if named else 0
    name = str(arguments[index])
    return name if name.isidentifier() else ""
