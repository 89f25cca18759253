"""Work that is handed to a cluster of Dask's on this machine: its workers are processes, which record as those of a pool do. A
cluster on other machines is left alone: they may not reach the store. There a run's token does it.

A task is pickled here, unpickled and pickled again by the scheduler, and unpickled by a worker: what stands in for its function
enters when it is called. Keys are made of the function itself, as without autolog.
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
    """For a client's `submit` and `map`."""

    @hide_from_stacklevel
    def submit(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = _handed_over(handover, self) if switch.on and _is_work(func) else None
        if found is None:
            return original(self, func, *args, **kwargs)
        futures: Any = original(self, _late(found, func), *args, **kwargs)
        for _ in range(getattr(futures, "__len__", lambda: 1)()):  # `map` gives a list
            found.tally.sent()
        return futures

    return submit


def of_graph(handover: Handover, original: Any, switch: Switch) -> Any:
    """For what `compute` and `persist` go through: it pickles the graph."""

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
    """For the state that a task of a graph is pickled as."""

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
    """A function that enters when it is called. To who asks for its name or its token, it is the function."""

    def __init__(self, text: str, function: Any) -> None:
        self.text = text
        self.function = function
        while isinstance(function, partial):  # Dask names a task after the function within
            function = function.func
        if hasattr(function, "__name__"):
            self.__name__ = function.__name__

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        enter: Any = import_module("autolog.carried").enter  # by name, as whoever unpickles finds it
        return enter({"d": {"token": self.text}})(self.function)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("function", "text"):  # not there yet
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self) -> Any:
        return binding(self.text, "late"), (self.function,)

    def __repr__(self) -> str:
        return repr(self.function)

    def __dask_tokenize__(self) -> Any:
        normalize: Any = sys.modules["dask.tokenize"].normalize_token  # who asks has imported it
        return normalize(self.function)


def _is_work(function: Any) -> bool:
    """Whether it may train: no class (an actor), no coroutine function, which a worker must know as one, nothing of Dask's."""
    from inspect import iscoroutinefunction

    while isinstance(function, partial):
        function = function.func
    module = getattr(function, "__module__", None)
    engines = isinstance(module, str) and module.partition(".")[0] in ENGINES
    wrapped = type(function) is Late
    return callable(function) and not (
        wrapped or engines or isinstance(function, type) or iscoroutinefunction(function)
    )
