"""Lets work that is handed to a thread run in the scope in which it was handed over.

| handed over by | by means of |
|---|---|
| `Thread.start`, `Timer` | the thread inherits the scope: see `calls.innermost` |
| `ThreadPoolExecutor.submit` and `map`, `loop.run_in_executor`, Dask | the executor's item of work keeps it |
| `ThreadPool`, joblib's threads | the function is wrapped |
| callbacks: `Future.add_done_callback`, those of a pool | the function is wrapped |
| tasks, `asyncio.to_thread` | Python: they copy the context |

A pool's threads live longer than the block in which they were started: work that is handed over outside of every scope says so.
Costs a dictionary entry or two where there is a scope, and a look at two attributes where there is none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from autolog.instrument.calls import Scope, Switch, any_started, current, innermost, remember_start
from autolog.instrument.plain_wrappers import PlainWrappers
from autolog.instrument.stacklevel import hide_from_stacklevel

OUTSIDE = Scope(None, records=True, records_nested=True)
"""No scope, whatever the thread was started in."""


class Carried:
    """A function that runs in the scope in which it was handed over, on whatever thread."""

    __slots__ = ("function", "scope")

    def __init__(self, function: Callable[..., Any], scope: Scope) -> None:
        self.function = function
        self.scope = scope

    @hide_from_stacklevel
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        token = current.set(self.scope)
        try:
            return self.function(*args, **kwargs)
        finally:
            current.reset(token)

    def __repr__(self) -> str:
        return repr(self.function)


def here(scope: Any = current.get, started: Any = any_started) -> Scope | None:
    """The scope that work handed over now is to run in. None: the caller is in none, and so is every thread."""
    if scope() is None and not started:
        return None
    return innermost() or OUTSIDE


def carried(function: Any) -> Any:
    """`function`, to be handed to a thread; it may be None."""
    scope = here()
    return function if scope is None or function is None else Carried(function, scope)


def follow(wrappers: PlainWrappers, to_process: Callable[[Any, Any], Any]) -> None:
    """Put the wrappers in. `to_process(function, pool)` is what a pool of processes is given in place of a function."""

    def to_worker(pool: Any, function: Any) -> Any:
        return carried(function) if _is_threads(pool) else to_process(function, pool)

    def handed(pool: Any, work: Any, *callbacks: Any) -> tuple[Any, ...]:
        """The work for a worker, and callbacks for a thread of the pool's."""
        return to_worker(pool, work), *map(carried, callbacks)

    def apply_async(original: Any, switch: Switch) -> Any:
        @hide_from_stacklevel
        def apply_async(
            self: Any, func: Any, args: Any = (), kwds: Any = None, callback: Any = None, error_callback: Any = None
        ) -> Any:  # fmt: skip
            __tracebackhide__ = True
            if switch.on:
                func, callback, error_callback = handed(self, func, callback, error_callback)
            return original(self, func, args, {} if kwds is None else kwds, callback, error_callback)

        return apply_async

    def map_async(original: Any, switch: Switch) -> Any:
        @hide_from_stacklevel
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
        @hide_from_stacklevel
        def imap(self: Any, func: Any, iterable: Any, chunksize: Any = 1) -> Any:
            __tracebackhide__ = True
            return original(self, to_worker(self, func) if switch.on else func, iterable, chunksize)

        return imap

    wrappers.put("threading:Thread.start", _start)
    wrappers.put("concurrent.futures.thread:_WorkItem.__init__", _item)
    wrappers.put("concurrent.futures.thread:_WorkItem.run", _run_item)
    wrappers.put("concurrent.futures._base:Future.add_done_callback", _add_callback)
    wrappers.put("multiprocessing.pool:Pool.apply_async", apply_async)
    wrappers.put("multiprocessing.pool:Pool._map_async", map_async)
    wrappers.put("multiprocessing.pool:Pool.imap", imap)
    wrappers.put("multiprocessing.pool:Pool.imap_unordered", imap)


def _is_threads(pool: Any) -> bool:
    return isinstance(pool, sys.modules["multiprocessing.pool"].ThreadPool)


# What these wrappers need of this module are closures or defaults: threads start while Python ends, and names may be None.


def _start(original: Any, switch: Switch) -> Any:
    scope, started, remember = current.get, any_started, remember_start

    @hide_from_stacklevel
    def start(self: Any) -> None:
        __tracebackhide__ = True
        if (scope() is not None or started) and switch.on:
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
        scope = getattr(self, "_autolog_frame", None)
        token = enter(scope) if scope is not None and switch.on else None
        try:
            original(self, *args)
        finally:
            self = None  # as the original: an exception's traceback leads here, and the item to the exception
            if token is not None:
                leave(token)

    return run


def _add_callback(original: Any, switch: Switch) -> Any:
    hand = carried

    @hide_from_stacklevel
    def add_done_callback(self: Any, fn: Any) -> None:
        __tracebackhide__ = True
        original(self, hand(fn) if switch.on else fn)

    return add_done_callback
