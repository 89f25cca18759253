"""When runs begin and end, and whose they are.

The outermost training call opens the run. Inside `with autolog.run(…)`, the first one is that run and the others are its
children. An ended run still takes metrics: what is measured after a fit is part of it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from opcode import opname
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from autolog.instrument.calls import Call, Scope, call_around, innermost, is_recorded

# The background threads' modules: they import nothing themselves, see environment.
from autolog.store import journal  # noqa: F401  # pyright: ignore[reportUnusedImport]
from autolog.tracking import (
    environment,  # noqa: F401  # pyright: ignore[reportUnusedImport]
    redact,
    source,  # noqa: F401  # pyright: ignore[reportUnusedImport]
)
from autolog.tracking.events import RunDescribed, RunEnded, RunStarted
from autolog.tracking.ids import is_word, new_name
from autolog.tracking.run import Run, tags_of
from autolog.tracking.values import MAX_KEY, clean, plain, text_of

if TYPE_CHECKING:
    from autolog.session import Session
    from autolog.tokens import Token
    from autolog.tracking.events import Event

FLUSH_SECONDS = 2.0
UNKNOWN = SystemExit()
"""One whose status Python does not tell."""
LINES = 10
"""Runs that are announced on standard error: a loop of thousands must not fill the terminal."""

last_run: ContextVar[Run | None] = ContextVar("autolog_last_run", default=None)


class RunScope(Scope):
    """A `with autolog.run(…)` block: the first training inside is its run, further ones are children."""

    __slots__ = ("_claims", "_pid", "all_children", "children", "run")

    boundary = True

    def __init__(self, outer: Scope | None, run: Run, all_children: bool) -> None:
        super().__init__(outer, records=True, records_nested=True)
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

    @property
    def run_id(self) -> str:
        return self.run.id

    @property
    def text(self) -> str:
        """The run's token."""
        return self.run.token


class TokenScope(Scope):
    """What another process has handed over: trainings inside are children of its run, or runs of their own if its token says no
    run. `process` is this one's id.
    """

    __slots__ = ("process", "text", "token")

    boundary = True

    def __init__(self, token: Token, text: str) -> None:
        super().__init__(None, records=True, records_nested=True)
        self.token = token
        self.text = text
        self.process = os.getpid()

    @property
    def run_id(self) -> str:
        return self.token.run


def scope_around(frame: Scope | None) -> RunScope | TokenScope | None:
    """The innermost block of an explicit run around a frame; it may be another process's, which has handed this work over."""
    while frame is not None:
        if isinstance(frame, (RunScope, TokenScope)) and not frame.ended:
            return frame
        frame = frame.outer
    return None


def current_run() -> Run | None:
    """The run of the innermost call or block around the caller that has one."""
    frame = innermost()
    while frame is not None:
        if not frame.ended and isinstance(frame, (Call, RunScope)) and frame.run is not None:
            return frame.run
        frame = frame.outer
    return None


def open_for(
    session: Session, call: Call, *, kind: str = "fit", estimator: str | None = None, name: str | None = None,
    tags: dict[str, Any] | None = None,
) -> Run:  # fmt: skip
    """The run of a training call: a new one, or that of the explicit block it is the first of."""
    run, call.owns_run = _claim_or_begin(
        session, scope_around(call.outer), call.integration, kind, estimator, name, tags or {}
    )
    return run


def _claim_or_begin(
    session: Session, scope: RunScope | TokenScope | None, framework: str, kind: str, estimator: str | None,
    name: str | None, tags: dict[str, Any],
) -> tuple[Run, bool]:  # fmt: skip
    """The run of a training inside `scope`, and whether it is a new one and not the scope's own."""
    version = session.version_of(framework)
    claimed = isinstance(scope, RunScope) and scope.claim()
    if isinstance(scope, RunScope) and claimed:
        run = scope.run
        session.emit(RunDescribed(run.id, kind, framework, version, estimator))
    else:
        run = _new_run(session, scope, name, kind, tags, framework, version, estimator)
    run.kind, run.framework, run.version, run.estimator = kind, framework, version, estimator
    return run, not claimed


def close_for(session: Session, call: Call) -> None:
    """The training call is over, and so is the run that it opened."""
    run: Run = call.run
    close_loops(session, call.error, lambda loop: loop.run is run)
    if run.ended is not None:
        run.resume(call.since)
    # A run that ends again, as one that goes on over several calls, has been announced.
    _end(
        session, run, call.error, scope_around(call.outer), nested=not call.outermost or run.ended is not None
    )


class Loop(NamedTuple):
    """A training that no call is around: a loop of the user's own. `frame` is what it began in, `scope` the explicit block
    around it; `owned`, whether it opened its run; `seen` is the id of the last exception that Python had reported before.
    """

    run: Run
    integration: str
    closing: Callable[[], None]
    frame: Scope | None
    scope: RunScope | TokenScope | None
    owned: bool
    thread: int
    seen: int


def open_loop(
    session: Session, integration: str, closing: Callable[[], None], *, kind: str = "train", estimator: str | None = None,
    name: str | None = None, tags: dict[str, Any] | None = None,
) -> Run | None:  # fmt: skip
    """The run of a loop that begins here: that of the call around it if there is one and it takes contributions, else a new
    one, or that of the explicit block. None where nothing is to be recorded. `closing` is called before the run ends.
    """
    frame = innermost()
    if not is_recorded(integration) or not session.wants(integration, None):
        return None
    call, scope = call_around(frame), scope_around(frame)
    if call is not None:
        run, owned = call.run, False
        if run is None:
            return None
    else:
        run, owned = _claim_or_begin(session, scope, integration, kind, estimator, name, tags or {})
    if not session.exits:
        watch_exit(session)
    loop = Loop(run, integration, closing, frame, scope, owned, threading.get_ident(), _last_exception()[1])
    session.loops.append(loop)
    return run


def close_loops(session: Session, error: BaseException | None, which: Callable[[Loop], bool]) -> None:
    """End these loops, the last one first, and the runs that they opened. What has ended does not end again."""
    for loop in reversed([loop for loop in tuple(session.loops) if which(loop)]):
        try:
            session.loops.remove(loop)
        except ValueError:  # another thread has ended it
            continue
        try:
            loop.closing()
        except Exception as failure:
            said = session.guard.report(loop.integration, "ending a run", failure)
            loop.run.note(f"{loop.integration}: {said}", error=True)
        if loop.owned:
            _end(session, loop.run, error, loop.scope)


def close_loops_at_exit(session: Session) -> None:
    """The process ends: with an exception that nobody caught, if Python has reported one since the loop began; by SystemExit
    with what is no success; in a worker of multiprocessing, with the exception that it is handling.
    """
    threads = sys._current_frames()

    def ends_by(loop: Loop, error: BaseException | None) -> bool:
        # What interrupts a process does so in its main thread: a loop whose own thread is over has come to its own end. Any
        # other exception may be that thread's, as a pool's `result()` raises it again.
        return loop.thread in threads or isinstance(error, Exception)

    error, number = _last_exception()
    close_loops(session, error, lambda loop: loop.seen != number and ends_by(loop, error))
    ending = sys.exc_info()[1] or (session.leaving.error if session.leaving is not None else None)
    if ending is None and session.main is not None:
        ending = _raised_in(session.main)
    if not _is_success(ending):
        close_loops(session, ending, lambda loop: ends_by(loop, ending))
    close_loops(session, None, lambda loop: True)


class Leaving(NamedTuple):
    """A call of `sys.exit` by the main thread, and the outermost frame around it."""

    status: Any
    frame: FrameType

    @property
    def error(self) -> SystemExit | None:
        """The exception that has ended the program: none if it was caught, and the frame went on to its end."""
        instruction = opname[self.frame.f_code.co_code[self.frame.f_lasti]]
        return None if instruction.startswith("RETURN") else SystemExit(self.status)


def watch_exit(session: Session) -> None:
    """Python does not say that a program ends by SystemExit, nor with which status: so `sys.exit` and `exit` are asked, and
    the script's own frame is kept for what it raises by hand.
    """
    from autolog.instrument.patching import FastPatch, Installation

    def leaving(status: Any = None, /) -> None:
        if threading.current_thread() is threading.main_thread():
            frame = sys._getframe(1)
            while frame.f_back is not None:
                frame = frame.f_back
            session.leaving = Leaving(status, frame)

    def quitting(_: Any, code: Any = None) -> None:
        leaving(code)

    patches = [FastPatch(target="sys:exit", before=leaving)]
    if "_sitebuiltins" in sys.modules:  # not with `python -S`
        patches.append(FastPatch(target="_sitebuiltins:Quitter.__call__", before=quitting))
    session.exits = [Installation(patch, "autolog", session, session.hooks) for patch in patches]
    for installation in session.exits:
        installation.install()
    session.main = _main_frame()


def _main_frame() -> FrameType | None:
    """That of the script itself, while it runs."""
    names = getattr(sys.modules.get("__main__"), "__dict__", None)
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and not (frame.f_code.co_name == "<module>" and frame.f_globals is names):
        frame = frame.f_back
    return frame


def _raised_in(frame: FrameType) -> SystemExit | None:
    """The SystemExit that has ended a script, raised by hand: none if its frame went on to its end, or still runs. The status
    is known only where it stands in the statement itself; `raise SystemExit(main())` is its end, whatever `main` returned.
    """
    running: FrameType | None = sys._getframe()
    while running is not None:
        if running is frame:
            return None
        running = running.f_back
    import dis

    done = [
        one
        for one in dis.get_instructions(frame.f_code)
        if one.offset <= frame.f_lasti and one.opname not in ("PRECALL", "PUSH_NULL", "EXTENDED_ARG")
    ]
    last = done[-1].opname
    if last != "RAISE_VARARGS":
        return None if last.startswith("RETURN") else UNKNOWN
    if not done[-2].opname.startswith("CALL"):  # `raise SystemExit`
        return None
    given = done[-3]
    if given.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
        return SystemExit(given.argval)
    if given.opname == "LOAD_NAME":
        return SystemExit(frame.f_globals.get(given.argval))
    return None if given.opname.startswith("CALL") else UNKNOWN


def _is_success(error: BaseException | None) -> bool:
    if not isinstance(error, SystemExit) or error is UNKNOWN:
        return error is None
    return error.code is None or (isinstance(error.code, int) and error.code == 0)


def _last_exception() -> tuple[BaseException | None, int]:
    """What the interpreter has reported as uncaught before it goes on to exit, and its id."""
    error = getattr(sys, "last_value", None)
    return error, id(error)


def loop_of_this_thread(session: Session, frame: Scope | None) -> Loop | None:
    """The loop in progress that this thread has begun in this frame."""
    mine = (loop for loop in reversed(session.loops) if loop.thread == threading.get_ident())
    return next((loop for loop in mine if loop.frame is frame), None)


def _is_around(scope: Scope, frame: Scope | None) -> bool:
    while frame is not None and frame is not scope:
        frame = frame.outer
    return frame is scope


def begin(
    session: Session, name: str | None, tags: dict[str, Any], all_children: bool, parent: Token | None = None
) -> RunScope:
    """An explicit run, and the frame of its block. With `parent`, it is a child of another process's run."""
    session.follow_work()
    outer, began = innermost(), perf_counter()
    run = _new_run(session, parent or scope_around(outer), name, "run", tags, None, None, None)
    session.timer.account.seconds += perf_counter() - began
    return RunScope(outer, run, all_children)


def finish(session: Session, scope: RunScope, error: BaseException | None) -> None:
    """The block of an explicit run is over, and so are the loops that began inside."""
    close_loops(session, error, lambda loop: _is_around(scope, loop.frame))
    scope.end()
    hint = _unseen(session, scope)
    unrecorded, children = session.processes.outcome_of(scope.run)
    if hint:
        scope.run.note(hint)
    _end(
        session,
        scope.run,
        error,
        scope_around(scope.outer),
        hint=hint or unrecorded,
        children=scope.children + children,
    )


def _unseen(session: Session, scope: RunScope) -> str:
    """What to say of a run that holds nothing, where a framework is there and nobody has switched autolog on."""
    run = scope.run
    if run.param_count or run.metric_names or run.models or run.files or scope.children:
        return ""
    if any(one.state != "disabled" for one in session.integrations.values()):
        return ""
    frameworks = [
        name
        for name, one in session.integrations.items()
        if any(module in sys.modules for module in one.entry.modules)
    ]
    if not frameworks:
        return ""
    return f"Trainings are not recorded ({', '.join(frameworks)}): call autolog.autolog() before them."


def _new_run(
    session: Session, above: RunScope | TokenScope | Token | None, name: str | None, kind: str, tags: dict[str, Any],
    framework: str | None, version: str | None, estimator: str | None,
) -> Run:  # fmt: skip
    if name:
        name = text_of(str(plain(name)), MAX_KEY)
    handed_over = isinstance(above, TokenScope)
    if isinstance(above, TokenScope):
        above = above.token if above.token.run else None
    if isinstance(above, RunScope):
        above.children += 1
        run = Run(session, name or f"{above.run.name}/{above.children}", above.run.experiment, above.run.id)
    elif above is not None:  # its other children are of other processes: they cannot be counted
        run = Run(session, name or f"{above.name}/{new_name()}", above.experiment, above.run)
    else:
        run = Run(session, name or new_name(), text_of(str(plain(session.config.experiment)), MAX_KEY))
        tags = {**session.config.tags, **tags}
    session.start()
    session.emit(
        RunStarted(
            run.id, run.started, run.name, run.experiment, run.parent, kind, framework, version, estimator,
            tags_of(tags, run.secrets),
        )
    )  # fmt: skip
    if handed_over:  # so that it is known to be lost if this process is killed
        session.writer.hurry()
    return run


def _end(
    session: Session, run: Run, error: BaseException | None, scope: RunScope | TokenScope | None, *, nested: bool = False,
    hint: str = "", children: int = 0,
) -> None:  # fmt: skip
    """`nested`: it has ended before, or is a part of another training."""
    run.status, said = outcome(error, run.secrets)
    run.ended = run.now()
    run.settle()
    session.described(run)
    dropped = session.writer.dropped.pop(run.id, 0)
    session.emit(RunEnded(run.id, run.ended, run.status, said, round(run.overhead, 6), dropped))
    last_run.set(run)
    if not session.active or nested:  # where nothing is kept of a run, nothing is said of it
        return
    if isinstance(scope, TokenScope):
        session.flush(session.config.exit_timeout)  # a pool ends its workers with the last result
        from autolog import tokens

        tokens.report(scope.token, "trained")
    elif scope is None:
        # A process that records for another may be killed at any time after.
        session.flush(session.config.exit_timeout if session.lent else FLUSH_SECONDS)
        announce(session, run, hint, children)


def is_afterthought(session: Session, event: Event) -> bool:
    """Whether it is logged outside of every training and block, as a metric of what was trained before."""
    frame = innermost()
    inside = call_around(frame) is not None or isinstance(scope_around(frame), RunScope) or session.loops
    return not inside and not isinstance(event, RunEnded)  # which is written with what belongs to the end


def outcome(error: BaseException | None, secrets: Iterable[str] = ()) -> tuple[str, str | None]:
    """A run's status, and what its exception says, without secrets: those that look like one, and those known to the run."""
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


def announce(session: Session, run: Run, hint: str = "", children: int = 0) -> None:
    """One line on standard error, with a hint in its end, unless that has been redirected inside the program: then somebody
    compares it. Where a progress bar is there, it would stand in the middle of it: then it waits for the bar's end.
    """
    if session.lines > LINES:
        return
    session.lines += 1
    line = (
        summary(session, run, children)
        if session.lines <= LINES
        else "further runs are recorded without a line each · autolog ls"
    )
    tell(session, " · ".join(filter(None, (line, hint))))


def tell(session: Session, line: str) -> None:
    """See `announce`."""
    stream = sys.stderr
    if session.config.silent or stream is None:
        return
    if stream is not sys.__stderr__ and not type(stream).__module__.startswith("ipykernel"):
        return
    session.unsaid.append(f"autolog: {line}\n")
    if stream is not sys.__stderr__ or not _bars():
        say(session, stream)


def say(session: Session, stream: TextIO) -> None:
    """Write the lines that wait."""
    lines, session.unsaid = session.unsaid, []
    try:
        stream.write("".join(lines))
    except (OSError, ValueError, UnicodeError):
        pass


def _bars() -> int:
    """How many bars of tqdm's there are, of whatever kind. It tells nobody in public."""
    bars = getattr(sys.modules.get("tqdm.std"), "tqdm", None)
    return len(getattr(bars, "_instances", ()))


def summary(session: Session, run: Run, children: int = 0) -> str:
    """`brave-otter · LogisticRegression · 14 params · 6 metrics · model 2.1 kB · autolog show brave-otter`"""
    written = not session.writer.refused
    parts = [
        run.name,
        (run.estimator or run.kind).rpartition(".")[2],
        *([run.status] if run.status != "finished" else []),
        *([f"{children} children" if children > 1 else "1 child"] if children else []),
        _count(run.param_count, "param"),
        _count(len(run.metric_names), "metric"),
        *(f"{path} {_size(size)}" for path, size in run.models),
        f"autolog show {run.name if is_word(run.name) else run.id}"
        if written
        else f"not yet written to {session.layout.root}",
    ]
    return clean(" · ".join(parts))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
