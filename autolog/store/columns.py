"""Runs as columns, read from the index without making records: for tables of thousands of runs.

`Choice` holds the rows that a selection gives, in their order. Its methods read columns, each with one entry a row and None
where a run has nothing. Knows neither JSON nor what shows the columns.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import msgspec

from autolog.store.index import version_of
from autolog.store.query import Compiled
from autolog.tracking.metrics import guess

Columns = dict[str, list[Any]]
_NUMBERS = ("value", "last", "min", "max", "step", "count", "best", "best_step")


class Choice:
    """The rows of `runs` that were chosen. It holds while the block of `choose` lasts."""

    def __init__(self, connection: sqlite3.Connection, numbers: list[int], total: int) -> None:
        self._connection = connection
        self.numbers = numbers
        self.total = total
        """The number of runs that the selection gives; more than `numbers`, if there is a limit."""

    def __len__(self) -> int:
        return len(self.numbers)

    def attributes(self, *names: str) -> Columns:
        """Return columns of `runs`. The names are ours, never a user's."""
        listed = ", ".join(f"r.{name}" for name in names)
        rows = self._connection.execute(
            f"SELECT {listed} FROM temp.chosen c JOIN runs r ON r.no = c.no ORDER BY c.row"
        ).fetchall()
        return (
            dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
            if rows
            else {name: [] for name in names}
        )

    def children(self) -> list[int]:
        """Return the number of each run's children."""
        counts: dict[str, int] = dict(
            self._connection.execute(
                "SELECT parent, count(*) FROM runs WHERE parent IS NOT NULL GROUP BY parent"
            ).fetchall()
        )
        return [counts.get(run, 0) for run in self.attributes("id")["id"]]

    def params(self, *, only: str | None = None) -> Columns:
        """Return the params by name: of all names, or of one."""
        found: Columns = {}
        for row, key, value, text in self._rows("params", "t.key, t.value, t.json", only):
            column = found.get(key)
            if column is None:
                column = found[key] = [None] * len(self)
            column[row] = value if text is None else msgspec.json.decode(text)
        return found

    def tags(self) -> Columns:
        """Return the tags by name."""
        found: Columns = {}
        for row, key, value in self._rows("tags", "t.key, t.value"):
            found.setdefault(key, [None] * len(self))[row] = value
        return found

    def metrics(self, *, only: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the metrics by name, each as columns and its `direction`; `best` and `best_step` are those of the smallest or
        largest value, None where no direction is known. A number that is not finite stays what it is.
        """
        found: dict[str, dict[str, Any]] = {}
        sql = "t.key, t.last, t.min, t.max, t.step, t.count, t.special, t.kept, t.direction, t.min_step, t.max_step"
        for row, key, last, low, high, step, count, special, kept, said, low_step, high_step in self._rows(
            "metrics", sql, only
        ):
            if not count:
                continue
            columns = found.get(key)
            if columns is None:
                columns = found[key] = {name: [None] * len(self) for name in _NUMBERS}
                columns["direction"] = None
            if said is None:
                said = guess(key)
            if columns["direction"] is None and said in ("higher", "lower"):
                columns["direction"] = said
            if special:
                last = math.nan
            columns["value"][row] = last if kept is None else kept
            columns["last"][row] = last
            columns["min"][row] = low
            columns["max"][row] = high
            columns["step"][row] = step
            columns["count"][row] = count
            if said == "higher":
                columns["best"][row], columns["best_step"][row] = high, high_step
            elif said == "lower":
                columns["best"][row], columns["best_step"][row] = low, low_step
        return found

    def _rows(self, table: str, columns: str, only: str | None = None) -> sqlite3.Cursor:
        where, parameters = ("", ()) if only is None else (" AND t.key = ?", (only,))
        return self._connection.execute(
            f"SELECT c.row, {columns} FROM temp.chosen c JOIN {table} t ON t.run = c.no{where} ORDER BY c.row",
            parameters,
        )


@contextmanager
def choose(
    connection: sqlite3.Connection, selection: Compiled, offset: int = 0, limit: int | None = None
) -> Generator[Choice, None, None]:
    """Choose what `query.selection` selects, within one version of the index."""
    execute = connection.execute
    execute("BEGIN")
    try:
        execute("CREATE TEMP TABLE IF NOT EXISTS chosen (row INTEGER PRIMARY KEY, no INTEGER)")
        execute("DELETE FROM temp.chosen")
        found = execute(f"SELECT r.no FROM runs r {selection.sql}", selection.parameters).fetchall()
        numbers = [no for (no,) in found[offset : None if limit is None else offset + limit]]
        connection.executemany("INSERT INTO temp.chosen VALUES (?, ?)", enumerate(numbers))
        yield Choice(connection, numbers, len(found))
    finally:
        execute("COMMIT")


def changed_ids(connection: sqlite3.Connection, since: int) -> tuple[list[str], list[str]] | None:
    """Return the ids of the runs that updates after this version have changed, and of those that they have removed. None if the
    index was made anew since, and does not know.
    """
    if since < version_of(connection)[1]:
        return None
    changed = [run for (run,) in connection.execute("SELECT id FROM runs WHERE version > ?", (since,))]
    removed = [run for (run,) in connection.execute("SELECT id FROM removed WHERE version > ?", (since,))]
    return changed, removed
