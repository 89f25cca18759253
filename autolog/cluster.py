"""Work that is handed to a cluster of Dask's on this machine: its workers are processes, which record as those of a pool do. A
cluster on other machines is left alone: they may not reach the store. There a run's token does it.

A task is pickled here, unpickled and pickled again by the scheduler, and unpickled by a worker: what stands in for its function
enters when it is called. Keys are made of the function itself, as without autolog.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import Any, cast

from autolog.instrument.calls import Switch
from autolog.instrument.stacklevel import hide_from_stacklevel
from autolog.processes import ENGINES, Binding, Processes

_graph: ContextVar[Binding | None] = ContextVar("autolog_graph", default=None)
"""What goes along with the tasks of the graph that is being pickled."""


def _handed_over(processes: Processes, client: Any) -> Binding | None:
    cluster = getattr(client, "cluster", None)
    return processes.binding() if type(cluster).__name__ == "LocalCluster" else None


def of_function(processes: Processes, original: Any, switch: Switch) -> Any:
    """For a client's `submit` and `map`."""

    @hide_from_stacklevel
    def submit(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = _handed_over(processes, self) if switch.on and _is_work(func) else None
        if found is None:
            return original(self, func, *args, **kwargs)
        futures: Any = original(self, _late(found, func), *args, **kwargs)
        for _ in range(getattr(futures, "__len__", lambda: 1)()):  # `map` gives a list
            found.tally.sent()
        return futures

    return submit


def of_graph(processes: Processes, original: Any, switch: Switch) -> Any:
    """For what `compute` and `persist` go through: it pickles the graph."""

    @hide_from_stacklevel
    def _graph_to_futures(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        token = _graph.set(_handed_over(processes, self) if switch.on else None)
        try:
            return original(self, *args, **kwargs)
        finally:
            _graph.reset(token)

    return _graph_to_futures


def of_task(processes: Processes, original: Any, switch: Switch) -> Any:
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


STANDINS = {"function": of_function, "graph": of_graph, "task": of_task}


def _late(found: Binding, function: Any) -> Any:
    from autolog.carried import Late

    return Late(found.text, function)


def _is_work(function: Any) -> bool:
    """Whether it may train: no class (an actor), no coroutine function, which a worker must know as one, nothing of Dask's."""
    from inspect import iscoroutinefunction

    while isinstance(function, partial):
        function = function.func
    module = getattr(function, "__module__", None)
    engines = isinstance(module, str) and module.partition(".")[0] in ENGINES
    wrapped = type(function).__name__ == "Late"
    return callable(function) and not (
        wrapped or engines or isinstance(function, type) or iscoroutinefunction(function)
    )
