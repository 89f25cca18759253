"""Calls an original under its observer: the slow path of a patched function, for calls that are recorded.

A call lasts from the original's start to its end. The call of a coroutine or a generator begins with its first step and ends
with its last; while it is suspended, its caller is not inside the call. The original is called exactly once, whatever the
observer does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Token
from functools import partial
from time import perf_counter
from types import FunctionType, MethodType
from typing import Any

from autolog.instrument.calls import (
    CO_ASYNC_GENERATOR,
    CO_COROUTINE,
    CO_GENERATOR,
    CO_ITERABLE_COROUTINE,
    Call,
    CallHandler,
    Observer,
    Scope,
    current,
    innermost,
)
from autolog.instrument.stacklevel import hide_from_stacklevel

_LATER = CO_GENERATOR | CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR


@hide_from_stacklevel
def intercept(
    handler: CallHandler, integration: str, name: str, observer: Observer, nested: bool, wrapped: Callable[..., Any],
    instance: Any, args: Any, kwargs: Any,
) -> Any:  # fmt: skip
    """Call `wrapped` under `observer`. The slow path: the wrapper has already let pass most calls that are not recorded."""
    __tracebackhide__ = True
    outer = innermost()
    if outer is not None and not (outer.records_nested if nested else outer.records):
        # The wrapper does not see a scope that the thread inherited, or one around a scope that has ended.
        return wrapped(*args, **kwargs)
    if (
        type(outer) is Call
        and instance is not None
        and outer.instance is instance
        and _same(outer.name, name)
    ):
        return wrapped(*args, **kwargs)  # super().fit(…): the same call, recorded already
    scope = outer
    while scope is not None:
        if scope.hides(integration):
            return wrapped(*args, **kwargs)
        scope = scope.outer
    if not handler.wants(integration, instance):
        return wrapped(*args, **kwargs)

    watched = _Watched(handler, integration, name, observer, instance, args, kwargs)
    follow = _follower(wrapped)
    if follow is not None:  # nothing has begun yet: a coroutine may never be awaited
        later = follow(watched, wrapped)
        later.__name__, later.__qualname__ = wrapped.__name__, wrapped.__qualname__
        return later
    token = watched.enter(wrapped, outer)
    try:
        watched.before()
        try:
            result = wrapped(*watched.call.args, **watched.call.kwargs)
        except BaseException as error:
            watched.raised(error)
            raise
        watched.returned(result)
        return result
    except BaseException as error:
        watched.call.error = watched.call.error or error
        raise
    finally:
        current.reset(token)
        watched.over()


class _Watched:
    """A call with its observer, and the steps that both go through."""

    __slots__ = ("about", "call", "called", "generator", "observer")

    call: Call

    def __init__(
        self, handler: CallHandler, integration: str, name: str, observer: Observer, *about: Any
    ) -> None:
        self.about = handler, integration, name, *about
        self.observer = observer
        self.generator: Generator[None, Any, None] | None = None
        self.called = 0.0

    def enter(self, wrapped: Any, outer: Scope | None) -> Token[Scope | None]:
        """Make the call the innermost scope."""
        self.called = perf_counter()
        handler, integration, name, instance, args, kwargs = self.about
        self.call = Call(handler, integration, name, wrapped, instance, args, kwargs, outer)
        return current.set(self.call)

    @property
    def inside(self) -> Scope:
        """The scope in which the original's steps run."""
        return self.call.inner or self.call

    def before(self) -> None:
        """Run the observer up to its `yield`."""
        call, began = self.call, self.called
        try:
            self.generator = self.observer(call)
            next(self.generator)
        except StopIteration:
            self.generator = None
        except Exception as error:
            self.generator = None
            # Undo whatever the observer changed half-way: the original gets the user's arguments.
            _, integration, name, _, call.args, call.kwargs = self.about
            call.handler.failed(
                integration, f"before {name}", error, call, f"before {_culprit(self.observer)}"
            )
        self.called = perf_counter()
        call.handler.timer.account.seconds += self.called - began

    def raised(self, error: BaseException) -> None:
        """Close the observer after the original has raised."""
        call, returned = self.call, perf_counter()
        call.error = error
        call.seconds = returned - self.called
        if self.generator is not None and call.handler.active:
            _close(call, self.generator)
            call.handler.timer.account.seconds += perf_counter() - returned

    def returned(self, result: Any) -> None:
        """Resume the observer after the original has returned."""
        call, generator, returned = self.call, self.generator, perf_counter()
        call.seconds = returned - self.called
        if generator is None or not call.handler.active:
            return
        try:
            generator.send(result)
        except StopIteration:
            pass
        except Exception as error:
            place = f"after {call.name}"
            call.handler.failed(call.integration, place, error, call, f"after {_culprit(self.observer)}")
        else:
            _close(call, generator)
            twice = RuntimeError("the observer yielded more than once")
            call.handler.failed(call.integration, f"after {call.name}", twice, call)
        call.handler.timer.account.seconds += perf_counter() - returned

    def over(self) -> None:
        """End the call, after its scope has been left."""
        call = self.call
        call.end()
        if call.inner is not None:
            call.inner.end()
        if call.owns_run:
            call.handler.close(call)
        call.release()


# -- functions that are called now and run later: the call begins and ends with the coroutine or generator that they return


def _follower(wrapped: Any) -> Callable[[_Watched, Any], Any] | None:
    """Return what drives an original that runs later. Return None for one that runs when it is called."""
    function = wrapped.__func__ if type(wrapped) is MethodType else wrapped
    # Plain functions only: reading the `__code__` of any other object may run the user's code.
    flags = function.__code__.co_flags & _LATER if type(function) is FunctionType else 0
    if not flags:
        return None
    if flags & CO_ASYNC_GENERATOR:
        return _async_generator
    return _generator if flags & CO_GENERATOR and not flags & CO_ITERABLE_COROUTINE else _coroutine


@hide_from_stacklevel
async def _coroutine(watched: _Watched, wrapped: Any) -> Any:
    __tracebackhide__ = True
    token = watched.enter(wrapped, innermost())
    try:
        watched.before()
        try:
            result = await wrapped(*watched.call.args, **watched.call.kwargs)
        except BaseException as error:
            watched.raised(error)
            raise
        watched.returned(result)
        return result
    except BaseException as error:
        watched.call.error = watched.call.error or error
        raise
    finally:
        _leave(token)
        watched.over()


@hide_from_stacklevel
def _generator(watched: _Watched, wrapped: Any) -> Generator[Any, Any, Any]:
    """Drive a generator as `yield from` does. The call is the scope of its steps only: between them, the caller is outside."""
    __tracebackhide__ = True
    leave, active = _leave, True
    token = watched.enter(wrapped, innermost())
    try:
        watched.before()
        steps = wrapped(*watched.call.args, **watched.call.kwargs)
        step: Callable[[], Any] = steps.__next__
        while True:
            try:
                produced = step()
            except StopIteration as stop:
                watched.returned(stop.value)
                return stop.value
            finally:
                leave(token)
            try:
                sent = yield produced
                step = partial(steps.send, sent)
            except GeneratorExit:  # the consumer wants no more: that is no failure
                active = watched.call.handler.active  # if not, Python is exiting: globals may be None
                token = current.set(watched.inside) if active else token
                steps.close()
                if active:
                    watched.returned(None)
                raise
            except BaseException as error:
                step = partial(steps.throw, error)
            token = current.set(watched.inside)
    except GeneratorExit:
        raise
    except BaseException as error:
        if watched.call.error is None:
            watched.raised(error)
        raise
    finally:
        if active:
            leave(token)
            watched.over()


@hide_from_stacklevel
async def _async_generator(watched: _Watched, wrapped: Any) -> AsyncGenerator[Any, Any]:
    __tracebackhide__ = True
    leave, active = _leave, True
    token = watched.enter(wrapped, innermost())
    try:
        watched.before()
        steps = wrapped(*watched.call.args, **watched.call.kwargs)
        step: Callable[[], Any] = steps.__anext__
        while True:
            try:
                produced = await step()
            except StopAsyncIteration:
                watched.returned(None)
                return
            finally:
                leave(token)
            try:
                sent = yield produced
                step = partial(steps.asend, sent)
            except GeneratorExit:
                active = watched.call.handler.active
                token = current.set(watched.inside) if active else token
                await steps.aclose()
                if active:
                    watched.returned(None)
                raise
            except BaseException as error:
                step = partial(steps.athrow, error)
            token = current.set(watched.inside)
    except GeneratorExit:
        raise
    except BaseException as error:
        if watched.call.error is None:
            watched.raised(error)
        raise
    finally:
        if active:
            leave(token)
            watched.over()


def _leave(token: Token[Scope | None]) -> None:
    try:
        current.reset(token)
    except (ValueError, RuntimeError):
        pass  # left already, or entered in another context (another one closes the generator): ended scopes are skipped


def _culprit(observer: Observer) -> str:
    return getattr(observer, "__qualname__", type(observer).__qualname__)


def _same(name: str, other: str) -> bool:
    """Return whether both names are of the same method, in one class or in two."""
    return name.rpartition(".")[2] == other.rpartition(".")[2]


def _close(call: Call, generator: Generator[None, Any, None]) -> None:
    try:
        generator.close()
    except Exception as error:
        call.handler.failed(call.integration, f"after {call.name}", error, call)
