"""Keeps torch.compile out of our code: dynamo compiles whatever Python runs beneath a graph break, and would compile the hooks.

The wrappers are skipped themselves, so that what they call is compiled as ever; the observers are skipped with all that they
call. Before torch 2.7, which has no such call, each function of ours is skipped by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

OURS = frozenset(("autolog", "autolog_torch", "autolog_lightning"))


def keep_out(
    eval_frame: ModuleType, wrappers: Iterable[CodeType], observers: Iterable[Callable[..., Any]]
) -> None:
    """`eval_frame` is torch._dynamo.eval_frame, once the user's program has loaded it."""
    skip: Any = getattr(eval_frame, "skip_code", None)
    if skip is None:
        return
    import torch

    for code in (*wrappers, torch.compiler.is_compiling.__code__):  # which the wrappers ask
        skip(code)
    try:
        from torch._C._dynamo.eval_frame import _FrameAction, _FrameExecStrategy, set_code_exec_strategy
    except ImportError:  # before torch 2.7
        for code in _all_of_ours():
            skip(code)
        return
    never = _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.SKIP)
    for observer in observers:
        for code in _with_inner(_code(observer)):
            set_code_exec_strategy(code, never)


def _all_of_ours() -> Iterator[CodeType]:
    """The code of all functions and methods of the modules of ours that are loaded."""
    for name, module in sys.modules.copy().items():
        if name.partition(".")[0] in OURS:
            for held in list(vars(module).values()):
                members = list(vars(held).values()) if isinstance(held, type) else [held]
                for member in members:
                    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                    if isinstance(function, FunctionType):
                        yield from _with_inner(function.__code__)


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _with_inner(inner)


def _code(function: Any) -> CodeType:
    return getattr(function, "__func__", function).__code__
