"""Keeps torch.compile out of our code: dynamo compiles whatever Python runs beneath a graph break, and would compile the hooks.

The stand-ins are skipped themselves, so that what they call is compiled as ever; the observers are skipped with all that they
call. Where torch has no such call, the observers are compiled: slower, and right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import CodeType, ModuleType
from typing import Any


def keep_out(
    eval_frame: ModuleType, stand_ins: Iterable[CodeType], observers: Iterable[Callable[..., Any]]
) -> None:
    """`eval_frame` is torch._dynamo.eval_frame, once the user's program has loaded it."""
    skip: Any = getattr(eval_frame, "skip_code", None)
    if skip is None:
        return
    import torch

    for code in (*stand_ins, torch.compiler.is_compiling.__code__):  # which the stand-ins ask
        skip(code)
    try:
        from torch._C._dynamo.eval_frame import _FrameAction, _FrameExecStrategy, set_code_exec_strategy
    except ImportError:  # before torch 2.7
        for observer in observers:
            skip(_code(observer))
        return
    never = _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.SKIP)
    for observer in observers:
        set_code_exec_strategy(_code(observer), never)


def _code(function: Any) -> CodeType:
    return getattr(function, "__func__", function).__code__
