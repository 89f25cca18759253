"""What `autolog()` has switched on in this process: it ties instrument, tracking and store together, and nothing else does.

One session a process. It is the `Host` of every patch and the `Outlet` of every run. In a forked child it is inert until
`autolog()` is called there.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextvars import ContextVar
from time import perf_counter
from types import ModuleType
from typing import Any

from autolog import config as configuration
from autolog.config import Config, nearest
from autolog.instrument.calls import Call, Frame, current, innermost
from autolog.instrument.guard import Guard
from autolog.instrument.imports import ImportHooks
from autolog.instrument.integration import Integration, Options
from autolog.instrument.patching import Installation, ThreadInheritance, sweep_users_modules
from autolog.registry import Entry, installed
from autolog.store import layout
from autolog.store.writer import Writer
from autolog.tracking import ranks
from autolog.tracking.events import EnvironmentLogged, Event, RunDescribed, RunEnded, RunStarted
from autolog.tracking.ids import new_name
from autolog.tracking.run import Deferred, Run, now, tags_of
from autolog.tracking.values import text_of

FLUSH_SECONDS = 2.0
LINES = 10
"""Runs that are announced on standard error; a loop of thousands must not fill the terminal."""

last_run: ContextVar[Run | None] = ContextVar("autolog_last_run", default=None)


class Suspension(Frame):
    """A block in which integrations are off: those named, or all."""

    __slots__ = ("names",)

    def __init__(self, outer: Frame | None, names: frozenset[str] | None) -> None:
        super().__init__(outer, admits=names is not None, admits_nested=names is not None)
        self.names = names

    def hides(self, integration: str) -> bool:
        return self.names is None or integration in self.names


class RunScope(Frame):
    """A `with autolog.run(…)` block: the first training inside is its run, further ones are children."""

    __slots__ = ("_claims", "_pid", "all_children", "children", "run")

    boundary = True

    def __init__(self, outer: Frame | None, run: Run, all_children: bool) -> None:
        super().__init__(outer, admits=True, admits_nested=True)
        self.run = run
        self.all_children = all_children
        self.children = 0
        self._claims = [None]
        self._pid = os.getpid()

    def claim(self) -> bool:
        """Whether the caller's training is the run itself; true once, and never in a forked child."""
        if self.all_children or self._pid != os.getpid():
            return False
        try:
            self._claims.pop()  # atomic: two threads may train at once
        except IndexError:
            return False
        return True


class Active:
    """One installed integration, as it stands in this session.

    `state` is `waiting for import`, `active`, `disabled`, `unsupported` or `failed`; `reason` says why.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.state = "disabled"
        self.reason = ""
        self.integration: Integration | None = None
        self.installations: list[Installation] = []
        self.watched: list[tuple[str, Any]] = []


class Session:
    """See the module."""

    def __init__(self) -> None:
        self.active = True
        self.config = Config()
        self.guard = Guard()
        self.layout = layout.find()
        self.writer = Writer(self.layout, self._writer_failed)
        self.hooks = ImportHooks(lambda module, error: self.failed(module, "after its import", error))
        self.integrations = {name: Active(entry) for name, entry in installed().items()}
        self._threads = ThreadInheritance()
        self._lines = 0
        self._started = False
        self._configured = False

    # -- switching on and off

    def configure(self, given: dict[str, Any]) -> None:
        """Change settings. Raises ValueError for what is wrong in `given`."""
        self.guard.strict = Guard().strict
        config, complaints = configuration.load(
            given, self.config if self._configured else None, Options.__struct_fields__, self.integrations
        )
        options_of(Options, config.options)
        self.config = config
        self._configured = True
        for complaint in complaints:
            self._warn(complaint)

    def start(self) -> None:
        """Start the threads, once, and again in a forked child that wants to record."""
        if self._started:
            return
        self._started = True
        script = getattr(sys.modules.get("__main__"), "__file__", None)
        arguments, folder = list(sys.argv), _working_directory()

        def environment() -> Event:
            from autolog.tracking.environment import describe

            return EnvironmentLogged(describe(script, arguments, folder))

        self.writer.start(once_recording=environment)

    def enable(self, name: str) -> None:
        """Switch one integration on: now if its framework is imported, else when it is."""
        active = self.integrations[name]
        if active.state in ("active", "waiting for import"):
            self._disable(active)
        active.state = "waiting for import"
        active.reason = ""
        for module in active.entry.modules:

            def wake(module: ModuleType, active: Active = active) -> None:
                self._wake(active, module)

            active.watched.append((module, wake))
            self.hooks.when_imported(module, wake)

    def disable(self, names: list[str] | None = None) -> None:
        """Switch integrations off and put back every attribute that was replaced; all of them if `names` is None."""
        for name in self.integrations if names is None else names:
            self._disable(self.integrations[name])
        if not any(active.state == "active" for active in self.integrations.values()):
            self._threads.remove()

    def _disable(self, active: Active) -> None:
        for module, wake in active.watched:
            self.hooks.forget(module, wake)
        active.watched.clear()
        switches = {installation.switch for installation in active.installations}
        for installation in reversed(active.installations):
            installation.remove()
        if switches:
            sweep_users_modules(switches)
        active.installations.clear()
        active.integration = None
        active.state = "disabled"

    def _wake(self, active: Active, module: ModuleType) -> None:
        """The framework has been imported (or imported anew)."""
        if active.integration is not None:
            return
        try:
            cls = active.entry.load()
            integration = cls(
                options_of(cls.Options, {**self.config.options, **self._options_for(active.entry.name)})
            )
            integration.awake_as(module.__name__)
            refusal = _refusal(integration)
            if refusal:
                active.state, active.reason = "unsupported", refusal
                self._warn(refusal)
                return
            active.integration = integration
            self._threads.install()
            for patch in integration.patches():
                installation = Installation(patch, cls.name, self, self.hooks)
                active.installations.append(installation)
                installation.install()
            active.state = "active"
        except Exception as error:
            active.state, active.reason = "failed", f"{type(error).__name__}: {error}"
            self.failed(active.entry.name, "switching on", error)

    def _options_for(self, name: str) -> dict[str, Any]:
        return self.config.integrations.get(name, {})

    # -- Host: what intercepted calls ask

    def wants(self, integration: str, instance: object) -> bool:
        if not self.active or ranks.rank() != 0:
            return False
        if instance is not None:
            module = (instance if isinstance(instance, type) else type(instance)).__module__
            for active in self.integrations.values():
                known = active.integration
                if known is not None and known.name != integration and _begins(module, known.claims):
                    return False
        return True

    def open(self, call: Call, **about: Any) -> Run:
        began = perf_counter()
        scope = _scope_around(call.outer)
        framework = (
            self.integrations[call.integration].integration if call.integration in self.integrations else None
        )
        version = framework.version() if framework is not None else None
        kind, estimator = about.pop("kind", "fit"), about.pop("estimator", None)
        if scope is not None and scope.claim():
            run = scope.run
            self.emit(RunDescribed(run.id, kind, call.integration, version, estimator))
        else:
            run = self._new_run(
                about.pop("name", None),
                scope,
                kind,
                about.pop("tags", {}),
                call.integration,
                version,
                estimator,
            )
            call.owns_run = True
        run.kind, run.framework, run.version, run.estimator = kind, call.integration, version, estimator
        run.overhead += perf_counter() - began
        return run

    def close(self, call: Call) -> None:
        run: Run | None = call.run
        if run is None or not self.active:
            return
        try:
            run.overhead += call.observing
            # A run that ends again, as one that goes on over several calls, has been announced.
            quiet = not call.outermost or run.ended is not None or _scope_around(call.outer) is not None
            self._end(run, call.error, quiet=quiet)
        except Exception as error:
            self.failed(call.integration, "ending a run", error)

    def failed(self, integration: str, place: str, error: Exception, call: Call | None = None) -> None:
        said = self.guard.report(integration, place, error)
        run: Run | None = call.run if call is not None else None
        if run is not None:
            run.note(f"{integration}: {said}", error=True)

    # -- runs

    def begin(self, name: str | None, tags: dict[str, Any], all_children: bool) -> RunScope:
        """An explicit run, and the frame of its block."""
        outer = innermost()
        run = self._new_run(name, _scope_around(outer), "run", tags, None, None, None)
        return RunScope(outer, run, all_children)

    def finish(self, scope: RunScope, error: BaseException | None) -> None:
        """The block of an explicit run is over."""
        scope.end()
        self._end(scope.run, error, quiet=_scope_around(scope.outer) is not None)

    def _new_run(
        self, name: str | None, scope: RunScope | None, kind: str, tags: dict[str, Any], framework: str | None,
        version: str | None, estimator: str | None,
    ) -> Run:  # fmt: skip
        if scope is not None:
            scope.children += 1
            name = name or f"{scope.run.name}/{scope.children}"
            run = Run(self, name, scope.run.experiment, scope.run.id)
        else:
            run = Run(self, name or new_name(), self.config.experiment)
            tags = {**self.config.tags, **tags}
        self.start()
        self.emit(
            RunStarted(
                run.id, run.started, run.name, run.experiment, run.parent, kind, framework, version, estimator,
                tags_of(tags, run.secrets),
            )
        )  # fmt: skip
        return run

    def _end(self, run: Run, error: BaseException | None, *, quiet: bool) -> None:
        run.status, said = outcome(error)
        run.ended = now()
        dropped = self.writer.dropped.pop(run.id, 0) + run.counts["dropped"]
        self.emit(RunEnded(run.id, run.ended, run.status, said, round(run.overhead, 6), dropped))
        last_run.set(run)
        if not quiet:
            self.writer.flush(FLUSH_SECONDS)
            self._announce(run)

    def _announce(self, run: Run) -> None:
        """One line on standard error, unless that has been redirected inside the program: then somebody compares it."""
        if self.config.silent or self._lines > LINES:
            return
        stream = sys.stderr
        if stream is None or not (
            stream is sys.__stderr__ or type(stream).__module__.startswith("ipykernel")
        ):
            return
        self._lines += 1
        if self._lines > LINES:
            line = "autolog: further runs are recorded without a line each · autolog ls"
        else:
            what = (run.estimator or run.kind).rpartition(".")[2]
            parts = [
                run.name,
                what,
                _count(run.counts["params"], "param"),
                _count(len(run.metric_names), "metric"),
            ]
            parts += [f"{path} {_size(size)}" for path, size in run.models]
            if run.status != "finished":
                parts.insert(2, run.status)
            line = f"autolog: {' · '.join(parts)} · autolog show {run.name}"
        try:
            stream.write(line + "\n")
        except (OSError, ValueError, UnicodeError):
            pass

    # -- Outlet: what runs give away

    def emit(self, event: Event) -> None:
        if self.active:
            self.writer.put(event)

    def defer(self, work: Deferred) -> None:
        if self.active:
            self.start()
            self.writer.defer(work)

    def artifacts_of(self, run: str) -> str:
        return str(self.layout.artifacts_of(run))

    def save_model(self, run: Run, model: Any, flavor: str | None, **how: Any) -> None:
        if self.active:
            from autolog.saving import save_model

            save_model(self, run, model, flavor, **how)

    def flush(self, timeout: float) -> bool:
        """Wait until all is on the disk. Returns whether it was in time."""
        return self.active and (not self._started or self.writer.flush(timeout))

    # -- processes

    def abandon(self) -> None:
        """In a forked child: nothing here is ours."""
        self.active = False
        self.writer.abandon()

    def revive(self) -> None:
        """A forked child has called `autolog()`: it records, into a journal of its own."""
        if self.active:
            return
        scope = _scope_around(current.get())
        current.set(scope)
        self.layout = layout.find()
        self.writer = Writer(self.layout, self._writer_failed)
        self._started = False
        self.active = True
        util = sys.modules.get("multiprocessing.util")
        if util is not None:  # multiprocessing's children leave without atexit
            util.Finalize(None, self.at_exit, exitpriority=0)

    def at_exit(self) -> None:
        if self.active and self._started:
            self.writer.close(self.config.exit_timeout)

    def _writer_failed(self, place: str, error: Exception) -> None:
        self.guard.report("store", place, error)

    def _warn(self, text: str) -> None:
        import logging

        logging.getLogger("autolog").warning("%s", text)


def options_of(cls: type[Options], given: dict[str, Any]) -> Options:
    """Options from names and values. Raises ValueError naming the valid ones and the nearest match."""
    import msgspec

    for name in given:
        if name not in cls.__struct_fields__:
            valid = cls.__struct_fields__
            raise ValueError(
                f"There is no option {name!r}.{nearest(name, valid)} Valid are: {', '.join(valid)}."
            )
    try:
        return msgspec.convert(given, cls)
    except msgspec.ValidationError:
        pass
    try:  # from the environment everything is text
        return msgspec.convert(given, cls, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}.") from None


def outcome(error: BaseException | None) -> tuple[str, str | None]:
    """A run's status, and what its exception says."""
    if error is None:
        return "finished", None
    from autolog.tracking import redact

    try:
        text = str(error)
    except Exception:
        text = "(its text could not be read)"
    said = (
        f"{type(error).__name__}: {text_of(redact.redact_source(text[:6000]))}"
        if text
        else type(error).__name__
    )
    return ("failed" if isinstance(error, Exception) else "interrupted"), said


def _scope_around(frame: Frame | None) -> RunScope | None:
    while frame is not None:
        if isinstance(frame, RunScope) and not frame.ended:
            return frame
        frame = frame.outer
    return None


def _begins(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def _refusal(integration: Integration) -> str:
    """Why this version of the framework is not supported, or nothing."""
    from packaging.requirements import Requirement
    from packaging.version import InvalidVersion, Version

    text = integration.version()
    try:
        version = Version(text)
    except InvalidVersion:
        return ""
    requirement = Requirement(integration.supports)
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"autolog does not record {integration.name} {text}: it needs {integration.supports}."


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


# -- the one session

_session: Session | None = None
_lock = threading.Lock()


def get() -> Session | None:
    """The session of this process, if `autolog()` or `run()` has made one."""
    return _session


def get_or_make() -> Session:
    """The session of this process, made if there is none. Costs no framework's import."""
    global _session
    with _lock:
        if _session is None:
            _session = Session()
            atexit.register(_session.at_exit)
            os.register_at_fork(after_in_child=_after_fork)
        return _session


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    if _session is not None:
        _session.abandon()
