"""A run as plain text, for other processes that continue under it: the tasks of Spark, workers of a pool, jobs of a cluster.

    driver       token = run.token
    a task       with autolog.run("group 7", parent=token): model.fit(...)

It says where the store is, which run is the parent, and what was switched on. The task writes its own journal into that store:
driver and task share nothing else. Knows no engine.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from autolog.config import Config
from autolog.store.layout import Layout, is_run_id
from autolog.tracking import redact

if TYPE_CHECKING:
    from autolog.output import Output
    from autolog.tracking.run import Run

PREFIX = "autolog:1:"
SETTINGS = ("experiment", "overhead_budget", "exit_timeout", "secrets", "options", "integrations")
"""The driver's settings that a task takes over. Not the sinks: their URLs may hold passwords, and a token travels."""
ROOTS = "-"
"""Replaces the run's id where the trainings belong to no run."""


class Token(msgspec.Struct, frozen=True):
    """The content of `run.token`. Without a store, the task records nothing: the run was not recorded either."""

    run: str
    name: str
    experiment: str
    store: str | None = None
    integrations: list[str] = []
    settings: dict[str, Any] = {}
    sender: str = ""
    """The client that learns that work has arrived: see `report`."""

    @property
    def layout(self) -> Layout | None:
        return None if self.store is None else Layout(self.store)

    @property
    def config(self) -> Config:
        """The settings of a process that records only for the driver: it announces nothing."""
        settings = {key: value for key, value in self.settings.items() if key in (*SETTINGS, "tags")}
        settings["secrets"] = tuple(settings.get("secrets", ()))
        return Config(**settings, silent=True)


def token_of(run: Run, output: Output, on: list[str]) -> str:
    """Return the run's token: a few hundred letters, digits and punctuation that are safe in shells, URLs and file names."""
    token = Token(run.id, run.name, run.experiment)
    if output.active:
        settings = {key: getattr(output.config, key) for key in SETTINGS}
        token = Token(run.id, run.name, run.experiment, str(output.layout.root), on, settings)
    return _text(token)


def travelling(text: str | None, output: Output, sender: str, on: list[str]) -> str:
    """Return the token of work that is handed over. `text` is the token of the run whose block this is; None outside of all
    blocks, where the work trains runs of its own. Return "" if the block's run is not recorded.
    """
    settings = {key: getattr(output.config, key) for key in SETTINGS}
    if text is None:
        settings["tags"] = output.config.tags
        run = Token("", "", output.config.experiment)
    else:
        run = read(text, roots=True)
        if run.store is None:
            return ""
    store = str(output.layout.root)
    return _text(Token(run.run, run.name, run.experiment, store, on, settings, run.sender or sender))


def _text(token: Token) -> str:
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def read(text: str, roots: bool = False) -> Token:
    """Decode a token. Raises ValueError for what is no token and, without `roots`, for a token of no run."""
    try:
        body = text.removeprefix(PREFIX) if text.startswith(PREFIX) else ""
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        token = msgspec.json.decode(data, type=Token)
        if is_run_id(token.run) if token.run else roots:
            return token
    except (AttributeError, TypeError, ValueError, msgspec.MsgspecError):
        pass
    raise ValueError("parent must be a run's token: `run.token`, as text.")


# -- what workers tell the sender: one line each, in a file of the store that the sender reads and deletes


def report(token: Token, what: str = "here") -> None:
    """Tell the sender that work with this token has arrived, or that it has trained (`what="trained"`)."""
    if token.layout is not None:
        try:
            _tell(token.layout, token.sender, f"{token.run or ROOTS} {what}\n")
        except OSError:  # the sender notices that the report is missing
            pass


def report_failure(text: str, error: Exception) -> None:
    """Tell the sender why work with this token is not recorded. Never raises: nobody would see it."""
    try:
        token = read(text, roots=True)
        assert token.layout is not None
        said = redact.redact_text(" ".join(f"{type(error).__name__}: {error}".split()))
        _tell(token.layout, token.sender, f"{token.run or ROOTS} failed {said[:500]}\n")
    except Exception:
        pass


def reports(layout: Layout, sender: str) -> list[list[str]]:
    """Return the reports, as `[run, what, more]`."""
    try:
        text = (layout.workers / sender).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [[*line.split(" ", 2), ""][:3] for line in text.splitlines() if " " in line]


def forget_reports(layout: Layout, sender: str) -> None:
    """Delete the reports after they were read for the last time."""
    try:
        (layout.workers / sender).unlink()
    except OSError:
        pass


def _tell(layout: Layout, sender: str, line: str) -> None:
    import os

    if not is_run_id(sender):
        return
    layout.make_root()
    layout.workers.mkdir(mode=0o700, exist_ok=True)
    # Appended in one write: the lines of several processes do not mix.
    file = os.open(layout.workers / sender, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
