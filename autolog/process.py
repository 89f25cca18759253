"""Holds the one client of this process: made when it is first needed, ended when Python exits, abandoned in a forked child."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING

from autolog.client import Client

if TYPE_CHECKING:
    from autolog.config import Config
    from autolog.store.layout import Layout

_client: Client | None = None
_lock = threading.RLock()
_registered = False


def get() -> Client | None:
    """Return the client of this process, if `autolog()` or `run()` has made one."""
    return _client


def get_or_make() -> Client:
    """Return the client of this process; make one if there is none. Imports no framework."""
    with _lock:
        if _client is None:
            here = Client()
            put(here)
            return here
        return _client


def get_to_record() -> Client:
    """Like `get_or_make`, for a caller that records: a forked child gets a client of its own."""
    with _lock:
        here = get_or_make()
        if here.abandoned:
            here = here.respawn()
            put(here)
        return here


def get_to_continue(place: Layout, config: Config, on: list[str]) -> Client:
    """Return a client that records into another process's store: the client of this process if it does so already, else a new
    one that replaces it, with these settings and those of these integrations that are installed.
    """
    with _lock:
        fresh = _client is None
        here = get_or_make()
        same = (
            not here.abandoned
            and here.layout.root == place.root
            and here.recorder.remote_parent in (None, (config, on))
        )
        if fresh or not same:
            here = here.respawn(place, config, [name for name in on if name in here.manager.states])
            here.recorder.remote_parent = (config, on)
            put(here)
        return here


def put(client: Client | None) -> None:
    """Make `client` the client of this process."""
    global _client, _registered
    _client = client
    if not _registered:
        _registered = True
        atexit.register(_at_exit)
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_here, after_in_child=_after_fork_in_child
        )


def _at_exit() -> None:
    if _client is not None:
        _client.at_exit()
    runs = sys.modules.get("autolog.tracking.run")
    if runs is not None:
        runs.retire()


def _before_fork() -> None:
    if _client is not None and _client.active:
        _client.output.writer.before_fork()


def _after_fork_here() -> None:
    if _client is not None and _client.active:
        _client.output.writer.after_fork()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    if _client is not None:
        _client.abandon()
