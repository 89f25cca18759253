"""Threads of autolog's own that can be sent away for the time of a fork.

Since Python 3.12 a fork beside other threads is warned of: a child may wait for ever for a lock that one of them held. A
program that has no threads but ours must not get that warning, so ours end before the fork and are started again after it.
Older Pythons do not warn, and there ours stay: who compares the threads before and after, as Lightning's own tests do, would
find new ones.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

LEAVE_SECONDS = 0.2


class Threads:
    """Named daemon threads. `leaving` tells their targets to return soon."""

    def __init__(self) -> None:
        self.leaving = False
        self._targets: dict[str, Callable[[], bool]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._stuck: dict[str, Callable[[], bool]] = {}
        self._away: list[str] = []
        self._lock = threading.Lock()

    def start(self, name: str, target: Callable[[], bool], stuck: Callable[[], bool] | None = None) -> None:
        """Run `target` until it returns True. It returns False when it has seen `leaving`, and is called again later.

        `stuck` tells whether it is in the middle of something that may go on for long.
        """
        self._targets[name] = target
        if stuck is not None:
            self._stuck[name] = stuck
        self._launch(name)

    def could_leave(self) -> bool:
        """Whether Python warns, the process has no threads but these and the caller's, and none of them would have to be waited
        for.
        """
        if sys.version_info < (3, 12):
            return False
        ours = sum(thread.is_alive() for thread in list(self._threads.values()))
        if not ours or any(stuck() for stuck in list(self._stuck.values())):
            return False
        return _count() == ours + 1

    def leave(self, wake: Callable[[], None]) -> None:
        """Let the threads end. One that is in the middle of something long goes on."""
        self.leaving = True
        wake()
        deadline = time.monotonic() + LEAVE_SECONDS
        for thread in list(self._threads.values()):
            if thread is threading.current_thread():
                continue
            thread.join(max(0.0, deadline - time.monotonic()))
        while _count() > 1 and time.monotonic() < deadline:
            time.sleep(0.0002)  # a thread is over for Python a little before it is for the system

    def come_back(self) -> None:
        """Start again those that have left."""
        with self._lock:
            self.leaving = False
            away, self._away = self._away, []
        for name in away:
            self._launch(name)

    def forget(self) -> None:
        """In a forked child: they are the parent's."""
        self._targets, self._threads, self._stuck, self._away = {}, {}, {}, []
        self._lock = threading.Lock()

    def _launch(self, name: str) -> None:
        thread = threading.Thread(target=self._run, args=(name,), name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def _run(self, name: str) -> None:
        target = self._targets[name]
        while not target():
            with self._lock:  # so that it is either called again here or started again
                if self.leaving:
                    self._away.append(name)
                    return
        for known in (self._targets, self._stuck, self._threads):
            known.pop(name, None)


def _count() -> int:
    """The threads of this process, those too that Python does not know of where the system tells."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()
