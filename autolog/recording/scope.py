"""The explicit blocks that a thread is inside of: runs, another process's run, and blocks where nothing is recorded."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

from autolog.instrument.calls import Call, Scope, innermost

if TYPE_CHECKING:
    from autolog.recording.token import Token
    from autolog.tracking.run import Run

last_run: ContextVar[Run | None] = ContextVar("autolog_last_run", default=None)
"""The run that ended last in this thread."""


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
        """Return whether the caller's training is the run itself: True once, and never in a forked child."""
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
    """Work that another process has handed over: trainings inside are children of its run, or runs of their own if its token
    names no run. `process` is this process's id.
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


class Suppressed(Scope):
    """A block in which integrations are off: the named ones, or all if `names` is None."""

    __slots__ = ("names",)

    def __init__(self, outer: Scope | None, names: frozenset[str] | None) -> None:
        super().__init__(outer, records=names is not None, records_nested=names is not None)
        self.names = names

    def hides(self, integration: str) -> bool:
        return self.names is None or integration in self.names


def scope_around(scope: Scope | None) -> RunScope | TokenScope | None:
    """Return the innermost explicit block around a scope. It may be another process's, which has handed this work over."""
    while scope is not None:
        if isinstance(scope, (RunScope, TokenScope)) and not scope.ended:
            return scope
        scope = scope.outer
    return None


def is_around(block: Scope, scope: Scope | None) -> bool:
    """Return whether `scope` is inside `block`, or is it."""
    while scope is not None and scope is not block:
        scope = scope.outer
    return scope is block


def current_run() -> Run | None:
    """Return the run of the innermost call or block around the caller that has one."""
    scope = innermost()
    while scope is not None:
        if not scope.ended and isinstance(scope, (Call, RunScope)) and scope.run is not None:
            return scope.run
        scope = scope.outer
    return None
