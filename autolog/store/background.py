"""Threads of autolog's own. The user's program does not wait for them, and they can be stopped for the time of a fork.

A program that joins all threads of `threading.enumerate()`, as tutorials show it, must not wait for ours forever, and one that
counts threads must not count ours. So threads that run only our code are no `threading.Thread`s. Other people's code, such as a
sink's client, may ask which thread it is on, and Python would then make up one that cannot be joined. Such code runs on a
`threading.Thread` that nobody waits for.

Since Python 3.12, a fork beside other threads causes a warning: a child may wait forever for a lock that one of them held. A
program that has no threads but ours must not get that warning, so ours end before the fork and start again after it. Older
Pythons do not warn, so ours stay.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

LEAVE_SECONDS = 0.2

here: ContextVar[str] = ContextVar("autolog_thread", default="")
"""The name of the autolog thread that reads this; "" on any other thread."""


class Hidden:
    """A thread that Python's `threading` does not know. It does not delay the exit."""

    def __init__(self, run: Callable[[], None]) -> None:
        """Start the thread. Raises RuntimeError if the system or Python starts no more threads."""
        self._run = run
        self._runs = threading.Lock()
        self._runs.acquire()
        self.ident = _thread.start_new_thread(self._go, ())

    @property
    def runs(self) -> bool:
        return self._runs.locked()

    def wait(self, timeout: float) -> None:
        if self._runs.acquire(timeout=timeout):
            self._runs.release()

    def _go(self) -> None:
        try:
            self.ident = threading.get_ident()
            self._run()
        finally:
            self._runs.release()


class Known(threading.Thread):
    """A thread that `threading` knows. It delays neither the exit nor code that joins all threads."""

    def __init__(self, run: Callable[[], None], name: str) -> None:
        """Start the thread. Raises RuntimeError like `Hidden`."""
        super().__init__(target=run, name=name, daemon=True)
        self.start()

    @property
    def runs(self) -> bool:
        return self.is_alive()

    def wait(self, timeout: float) -> None:
        super().join(timeout)

    def join(self, timeout: float | None = None) -> None:
        """Return at once: the thread ends with the process, which flushes at its end."""


class Threads:
    """Threads with names. `leaving` tells their targets to return soon."""

    def __init__(self) -> None:
        self.leaving = False
        self._targets: dict[str, Callable[[], bool]] = {}
        self._threads: dict[str, Hidden | Known] = {}
        self._known: set[str] = set()
        self._stuck: dict[str, Callable[[], bool]] = {}
        self._away: list[str] = []
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The names of the running threads."""
        return sorted(name for name, thread in list(self._threads.items()) if thread.runs)

    def start(
        self, name: str, target: Callable[[], bool], stuck: Callable[[], bool] | None = None, *, of_others: bool = False
    ) -> None:  # fmt: skip
        """Run `target` until it returns True. It returns False when it has seen `leaving`, and is called again later.

        `stuck` tells whether it is in the middle of something that may take long; `of_others`, that it runs other people's
        code.
        """
        self._targets[name] = target
        if of_others:
            self._known.add(name)
        if stuck is not None:
            self._stuck[name] = stuck
        self._launch(name)

    def could_leave(self) -> bool:
        """Return whether Python warns of threads, there are none but these and the caller's, and none of these is stuck."""
        if sys.version_info < (3, 12):
            return False
        ours = len(self.names)
        if not ours or any(stuck() for stuck in list(self._stuck.values())):
            return False
        return _count() == ours + 1

    def leave(self, wake: Callable[[], None]) -> None:
        """Let the threads end, and wait for them briefly. One that is in the middle of something long goes on."""
        self.leaving = True
        wake()
        deadline = time.monotonic() + LEAVE_SECONDS
        for thread in list(self._threads.values()):
            if thread.ident != threading.get_ident():
                thread.wait(max(0.0, deadline - time.monotonic()))
        while _count() > 1 and time.monotonic() < deadline:
            time.sleep(0.0002)  # a thread is over for Python a little before it is for the system

    def come_back(self) -> None:
        """Start again the threads that have left."""
        with self._lock:
            self.leaving = False
            away, self._away = self._away, []
        for name in away:
            self._launch(name)

    def end(self) -> None:
        """Wait for the threads, which have been told to end, in a subinterpreter only: if a thread of its own is left when it
        ends, the process crashes.
        """
        if _is_main_interpreter():
            return
        deadline = time.monotonic() + LEAVE_SECONDS
        for thread in list(self._threads.values()):
            if thread.ident != threading.get_ident():
                thread.wait(max(0.0, deadline - time.monotonic()))
        time.sleep(0.005)  # a thread is over for us a little before it is for Python

    def forget(self) -> None:
        """Drop the threads, in a forked child: they belong to the parent."""
        self._targets, self._threads, self._stuck, self._away, self._known = {}, {}, {}, [], set()
        self._lock = threading.Lock()

    def _launch(self, name: str) -> None:
        run = partial(self._run, name)
        self._threads[name] = Known(run, name) if name in self._known else Hidden(run)

    def _run(self, name: str) -> None:
        here.set(name)
        target = self._targets[name]
        while not target():
            with self._lock:  # so that it is either called again here or started again
                if self.leaving:
                    self._away.append(name)
                    return
        for known in (self._targets, self._stuck, self._threads):
            known.pop(name, None)


def _count() -> int:
    """Return the number of this process's threads; where the system tells, with those that Python does not know."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return len(sys._current_frames())


def _is_main_interpreter() -> bool:
    try:
        module: Any = __import__("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
        return module.get_current() == module.get_main()
    except (ImportError, AttributeError):
        return True
