"""What autolog costs the threads it is called on. Each place that calls something of an integration's adds the time that took.

Knows nothing of runs: one of them reads its thread's account when it begins and when it ends.
"""

from __future__ import annotations

import threading


class Account:
    """One thread's: `seconds` only grows."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


class OverheadTimer(threading.local):
    """`account` is that of the thread that asks."""

    def __init__(self) -> None:
        self.account = Account()
