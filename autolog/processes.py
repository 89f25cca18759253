"""Work that is handed to other processes takes along where it belongs: what it trains there is a child of the run or block that
is open here, or a run of its own where none is.

    here       pool.submit(f, x)   → a stand-in puts `Sent(f)` in the place of `f`
    pickled    a few hundred bytes: `f`, and a token that says the store, the run and what is switched on
    there      `carried.enter` binds `f` to a context whose innermost frame is the token's; or it is `f` itself

`Sent` unpickles without autolog, and without a trace of it. `Process.start` hands the whole process over: a forked child
inherits the token, others find it among what is unpickled.

Work goes as it is inside a call (a search's candidates are the framework's, and so is whatever an installed framework hands out
itself) and where everything is suspended. Knows pools and executors, no framework; what happens in the other process is
`carried`'s.
"""

from __future__ import annotations

import importlib
import sys
import weakref
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from autolog.instrument.calls import Scope, Switch, call_around, current, innermost
from autolog.instrument.plain_wrappers import PlainWrappers
from autolog.instrument.stacklevel import hide_from_stacklevel

if TYPE_CHECKING:
    from autolog.session import Session
    from autolog.tracking.run import Run

POOLS = frozenset(("concurrent", "multiprocessing", "joblib", "loky", "dask", "distributed"))
"""Packages that run others' work in processes."""
ENGINES = POOLS | sys.stdlib_module_names | {"autolog", "cloudpickle", "tqdm"}
"""Packages that hand on what others have handed to them."""
KNOWN = 100
"""So many bindings, and processes, are held before those are let go of that are not needed."""
ENGINE, FRAMEWORK, USERS = "engine", "framework", "user's"
"""Whose code a module is."""
SPAWN = "torch.multiprocessing"
"""Starts processes for its caller, though it is a part of a framework."""


# -- what travels

EXPRESSION = "exec(s) or d['bind']"
SOURCE = """
try:
    from autolog import carried
    d['bind'] = getattr(carried, d['how'])(globals())
except Exception:
    d['bind'] = lambda function: function
"""
"""Run in a worker that has not loaded `autolog.carried` yet. Without autolog it changes nothing."""


class _Reduced:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._call = function, args

    def __call__(self) -> None:
        raise TypeError("this is pickled, not called")  # pickle wants something that could be

    def __reduce__(self) -> Any:
        return self._call


_GET: Any = dict.__dict__["get"]
_MODULES = _Reduced(getattr, _Reduced(importlib.import_module, "sys"), "modules")


def binding(text: str, how: str = "enter") -> _Reduced:
    """What unpickles as `carried.enter` of this token, or as another function there. If that module is loaded, it costs a
    tenth of what the source costs. The bytes are the same for all that goes with it.
    """
    import pickle

    function = _Reduced(getattr, _Reduced(_GET, _MODULES, "autolog.carried"), how, partial(eval, EXPRESSION))
    state = {"s": SOURCE, "d": {"token": text, "how": how}}
    return _Reduced(pickle.loads, pickle.dumps(_Reduced(function, state)))


class Sent:
    """A function on its way to another process, with what binds it there."""

    __slots__ = ("_bind", "_function", "tally")

    def __init__(self, function: Any, bind: _Reduced, tally: Tally) -> None:
        self._function = function
        self._bind = bind
        self.tally = tally

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)  # it has not left this process

    def __reduce__(self) -> Any:
        self.tally.sent()
        # What is to be called is unpickled before what it is called with: when the function comes, which may be a framework's
        # own, its patches are in.
        return self._bind, (self._function,)

    def __repr__(self) -> str:
        return repr(self._function)


class Tally:
    """Counts what was handed over under one run, or under none."""

    def __init__(self, run: Run | None) -> None:
        self.run = run
        self.tasks = 0
        self.ended = 0
        self.broken = 0
        """Those that ended with their process."""
        self.processes: list[weakref.ref[Any]] = []
        self.said = False
        self.count = self.done
        self._number = count(1)

    def sent(self) -> None:
        self.tasks = next(self._number)  # from the threads of pools

    def started(self, process: Any) -> None:
        """A process was handed over."""
        if len(self.processes) >= KNOWN:
            self.processes = [one for one in self.processes if one() is not None]
        self.processes.append(weakref.ref(process))
        self.sent()

    def done(self, future: Any) -> None:
        """A future of an executor is done."""
        from concurrent.futures import BrokenExecutor

        self.ended += 1
        if not future.cancelled() and isinstance(future.exception(), BrokenExecutor):
            self.broken += 1


class Binding(NamedTuple):
    """What goes along: the token, what it is pickled as, and who counts."""

    text: str
    bind: _Reduced
    tally: Tally


class Handing(Scope):
    """An engine hands out work in here, later perhaps, from threads of its own: `by_framework` says for whom."""

    __slots__ = ("by_framework",)

    def __init__(self, outer: Scope | None, by_framework: bool) -> None:
        records, nested = (True, True) if outer is None else (outer.records, outer.records_nested)
        super().__init__(outer, records=records, records_nested=nested)
        self.by_framework = by_framework


class Processes:
    """What a session hands over."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[str, tuple[str, ...]], Binding | None] = {}
        self._known_of: Any = None
        self._kinds: dict[str, str] = {}
        self.tallies: dict[str, Tally] = {}
        """By the run's id; empty for none."""
        self._frameworks = frozenset(
            name.partition(".")[0] for one in session.integrations.values() for name in one.entry.modules
        )

    # -- what goes along

    def binding(self) -> Binding | None:
        """What goes along with work that is handed over now; None where it is to record nothing."""
        try:
            return self._belongs(innermost())
        except Exception as error:
            self._session.guard.report("autolog", "handing work to another process", error)
            return None

    def to_process(self, function: Any, _pool: Any = None) -> Any:
        """What to send to another process in place of `function`; itself, where it is to record nothing there."""
        found = self.binding()
        return function if found is None else Sent(function, found.bind, found.tally)

    def _belongs(self, frame: Scope | None) -> Binding | None:
        """As `binding`, in this frame."""
        here = self._session
        if not here.active or call_around(frame) is not None:
            return None
        frames: list[Scope] = []
        hiding: list[Scope] = []
        while frame is not None:
            if not frame.ended:
                if type(frame).hides is not Scope.hides:
                    if frame.hides(""):  # everything
                        return None
                    hiding.append(frame)
                frames.append(frame)
            frame = frame.outer
        on = tuple(here.switched_on)
        if hiding:
            on = tuple(name for name in on if not any(one.hides(name) for one in hiding))
        scope = next((one for one in frames if one.boundary), None)
        if (scope is None and not on) or self._by_framework(frames):
            return None
        return self._known_binding(scope, on)

    def _by_framework(self, frames: list[Scope]) -> bool:
        """Whether a framework hands this over for itself: the first code outside of engines is its own."""
        frame, kinds = sys._getframe(2), self._kinds
        while frame is not None:
            name: Any = frame.f_globals.get("__name__")
            kind = kinds.get(name) if type(name) is str else USERS
            if kind is None:
                kind = kinds[name] = self._kind(name)
            if kind is not ENGINE:
                return kind is FRAMEWORK
            frame = frame.f_back
        return next((one.by_framework for one in frames if isinstance(one, Handing)), False)

    def _kind(self, module: str) -> str:
        top = module.partition(".")[0]
        if top in ENGINES or module.startswith(SPAWN):
            return ENGINE
        return FRAMEWORK if top in self._frameworks else USERS

    def _known_binding(self, scope: Any, on: tuple[str, ...]) -> Binding | None:
        here = self._session
        if here.config is not self._known_of or len(self._known) >= KNOWN:
            self._known, self._known_of = {}, here.config
        key = "" if scope is None else scope.run_id, on
        if key not in self._known:
            from autolog import tokens

            text = tokens.travelling(here, scope, list(on))
            tally = self.tallies.setdefault(key[0], Tally(getattr(scope, "run", None)))
            self._known[key] = Binding(text, binding(text), tally) if text else None
        return self._known[key]

    # -- what became of it

    def settle(self) -> None:
        """The process ends: say what workers have trained, and what they could not record."""
        from autolog import lifecycle

        for line in self._lines():
            lifecycle.tell(self._session, line)
        self.tallies.clear()

    def outcome_of(self, run: Run) -> tuple[str, int]:
        """At a block's end: what is to be said, if all that was handed over in it is done; and how many have trained."""
        tally = self.tallies.get(run.id)
        if tally is None or not self._session.active:
            return "", 0
        reports = self._reports()
        trained = sum(one == run.id and what == "trained" for one, what, _ in reports)
        if tally.ended < tally.tasks:
            return "", trained
        del self.tallies[run.id]
        return self._unrecorded(run.id, tally, reports), trained

    def _lines(self) -> Iterator[str]:
        from autolog import tokens

        reports = self._reports()
        trained = sum(one == tokens.ROOTS and what == "trained" for one, what, _ in reports)
        if trained:
            yield f"{_some(trained, 'run')} in worker processes · autolog ls"
        for run, tally in list(self.tallies.items()):
            line = self._unrecorded(run, tally, reports)
            if line:
                yield line
        if reports:
            tokens.forget_reports(self._session.layout, self._session.sender)

    def _reports(self) -> list[list[str]]:
        from autolog import tokens

        return tokens.reports(self._session.layout, self._session.sender)

    def _unrecorded(self, run: str, tally: Tally, reports: list[list[str]]) -> str:
        """What is not known of the tasks under a run, which gets a note of it, once."""
        from autolog import tokens

        if tally.said:
            return ""
        mine = [(what, more) for one, what, more in reports if one == (run or tokens.ROOTS)]
        failed = next((more for what, more in mine if what == "failed"), "")
        said: list[str] = []
        if failed or (tally.tasks and not mine):
            why = failed or (
                "install autolog-ml in their environment, and let them reach the store "
                f"{self._session.layout.root} by the same path"
            )
            said.append(
                f"What {_some(tally.tasks, 'task')} trained in worker processes is not recorded: {why}."
            )
        broken = tally.broken + sum(_was_killed(process()) for process in tally.processes)
        if broken:
            said.append(
                f"{_some(broken, 'task')} ended with the worker process: what was being trained is lost, or is missing "
                "if it had not begun to be written."
            )  # fmt: skip
        tally.said = bool(said)
        if tally.run is not None:
            for text in said:
                tally.run.note(text)
        return " ".join(said)

    # -- where it is handed over

    def follow(self, wrappers: PlainWrappers) -> None:
        """Put the stand-ins in; those of multiprocessing's pools are in `threads`."""
        for executor in (
            "concurrent.futures.process", "joblib.externals.loky.process_executor", "loky.process_executor",
        ):  # fmt: skip
            wrappers.put(f"{executor}:ProcessPoolExecutor.submit", self._submit)
        wrappers.put("multiprocessing.process:BaseProcess.start", self._start)
        wrappers.put("joblib.parallel:Parallel.__call__", self._parallel)
        for place, kind in (
            ("distributed.client:Client.submit", "function"), ("distributed.client:Client.map", "function"),
            ("distributed.client:Client._graph_to_futures", "graph"), ("dask._task_spec:Task.__getstate__", "task"),
        ):  # fmt: skip
            wrappers.put(place, partial(self._of_dask, kind))

    def _of_dask(self, kind: str, original: Any, switch: Switch) -> Any:
        from autolog import cluster  # it is needed only beside Dask

        return cluster.STANDINS[kind](self, original, switch)

    def _submit(self, original: Any, switch: Switch) -> Any:
        to_process = self.to_process
        add: Any = sys.modules["concurrent.futures._base"].Future.add_done_callback
        while "_autolog_own" in getattr(add, "__dict__", {}):
            add = add.__wrapped__  # ours would carry a frame along that counting does not need

        @hide_from_stacklevel
        def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            sent = to_process(fn) if switch.on else fn
            future = original(self, sent, *args, **kwargs)
            if sent is not fn:
                add(future, sent.tally.count)
            return future

        return submit

    def _start(self, original: Any, switch: Switch) -> Any:
        handed_over = self._process

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
            self.__dict__.update(_autolog=sent, **attributes)  # it is the first to be unpickled
            from multiprocessing import util

            util.register_after_fork(forked[0], Forked.enter)
            try:
                original(self)
            finally:
                forked.clear()  # with it goes what was registered
                self.__dict__.pop("_autolog", None)

        return start

    def _process(self, process: Any) -> Binding | None:
        """As `_belongs`, of a process that is to be started: none for a pool's worker, whose work comes later."""
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
        return self.binding()

    def _parallel(self, original: Any, switch: Switch) -> Any:
        by_framework = self._by_framework

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


def _some(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _was_killed(process: Any) -> bool:
    """Whether a process that its parent has waited for was ended by a signal. To wait for it is the user's."""
    code = getattr(getattr(process, "_popen", None), "returncode", None)
    return isinstance(code, int) and code < 0


class Forked:
    """A token that a forked child inherits."""

    def __init__(self, process: Any, text: str, held_by: list[Forked]) -> None:
        self._process = process
        self._text = text
        self._held_by = held_by

    def enter(self) -> None:
        """In the child, once: it may have children of its own."""
        self._held_by.clear()
        self._process.__dict__.pop("_autolog", None)
        from autolog.carried import enter_process

        enter_process(self._text)
