"""Lets work that is handed to a thread run in the frame in which it was handed over.

| handed over by | by means of |
|---|---|
| `Thread.start`, `Timer` | the thread inherits the frame: see `calls.innermost` |
| `ThreadPoolExecutor.submit` and `map`, `loop.run_in_executor`, Dask | the executor's item of work keeps it |
| `ThreadPool`, joblib's threads | the function is wrapped |
| callbacks: `Future.add_done_callback`, those of a pool | the function is wrapped |
| tasks, `asyncio.to_thread` | Python: they copy the context |

A pool's threads live longer than the block in which they were started: work that is handed over outside of every frame says so.
Costs a dictionary entry or two where there is a frame, and a look at two attributes where there is none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from autolog.instrument.calls import Frame, Switch, any_started, current, innermost, remember_start
from autolog.instrument.standins import StandIns
from autolog.instrument.unseen import unseen

OUTSIDE = Frame(None, admits=True, admits_nested=True)
"""No frame, whatever the thread was started in."""


class Carried:
    """A function that runs in the frame in which it was handed over, on whatever thread."""

    __slots__ = ("frame", "function")

    def __init__(self, function: Callable[..., Any], frame: Frame) -> None:
        self.function = function
        self.frame = frame

    @unseen
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        token = current.set(self.frame)
        try:
            return self.function(*args, **kwargs)
        finally:
            current.reset(token)

    def __repr__(self) -> str:
        return repr(self.function)


def here(frame: Any = current.get, started: Any = any_started) -> Frame | None:
    """The frame that work handed over now is to run in. None: the caller is in none, and so is every thread."""
    if frame() is None and not started:
        return None
    return innermost() or OUTSIDE


def carried(function: Any) -> Any:
    """`function`, to be handed to a thread; it may be None."""
    frame = here()
    return function if frame is None or function is None else Carried(function, frame)


def follow(standins: StandIns, to_process: Callable[[Any, Any], Any]) -> None:
    """Put the stand-ins in. `to_process(function, pool)` is what a pool of processes is given in place of a function."""

    def to_worker(pool: Any, function: Any) -> Any:
        return carried(function) if _is_threads(pool) else to_process(function, pool)

    def handed(pool: Any, work: Any, *callbacks: Any) -> tuple[Any, ...]:
        """The work for a worker, and callbacks for a thread of the pool's."""
        return to_worker(pool, work), *map(carried, callbacks)

    def apply_async(original: Any, switch: Switch) -> Any:
        @unseen
        def apply_async(
            self: Any, func: Any, args: Any = (), kwds: Any = None, callback: Any = None, error_callback: Any = None
        ) -> Any:  # fmt: skip
            __tracebackhide__ = True
            if switch.on:
                func, callback, error_callback = handed(self, func, callback, error_callback)
            return original(self, func, args, {} if kwds is None else kwds, callback, error_callback)

        return apply_async

    def map_async(original: Any, switch: Switch) -> Any:
        @unseen
        def _map_async(
            self: Any, func: Any, iterable: Any, mapper: Any, chunksize: Any = None, callback: Any = None,
            error_callback: Any = None,
        ) -> Any:  # fmt: skip
            __tracebackhide__ = True
            if switch.on:
                func, callback, error_callback = handed(self, func, callback, error_callback)
            return original(self, func, iterable, mapper, chunksize, callback, error_callback)

        return _map_async

    def imap(original: Any, switch: Switch) -> Any:
        @unseen
        def imap(self: Any, func: Any, iterable: Any, chunksize: Any = 1) -> Any:
            __tracebackhide__ = True
            return original(self, to_worker(self, func) if switch.on else func, iterable, chunksize)

        return imap

    standins.put("threading:Thread.start", _start)
    standins.put("concurrent.futures.thread:_WorkItem.__init__", _item)
    standins.put("concurrent.futures.thread:_WorkItem.run", _run_item)
    standins.put("concurrent.futures._base:Future.add_done_callback", _add_callback)
    standins.put("multiprocessing.pool:Pool.apply_async", apply_async)
    standins.put("multiprocessing.pool:Pool._map_async", map_async)
    standins.put("multiprocessing.pool:Pool.imap", imap)
    standins.put("multiprocessing.pool:Pool.imap_unordered", imap)


def _is_threads(pool: Any) -> bool:
    return isinstance(pool, sys.modules["multiprocessing.pool"].ThreadPool)


# What these stand-ins need of this module are closures or defaults: threads start while Python ends, and names may be None.


def _start(original: Any, switch: Switch) -> Any:
    frame, started, remember = current.get, any_started, remember_start

    @unseen
    def start(self: Any) -> None:
        __tracebackhide__ = True
        if (frame() is not None or started) and switch.on:
            remember(self)
        original(self)

    return start


def _item(original: Any, switch: Switch) -> Any:
    where = here

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if switch.on:
            self._autolog_frame = where()

    return __init__


def _run_item(original: Any, switch: Switch) -> Any:
    enter, leave = current.set, current.reset

    def run(self: Any, *args: Any) -> None:
        frame = getattr(self, "_autolog_frame", None)
        token = enter(frame) if frame is not None and switch.on else None
        try:
            original(self, *args)
        finally:
            self = None  # as the original: an exception's traceback leads here, and the item to the exception
            if token is not None:
                leave(token)

    return run


def _add_callback(original: Any, switch: Switch) -> Any:
    hand = carried

    @unseen
    def add_done_callback(self: Any, fn: Any) -> None:
        __tracebackhide__ = True
        original(self, hand(fn) if switch.on else fn)

    return add_done_callback
