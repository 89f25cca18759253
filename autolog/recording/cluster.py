"""Hands work to a Dask cluster on this machine: its workers are processes that record as those of a pool do. A cluster on other
machines is left alone, because it may not reach the store; a run's token serves there.

A task is pickled here, unpickled and pickled again by the scheduler, and unpickled by a worker. So the wrapper around its
function enters the scope only when it is called. Keys are made from the function itself, as without autolog.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from typing import Any, cast

from autolog.instrument.calls import Switch
from autolog.instrument.stacklevel import hide_from_stacklevel
from autolog.recording.handover import ENGINES, Binding, Handover, binding

_graph: ContextVar[Binding | None] = ContextVar("autolog_graph", default=None)
"""What goes along with the tasks of the graph that is being pickled."""


def _handed_over(handover: Handover, client: Any) -> Binding | None:
    cluster = getattr(client, "cluster", None)
    return handover.binding() if type(cluster).__name__ == "LocalCluster" else None


def of_function(handover: Handover, original: Any, switch: Switch) -> Any:
    """Return the wrapper for a client's `submit` or `map`."""

    @hide_from_stacklevel
    def submit(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = _handed_over(handover, self) if switch.on and _is_work(func) else None
        if found is None:
            return original(self, func, *args, **kwargs)
        futures: Any = original(self, _late(found, func), *args, **kwargs)
        for _ in range(getattr(futures, "__len__", lambda: 1)()):  # `map` returns a list
            found.tally.sent()
        return futures

    return submit


def of_graph(handover: Handover, original: Any, switch: Switch) -> Any:
    """Return the wrapper for the method that `compute` and `persist` call, which pickles the graph."""

    @hide_from_stacklevel
    def _graph_to_futures(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        token = _graph.set(_handed_over(handover, self) if switch.on else None)
        try:
            return original(self, *args, **kwargs)
        finally:
            _graph.reset(token)

    return _graph_to_futures


def of_task(handover: Handover, original: Any, switch: Switch) -> Any:
    """Return the wrapper for the method that returns the pickled state of a graph's task."""

    @hide_from_stacklevel
    def __getstate__(self: Any) -> Any:
        state: Any = original(self)
        found = _graph.get()
        if found is None or not switch.on or not _is_work(self.func) or type(state) is not tuple:
            return state
        found.tally.sent()
        values = list(cast("tuple[Any, ...]", state))
        values[[one is self.func for one in values].index(True)] = _late(found, self.func)
        return tuple(values)

    return __getstate__


WRAPPERS = {"function": of_function, "graph": of_graph, "task": of_task}


def _late(found: Binding, function: Any) -> Any:
    return Late(found.text, function)


class Late:
    """A function that enters its scope when it is called. It gives the function's own name and Dask token."""

    def __init__(self, text: str, function: Any) -> None:
        self.text = text
        self.function = function
        while isinstance(function, partial):  # Dask names a task after the innermost function
            function = function.func
        if hasattr(function, "__name__"):
            self.__name__ = function.__name__

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        enter: Any = import_module("autolog.carried").enter  # by name, as unpickling finds it
        return enter({"d": {"token": self.text}})(self.function)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("function", "text"):  # not set yet
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> Any:
        return binding(self.text, "late"), (self.function,)

    def __repr__(self) -> str:
        return repr(self.function)

    def __dask_tokenize__(self) -> Any:
        normalize: Any = sys.modules["dask.tokenize"].normalize_token  # the caller has imported it
        return normalize(self.function)


def _is_work(function: Any) -> bool:
    """Return whether this may train: no class (an actor), no coroutine function (Dask must see it), nothing of an engine."""
    from inspect import iscoroutinefunction

    while isinstance(function, partial):
        function = function.func
    module = getattr(function, "__module__", None)
    engines = isinstance(module, str) and module.partition(".")[0] in ENGINES
    wrapped = type(function) is Late
    return callable(function) and not (
        wrapped or engines or isinstance(function, type) or iscoroutinefunction(function)
    )
