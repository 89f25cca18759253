"""One intercepted call: its arguments, the observer that watches it, and the scopes around it.

An *observer* is a generator function that takes a `Call`. The code before its `yield` runs before the original. The code after
it runs after the original has returned, and `result = yield` is the return value. Returning before the `yield` declines the
call. If the original raises, the generator is closed: use `try/finally` for what must be undone, and read `call.error`. autolog
always calls the original, exactly once, whatever the observer does.

*Scopes* are what a thread is inside of: calls, and blocks that the user opens. The innermost one lives in a ContextVar; a
thread started inside a scope inherits it. The hot path reads two attributes of the innermost scope and nothing else.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Literal, NamedTuple, Protocol

from autolog.instrument.identity import IdentityMap
from autolog.instrument.interrupts import reraise_if_signal
from autolog.instrument.timer import OverheadTimer

Observer = Callable[["Call"], Generator[None, Any, None]]

# Flags of a function's code under the names that `inspect` gives them; `inspect` is slow to import.
CO_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


class Scope:
    """Something a thread is inside of. `outer` is the scope around it.

    `records` and `records_nested` say whether a patched call inside is recorded: an ordinary patch reads the first, a `nested`
    one (which contributes to the run around it) the second. Both are true for a scope that has ended, and the slow path goes on
    to the next living scope: pools keep threads that were started inside calls that ended long ago.
    """

    __slots__ = ("ended", "outer", "records", "records_nested")

    boundary = False
    """Whether calls inside count as outermost although other calls surround the scope."""

    def __init__(self, outer: Scope | None, *, records: bool, records_nested: bool) -> None:
        self.outer = outer
        self.records = records
        self.records_nested = records_nested
        self.ended = False

    def end(self) -> None:
        self.records = self.records_nested = self.ended = True

    def hides(self, integration: str) -> bool:
        """Return whether this scope turns one integration off."""
        return False


current: ContextVar[Scope | None] = ContextVar("autolog_frame", default=None)

# The scope in which each thread was started. It is kept as long as the thread lives, and read only where the ContextVar is
# empty, so that starting a thread costs one dictionary entry, and only inside a scope.
_started_in: IdentityMap[Scope] = IdentityMap()
any_started = _started_in._held  # pyright: ignore[reportPrivateUsage]
"""Not empty while a thread that was started inside a scope lives. If it is empty, a thread with an empty `current` is in no
scope; functions that are called every few microseconds check only these two.
"""


def innermost() -> Scope | None:
    """Return the innermost scope that has not ended, of this thread or of the scope in which the thread was started."""
    scope = current.get()
    if scope is None and len(_started_in):
        scope = _started_in.get(threading.current_thread())
        if scope is not None:
            current.set(scope)
    while scope is not None and scope.ended:
        scope = scope.outer
    return scope


def is_recorded(integration: str, own: bool = False) -> bool:
    """Return whether an integration's hooks record on this thread now: not inside a call that suppresses nested calls, and not
    where the integration is suspended. With `own`, a call of the integration itself suppresses nothing.
    """
    scope = innermost()
    if scope is None:
        return True
    if not (scope.records_nested or (own and isinstance(scope, Call) and scope.integration == integration)):
        return False
    while scope is not None:
        if scope.hides(integration):
            return False
        scope = scope.outer
    return True


def remember_start(thread: threading.Thread) -> None:
    """Remember that `thread` is being started inside the present scope, if there is one."""
    scope = innermost()
    if scope is not None:
        _started_in.set(thread, scope)


class Switch:
    """Turns the wrappers of one patch off, for other people's code that still calls them after their removal."""

    __slots__ = ("functions", "on")

    def __init__(self) -> None:
        self.on = True
        self.functions: set[int] = set()
        """The `id()` of each plain function that replaced another one. A function that has died may have left its id behind."""


class Own(NamedTuple):
    """Marks a plain function as our wrapper, with its `switch`. On any function but `function`, the mark is a copy."""

    switch: Switch
    function: weakref.ref[Any]


class CallHandler(Protocol):
    """The object for which patches are installed. The hot path reads `active`; the rest serves only recorded calls."""

    active: bool
    timer: OverheadTimer

    def wants(self, integration: str, instance: object) -> bool:
        """Return whether this integration is the one that records calls on `instance` now."""
        ...

    def open(
        self, call: Call, *, kind: str = ..., estimator: object = None, name: str | None = None,
        tags: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Return the run that `call` opens or joins."""
        ...

    def open_block(self, call: Call) -> Scope:
        """Return a scope within the call, in which trainings become children of the call's run."""
        ...

    def close(self, call: Call) -> None:
        """End the run of a call that is over; `call.error` is what it raised."""
        ...

    def open_loop(
        self, integration: str, closing: Callable[[], None], *, kind: str = ..., estimator: object = None,
        name: str | None = None, tags: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Return the run of a training that no call surrounds, or None where nothing is recorded."""
        ...

    def close_loop(self, run: Any, error: BaseException | None) -> None:
        """End the run of that training."""
        ...

    def failed(
        self, integration: str, place: str, error: Exception, call: Call | None = None, culprit: str = ""
    ) -> None:
        """Report an internal error. Raise it when strict. Only the first failure of one `culprit` is logged."""
        ...


class Call(Scope):
    """One intercepted call.

    `instance` is None for functions. `wrapped` is the original, already bound; `args` and `kwargs` are what it will be called
    with. `run` is the run of the call around it, until `start_run` sets its own. `outermost` says that no other call surrounds
    it. `error` is what the original raised, or the cause of it that an observer knows. `since` is the thread's account in
    seconds when the call began.
    """

    __slots__ = (
        "args", "error", "handler", "inner", "instance", "integration", "kwargs", "name", "outermost", "owns_run", "run",
        "seconds", "since", "wrapped",
    )  # fmt: skip

    outer: Scope | None

    def __init__(
        self, handler: CallHandler, integration: str, name: str, wrapped: Callable[..., Any], instance: Any, args: Any,
        kwargs: Any, outer: Scope | None,
    ) -> None:  # fmt: skip
        super().__init__(outer, records=False, records_nested=True)
        self.handler = handler
        self.integration = integration
        self.name = name
        self.wrapped = wrapped
        self.instance = instance
        self.args: tuple[Any, ...] = args
        self.kwargs: dict[str, Any] = kwargs
        around = call_around(outer)
        self.outermost = around is None
        self.run: Any = around.run if around is not None else None
        self.owns_run = False
        self.inner: Scope | None = None
        """A block within this call, in which trainings become children of its run."""
        self.error: BaseException | None = None
        self.seconds = 0.0
        self.since = handler.timer.account.seconds

    @property
    def arguments(self) -> dict[str, Any]:
        """The given arguments, by name: without defaults, and with `**kwargs` merged in."""
        takes = _parameters_of(self.wrapped)
        given = dict(zip(takes.names, self.args, strict=False))
        if takes.variadic and len(self.args) > len(takes.names):
            given[takes.variadic] = self.args[len(takes.names) :]
        given.update(self.kwargs)
        return given

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters that may be passed by position, in order."""
        return _parameters_of(self.wrapped).names

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The defaults of the parameters that have one, by name."""
        return _parameters_of(self.wrapped).defaults

    def argument(self, name: str) -> Any:
        """Return the value of an argument: the given one, else its default; None if the original has no such parameter."""
        arguments = self.arguments
        return arguments[name] if name in arguments else self.defaults.get(name)

    def replace(self, **values: Any) -> None:
        """Change arguments by name. A positional argument stays positional.

        The caller's own objects are never changed. Raises TypeError for a name that the original does not take.
        """
        takes = _parameters_of(self.wrapped)
        for name, value in values.items():
            index = takes.names.index(name) if name in takes.names else len(self.args)
            if name not in self.kwargs and index < len(self.args):
                self.args = (*self.args[:index], value, *self.args[index + 1 :])
            elif takes.keyword(name):
                self.kwargs = {**self.kwargs, name: value}
            else:
                raise TypeError(f"{self.name} takes no argument {name!r}")

    def takes(self, name: str) -> bool:
        """Return whether the original takes a keyword argument of this name."""
        return _parameters_of(self.wrapped).keyword(name)

    def guarded(self, own: Any) -> Any:
        """Return a proxy for an object of the integration that the framework will call, such as a callback. The first exception
        of a method is reported and does not propagate; from then on the methods do nothing.
        """
        return Guarded(own, self)

    def start_run(
        self, *, kind: str = "fit", estimator: object = None, name: str | None = None, tags: dict[str, Any] | None = None,
        inside: Literal["parts", "children", "nothing"] = "parts",
    ) -> Any:  # fmt: skip
        """Open the run of this call; it ends when the call does.

        `kind` says what it is: `fit`, `train`, `search`, `cv`. `estimator` is what is trained: the object, or its class's name.
        `inside` says what trainings inside this call are: parts of this run, child runs of it, or not recorded.
        """
        self.run = self.handler.open(self, kind=kind, estimator=estimator, name=name, tags=tags)
        if inside == "nothing":
            self.suppress_nested()
        elif inside == "children":
            self.inner = self.handler.open_block(self)
            current.set(self.inner)
        return self.run

    def continue_run(self, run: Any) -> None:
        """Continue a run that an earlier call opened. It ends again when this call ends."""
        self.run = run
        self.owns_run = True

    def suppress_nested(self) -> None:
        """Record nothing inside this call: its parts are not trainings of the user."""
        self.records_nested = False

    def release(self) -> None:
        """Drop the references to the user's objects: threads and contexts may keep an ended call for long."""
        self.wrapped = _released
        self.instance = self.run = self.error = None
        self.args, self.kwargs = (), {}


class Guarded:
    """See `Call.guarded`. A proxy that delegates: whatever attribute the framework reads is that of the object behind it."""

    def __init__(self, own: Any, call: Call) -> None:
        self.__dict__["_autolog_guarded"] = own, call, call.run, call.handler, call.integration
        self.__dict__["_autolog_off"] = False

    @property
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]  isinstance() asks for it
        own: object = self.__dict__["_autolog_guarded"][0]
        return type(own)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__["_autolog_guarded"][0]
        found = getattr(own, name)
        if not callable(found) or isinstance(found, type):
            return found

        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.__dict__["_autolog_off"]:
                return None
            began = perf_counter()
            try:
                return found(*args, **kwargs)
            except Exception as error:
                self._autolog_failed(f"in {type(own).__name__}.{name}", error)
            finally:
                self.__dict__["_autolog_guarded"][3].timer.account.seconds += perf_counter() - began

        return guarded

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_autolog_guarded"][0], name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Not through __getattr__: frameworks with functions as callbacks call one in every round.
        held = self.__dict__
        if held["_autolog_off"]:
            return None
        own, _, _, handler, _ = held["_autolog_guarded"]
        began = perf_counter()
        try:
            return own(*args, **kwargs)
        except Exception as error:
            self._autolog_failed(f"in {type(own).__name__}.__call__", error)
        finally:
            handler.timer.account.seconds += perf_counter() - began

    def _autolog_failed(self, place: str, error: Exception) -> None:
        reraise_if_signal(error)
        self.__dict__["_autolog_off"] = True
        _, call, run, handler, integration = self.__dict__["_autolog_guarded"]
        call.run, kept = run, call.run  # an ended call has dropped its run
        try:
            handler.failed(integration, place, error, call)
        finally:
            call.run = kept


def _released(*_args: Any, **_kwargs: Any) -> Any:
    raise RuntimeError("this call is over")


def call_around(scope: Scope | None) -> Call | None:
    """Return the innermost call that has not ended, within the innermost boundary."""
    while scope is not None:
        if not scope.ended and isinstance(scope, Call):
            return scope
        if scope.boundary and not scope.ended:
            return None
        scope = scope.outer
    return None


class _Parameters(NamedTuple):
    """What a bound callable takes: `names` by position, `*args` under the name `variadic` if it has them, `keywords` by name,
    and with `any_keyword` every name that is none of its `own` parameters.
    """

    names: tuple[str, ...] = ()
    variadic: str | None = None
    keywords: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    any_keyword: bool = True
    defaults: Mapping[str, Any] = {}

    def keyword(self, name: str) -> bool:
        return name in self.keywords or (self.any_keyword and name not in self.own)


# Each function's signature is read only once: `inspect.signature` costs more than everything else here.
_known: weakref.WeakKeyDictionary[Any, _Parameters] = weakref.WeakKeyDictionary()


def _parameters_of(wrapped: Callable[..., Any]) -> _Parameters:
    key = getattr(wrapped, "__func__", wrapped)
    try:
        return _known[key]
    except (KeyError, TypeError):  # not read yet, or cannot be held weakly
        pass
    takes = _read_parameters(wrapped)
    try:
        _known[key] = takes
    except TypeError:
        pass
    return takes


def _read_parameters(wrapped: Callable[..., Any]) -> _Parameters:
    """Read a signature. Without `*args`, keyword-only parameters come last: decorators may still take them by position."""
    from inspect import signature

    try:
        parameters = signature(wrapped).parameters.values()
    except (TypeError, ValueError):
        return _Parameters()
    variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if variadic is None:
        names += [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    keywords = frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    any_keyword = any(p.kind is p.VAR_KEYWORD for p in parameters)
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    own = frozenset(p.name for p in parameters)
    return _Parameters(tuple(names), variadic, keywords, own, any_keyword, defaults)
