"""Measures the time that autolog takes from the threads that call it: each place that calls an integration's code adds its
time.

Knows nothing of runs: a run reads its thread's account when it begins and when it ends.
"""

from __future__ import annotations

import threading


class Account:
    """One thread's total time: `seconds` only grows."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


class OverheadTimer(threading.local):
    """Gives each thread an `account` of its own."""

    def __init__(self) -> None:
        self.account = Account()
