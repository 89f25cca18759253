"""Where work is handed to other processes: wraps functions of pools and executors. What the wrappers hand over is in
`handover`.

multiprocessing's pools are in `instrument.threads`, because thread pools share their methods.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from typing import Any, cast

from autolog.instrument.calls import Switch, current, innermost
from autolog.instrument.plain_wrappers import PlainWrappers
from autolog.instrument.stacklevel import hide_from_stacklevel
from autolog.recording.handover import POOLS, Binding, Handing, Handover, Sent, Tally


def follow(wrappers: PlainWrappers, handover: Handover) -> None:
    """Install the wrappers; those of multiprocessing's pools are in `instrument.threads`."""
    for executor in (
        "concurrent.futures.process", "joblib.externals.loky.process_executor", "loky.process_executor",
    ):  # fmt: skip
        wrappers.put(f"{executor}:ProcessPoolExecutor.submit", partial(_submit, handover))
    wrappers.put("multiprocessing.process:BaseProcess.start", partial(_start, handover))
    wrappers.put("joblib.parallel:Parallel.__call__", partial(_parallel, handover))
    for place, kind in (
        ("distributed.client:Client.submit", "function"), ("distributed.client:Client.map", "function"),
        ("distributed.client:Client._graph_to_futures", "graph"), ("dask._task_spec:Task.__getstate__", "task"),
    ):  # fmt: skip
        wrappers.put(place, partial(_of_cluster, handover, kind))


def _of_cluster(handover: Handover, kind: str, original: Any, switch: Switch) -> Any:
    from autolog.recording import cluster  # only if the cluster's library is imported

    return cluster.WRAPPERS[kind](handover, original, switch)


def _submit(handover: Handover, original: Any, switch: Switch) -> Any:
    to_process = handover.to_process
    add: Any = sys.modules["concurrent.futures._base"].Future.add_done_callback
    while "_autolog_own" in getattr(add, "__dict__", {}):
        add = add.__wrapped__  # ours would carry a scope along that counting does not need

    @hide_from_stacklevel
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        sent = to_process(fn) if switch.on else fn
        future = original(self, sent, *args, **kwargs)
        if sent is not fn:
            add(future, sent.tally.count)
        return future

    return submit


def _start(handover: Handover, original: Any, switch: Switch) -> Any:
    handed_over = partial(_process, handover)

    @hide_from_stacklevel
    def start(self: Any) -> None:
        __tracebackhide__ = True
        found = handed_over(self) if switch.on else None
        if found is None:
            return original(self)
        found.tally.started(self)
        forked: list[Forked] = []
        forked.append(Forked(self, found.text, forked))
        sent = Sent(None, found.bind, Tally(None))
        attributes = dict(self.__dict__)
        self.__dict__.clear()
        self.__dict__.update(_autolog=sent, **attributes)  # first, so that it is unpickled first
        from multiprocessing import util

        util.register_after_fork(forked[0], Forked.enter)
        try:
            original(self)
        finally:
            forked.clear()  # this also unregisters `Forked.enter`
            self.__dict__.pop("_autolog", None)

    return start


def _process(handover: Handover, process: Any) -> Binding | None:
    """Return the `Handover.binding` of a process that is being started; None for a pool's worker: its work comes later."""
    base: Any = sys.modules["multiprocessing.process"].BaseProcess
    kind = cast(Any, type(process))
    target = kind.run
    if target is base.run:
        target = getattr(process, "_target", None)
    while isinstance(target, partial):
        target = target.func
    module = getattr(target, "__module__", None)
    if target is None or (isinstance(module, str) and module.partition(".")[0] in POOLS):
        return None
    return handover.binding()


def _parallel(handover: Handover, original: Any, switch: Switch) -> Any:
    by_framework = handover.is_by_framework

    @hide_from_stacklevel
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not switch.on or getattr(self, "n_jobs", 1) == 1:
            return original(self, *args, **kwargs)
        outer = innermost()
        token = current.set(Handing(outer, by_framework([])))
        try:
            return original(self, *args, **kwargs)
        finally:
            current.reset(token)

    return __call__


class Forked:
    """A token that a forked child inherits."""

    def __init__(self, process: Any, text: str, held_by: list[Forked]) -> None:
        self._process = process
        self._text = text
        self._held_by = held_by

    def enter(self) -> None:
        """Enter the scope in the child, once: the child may have children of its own."""
        self._held_by.clear()
        self._process.__dict__.pop("_autolog", None)
        enter: Any = import_module("autolog.carried").enter_process  # by name, as unpickling finds it
        enter(self._text)
