"""A run as plain text, for other processes that continue under it: the tasks of Spark, workers of a pool, jobs of a cluster.

    driver       token = run.token
    a task       with autolog.run("group 7", parent=token): model.fit(...)

It says where the store is, which run is the parent, and what was switched on. The task writes a journal of its own into that
store: driver and task share nothing else. Knows no engine.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from autolog.config import Config
from autolog.store.layout import Layout, is_run_id

if TYPE_CHECKING:
    from autolog.session import Session
    from autolog.tracking.run import Run

PREFIX = "autolog:1:"
SETTINGS = ("experiment", "overhead_budget", "exit_timeout", "secrets", "options", "integrations")
"""What a task takes over of the driver's settings. Not the sinks: their URLs may hold passwords, and a token travels."""


class Token(msgspec.Struct, frozen=True):
    """What `run.token` says. Without a store, nothing is recorded: neither was the run."""

    run: str
    name: str
    experiment: str
    store: str | None = None
    integrations: list[str] = []
    settings: dict[str, Any] = {}

    @property
    def layout(self) -> Layout | None:
        return None if self.store is None else Layout(self.store)

    @property
    def config(self) -> Config:
        """The settings of a process that records for the driver only: it announces nothing."""
        settings = {key: value for key, value in self.settings.items() if key in SETTINGS}
        settings["secrets"] = tuple(settings.get("secrets", ()))
        return Config(**settings, silent=True)


def token_of(session: Session, run: Run) -> str:
    """The run's token: letters, digits and punctuation that no shell, URL or file name minds, of a few hundred characters."""
    token = Token(run.id, run.name, run.experiment)
    if session.active:
        settings = {key: getattr(session.config, key) for key in SETTINGS}
        token = Token(
            run.id, run.name, run.experiment, str(session.layout.root), session.switched_on, settings
        )
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def read(text: str) -> Token:
    """Raises ValueError for what is no token."""
    try:
        body = text.removeprefix(PREFIX) if text.startswith(PREFIX) else ""
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        token = msgspec.json.decode(data, type=Token)
        if is_run_id(token.run) and token.run:
            return token
    except (AttributeError, TypeError, ValueError, msgspec.MsgspecError):
        pass
    raise ValueError("parent must be a run's token: `run.token`, as text.")
