"""The receiving side of `recording.handover`: runs work that has arrived in the scope that its token names.

Unpickling calls `enter`, which never raises. A worker that has been given work with a token has a client, which records only
inside that work; an idle worker has no thread of autolog and no other hook.
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
"""Number of tokens whose scopes a worker remembers."""

_scopes: dict[str, TokenScope] = {}
_inside: ContextVar[bool] = ContextVar("autolog_inside", default=False)
"""Whether this context runs work with a token."""


class _Thread(threading.local):
    """The context of a thread's carried work. All of it shares one, so that what one task sets in a ContextVar is there for the
    next one, as without autolog.
    """

    context: Context | None = None


_thread = _Thread()


def enter(state: dict[str, Any]) -> Callable[[Any], Any]:
    """Return what binds the function that comes next to its scope."""
    text = state["d"]["token"]
    try:
        if not config.is_disabled():
            return partial(_bind, scope_of(text))
    except Exception as error:
        tokens.report_failure(text, error)
    return partial(_bind, None)


def enter_process(text: str) -> None:
    """Enter the token's scope with this whole process, which was forked."""
    enter({"d": {"token": text}})(None)


def _bind(scope: TokenScope | None, function: Any) -> Any:
    """Bind the function to the scope's context, by C code alone: its traceback and its ContextVars stay as without autolog.
    None stands for the process as a whole.
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
    """Return the scope of work with this token, for which the client records."""
    token = tokens.read(text, roots=True)
    assert token.layout is not None
    here = process.get()
    if here is None or here.abandoned or here.handover.sender != token.sender:
        here = process.get_to_continue(token.layout, token.config, token.integrations)
        here.recorder.write_promptly()
    scope = _scopes.get(text)
    if scope is None or scope.process != os.getpid():  # a forked child reports its own arrival
        if len(_scopes) >= SCOPES:
            _scopes.clear()
        scope = _scopes[text] = TokenScope(token, text)
        tokens.report(token)
    return scope


def _context() -> Context:
    """Return this thread's context, or a copy while it is in use, as by a task that unpickles a task."""
    if _inside.get():
        return copy_context()
    if _thread.context is None:
        _thread.context = copy_context()
        _thread.context.run(_inside.set, True)
    return _thread.context


# -- work that is pickled again on its way


def late(state: dict[str, Any]) -> Callable[[Any], Any]:
    """Like `enter`, for work that may be pickled once more before it is called."""
    from autolog.recording.cluster import Late

    return partial(Late, state["d"]["token"])
