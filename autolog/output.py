"""Where a client's events go: into the journal of its store, and from there to the sinks.

It starts its threads with the first thing to record. It describes the environment and the code, which belong to the journal and
to no run. It knows the store and the sinks; nothing of calls, integrations or of whose an event is.
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

# What is needed only once there is something to record is imported where it is needed: `autolog()` costs little, and the
# rest is loaded beside the framework, which takes far longer.

SINK_CHANGE_SECONDS = 2.0


class Output:
    """See the module. `active` is False once nothing is taken any more: at exit, in a forked child."""

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
        """Whether the code that no commit holds is recorded."""
        self.closing = self.close_clients
        """Called before the exit functions of the sinks' clients."""
        self._starting = threading.Lock()
        self._warned: set[str] = set()
        self._live: Live | None = None
        self._inherited: Live | None = None
        """What a forked child must not close: its connections are the parent's."""
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
        if self.config.sinks and self._live is None:  # a forked child's own
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

    def defer(self, work: Deferred) -> None:
        """Do `work` off the training thread, then take the events it returns."""
        if self.active:
            self.start()
            self.writer.defer(work)

    def flush(self, timeout: float, sinks: bool = False) -> bool:
        """Wait until all is on the disk, and with `sinks` delivered. Returns whether it was in time."""
        deadline = time.monotonic() + timeout
        in_time = self.active and (not self.started or self.writer.flush(timeout))
        if sinks and in_time and self._live is not None:
            return self._live.flush(deadline - time.monotonic())
        return in_time

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
        """Raises ValueError or ImportError for one that cannot be made; with `complaints`, says it there and leaves it out."""
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
        """Send what is recorded from now on to these sinks, in place of those before."""
        from autolog.sinks.live import Live

        if self.started:  # what is under way belongs to the sinks that there were
            self.writer.flush(SINK_CHANGE_SECONDS)
        if self._live is None:
            # Before others: sinks whose clients end by exit functions of their own, as W&B's does, take what there is before.
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
        """Have Python call `function`, a bound method, before the exit functions that are registered by now."""
        atexit.unregister(function)
        atexit.register(function)

    def close_clients(self) -> None:
        """Let the sinks' clients take what there is, and end."""
        if self.active and self.started and self._live is not None:
            deadline = time.monotonic() + self.config.exit_timeout
            self.writer.flush(self.config.exit_timeout)
            self._live.close_clients(deadline - time.monotonic())

    def finish(self, timeout: float) -> bool:
        """Write what there is, deliver it to the sinks in what is left of `exit_timeout`, and let go of both. Returns whether
        everything was written in time; what was not delivered is said.
        """
        deadline = time.monotonic() + self.config.exit_timeout
        written = self.writer.close(timeout)
        if self._live is not None:
            self._live.close(deadline - time.monotonic())
        atexit.unregister(self.closing)
        return written

    def abandon(self) -> None:
        """In a forked child: nothing here is ours, now or later."""
        self.active = False
        self._starting = threading.Lock()
        self.writer.abandon()

    def inherit(self, other: Output) -> None:
        """In a forked child: keep the parent's sinks alive, so that nothing closes their connections."""
        self._inherited = other._live

    # -- what goes wrong

    def warn(self, text: str) -> None:
        """Say something once."""
        if text in self._warned:
            return
        self._warned.add(text)
        import logging

        logging.getLogger("autolog").warning("%s", text)

    def _writer_failed(self, place: str, error: Exception) -> None:
        # Whatever thread meets it first, a disk that takes no more is one thing to be told.
        where = f"writing to {self.layout.root}" if isinstance(error, OSError) else place
        self.guard.report("store", where, error, background=True)


def _script() -> str | None:
    return getattr(sys.modules.get("__main__"), "__file__", None)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
