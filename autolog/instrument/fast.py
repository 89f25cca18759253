"""The wrapper of a function that is called every few microseconds: a plain Python function that watches.

It makes no Call, opens no scope and can change nothing. Its code is short and simple because compilers that trace Python may
read it. The first failure of an observer is reported and turns the patch off.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
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
from autolog.instrument.patches import AnyPatch, FastPatch
from autolog.instrument.stacklevel import call_at, code_of, hide_from_stacklevel
from autolog.instrument.timer import EVERY, OverheadTimer, charge

CULPRIT = "a hook"
"""One culprit for all hooks of an integration: if one fails, the failures of the others may only follow from it."""


class Watch:
    """What a `FastPatch.around` has of its surroundings.

    `recorded()` says whether a call is recorded. At each step of a loop even that call counts, so the function asks first, in
    its own frame, what nearly always says the same: with `reading, scope, started, switch, handler = watch.asks`, a call is
    recorded unless `reading()`, `scope()` or `started` is true, or `switch.on` or `handler.active` is not.
    """

    __slots__ = ("_integration", "_name", "asks", "recorded")

    def __init__(
        self, handler: CallHandler, integration: str, name: str, switch: Switch, unless: Callable[[], bool] | None
    ) -> None:  # fmt: skip
        reading = unless or _never
        scope = current.get

        def recorded() -> bool:
            # The common case, no scope, comes first: `is_recorded` costs another call.
            return (
                not reading()
                and switch.on
                and handler.active
                and ((scope() is None and not any_started) or is_recorded(integration, True))
            )

        self._integration, self._name, self.recorded = integration, name, recorded
        self.asks: tuple[Callable[[], bool], Callable[[], Any], Any, Switch, CallHandler]
        self.asks = reading, scope, any_started, switch, handler

    def failed(self, error: Exception, place: str = "in") -> None:
        """Report a failure of the observer's, and turn the patch off."""
        reraise_if_signal(error)
        _, _, _, switch, handler = self.asks
        switch.on = False
        around = call_around(innermost())
        handler.failed(self._integration, f"{place} {self._name}", error, around, CULPRIT)


def fast(
    original: Any, handler: CallHandler, integration: str, name: str, switch: Switch, patch: FastPatch
) -> Any:  # fmt: skip
    """Return the wrapper of `original`. See `patches.FastPatch`."""
    watch = Watch(handler, integration, name, switch, patch.unless)
    wrapper = (
        _watcher(original, handler, switch, watch, patch)
        if patch.around is None
        else patch.around(original, watch)
    )
    hide_from_stacklevel(wrapper)
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


def _watcher(original: Any, handler: CallHandler, switch: Switch, watch: Watch, patch: FastPatch) -> Any:
    """Return a function that calls a patch's `before`, `after` and `raised` around the original."""
    before, after, raised, as_caller = patch.before, patch.after, patch.raised, patch.as_caller
    recorded, failed = watch.recorded, watch.failed
    timer = handler.timer
    calls = 0

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        __tracebackhide__ = True
        if not recorded():
            return original(*args, **kwargs)
        calls += 1
        times = 1 if calls <= EVERY else 0 if calls % EVERY else EVERY
        noted = None
        if before is not None:
            timed = timer.begin() if times else None
            try:
                noted = before(*args, **kwargs)
            except Exception as error:
                failed(error, "before")
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
                        failed(ours, "after")
                raise
        else:
            result = call_at(sys._getframe(1), original, args) if as_caller else original(*args, **kwargs)
        if after is not None and switch.on:
            timed = timer.begin() if times else None
            try:
                after(noted, result, *args, **kwargs)
            except Exception as error:
                failed(error, "after")
            if timed is not None:
                charge(timed, times)
        return result

    return wrapper


def codes(patches: Iterable[AnyPatch]) -> list[CodeType]:
    """Return the code around every hook and these patches, and of what it calls, for compilers that must skip it."""
    asked = [one.__code__ for one in (is_recorded, innermost, call_at, OverheadTimer.begin, charge, _never)]
    arounds = [patch.around for patch in patches if isinstance(patch, FastPatch) and patch.around is not None]
    return asked + [
        code_of(inner) if inner.co_name == "wrapper" else inner
        for outer in (_watcher, guarded, Watch.__init__, *arounds)
        for inner in outer.__code__.co_consts
        if isinstance(inner, CodeType)
    ]


def _never() -> bool:
    return False


def _takes_anything(function: Any) -> bool:
    own = signature(function, follow_wrapped=False).parameters.values()
    return [one.kind for one in own] == [Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD]


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
