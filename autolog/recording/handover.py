"""Lets work that is handed to other processes record where it belongs: what it trains there becomes a child of the run or block
that is open here, or a run of its own if none is open.

    here       pool.submit(f, x)   → a wrapper replaces `f` by `Sent(f)`
    pickled    a few hundred bytes: `f`, and a token that says the store, the run and what is switched on
    there      `carried.enter` binds `f` to a context whose innermost scope is the token's; without autolog, it is `f` itself

`Sent` unpickles without autolog, and leaves no trace. `Process.start` hands the whole process over: a forked child inherits the
token, other children find it among what they unpickle.

Work stays as it is inside a call (a search's candidates belong to the framework, as does everything that an installed framework
hands out itself) and where everything is suspended. Knows pools and executors, but no framework. `carried` is the other
process's side.
"""

from __future__ import annotations

import importlib
import sys
import weakref
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from autolog.instrument.calls import Scope, call_around, innermost

if TYPE_CHECKING:
    from autolog.manager import Manager
    from autolog.output import Output
    from autolog.tracking.run import Run

POOLS = frozenset(("concurrent", "multiprocessing", "joblib", "loky", "dask", "distributed"))
"""Packages that run other code's work in processes."""
ENGINES = POOLS | sys.stdlib_module_names | {"autolog", "cloudpickle", "tqdm"}
"""Packages that pass on work that was handed to them."""
KNOWN = 100
"""Number of bindings, or of processes, above which those that are not needed are dropped."""
ENGINE, FRAMEWORK, USERS = "engine", "framework", "user's"
"""The kinds of module, by whose code it is."""


# -- what travels

EXPRESSION = "exec(s) or d['bind']"
SOURCE = """
try:
    from autolog import carried
    d['bind'] = getattr(carried, d['how'])(globals())
except Exception:
    d['bind'] = lambda function: function
"""
"""Runs in a worker that has not loaded `autolog.carried` yet. Changes nothing where autolog is not installed."""


class _Reduced:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._call = function, args

    def __call__(self) -> None:
        raise TypeError("this is pickled, not called")  # pickle wants a callable

    def __reduce__(self) -> Any:
        return self._call


_GET: Any = dict.__dict__["get"]
_MODULES = _Reduced(getattr, _Reduced(importlib.import_module, "sys"), "modules")


def binding(text: str, how: str = "enter") -> _Reduced:
    """Return an object that unpickles as the result of `carried.enter`, or of another function there, for this token. If that
    module is loaded, this takes a tenth of the time that the source takes. The bytes are the same for all work with this token.
    """
    import pickle

    function = _Reduced(getattr, _Reduced(_GET, _MODULES, "autolog.carried"), how, partial(eval, EXPRESSION))
    state = {"s": SOURCE, "d": {"token": text, "how": how}}
    return _Reduced(pickle.loads, pickle.dumps(_Reduced(function, state)))


class Sent:
    """A function on its way to another process, together with its binding there."""

    __slots__ = ("_bind", "_function", "tally")

    def __init__(self, function: Any, bind: _Reduced, tally: Tally) -> None:
        self._function = function
        self._bind = bind
        self.tally = tally

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)  # it has not left this process

    def __reduce__(self) -> Any:
        self.tally.sent()
        # Pickle loads the callable before its arguments: the patches are in before the function, which may be a framework's.
        return self._bind, (self._function,)

    def __repr__(self) -> str:
        return repr(self._function)


class Tally:
    """Counts the work that was handed over under one run, or under none."""

    def __init__(self, run: Run | None) -> None:
        self.run = run
        self.tasks = 0
        self.ended = 0
        self.broken = 0
        """Tasks that ended with their process."""
        self.processes: list[weakref.ref[Any]] = []
        self.warned = False
        self.count = self.done
        self._number = count(1)
        self._done = count(1)

    def sent(self) -> None:
        self.tasks = next(self._number)  # pools call this from several threads

    def started(self, process: Any) -> None:
        """Count a process that was handed over."""
        if len(self.processes) >= KNOWN:
            self.processes = [one for one in self.processes if one() is not None]
        self.processes.append(weakref.ref(process))
        self.sent()

    def done(self, future: Any) -> None:
        """Count a future of an executor that is done."""
        from concurrent.futures import BrokenExecutor

        self.ended = next(self._done)  # executors call this from several threads
        if not future.cancelled() and isinstance(future.exception(), BrokenExecutor):
            self.broken += 1


class Binding(NamedTuple):
    """What goes along with work: the token, the object that it is pickled as, and the tally that counts the work."""

    text: str
    bind: _Reduced
    tally: Tally


class Handing(Scope):
    """A scope in which an engine hands out work, perhaps later and from its own threads; `by_framework` says for whom."""

    __slots__ = ("by_framework",)

    def __init__(self, outer: Scope | None, by_framework: bool) -> None:
        records, nested = (True, True) if outer is None else (outer.records, outer.records_nested)
        super().__init__(outer, records=records, records_nested=nested)
        self.by_framework = by_framework


class Handover:
    """Hands over the work of one client."""

    def __init__(self, output: Output, manager: Manager) -> None:
        self._output = output
        self._manager = manager
        self._known: dict[tuple[str, tuple[str, ...]], Binding | None] = {}
        self._known_of: Any = None
        self._kinds: dict[str, str] = {}
        self.tallies: dict[str, Tally] = {}
        """By the run's id; "" for work under no run."""
        self._frameworks = manager.packages
        self._sender: dict[str, str] = {}

    @property
    def sender(self) -> str:
        """The id by which workers know this client, the same for all threads."""
        if not self._sender:
            from autolog.tracking.ids import new_id

            self._sender.setdefault("id", new_id())
        return self._sender["id"]

    # -- what goes along

    def binding(self) -> Binding | None:
        """Return what goes along with work that is handed over now; None if the work records nothing."""
        try:
            return self._belongs(innermost())
        except Exception as error:
            self._output.guard.report("autolog", "handing work to another process", error)
            return None

    def to_process(self, function: Any, _pool: Any = None) -> Any:
        """Return what to send to another process in place of `function`: itself, if it records nothing there."""
        found = self.binding()
        return function if found is None else Sent(function, found.bind, found.tally)

    def _belongs(self, scope: Scope | None) -> Binding | None:
        """Return the `binding` for this scope."""
        if not self._output.active or call_around(scope) is not None:
            return None
        scopes: list[Scope] = []
        hiding: list[Scope] = []
        while scope is not None:
            if not scope.ended:
                if type(scope).hides is not Scope.hides:
                    if scope.hides(""):  # everything
                        return None
                    hiding.append(scope)
                scopes.append(scope)
            scope = scope.outer
        on = tuple(self._manager.switched_on)
        if hiding:
            on = tuple(name for name in on if not any(one.hides(name) for one in hiding))
        block = next((one for one in scopes if one.boundary), None)
        if (block is None and not on) or self.is_by_framework(scopes):
            return None
        return self._known_binding(block, on)

    def is_by_framework(self, scopes: list[Scope]) -> bool:
        """Return whether a framework hands this over for itself: the first code outside of engines belongs to a framework."""
        frame, kinds = sys._getframe(2), self._kinds
        while frame is not None:
            name: Any = frame.f_globals.get("__name__")
            kind = kinds.get(name) if type(name) is str else USERS
            if kind is None:
                kind = kinds[name] = self._kind(name)
            if kind is not ENGINE:
                return kind is FRAMEWORK
            frame = frame.f_back
        return next((one.by_framework for one in scopes if isinstance(one, Handing)), False)

    def _kind(self, module: str) -> str:
        top = module.partition(".")[0]
        if top in ENGINES or module.startswith(tuple(self._manager.engines())):
            return ENGINE
        return FRAMEWORK if top in self._frameworks else USERS

    def _known_binding(self, scope: Any, on: tuple[str, ...]) -> Binding | None:
        config = self._output.config
        if config is not self._known_of or len(self._known) >= KNOWN:
            self._known, self._known_of = {}, config
        key = "" if scope is None else scope.run_id, on
        if key not in self._known:
            from autolog.recording import token

            text = token.travelling(
                None if scope is None else scope.text, self._output, self.sender, list(on)
            )
            tally = self.tallies.setdefault(key[0], Tally(getattr(scope, "run", None)))
            self._known[key] = Binding(text, binding(text), tally) if text else None
        return self._known[key]

    # -- results

    def settle(self) -> list[str]:
        """Return lines for the end of the process that say what workers have trained, and what they could not record."""
        lines = list(self._lines()) if self.tallies else []
        self.tallies.clear()
        return lines

    def outcome_of(self, run: Run) -> tuple[str, int]:
        """Return, at a block's end, a message if all work handed over in it is done, and how many runs workers have trained."""
        tally = self.tallies.get(run.id)
        if tally is None or not self._output.active:
            return "", 0
        reports = self._reports()
        trained = sum(one == run.id and what == "trained" for one, what, _ in reports)
        if tally.ended < tally.tasks:
            return "", trained
        del self.tallies[run.id]
        return self._unrecorded(run.id, tally, reports), trained

    def _lines(self) -> Iterator[str]:
        from autolog.recording import token

        reports = self._reports()
        trained = sum(one == token.ROOTS and what == "trained" for one, what, _ in reports)
        if trained:
            yield f"{_some(trained, 'run')} in worker processes · autolog ls"
        for run, tally in list(self.tallies.items()):
            line = self._unrecorded(run, tally, reports)
            if line:
                yield line
        if reports:
            token.forget_reports(self._output.layout, self.sender)

    def _reports(self) -> list[list[str]]:
        from autolog.recording import token

        return token.reports(self._output.layout, self.sender)

    def _unrecorded(self, run: str, tally: Tally, reports: list[list[str]]) -> str:
        """Return what is not known of the tasks under a run. The run gets a note of it, once."""
        from autolog.recording import token

        if tally.warned:
            return ""
        mine = [(what, more) for one, what, more in reports if one == (run or token.ROOTS)]
        failed = next((more for what, more in mine if what == "failed"), "")
        said: list[str] = []
        if failed or (tally.tasks and not mine):
            why = failed or (
                "install autolog-ml in their environment, and let them reach the store "
                f"{self._output.layout.root} by the same path"
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
        tally.warned = bool(said)
        if tally.run is not None:
            for text in said:
                tally.run.note(text)
        return " ".join(said)


def _some(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _was_killed(process: Any) -> bool:
    """Return whether a signal ended a process that its parent has waited for. Waiting for it is up to the user."""
    code = getattr(getattr(process, "_popen", None), "returncode", None)
    return isinstance(code, int) and code < 0
