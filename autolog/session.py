"""What `autolog()` has switched on in this process: it ties instrument, tracking and store together, and nothing else does.

One session a process. It is the `Host` of every patch and the `Outlet` of every run. In a forked child it is inert until
`autolog()` is called there.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

from autolog import config as configuration
from autolog.config import Config, nearest
from autolog.instrument.calls import Call, Frame, current
from autolog.instrument.guard import Guard
from autolog.instrument.imports import ImportHooks
from autolog.registry import Entry, installed
from autolog.store import layout
from autolog.store.writer import Writer
from autolog.tracking import ranks

if TYPE_CHECKING:
    from autolog.instrument.integration import Integration, Options
    from autolog.instrument.patching import Installation, ThreadInheritance
    from autolog.tracking.events import Event
    from autolog.tracking.run import Deferred, Run

# What is needed only once there is something to record is imported where it is needed: `autolog()` costs little, and the
# rest is loaded beside the framework, which takes far longer.

COMMON_OPTIONS = ("log_models", "log_datasets", "log_signatures", "max_model_bytes")
"""The fields of `autolog.Options`, which is not loaded before it is needed."""


class Suspension(Frame):
    """A block in which integrations are off: those named, or all."""

    __slots__ = ("names",)

    def __init__(self, outer: Frame | None, names: frozenset[str] | None) -> None:
        super().__init__(outer, admits=names is not None, admits_nested=names is not None)
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

    def __init__(self) -> None:
        self.active = True
        self.config = Config()
        self.guard = Guard()
        self.layout = layout.find()
        self.writer = Writer(self.layout, self._writer_failed)
        self.hooks = ImportHooks(lambda module, error: self.failed(module, "after its import", error))
        self.integrations = {name: Active(entry) for name, entry in installed().items()}
        self._threads: ThreadInheritance | None = None
        self.lines = 0
        self._started = False
        self._configured = False

    # -- switching on and off

    def configure(self, given: dict[str, Any]) -> None:
        """Change settings. Raises ValueError for what is wrong in `given`."""
        self.guard.strict = Guard().strict
        config, complaints = configuration.load(
            given, self.config if self._configured else None, COMMON_OPTIONS, self.integrations
        )
        if config.options:
            from autolog.instrument.integration import Options

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
            from autolog.tracking.events import EnvironmentLogged

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
        if self._threads is not None and not any(a.state == "active" for a in self.integrations.values()):
            self._threads.remove()

    def _disable(self, active: Active) -> None:
        for module, wake in active.watched:
            self.hooks.forget(module, wake)
        active.watched.clear()
        switches = {installation.switch for installation in active.installations}
        for installation in reversed(active.installations):
            installation.remove()
        if switches:
            from autolog.instrument.patching import sweep_users_modules

            sweep_users_modules(switches)
        active.installations.clear()
        active.integration = None
        active.state = "disabled"

    def _wake(self, active: Active, module: ModuleType) -> None:
        """The framework has been imported (or imported anew)."""
        if active.integration is not None:
            return
        from autolog import lifecycle, saving  # noqa: F401  loaded now, so that the first run need not
        from autolog.instrument.patching import Installation, ThreadInheritance

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
            saving.preload(cls.name)
            self._threads = self._threads or ThreadInheritance()
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

    def version_of(self, name: str) -> str | None:
        """The imported framework's version."""
        active = self.integrations.get(name)
        return active.integration.version() if active is not None and active.integration is not None else None

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
        from autolog import lifecycle

        return lifecycle.open_for(self, call, **about)

    def close(self, call: Call) -> None:
        if call.run is not None and self.active:
            from autolog import lifecycle

            try:
                lifecycle.close_for(self, call)
            except Exception as error:
                self.failed(call.integration, "ending a run", error)

    def failed(self, integration: str, place: str, error: Exception, call: Call | None = None) -> None:
        said = self.guard.report(integration, place, error)
        if call is not None and call.run is not None:
            call.run.note(f"{integration}: {said}", error=True)

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
        from autolog import lifecycle

        current.set(lifecycle.scope_around(current.get()))
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
