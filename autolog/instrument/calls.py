"""One intercepted call: what the framework was asked, the observer that watches it, and the scopes it stands in.

An *observer* is a generator function that takes a `Call`. What stands before its `yield` runs before the original, what
stands after it runs after the original has returned, and `result = yield` is what it returned. Returning before the `yield`
declines the call. If the original raises, the generator is closed: use `try/finally` for what must be undone, and read
`call.error`. The original is always called by the framework, exactly once, whatever the observer does.

*Scopes* are what a thread is inside of: calls, and blocks that the user opens. The innermost one lives in a ContextVar;
a thread started inside a scope inherits it. The hot path reads two attributes of the innermost scope and nothing else.
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

# Flags of a function's code, as `inspect` names them, which is slow to import.
CO_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


class Scope:
    """Something a thread is inside of; `outer` is what it stands in.

    `records` and `records_nested` say whether a patched call inside is looked at: an ordinary patch asks the first, one that
    is `nested` (it contributes to the run around it) asks the second. A scope that has ended records everything, and the
    slow path then goes on to the next living one: pools keep threads that were started inside calls long over.
    """

    __slots__ = ("ended", "outer", "records", "records_nested")

    boundary = False
    """Whether calls inside count as outermost although calls are around it."""

    def __init__(self, outer: Scope | None, *, records: bool, records_nested: bool) -> None:
        self.outer = outer
        self.records = records
        self.records_nested = records_nested
        self.ended = False

    def end(self) -> None:
        self.records = self.records_nested = self.ended = True

    def hides(self, integration: str) -> bool:
        """Whether this scope switches one integration off."""
        return False


current: ContextVar[Scope | None] = ContextVar("autolog_frame", default=None)

# Which scope a thread was started in. Held weakly by the thread, and read only where the ContextVar is empty, so that
# starting a thread costs one dictionary entry and only when it happens inside a scope.
_started_in: IdentityMap[Scope] = IdentityMap()
any_started = _started_in._held  # pyright: ignore[reportPrivateUsage]
"""Not empty while a thread that was started inside a scope lives. One that is started outside, while none does, and whose
`current` is empty, is in no scope: what is called every few microseconds asks no more than these two."""


def innermost() -> Scope | None:
    """The innermost scope that has not ended, of this thread or of the scope it was started in."""
    scope = current.get()
    if scope is None and len(_started_in):
        scope = _started_in.get(threading.current_thread())
        if scope is not None:
            current.set(scope)
    while scope is not None and scope.ended:
        scope = scope.outer
    return scope


def is_recorded(integration: str, own: bool = False) -> bool:
    """Whether what an integration's hooks see where this thread is now is looked at: not inside a sealed call, nor where the
    integration is suspended. With `own`, a call that the integration has sealed itself does not count.
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
    """Note that `thread` is being started inside the present scope, if there is one."""
    scope = innermost()
    if scope is not None:
        _started_in.set(thread, scope)


class Switch:
    """Turns the wrappers of one patch off, where somebody else's code still calls what was taken out."""

    __slots__ = ("functions", "on")

    def __init__(self) -> None:
        self.on = True
        self.functions: set[int] = set()
        """The `id()` of the plain functions that were put in place of others. One that has died may have left its id behind."""


class Own(NamedTuple):
    """Marks a plain function that stands in for another as ours: whose `switch` it has, and which function it is."""

    switch: Switch
    function: weakref.ref[Any]


class CallHandler(Protocol):
    """What a patch is installed for. `active` is read on the hot path; the rest only for calls that are looked at."""

    active: bool
    timer: OverheadTimer

    def wants(self, integration: str, instance: object) -> bool:
        """Whether this integration is the one to look at calls on `instance` now."""
        ...

    def open(
        self, call: Call, *, kind: str = ..., estimator: object = None, name: str | None = None,
        tags: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """The run that `call` opens, or joins."""
        ...

    def open_block(self, call: Call) -> Scope:
        """A scope within the call, in which trainings are children of the call's run."""
        ...

    def close(self, call: Call) -> None:
        """The call is over; `call.error` is what it raised."""
        ...

    def open_loop(
        self, integration: str, closing: Callable[[], None], *, kind: str = ..., estimator: object = None,
        name: str | None = None, tags: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """The run of a training that no call is around, or None where nothing is to be recorded."""
        ...

    def close_loop(self, run: Any, error: BaseException | None) -> None:
        """That training is over."""
        ...

    def failed(
        self, integration: str, place: str, error: Exception, call: Call | None = None, culprit: str = ""
    ) -> None:
        """Something of ours failed. Raises it when strict. Of one `culprit`, only the first failure is said."""
        ...


class Call(Scope):
    """One intercepted call.

    `instance` is None for functions; `wrapped` is the original, already bound; `args` and `kwargs` are what it will be
    called with; `run` is the run of the call around it until `start_run` gives it one; `outermost` says that no other call
    is around it; `error` is what the original raised, or what an observer knows to be behind it;
    `since` is how the thread's account stood when it began.
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
        """A block within this call, in which trainings are children of its run."""
        self.error: BaseException | None = None
        self.seconds = 0.0
        self.since = handler.timer.account.seconds

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that were given, by name; defaults are left out, `**kwargs` are merged in."""
        takes = _parameters_of(self.wrapped)
        given = dict(zip(takes.names, self.args, strict=False))
        if takes.variadic and len(self.args) > len(takes.names):
            given[takes.variadic] = self.args[len(takes.names) :]
        given.update(self.kwargs)
        return given

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of what may be passed by position, in their order."""
        return _parameters_of(self.wrapped).names

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The defaults of the arguments that have one, by name."""
        return _parameters_of(self.wrapped).defaults

    def argument(self, name: str) -> Any:
        """The value of an argument: the one given, else its default. None if the original has no such argument."""
        arguments = self.arguments
        return arguments[name] if name in arguments else self.defaults.get(name)

    def replace(self, **values: Any) -> None:
        """Change arguments by name, where they stand: a positional one stays positional.

        The caller's own objects are never changed. Raises TypeError for a name the original does not take.
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
        """Whether the original takes an argument of this name."""
        return _parameters_of(self.wrapped).keyword(name)

    def guarded(self, own: Any) -> Any:
        """Stands in for an object of the integration's that the framework will call, as a callback: what its methods raise is
        reported and goes no further, and from then on they do nothing.
        """
        return Guarded(own, self)

    def start_run(
        self, *, kind: str = "fit", estimator: object = None, name: str | None = None, tags: dict[str, Any] | None = None,
        inside: Literal["parts", "children", "nothing"] = "parts",
    ) -> Any:  # fmt: skip
        """Open the run of this call; it ends when the call does.

        `kind` says what it is: `fit`, `train`, `search`, `cv`. `estimator` is what is trained: the object, or its class's name.
        `inside` says what trainings inside this call are: parts of this run, child runs of it, or nothing that is recorded.
        """
        self.run = self.handler.open(self, kind=kind, estimator=estimator, name=name, tags=tags)
        if inside == "nothing":
            self.suppress_nested()
        elif inside == "children":
            self.inner = self.handler.open_block(self)
            current.set(self.inner)
        return self.run

    def continue_run(self, run: Any) -> None:
        """Go on with a run that an earlier call opened: it ends again with this one."""
        self.run = run
        self.owns_run = True

    def suppress_nested(self) -> None:
        """Nothing inside this call is looked at: its parts are not trainings of the user's."""
        self.records_nested = False

    def release(self) -> None:
        """Let go of the user's objects: threads and contexts may keep an ended call for long."""
        self.wrapped = _released
        self.instance = self.run = self.error = None
        self.args, self.kwargs = (), {}


class Guarded:
    """See `Call.guarded`. By delegation: whatever attribute the framework asks for is that of the object behind."""

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
        # Not by way of __getattr__: frameworks whose callbacks are functions call one in every round.
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
        call.run, kept = run, call.run  # an ended call has let go of its run
        try:
            handler.failed(integration, place, error, call)
        finally:
            call.run = kept


def _released(*_args: Any, **_kwargs: Any) -> Any:
    raise RuntimeError("this call is over")


def call_around(scope: Scope | None) -> Call | None:
    """The innermost call that has not ended, within the innermost boundary."""
    while scope is not None:
        if not scope.ended and isinstance(scope, Call):
            return scope
        if scope.boundary and not scope.ended:
            return None
        scope = scope.outer
    return None


class _Parameters(NamedTuple):
    """What a bound callable takes: `names` by position, `variadic` is the name of its `*args` if it has one, `keywords` may be
    passed by name, and with `any_keyword` any name that is none of its own.
    """

    names: tuple[str, ...] = ()
    variadic: str | None = None
    keywords: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    any_keyword: bool = True
    defaults: Mapping[str, Any] = {}

    def keyword(self, name: str) -> bool:
        return name in self.keywords or (self.any_keyword and name not in self.own)


# A signature is asked for once per function: `inspect.signature` costs more than everything else here.
_known: weakref.WeakKeyDictionary[Any, _Parameters] = weakref.WeakKeyDictionary()


def _parameters_of(wrapped: Callable[..., Any]) -> _Parameters:
    key = getattr(wrapped, "__func__", wrapped)
    try:
        return _known[key]
    except (KeyError, TypeError):  # not asked yet; or cannot be weakly held
        pass
    takes = _read_parameters(wrapped)
    try:
        _known[key] = takes
    except TypeError:
        pass
    return takes


def _read_parameters(wrapped: Callable[..., Any]) -> _Parameters:
    """Without `*args`, keyword-only parameters come last: a deprecating decorator may still take them by position."""
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
    any_keyword = not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters)
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    own = frozenset(p.name for p in parameters)
    return _Parameters(tuple(names), variadic, keywords, own, any_keyword, defaults)
