"""What `autolog()` has switched on in this process: it ties instrument, tracking and store together, and nothing else does.

One session a process. It is the `Host` of every patch and the `Outlet` of every run. In a forked child it is inert until
`autolog()` is called there.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from autolog import config as configuration
from autolog import processes, registry
from autolog.config import Config, nearest
from autolog.instrument import threads
from autolog.instrument.calls import Call, Scope, Switch, current, innermost
from autolog.instrument.guard import Guard
from autolog.instrument.identity import IdentityMap
from autolog.instrument.imports import ImportHooks
from autolog.instrument.plain_wrappers import PlainWrappers
from autolog.instrument.timer import OverheadTimer
from autolog.registry import Entry, installed
from autolog.store import layout
from autolog.store.writer import Writer
from autolog.tracking import ranks

if TYPE_CHECKING:
    from autolog.instrument.integration import Integration, Options
    from autolog.instrument.patching import Installation
    from autolog.lifecycle import Leaving, Loop
    from autolog.origins import Lineage
    from autolog.sinks.base import Sink
    from autolog.sinks.live import Live, SinkState
    from autolog.tracking.events import Deferred, Event
    from autolog.tracking.run import Run
    from autolog.tracking.source import Notebook, Sources

# What is needed only once there is something to record is imported where it is needed: `autolog()` costs little, and the
# rest is loaded beside the framework, which takes far longer.

# Of a class, whatever its metaclass would say.
_bases_of: Any = type.__dict__["__mro__"].__get__

SINK_CHANGE_SECONDS = 2.0
COMMON_OPTIONS = ("log_models", "log_datasets", "log_signatures", "log_input_examples", "max_model_bytes")
"""The fields of `autolog.Options`, which is not loaded before it is needed."""


class Suspension(Scope):
    """A block in which integrations are off: those named, or all."""

    __slots__ = ("names",)

    def __init__(self, outer: Scope | None, names: frozenset[str] | None) -> None:
        super().__init__(outer, records=names is not None, records_nested=names is not None)
        self.names = names

    def hides(self, integration: str) -> bool:
        return self.names is None or integration in self.names


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

    def __init__(
        self, place: layout.Layout | None = None, config: Config | None = None, strict: bool | None = None
    ) -> None:
        """Without them, the store, the settings and the strictness are looked for where the user put them."""
        self.active = True
        self.abandoned = False
        self.config = config or Config()
        self.guard = Guard(strict)
        self.timer = OverheadTimer()
        self._misplaced = ""
        """What is wrong with where the store was to be."""
        try:
            self.layout = place or layout.find()
        except ValueError as error:
            self._misplaced, self.layout = str(error), layout.nearest()
        self.writer = Writer(self.layout, self._writer_failed)
        self.hooks = ImportHooks(lambda module, error: self.failed(module, "after its import", error))
        self.integrations = {name: Active(entry) for name, entry in installed().items()}
        self._following: PlainWrappers | None = None
        self.processes = processes.Processes(self)
        self.prompt = False
        """As one whose process may be ended as soon as its work is done: what is logged after a training is written at once."""
        self._claimants: IdentityMap[str] = IdentityMap()
        self.switched_off: set[str] = set()
        self._live: Live | None = None
        self._inherited: Live | None = None
        """What a forked child must not close: its connections are the parent's."""
        self.loops: list[Loop] = []
        """The trainings in progress that no call is around."""
        self.exits: list[Installation] = []
        """The patches of `sys.exit` and `exit`, once there has been one of them."""
        self.main: FrameType | None = None
        """The script's own frame, from then on."""
        self.leaving: Leaving | None = None
        self.lent: tuple[Config, list[str]] | None = None
        """As what it records for another process: inside the blocks that were given that one's token, and nowhere else."""
        self.lines = 0
        self.unsaid: list[str] = []
        """Lines that wait for the end of a progress bar."""
        self.best: dict[tuple[str, ...], tuple[float, str]] = {}
        """The best value of a metric so far, and the run's name: see `saving`."""
        self._said: set[str] = set()
        self._notebook: Notebook | None = None
        self.keeps_code = True
        """Whether the code that no commit holds is recorded."""
        self._sources: Sources | None = None
        self._modules = 0
        self._secrets: set[str] = set()
        self._starting = threading.Lock()
        self._started = False
        self._configured = config is not None
        _with_rules(self.config, [])

    # -- switching on and off

    def configure(self, given: dict[str, Any]) -> None:
        """Change settings. Raises ValueError for what is wrong in `given`."""
        config, complaints = configuration.load(
            given, self.config if self._configured else None, COMMON_OPTIONS, self.integrations
        )
        if self._misplaced:
            complaints.append(f"{self._misplaced} It is left out: runs are in {self.layout.root}.")
        if config.options:
            from autolog.instrument.integration import Options

            options_of(Options, {name: value for name, value in given.items() if name in COMMON_OPTIONS})
            config = config._replace(options=valid_options(Options, config.options, complaints))
        config = _with_rules(config, None if "secrets" in given else complaints)
        sinks = None
        if config.sinks != self.config.sinks or (config.sinks and self._live is None):
            sinks = self._make_sinks(config.sinks, None if "sinks" in given else complaints)
            config = config._replace(sinks=tuple(sink.url for sink in sinks))
        self.config = config
        self._configured = True
        if sinks is not None:
            self._feed(sinks)
        for complaint in complaints:
            self._warn(complaint)

    def start(self) -> None:
        """Start the threads, once."""
        if self._started:
            return
        with self._starting:
            if self._started or not self.active:
                return
            self._started = True
        if self.config.sinks and self._live is None:  # a forked child's own
            self._feed(self._make_sinks(self.config.sinks, []))
        script = _script()
        arguments, folder = list(sys.argv), _working_directory()

        def environment() -> Event:
            from autolog.tracking.environment import describe
            from autolog.tracking.events import EnvironmentLogged

            values = describe(script, arguments, folder)
            return EnvironmentLogged(values if self._live is None else self._live.hide(values))

        self.writer.start(once_recording=environment)

    def described(self, run: Run) -> None:
        """A run has said what it is of, or ends: now that its secrets are known, its code is recorded without them, as far as
        there is more of it than before.
        """
        self._secrets |= run.secrets
        modules = len(sys.modules)
        if not self.keeps_code or (modules == self._modules and "IPython" not in sys.modules):
            return
        from autolog.tracking.events import CodeLogged, now
        from autolog.tracking.source import Notebook, Sources, without

        more, self._modules = modules != self._modules, modules
        self._sources = self._sources or Sources(_script(), _working_directory())
        self._notebook = self._notebook or Notebook()
        cells, sources = self._notebook.new_cells(), self._sources
        at = now() if run.ended is None else run.ended  # by the run's own clock

        def code() -> list[Event]:
            known = tuple(self._secrets)
            files = sources.new(known) if more else {}
            texts = {number: without(text, known) for number, text in cells.items()}
            if self._live is not None:
                files, texts = self._live.hide(files), self._live.hide(texts)
            return [CodeLogged(at, files, texts)] if files or texts else []

        if more or cells:
            self.defer(code)

    def enable(self, name: str) -> None:
        """Switch one integration on: now if its framework is imported, else when it is."""
        self.follow_work()
        active = self.integrations[name]
        if active.state in ("active", "waiting for import"):
            _sweep(self._disable(active))
        active.state = "waiting for import"
        active.reason = ""
        for module in active.entry.modules:

            def wake(module: ModuleType, active: Active = active) -> None:
                self._wake(active, module)

            active.watched.append((module, wake))
            self.hooks.when_imported(module, wake)

    def disable(self, names: list[str] | None = None) -> None:
        """Switch integrations off and put back every attribute that was replaced; all of them if `names` is None."""
        switches: set[Switch] = set()
        failures: list[tuple[Installation, Exception]] = []
        for name in self.integrations if names is None else names:
            switches |= self._disable(self.integrations[name], failures)
        if not any(a.state == "active" for a in self.integrations.values()):
            switches |= self._take_out(self.exits, failures)
            self.exits, self.main = [], None
        if not self.switched_on and self._following is not None:
            self._following.remove()
            self._following = None
        _sweep(switches)
        for installation, failure in failures:  # last, as it is raised where the session is strict
            self.guard.report(installation.integration, f"taking out {installation.patch.target}", failure)

    def follow_work(self) -> None:
        """Let work that is handed to threads and processes belong to where it is handed over."""
        if self._following is None and self.active:
            self._following = PlainWrappers(self.hooks)
            threads.follow(self._following, self.processes.to_process)
            self.processes.follow(self._following)

    def _disable(
        self, active: Active, failures: list[tuple[Installation, Exception]] | None = None
    ) -> set[Switch]:
        """Switch one off. Returns the switches of what it had patched: modules may still hold that."""
        for module, wake in active.watched:
            self.hooks.forget(module, wake)
        active.watched.clear()
        if self.loops:
            from autolog import lifecycle

            lifecycle.close_loops(self, None, lambda loop: loop.integration == active.entry.name)
        switches = self._take_out(active.installations, [] if failures is None else failures)
        active.installations.clear()
        active.integration = None
        self._claimants = IdentityMap()
        active.state = "disabled"
        return switches

    @staticmethod
    def _take_out(
        installations: list[Installation], failures: list[tuple[Installation, Exception]]
    ) -> set[Switch]:
        """One that fails keeps none of the others in."""
        for installation in reversed(installations):
            try:
                installation.remove()
            except Exception as error:
                failures.append((installation, error))
        return {installation.switch for installation in installations}

    def _wake(self, active: Active, module: ModuleType) -> None:
        """The framework has been imported (or imported anew)."""
        if active.integration is not None:
            return
        from autolog import lifecycle, saving  # noqa: F401  # pyright: ignore[reportUnusedImport]  not in the first run
        from autolog.instrument.patching import Installation

        try:
            cls = active.entry.load()
            complaints: list[str] = []
            given = {**self.config.options, **self.config.integrations.get(active.entry.name, {})}
            # Who called `enable()` with wrong ones has been told: these are from a file or the environment.
            integration = cls(options_of(cls.Options, valid_options(cls.Options, given, complaints)))
            for complaint in complaints:
                self._warn(f"{active.entry.name}: {complaint}")
            integration.handler = self
            integration.awake_as(module.__name__)
            refusal = _refusal(integration)
            if refusal:
                active.state, active.reason = "unsupported", refusal
                self._warn(refusal)
                return
            active.integration = integration
            self._claimants = IdentityMap()
            saving.preload(cls.name)
            for patch in integration.patches():
                installation = Installation(patch, cls.name, self, self.hooks)
                active.installations.append(installation)
                installation.install()
            active.state = "active"
        except Exception as error:
            _sweep(self._disable(active))  # half of it would record half
            active.state, active.reason = "failed", f"{type(error).__name__}: {error}"
            self.failed(active.entry.name, "switching on", error)

    def version_of(self, name: str) -> str | None:
        """The imported framework's version."""
        active = self.integrations.get(name)
        return active.integration.version() if active is not None and active.integration is not None else None

    def chosen(self, name: str | None) -> Options | None:
        """The options of an integration that is switched on."""
        active = self.integrations.get(name or "")
        return active.integration.options if active is not None and active.integration is not None else None

    @cached_property
    def lineage(self) -> Lineage:
        """Which run each model is from, and which model each prediction."""
        from autolog.origins import Lineage

        return Lineage(
            {name.partition(".")[0] for a in self.integrations.values() for name in a.entry.modules}
        )

    # -- Host: what intercepted calls ask

    def wants(self, integration: str, instance: object) -> bool:
        if not self.active or ranks.rank() != 0:
            return False
        if self.lent:
            from autolog import lifecycle

            if lifecycle.scope_around(innermost()) is None:
                return False
        if instance is not None:
            # By its type: to ask the object itself for its class may run code of the user's.
            kind = type(instance)
            return self._claimant(instance if issubclass(kind, type) else kind) in ("", integration)
        return True

    def _claimant(self, cls: Any) -> str:
        """The integration that claims a class, or the nearest of those it is derived from; empty if none does."""
        claimant = self._claimants.get(cls)
        if claimant is None:
            claimant = ""
            known = [a.integration for a in self.integrations.values() if a.integration is not None]
            for base in _bases_of(cls):
                module: object = getattr(base, "__module__", None)
                claimants = [k.name for k in known if isinstance(module, str) and _begins(module, k.claims)]
                if claimants:
                    claimant = claimants[0]
                    break
            self._claimants.set(cls, claimant)
        return claimant

    def open(self, call: Call, **about: Any) -> Run:
        from autolog import lifecycle

        return lifecycle.open_for(self, call, **about)

    def close(self, call: Call) -> None:
        if call.run is not None and self.active:
            from autolog import lifecycle

            try:
                lifecycle.close_for(self, call)
            except Exception as error:
                self.failed(call.integration, "ending a run", error)

    def open_loop(self, integration: str, closing: Callable[[], None], **about: Any) -> Run | None:
        if not self.active:
            return None
        from autolog import lifecycle

        run = lifecycle.open_loop(self, integration, closing, **about)
        if run is not None:
            _end_loops_before_others()
        return run

    def close_loop(self, run: Run, error: BaseException | None) -> None:
        if self.active:
            from autolog import lifecycle

            lifecycle.close_loops(self, error, lambda loop: loop.run is run)

    def failed(
        self, integration: str, place: str, error: Exception, call: Call | None = None, culprit: str = ""
    ) -> None:
        said = self.guard.report(integration, place, error, culprit)
        if call is not None:
            runs = [] if call.run is None else [call.run]
        else:
            thread = threading.get_ident()
            runs = [one.run for one in self.loops if (one.integration, one.thread) == (integration, thread)]
        for run in runs[-1:]:
            run.note(f"{integration}: {said}", error=True)

    # -- Outlet: what runs give away

    @property
    def overhead_budget(self) -> float:
        return self.config.overhead_budget

    def emit(self, event: Event) -> None:
        if self.active:
            self.writer.put(event)
            if self.prompt:
                from autolog import lifecycle

                if lifecycle.is_afterthought(self, event):
                    self.flush(self.config.exit_timeout)

    def defer(self, work: Deferred) -> None:
        if self.active:
            self.start()
            self.writer.defer(work)

    def artifacts_of(self, run: str) -> str:
        return str(self.layout.artifacts_of(run))

    def deduplicate(self) -> Callable[[str], None]:
        from autolog.store.objects import deduplicate

        return deduplicate(self.layout.objects)

    def save_model(self, run: Run, model: Any, flavor: str | None, **how: Any) -> None:
        if self.active:
            from autolog.saving import save_model

            save_model(self, run, model, flavor, **how)

    def trained(self, models: Iterable[Any], run: Run, data: Any, describe: bool) -> None:
        self.lineage.trained(models, run, data, describe)

    def token_of(self, run: Run) -> str:
        from autolog.tokens import token_of

        return token_of(self, run)

    def flush(self, timeout: float, sinks: bool = False) -> bool:
        """Wait until all is on the disk, and with `sinks` delivered. Returns whether it was in time."""
        deadline = time.monotonic() + timeout
        in_time = self.active and (not self._started or self.writer.flush(timeout))
        if sinks and in_time and self._live is not None:
            return self._live.flush(deadline - time.monotonic())
        return in_time

    # -- sinks

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """The sinks that are fed."""
        return () if self._live is None else self._live.sinks

    @property
    def sink_states(self) -> tuple[SinkState, ...]:
        return () if self._live is None else self._live.states

    def _make_sinks(self, urls: tuple[str, ...], complaints: list[str] | None) -> list[Sink]:
        """Raises ValueError or ImportError for one that cannot be made; with `complaints`, says it there and leaves it out."""
        known = registry.sinks()
        made: dict[str, Sink] = {}
        for url in urls:
            try:
                sink = registry.make_sink(url, known)
                if sink.identity() in made:
                    raise ValueError(f"The sink {sink.identity()} is given twice.")
                made[sink.identity()] = sink
            except (ValueError, ImportError) as error:
                if complaints is None:
                    raise
                said = str(error)
                complaints.append(f"{said}{'' if said.endswith('.') else '.'} It is left out.")
        return list(made.values())

    def _feed(self, sinks: list[Sink]) -> None:
        from autolog.sinks.live import Live

        if self._started:  # what is under way belongs to the sinks that there were
            self.writer.flush(SINK_CHANGE_SECONDS)
        if self._live is None:
            self._live = Live(
                lambda: self.writer.written, self.layout, self.writer.threads, _close_clients_before_others
            )
            self.writer.wrote = self._live.wake
        self._live.replace(sinks)

    # -- processes

    def abandon(self) -> None:
        """In a forked child: nothing here is ours, now or later."""
        self.active = False
        self.abandoned = True
        self.loops = []
        self._starting = threading.Lock()
        self.writer.abandon()

    @cached_property
    def sender(self) -> str:
        """What workers know this session by."""
        from autolog.tracking.ids import new_id

        return new_id()

    @property
    def switched_on(self) -> list[str]:
        """The integrations that record, or will when their framework is imported."""
        return [
            n for n, active in self.integrations.items() if active.state in ("active", "waiting for import")
        ]

    def successor(
        self, place: layout.Layout | None = None, config: Config | None = None, on: list[str] | None = None
    ) -> Session:
        """In a forked child that wants to record: a session with the same settings, and a journal of its own. Or one that
        records elsewhere, and what it is to have switched on.

        What the parent had under way when it forked ends here too, on the child's stack. It belongs to the abandoned
        session and goes nowhere.
        """
        heir = Session(place, config or (self.config if self._configured else None))
        if on is None:
            on = self.switched_on
            heir.switched_off = set(self.switched_off)
            frame = innermost()
            while frame is not None:  # blocks of the user's stay
                if isinstance(frame, Call):
                    frame.end()
                frame = frame.outer
        else:
            current.set(None)  # who records elsewhere is inside nothing of what is around it here
        self.disable()
        if self.abandoned:
            heir._inherited = self._live
        else:
            self.finish(self.config.exit_timeout)
        for name in on:
            heir.enable(name)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:  # multiprocessing's children leave without atexit
            util.Finalize(None, heir.at_exit, exitpriority=0)
        return heir

    def end_loops_at_exit(self) -> None:
        if self.active and self._started and self.loops:
            from autolog import lifecycle

            lifecycle.close_loops_at_exit(self)

    def close_clients_at_exit(self) -> None:
        """See `_close_clients_before_others`."""
        if self.active and self._started and self._live is not None:
            self.end_loops_at_exit()
            deadline = time.monotonic() + self.config.exit_timeout
            self.writer.flush(self.config.exit_timeout)
            self._live.close_clients(deadline - time.monotonic())

    def at_exit(self) -> None:
        """From here on nothing is recorded, and what is patched does nothing but call what it stands for: Python takes our
        modules apart, while objects of the user's may go on to the very end.
        """
        self.end_loops_at_exit()
        if self.active and self.processes.tallies:
            self.processes.settle()
        if self.active and self._started:
            self.finish(self.config.exit_timeout)
        if self.active and self.unsaid and sys.__stderr__ is not None:
            from autolog import lifecycle

            lifecycle.say(self, sys.__stderr__)
        self.active = False
        self.main = self.leaving = None  # they hold the user's names

    def finish(self, timeout: float) -> bool:
        """Write what there is, deliver it to the sinks in what is left of `exit_timeout`, and let go of both. Returns whether
        everything was written in time; what was not delivered is said.
        """
        deadline = time.monotonic() + self.config.exit_timeout
        written = self.writer.close(timeout)
        if self._live is not None:
            self._live.close(deadline - time.monotonic())
        return written

    def _writer_failed(self, place: str, error: Exception) -> None:
        # Whatever thread meets it first, a disk that takes no more is one thing to be told.
        where = f"writing to {self.layout.root}" if isinstance(error, OSError) else place
        self.guard.report("store", where, error, background=True)

    def _warn(self, text: str) -> None:
        """Say something once."""
        if text in self._said:
            return
        self._said.add(text)
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


def valid_options(cls: type[Options], given: dict[str, Any], complaints: list[str]) -> dict[str, Any]:
    """Those that are valid; what is wrong with the others is added to `complaints`."""
    kept: dict[str, Any] = {}
    for name, value in given.items():
        try:
            options_of(cls, {name: value})
            kept[name] = value
        except ValueError as error:
            complaints.append(f"{error} It is left out.")
    return kept


def _sweep(switches: set[Switch]) -> None:
    """Once for all that was switched off: it looks through all modules."""
    if switches:
        from autolog.instrument.patching import sweep_modules

        sweep_modules(switches)


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


def _script() -> str | None:
    return getattr(sys.modules.get("__main__"), "__file__", None)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


# -- the one session

_session: Session | None = None
_lock = threading.RLock()
_registered = False


def get() -> Session | None:
    """The session of this process, if `autolog()` or `run()` has made one."""
    return _session


def get_or_make() -> Session:
    """The session of this process, made if there is none. Costs no framework's import."""
    with _lock:
        if _session is None:
            here = Session()
            put(here)
            return here
        return _session


def get_to_record() -> Session:
    """As `get_or_make`, for who wants to record: in a forked child, a session of the child's own."""
    with _lock:
        here = get_or_make()
        if here.abandoned:
            here = here.successor()
            put(here)
        return here


def get_to_continue(place: layout.Layout, config: Config, on: list[str]) -> Session:
    """A session that records into another process's store: that of this process if it does already, else one that takes its
    place, with these settings and integrations, as far as they are installed.
    """
    with _lock:
        fresh = _session is None
        here = get_or_make()
        same = not here.abandoned and here.layout.root == place.root and here.lent in (None, (config, on))
        if fresh or not same:
            here = here.successor(place, config, [name for name in on if name in here.integrations])
            here.lent = (config, on)
            put(here)
        return here


def _with_rules(config: Config, complaints: list[str] | None) -> Config:
    """What a project calls secret holds for the process: values are made plain where no session is known. Raises ValueError for
    what is no rule, or adds to `complaints` and leaves them out.
    """
    if not config.secrets and "autolog.tracking.redact" not in sys.modules:
        return config
    from autolog.tracking import redact

    try:
        redact.use(redact.own_rules(config.secrets))
    except ValueError as error:
        if complaints is None:
            raise
        complaints.append(f"{error} It is left out.")
        return config._replace(secrets=())
    return config


def put(session: Session | None) -> None:
    """Make `session` the one of this process."""
    global _session, _registered
    _session = session
    if not _registered:
        _registered = True
        atexit.register(_at_exit)
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_here, after_in_child=_after_fork_in_child
        )


def _at_exit() -> None:
    if _session is not None:
        _session.at_exit()
    runs = sys.modules.get("autolog.tracking.run")
    if runs is not None:
        runs.retire()


def _end_loops_before_others() -> None:
    """Have the loops' runs end before the exit functions that are registered by now.

    The last one registered is called first, and libraries that are imported after `autolog()` take away in theirs what a model
    needs to be saved: h5py its converters, without which Keras writes no weights. So this one is put in the first place anew
    with each run of a loop. What finishes the session stays where it is: what the user logs in functions of his own that are
    registered after `autolog()` is to be recorded.
    """
    atexit.unregister(_end_loops_at_exit)
    atexit.register(_end_loops_at_exit)


def _close_clients_before_others() -> None:
    """Have sinks whose clients end by exit functions of their own, as W&B's does, take what there is before those run."""
    atexit.unregister(_close_clients_at_exit)
    atexit.register(_close_clients_at_exit)


def _close_clients_at_exit() -> None:
    if _session is not None:
        _session.close_clients_at_exit()


def _end_loops_at_exit() -> None:
    if _session is not None:
        _session.end_loops_at_exit()


def _before_fork() -> None:
    if _session is not None and _session.active:
        _session.writer.before_fork()


def _after_fork_here() -> None:
    if _session is not None and _session.active:
        _session.writer.after_fork()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    if _session is not None:
        _session.abandon()
