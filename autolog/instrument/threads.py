"""Runs work that is handed to a thread in the scope in which it was handed over.

| handed over by | mechanism |
|---|---|
| `Thread.start`, `Timer` | the thread inherits the scope: see `calls.innermost` |
| `ThreadPoolExecutor.submit` and `map`, `loop.run_in_executor`, Dask | the executor's work item holds the scope |
| `ThreadPool`, joblib's threads | the function is wrapped |
| callbacks: `Future.add_done_callback`, those of a pool | the function is wrapped |
| tasks, `asyncio.to_thread` | Python copies the context |

A pool's threads outlive the block in which they were started, so work that is handed over outside of every scope gets
`OUTSIDE`. This costs a dictionary entry or two inside a scope, and two attribute reads outside.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from autolog.instrument.calls import Scope, Switch, any_started, current, innermost, remember_start
from autolog.instrument.plain_wrappers import PlainWrappers
from autolog.instrument.stacklevel import hide_from_stacklevel

OUTSIDE = Scope(None, records=True, records_nested=True)
"""No scope, whatever scope the thread was started in."""


class Carried:
    """A function that runs, on any thread, in the scope in which it was handed over."""

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
    """Return the scope in which work handed over now must run. None: the caller is in no scope, and neither is any thread."""
    if scope() is None and not started:
        return None
    return innermost() or OUTSIDE


def carried(function: Any) -> Any:
    """Wrap `function`, which may be None, so that it can be handed to a thread."""
    scope = here()
    return function if scope is None or function is None else Carried(function, scope)


def follow(wrappers: PlainWrappers, to_process: Callable[[Any, Any], Any]) -> None:
    """Install the wrappers. `to_process(function, pool)` returns what a process pool is given in place of a function."""

    def to_worker(pool: Any, function: Any) -> Any:
        return carried(function) if _is_threads(pool) else to_process(function, pool)

    def handed(pool: Any, work: Any, *callbacks: Any) -> tuple[Any, ...]:
        """Wrap the work for a worker, and the callbacks for a thread of the pool."""
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


# These wrappers bind what they need of this module as closures or defaults: threads start while Python exits, and module
# globals may be None by then.


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
            self = None  # as the original: breaks a cycle of item, exception and traceback
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
