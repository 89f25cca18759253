"""How the process ends: by itself, by an exception that nobody caught, or by SystemExit with a status.

Python tells atexit functions neither that a program ends by SystemExit nor with which status. So `sys.exit()` and `exit()` are
watched, and the script's own frame is kept for a SystemExit that the script raises by hand. Knows nothing of runs.
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
"""One whose status Python does not tell."""


class ExitCall(NamedTuple):
    """A call of `sys.exit` by the main thread, and the outermost frame around it."""

    status: Any
    frame: FrameType

    @property
    def error(self) -> SystemExit | None:
        """The exception that has ended the program: none if it was caught, and the frame went on to its end."""
        instruction = opname[self.frame.f_code.co_code[self.frame.f_lasti]]
        return None if instruction.startswith("RETURN") else SystemExit(self.status)


class ExitWatch:
    """Watches how the program ends, from when it is made on."""

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
        """Let go of the frames: they hold the user's names."""
        self._call = self._script = None

    def ending(self) -> BaseException | None:
        """What the process ends by, as far as it is no success: what multiprocessing's worker is handling, or SystemExit."""
        error = sys.exc_info()[1] or (self._call.error if self._call is not None else None)
        if error is None and self._script is not None:
            error = _raised_in(self._script)
        return None if _is_success(error) else error


def uncaught() -> tuple[BaseException | None, int]:
    """The exception that the interpreter has reported as uncaught before it goes on to exit, and its id."""
    error = getattr(sys, "last_value", None)
    return error, id(error)


def _is_success(error: BaseException | None) -> bool:
    if not isinstance(error, SystemExit) or error is UNKNOWN:
        return error is None
    return error.code is None or (isinstance(error.code, int) and error.code == 0)


def _script_frame() -> FrameType | None:
    """The frame of the script itself, while it runs."""
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
