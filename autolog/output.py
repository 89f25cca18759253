"""Where a client's events go: into the journal of its store, and from there to the sinks.

It starts its threads when there is something to record. It also records the environment and the code, which belong to the
journal and to no run. It knows the store and the sinks; it knows nothing of calls, of integrations, or of which run an event
belongs to.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from autolog.config import Config
from autolog.instrument.guard import Guard
from autolog.store.writer import Writer

if TYPE_CHECKING:
    from autolog.sinks.base import Sink
    from autolog.sinks.live import Live, SinkState
    from autolog.store.layout import Layout
    from autolog.tracking.events import Deferred, Event
    from autolog.tracking.run import Run
    from autolog.tracking.source import Notebook, Sources

# Functions import what only recording needs: `autolog()` costs little, and the framework takes far longer to load.

SINK_CHANGE_SECONDS = 2.0
WRITE_SECONDS = 2.0


class Output:
    """See the module. `active` is False once no more events are taken: at exit, in a forked child."""

    def __init__(self, layout: Layout, config: Config, strict: bool | None) -> None:
        self.active = True
        self.started = False
        self.config = config
        self.guard = Guard(strict)
        self.layout = layout
        self.writer = Writer(layout, self._writer_failed)
        self.emitted: Callable[[Event], None] | None = None
        """Called on the caller's thread with each event that was taken."""
        self.keeps_code = True
        """Whether to record the code that no commit holds."""
        self.closing = self.close_clients
        """Called before the exit functions of the sinks' clients."""
        self._starting = threading.Lock()
        self._warned: set[str] = set()
        self._live: Live | None = None
        self._inherited: Live | None = None
        """The parent's sinks in a forked child, which must not close the parent's connections."""
        self._secrets: set[str] = set()
        self._sources: Sources | None = None
        self._notebook: Notebook | None = None
        self._modules = 0

    # -- events

    def start(self) -> None:
        """Start the threads, once."""
        if self.started:
            return
        with self._starting:
            if self.started or not self.active:
                return
            self.started = True
        if self.config.sinks and self._live is None:  # a forked child needs its own
            self.feed(self.make_sinks(self.config.sinks, []))
        script = _script()
        arguments, folder = list(sys.argv), _working_directory()

        def environment() -> Event:
            from autolog.tracking.environment import describe
            from autolog.tracking.events import EnvironmentLogged

            values = describe(script, arguments, folder)
            return EnvironmentLogged(values if self._live is None else self._live.hide(values))

        self.writer.start(once_recording=environment)

    def emit(self, event: Event) -> None:
        """Take one event; never raises, never waits long."""
        if self.active:
            self.writer.put(event)
            if self.emitted is not None:
                self.emitted(event)

    def write(self, event: Event) -> bool:
        """Take one event, and return whether it is on the disk, in the journal that this process records into."""
        if not (self.active and self.started):
            return False
        self.emit(event)
        return self.writer.flush(WRITE_SECONDS)

    def defer(self, work: Deferred) -> None:
        """Do `work` off the training thread, then take the events it returns."""
        if self.active:
            self.start()
            self.writer.defer(work)

    def flush(self, timeout: float, sinks: bool = False) -> bool:
        """Wait until everything is on disk and, with `sinks`, delivered. Return whether it was in time."""
        deadline = time.monotonic() + timeout
        in_time = self.active and (not self.started or self.writer.flush(timeout))
        if sinks and in_time and self._live is not None:
            return self._live.flush(deadline - time.monotonic())
        return in_time

    def described(self, run: Run) -> None:
        """Record the code of a run that has logged params or ends: now that the run's secrets are known, they are left out.
        Only code that was not recorded before is recorded.
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

    # -- sinks

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """The sinks that are fed."""
        return () if self._live is None else self._live.sinks

    @property
    def sink_states(self) -> tuple[SinkState, ...]:
        return () if self._live is None else self._live.states

    @property
    def is_fed(self) -> bool:
        """Whether there have been sinks."""
        return self._live is not None

    def make_sinks(self, urls: tuple[str, ...], complaints: list[str] | None) -> list[Sink]:
        """Make sinks from URLs. Raises ValueError or ImportError if one fails; with `complaints`, adds it there instead."""
        if not urls:
            return []
        from autolog import registry
        from autolog.sinks.make import make_sink

        known = registry.sinks()
        made: dict[str, Sink] = {}
        for url in urls:
            try:
                sink = make_sink(url, known)
                if sink.identity() in made:
                    raise ValueError(f"The sink {sink.identity()} is given twice.")
                made[sink.identity()] = sink
            except (ValueError, ImportError) as error:
                if complaints is None:
                    raise
                said = str(error)
                complaints.append(f"{said}{'' if said.endswith('.') else '.'} It is left out.")
        return list(made.values())

    def feed(self, sinks: list[Sink]) -> None:
        """Send what is recorded from now on to these sinks, in place of the earlier ones."""
        from autolog.sinks.live import Live

        if self.started:  # what is under way belongs to the earlier sinks
            self.writer.flush(SINK_CHANGE_SECONDS)
        if self._live is None:
            # `closing` must run before the exit functions of the sinks' clients, such as W&B's, so that these get all events.
            self._live = Live(
                lambda: self.writer.written,
                self.layout,
                self.writer.threads,
                lambda: self.first_at_exit(self.closing),
            )
            self.writer.wrote = self._live.wake
        self._live.replace(sinks)

    # -- the end

    def first_at_exit(self, function: Callable[[], None]) -> None:
        """Have Python call `function`, a bound method, before the exit functions that are registered now."""
        atexit.unregister(function)
        atexit.register(function)

    def close_clients(self) -> None:
        """Let the sinks' clients take what there is, and end them."""
        if self.active and self.started and self._live is not None:
            deadline = time.monotonic() + self.config.exit_timeout
            self.writer.flush(self.config.exit_timeout)
            self._live.close_clients(deadline - time.monotonic())

    def finish(self, timeout: float) -> bool:
        """Write what there is, deliver it to the sinks in the rest of `exit_timeout`, and end both. Return whether everything
        was written in time. Undelivered events are reported.
        """
        deadline = time.monotonic() + self.config.exit_timeout
        written = self.writer.close(timeout)
        if self._live is not None:
            self._live.close(deadline - time.monotonic())
        atexit.unregister(self.closing)
        return written

    def abandon(self) -> None:
        """Give up everything, in a forked child: it belongs to the parent, now and later."""
        self.active = False
        self._starting = threading.Lock()
        self.writer.abandon()

    def inherit(self, other: Output) -> None:
        """Keep the parent's sinks alive, in a forked child, so that nothing closes their connections."""
        self._inherited = other._live

    # -- what goes wrong

    def warn(self, text: str) -> None:
        """Log a warning, each text once."""
        if text in self._warned:
            return
        self._warned.add(text)
        import logging

        logging.getLogger("autolog").warning("%s", text)

    def _writer_failed(self, place: str, error: Exception) -> None:
        # A full disk is one problem, whichever thread meets it first.
        where = f"writing to {self.layout.root}" if isinstance(error, OSError) else place
        self.guard.report("store", where, error, background=True)


def _script() -> str | None:
    return getattr(sys.modules.get("__main__"), "__file__", None)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
