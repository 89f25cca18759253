"""What was made before a training begins, and what its run says of it; shared by all threads."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from autolog.integration import IdentityMap
from autolog_torch import about


class Seen:
    """Optimizers, schedulers and modules."""

    def __init__(self) -> None:
        self.modules = about.Modules()
        self.created: IdentityMap[int] = IdentityMap()
        """The how many-th each optimizer was."""
        self.unused: IdentityMap[int] = IdentityMap()
        """Those that have not stepped yet: the thread that made them."""
        self.schedulers: IdentityMap[weakref.ref[Any]] = IdentityMap()
        self.rates: IdentityMap[tuple[Any, ...]] = IdentityMap()
        """The learning rates that optimizers were made with."""
        self.clock = 0
        self._before = 0

    def optimizer(self, optimizer: Any, params: Any) -> None:
        self.clock += 1
        self.created.set(optimizer, self.clock)
        self.modules.given(optimizer, params)
        self.unused.set(optimizer, threading.get_ident())

    def number_of(self, optimizer: Any) -> int:
        """Its number; one that was made before anybody looked has one below 0."""
        number = self.created.get(optimizer)
        if number is None:
            self._before = number = self._before - 1
            self.created.set(optimizer, number)
        return number
