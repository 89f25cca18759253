"""When runs begin and end, and which run or block they belong to.

The outermost training call opens the run. Inside `with autolog.run(…)`, the first training is that run and the others are its
children. An ended run still takes metrics: what is measured after a fit is part of it.

The recorder is what patches are installed for (`CallHandler`) and what runs write to (`RunContext`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from autolog.instrument.calls import Call, Scope, Switch, call_around, innermost, is_recorded
from autolog.instrument.timer import OverheadTimer
from autolog.recording.announce import Announcer
from autolog.recording.exits import ExitWatch, uncaught
from autolog.recording.models import ModelSaver
from autolog.recording.scope import RunScope, TokenScope, current_run, is_around, last_run, scope_around

# The modules of the background threads, which import nothing themselves: see environment.
from autolog.store import journal  # noqa: F401  # pyright: ignore[reportUnusedImport]
from autolog.store.objects import deduplicate
from autolog.tracking import (
    environment,  # noqa: F401  # pyright: ignore[reportUnusedImport]
    ranks,
    redact,
    source,  # noqa: F401  # pyright: ignore[reportUnusedImport]
)
from autolog.tracking.datasets import class_path
from autolog.tracking.events import Event, RunDescribed, RunEnded, RunStarted
from autolog.tracking.ids import new_name
from autolog.tracking.run import Run, tags_of
from autolog.tracking.values import MAX_KEY, plain, text_of

if TYPE_CHECKING:
    from autolog.config import Config
    from autolog.manager import Manager
    from autolog.output import Output
    from autolog.recording.handover import Handover
    from autolog.recording.lineage import Lineage
    from autolog.recording.token import Token

FLUSH_SECONDS = 2.0


class OpenLoop(NamedTuple):
    """A training that no call surrounds: a loop that the user wrote. `outer` is the scope in which it began, and `scope` the
    explicit block around it. `owned` says whether it opened its run. `seen` is the id of the last exception that Python had
    reported before.
    """

    run: Run
    integration: str
    closing: Callable[[], None]
    outer: Scope | None
    scope: RunScope | TokenScope | None
    owned: bool
    thread: int
    seen: int


class Recorder:
    """See the module. The hot path reads `active`; once it is False, nothing more is recorded."""

    def __init__(self, output: Output, manager: Manager, handover: Handover) -> None:
        self.active = output.active
        self.timer = OverheadTimer()
        self.announcer = Announcer(output)
        self.remote_parent: tuple[Config, list[str]] | None = None
        """Settings and integrations of another process for which this one records, only inside the blocks with its token."""
        self._output = output
        self._manager = manager
        self._handover = handover
        self._saver = ModelSaver(output, manager.options_of)
        self._loops: list[OpenLoop] = []
        self._exit_watch: ExitWatch | None = None
        self._lineage: dict[int, Lineage] = {}
        # What runs write to.
        self.emit = output.emit
        self.defer = output.defer
        self.described = output.described

    # -- CallHandler: for intercepted calls

    def wants(self, integration: str, instance: object) -> bool:
        if not self.active or ranks.rank() != 0:
            return False
        if self.remote_parent and scope_around(innermost()) is None:
            return False
        return instance is None or self._manager.claimant_of(instance) in ("", integration)

    def open(
        self, call: Call, *, kind: str = "fit", estimator: object = None, name: str | None = None,
        tags: dict[str, Any] | None = None,
    ) -> Run:  # fmt: skip
        """Return the run of a training call: a new one, or that of the explicit block if the call is the first one in it."""
        scope = scope_around(call.outer)
        run, call.owns_run = self._claim_or_begin(scope, call.integration, kind, estimator, name, tags or {})
        return run

    def open_block(self, call: Call) -> RunScope:
        """Return a block within the call, in which all trainings are children of the call's run."""
        return RunScope(call, call.run, all_children=True)

    def close(self, call: Call) -> None:
        """End the run of a training call that is over, and the loops inside it."""
        run: Run | None = call.run
        if run is None or not self.active:
            return
        try:
            self.close_loops(call.error, lambda loop: loop.run is run)
            again = run.ended is not None
            if again:
                run.resume(call.since)
            # A run that ends again, because it continues over several calls, has been announced.
            self._end(run, call.error, scope_around(call.outer), nested=not call.outermost or again)
        except Exception as error:
            self.failed(call.integration, "ending a run", error)

    def open_loop(
        self, integration: str, closing: Callable[[], None], *, kind: str = "train", estimator: object = None,
        name: str | None = None, tags: dict[str, Any] | None = None,
    ) -> Run | None:  # fmt: skip
        """Return the run of a loop that begins here: that of the call around it if the call takes contributions, else a new
        one, or that of the explicit block. Return None where nothing is recorded. `closing` is called before the run ends.
        """
        if not (self.active and is_recorded(integration) and self.wants(integration, None)):
            return None
        outer = innermost()
        call, scope = call_around(outer), scope_around(outer)
        if call is not None:
            run, owned = call.run, False
            if run is None:
                return None
        else:
            run, owned = self._claim_or_begin(scope, integration, kind, estimator, name, tags or {})
        if self._exit_watch is None:
            self._exit_watch = ExitWatch(self, self._manager.hooks)
        loop = OpenLoop(run, integration, closing, outer, scope, owned, threading.get_ident(), uncaught()[1])
        self._loops.append(loop)
        # Python calls exit functions in reverse order. Those of libraries that are imported after `autolog()` remove what
        # saving a model needs: h5py's its converters, without which Keras writes no weights. So this one is registered anew.
        # The client's own exit function keeps its place: what the user logs in later exit functions is recorded.
        self._output.first_at_exit(self.end_loops_at_exit)
        return run

    def close_loop(self, run: Run, error: BaseException | None) -> None:
        if self.active:
            self.close_loops(error, lambda loop: loop.run is run)

    def failed(
        self, integration: str, place: str, error: Exception, call: Call | None = None, culprit: str = ""
    ) -> None:
        said = self._output.guard.report(integration, place, error, culprit)
        if call is not None:
            runs = [] if call.run is None else [call.run]
        else:
            thread = threading.get_ident()
            runs = [one.run for one in self._loops if (one.integration, one.thread) == (integration, thread)]
        for run in runs[-1:]:
            run.note(f"{integration}: {said}", error=True)

    # -- RunContext: for runs

    @property
    def overhead_budget(self) -> float:
        return self._output.config.overhead_budget

    def folder_of(self, run: str) -> str:
        return str(self._output.layout.artifacts_of(run))

    def deduplicate(self) -> Callable[[str], None]:
        return deduplicate(self._output.layout.objects)

    @property
    def lineage(self) -> Lineage:
        """Which run each model is from, and which model each prediction is from: one object for all threads."""
        if not self._lineage:
            from autolog.recording.lineage import Lineage

            self._lineage.setdefault(0, Lineage(self._manager.packages))
        return self._lineage[0]

    def save_model(self, run: Run, model: Any, flavor: str | None, **how: Any) -> None:
        self._saver.save(run, model, flavor, **how)

    def trained(self, models: Iterable[Any], run: Run, data: Any, describe: bool) -> None:
        self.lineage.trained(models, run, data, describe)

    def token_of(self, run: Run) -> str:
        from autolog.recording.token import token_of

        return token_of(run, self._output, self._manager.switched_on)

    # -- explicit runs

    def begin(
        self, name: str | None, tags: dict[str, Any], all_children: bool, parent: Token | None = None
    ) -> RunScope:
        """Open an explicit run and return the scope of its block. With `parent`, it is a child of another process's run."""
        outer, began = innermost(), perf_counter()
        run = self._new_run(parent or scope_around(outer), name, "run", tags, None, None, None)
        self.timer.account.seconds += perf_counter() - began
        return RunScope(outer, run, all_children)

    def finish(self, scope: RunScope, error: BaseException | None) -> None:
        """End the run of an explicit block that is over, and the loops that began inside."""
        self.close_loops(error, lambda loop: is_around(scope, loop.outer))
        scope.end()
        hint = self._hint(scope)
        unrecorded, children = self._handover.outcome_of(scope.run)
        if hint:
            scope.run.note(hint)
        children += scope.children
        self._end(scope.run, error, scope_around(scope.outer), hint=hint or unrecorded, children=children)

    def _hint(self, scope: RunScope) -> str:
        """Return the hint for a run that holds nothing, where a framework is imported and nobody has switched autolog on."""
        run = scope.run
        if run.param_count or run.metric_names or run.models or run.files or scope.children:
            return ""
        frameworks = self._manager.unrecorded
        if not frameworks:
            return ""
        return f"Trainings are not recorded ({', '.join(frameworks)}): call autolog.autolog() before them."

    # -- runs

    def _claim_or_begin(
        self, scope: RunScope | TokenScope | None, framework: str, kind: str, trained: object, name: str | None,
        tags: dict[str, Any],
    ) -> tuple[Run, bool]:  # fmt: skip
        """Return the run of a training inside `scope`, and whether it is new, not the scope's own."""
        version = self._manager.version_of(framework)
        estimator = trained if trained is None or type(trained) is str else class_path(trained)
        claimed = isinstance(scope, RunScope) and scope.claim()
        if isinstance(scope, RunScope) and claimed:
            run = scope.run
            self.emit(RunDescribed(run.id, kind, framework, version, estimator))
        else:
            run = self._new_run(scope, name, kind, tags, framework, version, estimator)
        run.kind, run.framework, run.version, run.estimator = kind, framework, version, estimator
        return run, not claimed

    def _new_run(
        self, above: RunScope | TokenScope | Token | None, name: str | None, kind: str, tags: dict[str, Any],
        framework: str | None, version: str | None, estimator: str | None,
    ) -> Run:  # fmt: skip
        config = self._output.config
        if name:
            name = text_of(str(plain(name)), MAX_KEY)
        handed_over = isinstance(above, TokenScope)
        if isinstance(above, TokenScope):
            above = above.token if above.token.run else None
        if isinstance(above, RunScope):
            above.children += 1
            run = Run(self, name or f"{above.run.name}/{above.children}", above.run.experiment, above.run.id)
        elif above is not None:  # other processes have its other children: they cannot be counted
            run = Run(self, name or f"{above.name}/{new_name()}", above.experiment, above.run)
        else:
            run = Run(self, name or new_name(), text_of(str(plain(config.experiment)), MAX_KEY))
            tags = {**config.tags, **tags}
        self._output.start()
        self.emit(
            RunStarted(
                run.id, run.started, run.name, run.experiment, run.parent, kind, framework, version, estimator,
                tags_of(tags, run.secrets),
            )
        )  # fmt: skip
        if handed_over:  # so that the run shows as lost if this process is killed
            self._output.writer.hurry()
        return run

    def _end(
        self, run: Run, error: BaseException | None, scope: RunScope | TokenScope | None, *, nested: bool = False,
        hint: str = "", children: int = 0,
    ) -> None:  # fmt: skip
        """End a run. `nested` says that it has ended before, or is a part of another training."""
        output = self._output
        run.status, said = outcome(error, run.secrets)
        run.ended = run.now()
        run.settle()
        output.described(run)
        dropped = output.writer.dropped.pop(run.id, 0)
        self.emit(RunEnded(run.id, run.ended, run.status, said, round(run.overhead, 6), dropped))
        last_run.set(run)
        if not self.active or nested:  # a run that is not kept is not announced
            return
        if isinstance(scope, TokenScope):
            output.flush(output.config.exit_timeout)  # a pool ends its workers with the last result
            from autolog.recording import token

            token.report(scope.token, "trained")
        elif scope is None:
            # A process that records for another one may be killed at any time after this.
            output.flush(output.config.exit_timeout if self.remote_parent else FLUSH_SECONDS)
            self.announcer.announce(run, hint, children)

    def write_promptly(self) -> None:
        """From now on, write at once what is logged after a training: this process may be ended as soon as its work is done."""

        def flush_afterthought(event: Event) -> None:
            # `RunEnded` is written together with the rest of a run's end.
            if not isinstance(event, RunEnded) and not self._is_training():
                self._output.flush(self._output.config.exit_timeout)

        self._output.emitted = flush_afterthought

    def _is_training(self) -> bool:
        scope = innermost()
        return (
            call_around(scope) is not None or isinstance(scope_around(scope), RunScope) or bool(self._loops)
        )

    # -- loops

    def current_run(self) -> Run | None:
        """Return the run in progress around the caller: that of its own loop, of a call or of an explicit block."""
        thread, outer = threading.get_ident(), innermost()
        mine = (loop for loop in reversed(self._loops) if loop.thread == thread)
        loop = next((loop for loop in mine if loop.outer is outer), None)
        return loop.run if loop is not None else current_run()

    def close_loops(self, error: BaseException | None, which: Callable[[OpenLoop], bool]) -> None:
        """End these loops, the last one first, and the runs that they opened. A loop that has ended does not end again."""
        for loop in reversed([loop for loop in tuple(self._loops) if which(loop)]):
            try:
                self._loops.remove(loop)
            except ValueError:  # another thread has ended it
                continue
            try:
                loop.closing()
            except Exception as failure:
                said = self._output.guard.report(loop.integration, "ending a run", failure)
                loop.run.note(f"{loop.integration}: {said}", error=True)
            if loop.owned:
                self._end(loop.run, error, loop.scope)

    def close_loops_of(self, integration: str) -> None:
        """End the loops of an integration that is being disabled."""
        self.close_loops(None, lambda loop: loop.integration == integration)

    def stop_watching_exits(self) -> set[Switch]:
        """Remove the patches of `sys.exit` and `exit`. Return their switches: modules may still hold the wrappers."""
        watch, self._exit_watch = self._exit_watch, None
        if watch is None:
            return set()
        self._manager.take_out(watch.installations)
        return watch.switches

    # -- the end

    def end_loops_at_exit(self) -> None:
        """End the loops at the end of the process: with the uncaught exception that Python has reported since the loop began,
        or with a SystemExit that is no success, or with the exception that a multiprocessing worker is handling.
        """
        if not (self.active and self._output.started and self._loops):
            return
        running = sys._current_frames()

        def ends_by(loop: OpenLoop, error: BaseException | None) -> bool:
            # What interrupts a process does so in its main thread, so a loop of a thread that is over has come to its own end.
            # Any other exception may be that thread's: a pool's `result()` raises it again.
            return loop.thread in running or isinstance(error, Exception)

        error, number = uncaught()
        self.close_loops(error, lambda loop: loop.seen != number and ends_by(loop, error))
        ending = self._exit_watch.ending() if self._exit_watch is not None else None
        if ending is not None:
            self.close_loops(ending, lambda loop: ends_by(loop, ending))
        self.close_loops(None, lambda loop: True)

    def retire(self) -> None:
        """Record nothing from now on: Python takes modules apart, while objects of the user may live to the very end."""
        self.active = False
        if self._exit_watch is not None:
            self._exit_watch.forget()

    def abandon(self) -> None:
        """Drop what is open, in a forked child: it belongs to the parent."""
        self.active = False
        self._loops = []


def outcome(error: BaseException | None, secrets: Iterable[str] = ()) -> tuple[str, str | None]:
    """Return a run's status and its exception as text, without what looks like a secret and without the run's known secrets."""
    if error is None:
        return "finished", None
    try:
        text = str(error)
    except Exception:
        text = "(its text could not be read)"
    for secret in secrets:
        text = text.replace(secret, redact.mark(secret))
    said = (
        f"{type(error).__name__}: {text_of(redact.redact_text(text[:6000]))}"
        if text
        else type(error).__name__
    )
    return ("failed" if isinstance(error, Exception) else "interrupted"), said
