"""Finds out how the process ends: by itself, by an uncaught exception, or by SystemExit with a status.

Python exposes neither a SystemExit nor its status to atexit functions. So this module wraps `sys.exit()` and `exit()`, and
keeps the script's own frame for a SystemExit that the script raises by hand. Knows nothing of runs.
"""

from __future__ import annotations

import sys
import threading
from opcode import opname
from types import FrameType
from typing import Any, NamedTuple

from autolog.instrument.calls import CallHandler, Switch
from autolog.instrument.imports import ImportHooks
from autolog.instrument.patches import FastPatch
from autolog.instrument.patching import Installation

UNKNOWN = SystemExit()
"""A SystemExit with an unknown status."""


class ExitCall(NamedTuple):
    """A call of `sys.exit()` or `exit()` by the main thread, and the outermost frame around it."""

    status: Any
    frame: FrameType

    @property
    def error(self) -> SystemExit | None:
        """The exception that has ended the program. None if it was caught and the frame ran to its end."""
        instruction = opname[self.frame.f_code.co_code[self.frame.f_lasti]]
        return None if instruction.startswith("RETURN") else SystemExit(self.status)


class ExitWatch:
    """Watches how the program ends, from its creation on."""

    def __init__(self, handler: CallHandler, hooks: ImportHooks) -> None:
        self._call: ExitCall | None = None
        self._script = _script_frame()

        def exiting(status: Any = None, /) -> None:
            if threading.current_thread() is threading.main_thread():
                frame = sys._getframe(1)
                while frame.f_back is not None:
                    frame = frame.f_back
                self._call = ExitCall(status, frame)

        def quitting(_: Any, code: Any = None) -> None:
            exiting(code)

        patches = [FastPatch(target="sys:exit", before=exiting)]
        if "_sitebuiltins" in sys.modules:  # not with `python -S`
            patches.append(FastPatch(target="_sitebuiltins:Quitter.__call__", before=quitting))
        self.installations = [Installation(patch, "autolog", handler, hooks) for patch in patches]
        for installation in self.installations:
            installation.install()

    @property
    def switches(self) -> set[Switch]:
        return {installation.switch for installation in self.installations}

    def forget(self) -> None:
        """Drop the frames: they hold the user's variables."""
        self._call = self._script = None

    def ending(self) -> BaseException | None:
        """Return the failure that ends the process, if any: what a multiprocessing worker is handling, or a SystemExit."""
        error = sys.exc_info()[1] or (self._call.error if self._call is not None else None)
        if error is None and self._script is not None:
            error = _raised_in(self._script)
        return None if _is_success(error) else error


def uncaught() -> tuple[BaseException | None, int]:
    """Return the uncaught exception that the interpreter has reported before it exits, and its id."""
    error = getattr(sys, "last_value", None)
    return error, id(error)


def _is_success(error: BaseException | None) -> bool:
    if not isinstance(error, SystemExit) or error is UNKNOWN:
        return error is None
    return error.code is None or (isinstance(error.code, int) and error.code == 0)


def _script_frame() -> FrameType | None:
    """Return the frame of the script itself, while it runs."""
    names = getattr(sys.modules.get("__main__"), "__dict__", None)
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and not (frame.f_code.co_name == "<module>" and frame.f_globals is names):
        frame = frame.f_back
    return frame


def _raised_in(frame: FrameType) -> SystemExit | None:
    """Return the SystemExit that a script has raised by hand. Return None if its frame ran to its end, or still runs. The
    status is known only if the statement itself says it; `raise SystemExit(main())` counts as the end, whatever `main` returns.
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
    last = done.pop()
    if last.opname != "RAISE_VARARGS":
        return None if last.opname.startswith("RETURN") else UNKNOWN
    if last.arg == 2 and not done.pop().opname.startswith(
        "LOAD"
    ):  # `raise … from …`, of which this is the cause
        return UNKNOWN
    if done[-1].opname == "LOAD_NAME":  # `raise SystemExit`, `raise error`
        name = done[-1].argval
        raised = frame.f_globals.get(name)
        return raised if isinstance(raised, SystemExit) else None if name == "SystemExit" else UNKNOWN
    if not done[-1].opname.startswith("CALL"):
        return UNKNOWN
    given = done[-2]
    if given.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
        return SystemExit(given.argval)
    if given.opname == "LOAD_NAME":
        return SystemExit(frame.f_globals.get(given.argval))
    return None if given.opname.startswith("CALL") else UNKNOWN
