"""Measures the time that autolog takes from the threads that call it: each place that calls an integration's code adds its
time.

Knows nothing of runs: a run reads its thread's account when it begins and when it ends.
"""

from __future__ import annotations

import threading
from time import perf_counter

EVERY = 16
"""Of a function that is called every few microseconds, only one call in so many is timed, and counts for all of them: a look at
the clock costs as much as some hooks.
"""


class Account:
    """One thread's total time: `seconds` only grows. `exact` is the part of it that was measured and not estimated."""

    __slots__ = ("exact", "seconds")

    def __init__(self) -> None:
        self.seconds = self.exact = 0.0

    def add(self, seconds: float) -> None:
        """Add a measured time: that of rare work inside a function of which not all calls are timed."""
        self.seconds += seconds
        self.exact += seconds


class OverheadTimer(threading.local):
    """Gives each thread an `account` of its own."""

    def __init__(self) -> None:
        self.account = Account()

    def begin(self) -> Timed:
        """Begin to time something on this thread."""
        account = self.account
        return account, perf_counter(), account.exact


Timed = tuple[Account, float, float]
"""An account, and the clock and the account's exact time when something began."""


def charge(timed: Timed, times: int) -> None:
    """Add the time since then, `times` over; what was measured exactly meanwhile is in the account already."""
    account, began, exact = timed
    account.seconds += (perf_counter() - began - account.exact + exact) * times
