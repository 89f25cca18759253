"""The other process's side of `recording.handover`: work that has arrived runs in the scope that its token says.

Unpickling calls `enter`, which never raises. A worker that has been given work with a token has a client, which records inside
that work and nowhere else; an idle worker has no thread of autolog's and no hook beyond that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any

from autolog import config, process
from autolog.instrument.calls import current
from autolog.recording import token as tokens
from autolog.recording.scope import TokenScope

SCOPES = 100
"""So many tokens of a worker's are known again."""

_scopes: dict[str, TokenScope] = {}
_inside: ContextVar[bool] = ContextVar("autolog_inside", default=False)
"""Whether this context is one that work with a token runs in."""


class _Thread(threading.local):
    """The context of a thread's carried work: one for all of it, so that what one task sets in a ContextVar the next one finds,
    as without autolog.
    """

    context: Context | None = None


_thread = _Thread()


def enter(state: dict[str, Any]) -> Callable[[Any], Any]:
    """What binds the function that comes next to where it records."""
    text = state["d"]["token"]
    try:
        if not config.is_disabled():
            return partial(_bind, scope_of(text))
    except Exception as error:
        tokens.report_failure(text, error)
    return partial(_bind, None)


def enter_process(text: str) -> None:
    """This process as a whole, as it was forked, is what the token is for."""
    enter({"d": {"token": text}})(None)


def _bind(scope: TokenScope | None, function: Any) -> Any:
    """The function in the scope's context, by C code alone: neither its traceback nor its own ContextVars are others than
    without. None stands for the process as a whole.
    """
    if scope is None:
        return function
    if function is None:
        current.set(scope)
        return None
    context = _context()
    context.run(current.set, scope)
    return partial(context.run, function)


def scope_of(text: str) -> TokenScope:
    """The scope of work with this token; the client continues there."""
    token = tokens.read(text, roots=True)
    assert token.layout is not None
    here = process.get()
    if here is None or here.abandoned or here.handover.sender != token.sender:
        here = process.get_to_continue(token.layout, token.config, token.integrations)
        here.recorder.write_promptly()
    scope = _scopes.get(text)
    if scope is None or scope.process != os.getpid():  # a forked child says for itself that it is there
        if len(_scopes) >= SCOPES:
            _scopes.clear()
        scope = _scopes[text] = TokenScope(token, text)
        tokens.report(token)
    return scope


def _context() -> Context:
    """That of this thread; a copy where it is in use, as by a task that unpickles a task."""
    if _inside.get():
        return copy_context()
    if _thread.context is None:
        _thread.context = copy_context()
        _thread.context.run(_inside.set, True)
    return _thread.context


# -- work that is pickled again on its way


def late(state: dict[str, Any]) -> Callable[[Any], Any]:
    """As `enter`, for what may be pickled once more before it is called."""
    from autolog.recording.cluster import Late

    return partial(Late, state["d"]["token"])
