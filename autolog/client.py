"""The client: what records in this process. It ties together the settings, the integrations, the recorder of runs and the
output.

There is one client for each process; `process` holds it. In a forked child it is inert until the child itself asks to record.
"""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING, Any

from autolog import config as configuration
from autolog.config import Config
from autolog.instrument import threads
from autolog.instrument.calls import Call, current, innermost
from autolog.instrument.plain_wrappers import PlainWrappers
from autolog.manager import Manager, make_options, sweep, valid_options
from autolog.output import Output
from autolog.recording import workers
from autolog.recording.handover import Handover
from autolog.store import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autolog.instrument.patching import Installation
    from autolog.recording.recorder import Recorder
    from autolog.sinks.base import Sink

COMMON_OPTIONS = ("log_models", "log_datasets", "log_signatures", "log_input_examples", "max_model_bytes")
"""The fields of `autolog.integration.Options`, which is not loaded before it is needed."""


class Client:
    """See the module."""

    def __init__(
        self, place: layout.Layout | None = None, config: Config | None = None, strict: bool | None = None
    ) -> None:
        """By default, take the store and the strictness from where the user configured them; `configure` reads the settings."""
        self._misplaced = ""
        """What is wrong with the configured place of the store."""
        try:
            place = place or layout.find()
        except ValueError as error:
            self._misplaced, place = str(error), layout.nearest()
        self.abandoned = False
        self.output = Output(place, config or Config(), strict)
        self.manager = Manager(self.output, lambda: self.recorder)
        self.handover = Handover(self.output, self.manager)
        self.output.closing = self.close_clients_at_exit
        self._recorders: dict[int, Recorder] = {}
        self._wrappers: PlainWrappers | None = None
        """The wrappers of functions that hand work to threads and processes."""
        self._configured = config is not None
        _use_rules(self.config, [])

    @property
    def recorder(self) -> Recorder:
        """Made only when there is something to record: it imports much."""
        if not self._recorders:
            from autolog.recording.recorder import Recorder

            # Two threads may make one at once: all use the first.
            self._recorders.setdefault(0, Recorder(self.output, self.manager, self.handover))
        return self._recorders[0]

    @property
    def recorder_if_made(self) -> Recorder | None:
        return self._recorders.get(0)

    @property
    def active(self) -> bool:
        """Whether anything is recorded. A client is paused while another one replaces it, as in tests."""
        return self.output.active

    @active.setter
    def active(self, active: bool) -> None:
        self.output.active = active
        if self.recorder_if_made is not None:
            self.recorder_if_made.active = active

    @property
    def config(self) -> Config:
        return self.output.config

    @property
    def layout(self) -> layout.Layout:
        return self.output.layout

    # -- settings

    def configure(self, given: dict[str, Any]) -> None:
        """Change settings. Raises ValueError for what is wrong in `given`."""
        output, before = self.output, self.config
        config, complaints = configuration.load(
            given, before if self._configured else None, COMMON_OPTIONS, self.manager.states
        )
        if self._misplaced:
            complaints.append(f"{self._misplaced} It is left out: runs are in {self.layout.root}.")
        if config.options:
            from autolog.instrument.integration import Options

            make_options(Options, {name: value for name, value in given.items() if name in COMMON_OPTIONS})
            config = config._replace(options=valid_options(Options, config.options, complaints))
        config = _use_rules(config, None if "secrets" in given else complaints)
        sinks: list[Sink] | None = None
        if config.sinks != before.sinks or (config.sinks and not output.is_fed):
            sinks = output.make_sinks(config.sinks, None if "sinks" in given else complaints)
            config = config._replace(sinks=tuple(sink.url for sink in sinks))
        output.config = config
        self._configured = True
        if sinks is not None:
            output.feed(sinks)
        for complaint in complaints:
            output.warn(complaint)

    # -- switching on and off

    def enable(self, name: str) -> None:
        """Enable one integration: now if its framework is imported, else when it is."""
        self.follow_work()
        if self.manager.states[name].state == "active":
            self._close_loops_of(name)
        self.manager.enable(name)

    def disable(self, names: Iterable[str] | None = None) -> None:
        """Disable integrations and put back every attribute that was replaced; all of them if `names` is None."""
        manager, failures = self.manager, list[tuple["Installation", Exception]]()
        switches = set[Any]()
        for name in manager.states if names is None else names:
            self._close_loops_of(name)
            switches |= manager.put_back(name, failures)
        if not manager.is_any_active and self.recorder_if_made is not None:
            switches |= self.recorder_if_made.stop_watching_exits()
        if not manager.switched_on and self._wrappers is not None:
            self._wrappers.remove()
            self._wrappers = None
        sweep(switches)
        for installation, failure in failures:  # last: a strict client raises it
            place = f"taking out {installation.patch.target}"
            self.output.guard.report(installation.integration, place, failure)

    def follow_work(self) -> None:
        """Let work that is handed to threads and processes belong to the run or block in which it is handed over."""
        if self._wrappers is None and self.active:
            self._wrappers = PlainWrappers(self.manager.hooks)
            threads.follow(self._wrappers, self.handover.to_process)
            workers.follow(self._wrappers, self.handover)

    def _close_loops_of(self, name: str) -> None:
        if self.recorder_if_made is not None:
            self.recorder_if_made.close_loops_of(name)

    # -- another process, and the end

    def respawn(
        self, place: layout.Layout | None = None, config: Config | None = None, on: list[str] | None = None
    ) -> Client:
        """Return a client with the same settings and its own journal, for a forked child that records. With `place`, `config`
        and `on`, return one that records elsewhere, with these integrations enabled.

        The parent's calls that were open at the fork end here too, on the child's stack. They belong to the abandoned client
        and are recorded nowhere.
        """
        other = Client(place, config or (self.config if self._configured else None))
        if on is None:
            on = self.manager.switched_on
            other.manager.switched_off = set(self.manager.switched_off)
            scope = innermost()
            while scope is not None:  # the user's blocks stay
                if isinstance(scope, Call):
                    scope.end()
                scope = scope.outer
        else:
            current.set(None)  # a client that records elsewhere is inside none of the scopes here
        self.disable()
        if self.abandoned:
            other.output.inherit(self.output)
        else:
            self.finish(self.config.exit_timeout)
        for name in on:
            other.enable(name)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:  # multiprocessing's children exit without atexit
            util.Finalize(None, other.at_exit, exitpriority=0)
        return other

    def abandon(self) -> None:
        """Give up everything, in a forked child: it belongs to the parent, now and later."""
        self.abandoned = True
        self.output.abandon()
        if self.recorder_if_made is not None:
            self.recorder_if_made.abandon()

    def flush(self, timeout: float, sinks: bool = False) -> bool:
        """Wait until everything is on disk and, with `sinks`, delivered. Return whether it was in time."""
        return self.output.flush(timeout, sinks)

    def finish(self, timeout: float) -> bool:
        """Write and deliver what there is; see `Output.finish`."""
        if self.recorder_if_made is not None:
            atexit.unregister(self.recorder_if_made.end_loops_at_exit)
        return self.output.finish(timeout)

    def close_clients_at_exit(self) -> None:
        """End what is open and let the sinks have it, before their clients end by exit functions of their own."""
        if self.recorder_if_made is not None:
            self.recorder_if_made.end_loops_at_exit()
        self.output.close_clients()

    def at_exit(self) -> None:
        """Stop recording: from here on, wrappers only call their originals. Python takes modules apart, while objects of the
        user may live to the very end.
        """
        recorder = self.recorder_if_made
        if recorder is not None:
            recorder.end_loops_at_exit()
        if self.active:
            for line in self.handover.settle():
                self.recorder.announcer.tell(line)
            if self.output.started:
                self.output.finish(self.config.exit_timeout)
            if recorder is not None:
                recorder.announcer.finish()
        self.active = False
        if recorder is not None:
            recorder.retire()


def _use_rules(config: Config, complaints: list[str] | None) -> Config:
    """Apply the project's rules for secrets to the whole process, since values are redacted where no client is known. Raises
    ValueError for what is no rule; with `complaints`, add it there and leave the rules out.
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
