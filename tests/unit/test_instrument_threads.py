"""Work runs in the frame in which it was handed over: by whatever means, on threads however old."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import update_wrapper
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from autolog.instrument import threads
from autolog.instrument.calls import Scope, current, innermost
from autolog.instrument.imports import ImportHooks
from autolog.instrument.plain_wrappers import PlainWrappers


class Block(Scope):
    """A frame with a name."""

    __slots__ = ("name",)

    def __init__(self, outer: Scope | None, name: str) -> None:
        super().__init__(outer, records=True, records_nested=True)
        self.name = name


@contextmanager
def block(name: str) -> Iterator[None]:
    frame = Block(innermost(), name)
    token = current.set(frame)
    try:
        yield
    finally:
        current.reset(token)
        frame.end()


def where(*_: Any) -> str:
    """The names of the frames that the caller is inside of."""
    names, frame = list[str](), innermost()
    while frame is not None:
        if isinstance(frame, Block) and not frame.ended:
            names.append(frame.name)
        frame = frame.outer
    return "/".join(reversed(names))


@pytest.fixture(autouse=True)
def followed() -> Iterator[PlainWrappers]:
    def failed(module: str, error: Exception) -> None:
        raise error

    wrappers = PlainWrappers(ImportHooks(failed))
    threads.follow(wrappers, lambda function, pool: function)
    yield wrappers
    wrappers.remove()


Result = Callable[[], str]


def submit(function: Result, pool: Any) -> Result:
    return pool.submit(function).result


def mapped(function: Result, pool: Any) -> Result:
    found = pool.map(lambda _: function(), [1])
    return lambda: next(found)


def in_executor(function: Result, pool: Any) -> Result:
    async def main() -> str:
        return await asyncio.get_running_loop().run_in_executor(pool, function)

    found = asyncio.run(main())
    return lambda: found


def to_thread(function: Result, pool: Any) -> Result:
    async def main() -> str:
        return await asyncio.to_thread(function)

    found = asyncio.run(main())
    return lambda: found


def task(function: Result, pool: Any) -> Result:
    async def inner() -> str:
        return function()

    async def main() -> str:
        return await asyncio.create_task(inner())

    found = asyncio.run(main())
    return lambda: found


def started(function: Result, pool: Any, kind: Any = threading.Thread) -> Result:
    found: list[str] = []

    def run() -> None:
        found.append(function())

    thread = kind(0, run) if kind is threading.Timer else kind(target=run)
    thread.start()

    def result() -> str:
        thread.join(60)
        return found[0]

    return result


def timer(function: Result, pool: Any) -> Result:
    return started(function, pool, threading.Timer)


def applied(function: Result, pool: Any) -> Result:
    return pool.apply_async(function).get


def mapped_async(function: Result, pool: Any) -> Result:
    found = pool.map_async(lambda _: function(), [1])
    return lambda: found.get()[0]


def imapped(function: Result, pool: Any) -> Result:
    found = pool.imap(lambda _: function(), [1], 2)
    return lambda: next(iter(found))


def unordered(function: Result, pool: Any) -> Result:
    found = pool.imap_unordered(lambda _: function(), [1])
    return lambda: next(iter(found))


WAYS = {
    "thread": (None, (started, timer, to_thread, task)),
    "executor": (ThreadPoolExecutor, (submit, mapped, in_executor)),
    "pool": (ThreadPool, (applied, mapped_async, imapped, unordered)),
}


@pytest.mark.parametrize("way", [way for _, ways in WAYS.values() for way in ways])
def test_work_runs_in_the_scope_in_which_it_was_handed_over(way: Any) -> None:
    """One thread, started in a block that ends: what it is given later is in the block of that moment, or in none."""
    [make] = [make for make, ways in WAYS.values() if way in ways]
    found: list[str] = []
    with block("first"):
        pool = make(1) if make is not None else None
        found.append(way(where, pool)())
    with block("second"):
        with block("inner"):
            later = way(where, pool)
        found += [later() if way not in (in_executor, to_thread, task) else "second", way(where, pool)()]
    found.append(way(where, pool)())
    if make is ThreadPoolExecutor:
        pool.shutdown()
    elif make is ThreadPool:
        pool.terminate()
    # "inner" has ended when its work is done: the block around it is the innermost that has not, or it is not yet.
    assert [name.removesuffix("/inner") for name in found] == ["first", "second", "second", ""]


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ThreadPool])
def test_work_from_outside_is_outside_though_a_pools_threads_were_started_inside(pool: Any) -> None:
    opened, may_end = threading.Event(), threading.Event()
    made: list[Any] = []

    def in_block() -> None:
        with block("around"):
            made.append(pool(1))
            if pool is ThreadPoolExecutor:
                made[0].submit(int).result()
            opened.set()
            may_end.wait(60)

    thread = threading.Thread(target=in_block)
    thread.start()
    opened.wait(60)
    found = made[0].submit(where).result(60) if pool is ThreadPoolExecutor else made[0].apply(where)
    may_end.set()
    thread.join(60)
    made[0].shutdown() if pool is ThreadPoolExecutor else made[0].terminate()
    assert found == ""


def test_a_callback_runs_in_the_scope_in_which_it_was_added() -> None:
    found: list[str] = []
    go = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        with block("work"):
            future = executor.submit(go.wait, 60)
        with block("callback"):
            future.add_done_callback(lambda _: found.append(where()))
            go.set()
            future.result()
            executor.submit(int).result()  # the callback has been called by then
    pool = ThreadPool(1)
    with block("callback"):
        pool.apply_async(int, callback=lambda _: found.append(where())).get()
        pool.map_async(int, [1], callback=lambda _: found.append(where())).get()
    pool.close()
    pool.join()
    assert found == ["callback"] * 3


def test_an_error_of_an_executors_work_has_the_traceback_that_it_has_without_autolog() -> None:
    def fail() -> None:
        raise ValueError("no")

    with block("around"), ThreadPoolExecutor(1) as pool:
        error = pool.submit(fail).exception()
    names, trace = list[str](), error.__traceback__ if error is not None else None
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names == ["run", "fail"]


def test_the_data_of_failed_work_is_released_at_once() -> None:
    """No cycle of references holds what it was given, until Python 3.10 by the frames of its traceback."""

    class Given:
        pass

    def fail(given: Given) -> None:
        raise ValueError("no")

    given = Given()
    dead: list[bool] = []
    held = weakref.ref(given, lambda _: dead.append(True))
    gc.disable()
    try:
        with block("around"), ThreadPoolExecutor(1) as pool:
            pool.submit(fail, given).exception()
        del given
        assert (held(), dead) == (None, [True])
    finally:
        gc.enable()


def test_work_sees_the_context_variables_of_its_thread() -> None:
    """As without autolog: what an initializer or an earlier piece of work has set is there, what the caller has set is not."""
    from contextvars import ContextVar

    value: ContextVar[str] = ContextVar("value", default="")
    value.set("the caller's")
    with block("around"), ThreadPoolExecutor(1, initializer=value.set, initargs=("the thread's",)) as pool:
        first = pool.submit(value.get).result()
        pool.submit(value.set, "changed").result()
        assert (first, pool.submit(value.get).result()) == ("the thread's", "changed")


def test_all_thread_functions_are_restored(followed: PlainWrappers) -> None:
    """The very functions; and from under somebody else's wrapper."""
    import concurrent.futures.thread as module

    places: list[tuple[Any, str]] = [
        (threading.Thread, "start"), (module._WorkItem, "run"), (Future, "add_done_callback"),  # type: ignore[attr-defined]
    ]  # fmt: skip
    ours = [vars(owner)[name] for owner, name in places]
    originals = [function.__wrapped__ for function in ours]
    assert all(a is not b for a, b in zip(ours, originals, strict=True))

    def others(self: Any) -> None:
        others.__wrapped__(self)  # type: ignore[attr-defined]

    threading.Thread.start = update_wrapper(others, ours[0])  # type: ignore[method-assign]
    followed.remove()
    followed.remove()
    try:
        assert [vars(owner)[name] for owner, name in places[1:]] == originals[1:]
        assert (vars(threading.Thread)["start"], others.__wrapped__) == (others, originals[0])  # type: ignore[attr-defined]
        assert started(where, None)() == ""
    finally:
        threading.Thread.start = originals[0]  # type: ignore[method-assign]


def test_a_started_thread_and_a_closed_pool_raise_the_usual_errors() -> None:
    thread = threading.Thread(target=int)
    with block("around"):
        thread.start()
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
        pool = ThreadPool(1)
        pool.close()
        with pytest.raises(ValueError, match="Pool not running"):
            pool.apply_async(int)
    thread.join()
    pool.join()
