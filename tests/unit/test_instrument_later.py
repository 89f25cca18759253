"""Coroutines and generator functions: their call lasts from their first step to their last."""

from __future__ import annotations

import asyncio
import gc
import inspect
import warnings
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from handlers import CallHandler

from autolog.instrument.calls import Call, Switch, innermost
from autolog.instrument.wrapper import Wrapper, interceptor

# -- three trainings that say what they are inside of


def inside() -> str | None:
    frame = innermost()
    return frame.name if isinstance(frame, Call) else None


async def train(rounds: int, fails: bool = False) -> Any:
    """A coroutine."""
    seen = [inside()]
    for _ in range(rounds):
        await asyncio.sleep(0)
        seen.append(inside())
    if fails:
        raise ValueError("no")
    return seen


def rounds(number: int, fails: bool = False) -> Generator[Any, Any, Any]:
    """A generator: each round takes what it is sent, or what is thrown into it."""
    for index in range(number):
        try:
            got = yield (index, inside())
        except KeyError as error:
            got = repr(error)
        if got is not None:
            yield got
    if fails:
        raise ValueError("no")
    return "result"


async def async_rounds(number: int, fails: bool = False) -> AsyncGenerator[Any, Any]:
    """An asynchronous generator."""
    for index in range(number):
        try:
            got = yield (index, inside())
        except KeyError as error:
            got = repr(error)
        if got is not None:
            yield got
    if fails:
        raise ValueError("no")


class Watched:
    """A patched function, and what its observer has seen."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self.handler = CallHandler()
        self.seen: list[Any] = []
        look = interceptor(self.handler, "toy", original.__name__, self.observe, False, Switch())
        self.patched: Any = Wrapper(original, look, None, f"toy:{original.__name__}", Switch())

    def observe(self, call: Call) -> Generator[None, Any, None]:
        self.seen.append("before")
        call.start_run()
        try:
            result = yield
            self.seen.append(("after", result))
        finally:
            if call.error is not None:
                self.seen.append(repr(call.error))

    @property
    def record(self) -> tuple[list[Any], list[Any]]:
        """What was seen, and how each run was closed."""
        assert self.handler.failures == []
        return self.seen, [(run, repr(error) if error else None) for run, error in self.handler.closed]


RUN = [("run 1", None)]
FAILED = [("run 1", "ValueError('no')")]


def test_a_coroutine_is_one_call_from_its_start_to_its_end() -> None:
    """Nothing happens before it is awaited; while it waits, other tasks are not inside of it."""
    watched = Watched(train)
    others: list[str | None] = []

    async def other() -> None:
        for _ in range(3):
            others.append(inside())
            await asyncio.sleep(0)

    async def main() -> Any:
        coroutine = watched.patched(2)
        assert (watched.seen, inspect.iscoroutine(coroutine), coroutine.__qualname__) == ([], True, "train")
        result, _ = await asyncio.gather(coroutine, other())
        return result, inside()

    assert asyncio.run(main()) == (["train"] * 3, None)
    assert watched.record == (["before", ("after", ["train"] * 3)], RUN)
    assert others == [None] * 3
    assert inspect.iscoroutinefunction(watched.patched)


def test_a_run_is_closed_with_the_error_of_its_coroutine() -> None:
    watched = Watched(train)
    with pytest.raises(ValueError, match="no"):
        asyncio.run(watched.patched(1, fails=True))
    assert watched.record == (["before", "ValueError('no')"], FAILED)

    async def main() -> None:
        task = asyncio.create_task(cancelled.patched(10**9))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    cancelled = Watched(train)
    asyncio.run(main())
    assert cancelled.record == (["before", "CancelledError()"], [("run 1", "CancelledError()")])


def test_a_coroutine_that_is_never_awaited_opens_no_run_and_is_warned_of_once() -> None:
    watched = Watched(train)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watched.patched(1)
        gc.collect()
    assert [str(one.message) for one in caught] == ["coroutine 'train' was never awaited"]
    assert watched.record == ([], [])


def drive(steps: Any) -> list[Any]:
    """What a generator yields that is asked in every way, and what it returns."""
    found = [next(steps), steps.send("sent"), next(steps), steps.throw(KeyError("thrown")), inside()]
    found += list(steps)
    return found


def test_a_generator_is_one_call_and_its_caller_is_never_inside() -> None:
    """Sent to, thrown into, delegated to: as without autolog."""
    plain, watched = rounds(3), Watched(rounds)
    steps = watched.patched(3)
    assert (watched.seen, inspect.isgenerator(steps), steps.__qualname__) == ([], True, "rounds")
    found = drive(steps)
    assert [one[0] if isinstance(one, tuple) else one for one in found] == [
        one[0] if isinstance(one, tuple) else one for one in drive(plain)
    ]
    assert {one[1] for one in found if isinstance(one, tuple)} == {"rounds"}
    assert watched.record == (["before", ("after", "result")], RUN)

    def delegates() -> Generator[Any, Any, Any]:
        return (yield from watched.patched(1))

    outer = delegates()
    next(outer)
    with pytest.raises(StopIteration) as stopped:
        next(outer)
    assert stopped.value.value == "result"


def test_a_generator_that_fails_has_failed_and_one_that_is_left_has_finished() -> None:
    failing = Watched(rounds)
    with pytest.raises(ValueError, match="no"):
        list(failing.patched(1, fails=True))
    assert failing.record == (["before", "ValueError('no')"], FAILED)
    left = Watched(rounds)
    for _ in left.patched(10):
        break
    gc.collect()
    assert left.record == (["before", ("after", None)], RUN)


def test_an_asynchronous_generator_is_one_call_too() -> None:
    async def drive_async(steps: Any) -> list[Any]:
        found = [await anext(steps), await steps.asend("sent"), await anext(steps)]
        found += [await steps.athrow(KeyError("thrown")), inside()]
        return found + [one async for one in steps]

    async def left(steps: Any) -> None:
        async for _ in steps:
            break
        await steps.aclose()

    watched = Watched(async_rounds)
    steps = watched.patched(3)
    assert (watched.seen, inspect.isasyncgen(steps), steps.__qualname__) == ([], True, "async_rounds")
    found = asyncio.run(drive_async(steps))
    plain = asyncio.run(drive_async(async_rounds(3)))
    assert [one[0] if isinstance(one, tuple) else one for one in found] == [
        one[0] if isinstance(one, tuple) else one for one in plain
    ]
    assert {one[1] for one in found if isinstance(one, tuple)} == {"async_rounds"}
    assert watched.record == (["before", ("after", None)], RUN)

    failing, broken = Watched(async_rounds), Watched(async_rounds)

    async def fails() -> None:
        async for _ in failing.patched(1, fails=True):
            pass

    with pytest.raises(ValueError, match="no"):
        asyncio.run(fails())
    assert failing.record == (["before", "ValueError('no')"], FAILED)
    asyncio.run(left(broken.patched(10)))
    assert broken.record == (["before", ("after", None)], RUN)


@pytest.mark.parametrize("original", [train, rounds, async_rounds])
def test_an_observer_that_fails_leaves_coroutines_and_generators_as_they_are(original: Any) -> None:
    class Fails(Watched):
        def observe(self, call: Call) -> Generator[None, Any, None]:
            raise OSError("ours")
            yield

    async def everything(found: Any) -> Any:
        if inspect.iscoroutine(found):
            return len(await found)
        if inspect.isasyncgen(found):
            return [one[0] async for one in found]
        return [one[0] for one in found]

    watched = Fails(original)
    assert asyncio.run(everything(watched.patched(2))) == asyncio.run(everything(original(2)))
    assert watched.handler.failures == [(f"before {original.__name__}", "OSError: ours")]
