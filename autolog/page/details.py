"""Everything about one run, as plain data. Each part may be missing. Knows no HTTP."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

from autolog.page.table import exact
from autolog.store.records import RunRecord, Store

MOST_PLACES = 20
MOST_VALUES = 400
_MOST_ABOVE = 50


def run(store: Store, id: str) -> dict[str, Any] | None:
    """Return what is known of a run, without its code; None if there is no such run."""
    record = store.run(id)
    if record is None:
        return None
    environment = {
        name: value for name, value in record.environment.items() if name not in ("sources", "cells")
    }
    if git := _git(record):
        environment["git"] = {name: value for name, value in git.items() if name != "diff"}
    return exact(
        {
            **record.to_dict(),
            "folder": str(record.folder),
            "environment": environment,
            "ancestors": _ancestors(store, record),
            "children": store.count_children([id]).get(id, 0),
            "places": store.read(lambda connection: _places(connection, record)),
            "defaults": {},
        }
    )


def code(store: Store, id: str) -> dict[str, Any] | None:
    """Return the code that made a run, as far as it was recorded; None if there is no such run."""
    record = store.run(id)
    if record is None:
        return None
    environment, git = record.environment, _git(record)
    return {
        "commit": git.get("commit"), "dirty": git.get("dirty"), "diff": git.get("diff"),
        "files": environment.get("sources", {}), "cells": environment.get("cells", {}),
    }  # fmt: skip


def _git(record: RunRecord) -> dict[str, Any]:
    """Return what the environment says of the repository. Somebody else's journal may say anything."""
    said = record.environment.get("git")
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def _ancestors(store: Store, record: RunRecord) -> list[dict[str, str]]:
    """Return the runs above this one, the outermost first. Somebody else's journal may make a circle."""
    found: list[dict[str, str]] = []
    seen, parent = {record.id}, record.parent
    while parent is not None and parent not in seen and len(found) < _MOST_ABOVE:
        seen.add(parent)
        above = store.run(parent)
        if above is None:
            break
        found.insert(0, {"id": above.id, "name": above.name})
        parent = above.parent
    return found


def _places(connection: sqlite3.Connection, record: RunRecord) -> dict[str, Any]:
    """Return, for metrics with a direction, the run's rank among the experiment's finished runs of its level, and their
    values.
    """
    parent = "r.parent IS NULL" if record.parent is None else "r.parent = ?3"
    sql = (
        "SELECT coalesce(m.kept, m.last) FROM runs r JOIN metrics m ON m.run = r.no AND m.key = ?1"
        f" WHERE r.experiment = ?2 AND {parent} AND (r.status = 'finished' OR r.id = ?4) AND m.count > 0"
    )
    found: dict[str, Any] = {}
    directed = [name for name, metric in record.metrics.items() if metric["direction"]]
    for name in directed[:MOST_PLACES]:
        mine, higher = record.metrics[name]["value"], record.metrics[name]["direction"] == "higher"
        if mine is None or not abs(mine) < float("inf"):
            continue
        rows = connection.execute(sql, (name, record.experiment, record.parent, record.id)).fetchall()
        values = sorted(value for (value,) in rows if value is not None and abs(value) < float("inf"))
        better = sum(value > mine if higher else value < mine for value in values)
        step = max(1, -(-len(values) // MOST_VALUES))
        found[name] = {"rank": better + 1, "of": len(values), "values": values[::step]}
    return found
