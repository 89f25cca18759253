"""Recognises exceptions that the user's signal handlers raise in our code, such as a SIGALRM timeout: they belong to the user.

Python runs a signal handler wherever the program happens to be. This module does not know what was being done.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import Any


def reraise_if_signal(error: Exception) -> None:
    """Raise `error` again if a signal handler raised it. Every `except Exception` around more than a moment's work on the
    user's thread calls this.
    """
    traceback = error.__traceback__ and error.__traceback__.tb_next
    if traceback is None:
        return
    codes = {
        getattr(_function(handler), "__code__", None)
        for handler in map(signal.getsignal, signal.valid_signals())
    }
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            raise error
        traceback = traceback.tb_next


def _function(handler: Any) -> Any:
    while isinstance(handler, partial):
        handler = handler.func
    if callable(handler) and not hasattr(handler, "__code__"):
        handler = type(handler).__call__
    return getattr(handler, "__func__", handler)
