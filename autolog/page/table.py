"""The table of runs, as columns of plain data. A table of thousands of rows is one answer; later ones hold only what changed.

Knows no HTTP. A number that is not finite is None, and named in `special`: JSON has no such numbers.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any, NamedTuple, cast

from autolog.store.columns import Choice, changed_ids, choose
from autolog.store.index import version_of
from autolog.store.query import selection
from autolog.store.records import Store
from autolog.tracking.metrics import guess
from autolog.tracking.values import number_of

_ATTRIBUTES = (
    "id", "name", "experiment", "parent", "status", "framework", "kind", "estimator", "started", "ended", "error",
    "description", "starred", "archived",
)  # fmt: skip
_EXACT = 2**53
"""JavaScript knows integers up to here; larger ones travel as text."""


class Asked(NamedTuple):
    """Which runs: a filter in the store's language, an experiment, whether child runs and archived runs are among them."""

    q: str | None = None
    experiment: str | None = None
    children: bool = False
    archived: bool = False


ALL = Asked()


def version(store: Store) -> int:
    """Return the store's version. It grows with each change of any run."""
    return store.read(lambda connection: version_of(connection)[0])


def direction(store: Store, metric: str) -> str | None:
    """Return which way a metric is better: as a run says, else as its name says; None if neither does."""
    sql = "SELECT direction FROM metrics WHERE key = ? AND direction IS NOT NULL LIMIT 1"
    said = store.read(lambda connection: connection.execute(sql, (metric,)).fetchone())
    if said is None:
        return guess(metric)
    return said[0] if said[0] in ("higher", "lower") else None


def runs(
    store: Store, asked: Asked = ALL, *, sort: str = "-started", offset: int = 0, limit: int = 5000,
    since: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the runs as columns. With `since`, the rows that changed after this version, and in `removed` the ids of those
    that are gone or are not among the asked any more. If the store does not know what was removed, or more than `limit` rows
    have changed, return all, without `removed`. Raises FilterError.
    """

    def chosen(since: int | None) -> Any:
        return selection(
            asked.q, sort, asked.children, asked.archived, experiment=asked.experiment, since=since
        )

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        changes = None if since is None else changed_ids(connection, since)
        if changes is not None:
            changed, removed = changes
            with choose(connection, chosen(since), 0, limit) as choice:
                if choice.total <= limit:
                    found = _columns(connection, choice, 0)
                    left = set(changed).difference(found["runs"]["id"])
                    return {**found, "total": _count(connection, chosen(None)), "removed": [*removed, *left]}
        with choose(connection, chosen(None), offset, limit) as choice:
            return _columns(connection, choice, offset)

    return store.read(read)


def _count(connection: sqlite3.Connection, chosen: Any) -> int:
    sql = f"SELECT count(*) FROM (SELECT r.no FROM runs r {chosen.sql})"
    return connection.execute(sql, chosen.parameters).fetchone()[0]


def _columns(connection: sqlite3.Connection, choice: Choice, offset: int) -> dict[str, Any]:
    table: dict[str, Any] = choice.attributes(*_ATTRIBUTES)
    table["starred"] = [bool(one) for one in table["starred"]]
    table["archived"] = [bool(one) for one in table["archived"]]
    table["duration"] = [
        None if start is None or end is None else (end - start) / 1000
        for start, end in zip(table["started"], table["ended"], strict=True)
    ]
    table["children"] = choice.children()
    metrics = choice.metrics()
    table["step"] = _last_steps([metric["step"] for metric in metrics.values()], len(choice))
    return {
        "version": version_of(connection)[0],
        "total": choice.total,
        "offset": offset,
        "runs": table,
        "params": {name: [exact(value) for value in column] for name, column in choice.params().items()},
        "metrics": {name: _metric(columns) for name, columns in metrics.items()},
        "tags": choice.tags(),
    }


def _last_steps(columns: list[list[int | None]], length: int) -> list[int | None]:
    found: list[int | None] = [None] * length
    for column in columns:
        for row, step in enumerate(column):
            if step is not None:
                before = found[row]
                found[row] = step if before is None or step > before else before
    return found


def _metric(columns: dict[str, Any]) -> dict[str, Any]:
    special = {
        str(row): number_of(value)
        for row, value in enumerate(columns["value"])
        if value is not None and not math.isfinite(value)
    }
    return {**columns, "special": special}


def exact(value: Any) -> Any:
    """Return plain data in which each integer that JavaScript would round is text."""
    if type(value) is int:
        return value if -_EXACT <= value <= _EXACT else str(value)
    if isinstance(value, list):
        return [exact(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: exact(one) for key, one in cast("dict[str, Any]", value).items()}
    return value
