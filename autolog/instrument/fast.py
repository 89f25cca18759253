"""The wrapper of a function that is called every few microseconds: a plain Python function that watches.

It makes no Call, opens no scope and can change nothing. Its code is short and simple because compilers that trace Python may
read it. The first failure of an observer is reported and turns the patch off.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from functools import update_wrapper
from inspect import Parameter, signature
from types import CodeType
from typing import Any

from autolog.instrument.calls import (
    CallHandler,
    Own,
    Switch,
    any_started,
    call_around,
    current,
    innermost,
    is_recorded,
)
from autolog.instrument.interrupts import reraise_if_signal
from autolog.instrument.stacklevel import call_at, code_of, hide_from_stacklevel
from autolog.instrument.timer import EVERY, OverheadTimer, charge

CULPRIT = "a hook"
"""One culprit for all hooks of an integration: if one fails, the failures of the others may only follow from it."""


def fast(
    original: Any, handler: CallHandler, integration: str, name: str, switch: Switch, *, before: Callable[..., Any] | None,
    after: Callable[..., Any] | None, raised: Callable[..., Any] | None, unless: Callable[[], bool] | None,
    as_caller: bool = False,
) -> Any:  # fmt: skip
    """Return the wrapper of `original`. See `patches.FastPatch`."""
    reading = unless or _never
    scope = current.get
    timer = handler.timer
    calls = 0

    def failed(place: str, error: Exception) -> None:
        reraise_if_signal(error)
        switch.on = False
        handler.failed(integration, f"{place} {name}", error, call_around(innermost()), CULPRIT)

    @hide_from_stacklevel
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        __tracebackhide__ = True
        # The common case, no scope, comes first: `is_recorded` costs another call.
        if reading() or not (
            switch.on
            and handler.active
            and ((scope() is None and not any_started) or is_recorded(integration, True))
        ):
            return original(*args, **kwargs)
        calls += 1
        times = 1 if calls <= EVERY else 0 if calls % EVERY else EVERY
        noted = None
        if before is not None:
            timed = timer.begin() if times else None
            try:
                noted = before(*args, **kwargs)
            except Exception as error:
                failed("before", error)
            if timed is not None:
                charge(timed, times)
        if raised is not None:
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                if switch.on:
                    try:
                        raised(noted, error, *args, **kwargs)
                    except Exception as ours:
                        failed("after", ours)
                raise
        else:
            result = call_at(sys._getframe(1), original, args) if as_caller else original(*args, **kwargs)
        if after is not None and switch.on:
            timed = timer.begin() if times else None
            try:
                after(noted, result, *args, **kwargs)
            except Exception as error:
                failed("after", error)
            if timed is not None:
                charge(timed, times)
        return result

    update_wrapper(wrapper, original)
    try:
        # `getfullargspec` reads it. If the original takes anything (`*args, **kwargs`), as decorators do, it must show that.
        if not _takes_anything(original):
            wrapper.__signature__ = signature(original)  # pyright: ignore[reportFunctionMemberAccess]
    except (TypeError, ValueError):
        pass
    wrapper.__dict__["_autolog_own"] = Own(switch, weakref.ref(wrapper))
    switch.functions.add(id(wrapper))
    return wrapper


def codes() -> list[CodeType]:
    """Return the code of all wrappers and guarded hooks and of what they call, for compilers that must skip them."""
    asked = [one.__code__ for one in (is_recorded, innermost, call_at, OverheadTimer.begin, charge, _never)]
    return asked + [
        code_of(inner) if inner.co_name == "wrapper" else inner
        for outer in (fast, guarded)
        for inner in outer.__code__.co_consts
        if isinstance(inner, CodeType)
    ]


def _takes_anything(function: Any) -> bool:
    own = signature(function, follow_wrapped=False).parameters.values()
    return [one.kind for one in own] == [Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD]


def _never() -> bool:
    return False


def guarded(
    hook: Callable[..., Any], handler: CallHandler, integration: str, name: str, switch: Switch,
    unless: Callable[[], bool] | None = None,
) -> Callable[..., None]:  # fmt: skip
    """Return the function that the framework is given in place of `hook`. See `patches.Hook`."""

    scope = current.get
    timer = handler.timer
    calls = 0

    def call(*args: Any, **kwargs: Any) -> None:
        nonlocal calls
        if (
            switch.on
            and handler.active
            and ((scope() is None and not any_started) or is_recorded(integration))
        ):
            calls += 1
            times = 1 if calls <= EVERY else 0 if calls % EVERY else EVERY
            timed = timer.begin() if times else None
            try:
                hook(*args, **kwargs)
            except Exception as error:
                reraise_if_signal(error)
                switch.on = False
                handler.failed(integration, f"in {name}", error, None, CULPRIT)
            if timed is not None:
                charge(timed, times)

    if unless is None:
        return call

    def call_unless(*args: Any, **kwargs: Any) -> None:
        if not unless():
            call(*args, **kwargs)

    return call_unless
