"""Runs as they are read: the records, the store they come from, and lists of them."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import msgspec

from autolog.store import journal as journals
from autolog.store.changes import checked, event_of
from autolog.store.index import BELOW, Index, changes_of, int64, journal_sizes
from autolog.store.layout import Layout, file_of, find, is_run_id
from autolog.store.objects import collect
from autolog.store.query import compile_filter, compile_order, selection, unknown_metrics
from autolog.tracking import events as e
from autolog.tracking.ids import new_id
from autolog.tracking.metrics import guess
from autolog.tracking.values import clean, clean_lines, number_of

if TYPE_CHECKING:
    import pandas


T = TypeVar("T")


class UnknownRun(LookupError):
    """What was asked for is no run, or more than one; the message says which there are."""

    def __str__(self) -> str:
        return clean_lines(super().__str__())


class Point(NamedTuple):
    """One value of a metric: `step` in the framework's unit, `epoch` where known, `time` in seconds since the epoch."""

    step: int
    epoch: float | None
    time: float
    value: float


class RunRecord:
    """One run, as recorded. Its attributes are the keys of `to_dict()`, which is also what `--json` prints.

    `rename`, `describe`, `set_tags`, `remove_tags`, `star` and `archive` change the run, whichever process has recorded it. The
    change is on the disk when the call returns. Of several changes of one thing the latest holds, and it stands above what the
    run itself logs. All of them raise OSError if the store cannot be written, and UnknownRun if the run was removed.
    """

    id: str
    name: str
    experiment: str
    parent: str | None
    status: str
    framework: str | None
    framework_version: str | None
    kind: str
    estimator: str | None
    error: str | None
    overhead: float | None
    description: str | None
    starred: bool
    archived: bool
    params: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    tags: dict[str, str]
    datasets: list[dict[str, Any]]
    artifacts: list[dict[str, Any]]
    models: list[dict[str, Any]]
    notes: list[str]
    errors: list[str]

    def __init__(self, store: Store, row: dict[str, Any]) -> None:
        self._store = store
        self._started: int | None = row["started"]
        self._ended: int | None = row["ended"]
        for name in ("id", "name", "experiment", "parent", "status", "framework", "framework_version", "kind", "estimator",
                     "error", "overhead", "description"):  # fmt: skip
            setattr(self, name, row[name])
        self.starred, self.archived = bool(row["starred"]), bool(row["archived"])
        self.dropped: int = row["dropped"] or 0
        self.params, self.metrics, self.tags = {}, {}, {}
        self.datasets, self.artifacts, self.models = [], [], []
        self.notes, self.errors = [], []

    def __repr__(self) -> str:
        return f"<RunRecord {clean(self.name)} {self.id} {clean(self.status)}>"

    def rename(self, name: str) -> None:
        """Give the run another name. Its id stays."""
        self._change(name=name)

    def describe(self, text: str) -> None:
        """Say what this run is about, in your own words; an empty text removes the description."""
        self._change(description=text)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags, as text. Other tags stay; a tag of None is removed."""
        self._change(tags=tags)

    def remove_tags(self, *names: str) -> None:
        """Remove tags. Raises KeyError for one that the run does not have, naming the nearest."""
        for name in names:
            if name not in self.tags:
                raise KeyError(f"{self.name} has no tag {name!r}; it has {_nearest(name, self.tags)}.")
        self._change(tags=dict.fromkeys(names))

    def star(self) -> None:
        """Mark the run as one to come back to."""
        self._change(starred=True)

    def unstar(self) -> None:
        """Take the star away."""
        self._change(starred=False)

    def archive(self) -> None:
        """Put the run away: lists leave it out, with its children, unless asked for archived runs. Nothing is deleted."""
        self._change(archived=True)

    def unarchive(self) -> None:
        """List the run again."""
        self._change(archived=False)

    def _change(self, **what: Any) -> None:
        now = self._store.change(self.id, **what)
        for name in ("name", "description", "starred", "archived", "tags"):
            setattr(self, name, getattr(now, name))

    @property
    def started(self) -> datetime | None:
        """When it began, in UTC."""
        return _time(self._started)

    @property
    def ended(self) -> datetime | None:
        """When it ended, in UTC; None while it runs."""
        return _time(self._ended)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end."""
        if self._started is None or self._ended is None:
            return None
        return (self._ended - self._started) / 1000

    @property
    def folder(self) -> Path:
        """Where the run's files are."""
        return self._store.layout.artifacts_of(self.id)

    @property
    def children(self) -> Runs:
        """The runs whose parent is this one, in the order in which they began."""
        return self._store.children(self.id)

    @property
    def environment(self) -> dict[str, Any]:
        """The code and environment of the process that made the run."""
        return self._store.environment(self.id)

    def history(self, metric: str) -> list[Point]:
        """Return every value of a metric, by step. Raises KeyError for one that the run does not have, naming the nearest."""
        if metric not in self.metrics:
            raise KeyError(f"{self.name} has no metric {metric!r}; it has {_nearest(metric, self.metrics)}.")
        return self._store.histories(self.id, {metric})[metric]

    def histories(self) -> dict[str, list[Point]]:
        """Return every value of every metric, by step, read in one go."""
        return self._store.histories(self.id, set(self.metrics))

    def model(self, path: str = "model", *, trust: bool = False, as_predictor: bool = False) -> Any:
        """Return the saved model as its framework's own object. Raises LookupError if the run has none."""
        known = [str(model["path"]) for model in self.models]
        if path not in known:
            others = (
                f"It has {', '.join(map(repr, known))}: say which, as path={known[0]!r}." if known else ""
            )
            said = others or " ".join(self.notes)
            said = said or ("It is still running." if self.status == "running" else "It was not logged.")
            raise LookupError(clean_lines(f"{self.name} has no model {path!r}. {said}"))
        if file_of(self._store.layout.artifacts, self.id, path) is None:
            raise LookupError(
                f"{clean(self.name)} has no model {path!r}: that leads out of the run's folder."
            )
        from autolog.models.load import load_model

        return load_model(self.folder / path, trust=trust, as_predictor=as_predictor)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the documented shape of `--json`. Non-finite numbers are strings: NaN, Infinity, -Infinity."""
        return {
            "id": self.id, "name": self.name, "experiment": self.experiment, "parent": self.parent, "status": self.status,
            "framework": self.framework, "framework_version": self.framework_version, "kind": self.kind,
            "estimator": self.estimator, "started": _iso(self._started), "ended": _iso(self._ended),
            "duration": self.duration, "params": self.params,
            "metrics": {
                key: {k: number_of(v) if isinstance(v, float) else v for k, v in value.items()}
                for key, value in self.metrics.items()
            },
            "tags": self.tags, "datasets": self.datasets, "artifacts": self.artifacts, "models": self.models,
            "overhead": self.overhead, "error": self.error, "errors": self.errors, "notes": self.notes,
            "description": self.description, "starred": self.starred, "archived": self.archived,
        }  # fmt: skip


class Runs(Sequence[RunRecord]):
    """A list of records."""

    def __init__(self, records: Iterable[RunRecord]) -> None:
        self._records = list(records)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> RunRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...
    def __getitem__(self, index: int | slice) -> RunRecord | Runs:
        return Runs(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self._records)

    def __repr__(self) -> str:
        return (
            f"<Runs: {len(self)}>"
            if len(self) > 5
            else f"<Runs: {', '.join(clean(run.name) for run in self)}>"
        )

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table with one row per run: its attributes, `params.<name>`, `metrics.<name>` (the value), `tags.<name>`."""
        try:
            import pandas
        except ImportError:
            raise ImportError("to_pandas() needs pandas: pip install pandas") from None
        rows: list[dict[str, Any]] = []
        for run in self:
            row = {key: value for key, value in run.to_dict().items() if not isinstance(value, (dict, list))}
            row.update(started=run.started, ended=run.ended)
            row.update({f"params.{key}": value for key, value in run.params.items()})
            row.update({f"metrics.{key}": value["value"] for key, value in run.metrics.items()})
            row.update({f"tags.{key}": value for key, value in run.tags.items()})
            rows.append(row)
        return pandas.DataFrame(rows)


_COLUMNS = (
    "no", "id", "name", "experiment", "parent", "status", "framework", "framework_version", "kind", "estimator", "started",
    "ended", "error", "overhead", "dropped", "description", "starred", "archived",
)  # fmt: skip
_SELECT = "SELECT " + ", ".join(f"r.{name}" for name in _COLUMNS) + " FROM runs r"


class Store:
    """The recorded runs: reads, changes and removes them. `root` is the store's folder; by default the one that `autolog()`
    would write to.

    `record` takes an event into the journal that this process records into, and returns whether it is on the disk there. If it
    is not, changes go into a journal of their own.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | Layout | None = None,
        record: Callable[[e.Event], bool] = lambda event: False,
    ) -> None:
        self.layout = root if isinstance(root, Layout) else Layout(root) if root is not None else find()
        self._index = Index(self.layout)
        self._record = record
        self._journal: tuple[int, Path] | None = None
        """The journal of this store's changes, and the process that writes it."""
        self._writing = threading.Lock()

    def close(self) -> None:
        """Close the index file."""
        self._index.close()

    def runs(
        self,
        where: str | None = None,
        *,
        order_by: str = "-started",
        limit: int | None = None,
        children: bool = False,
        archived: bool = False,
    ) -> Runs:
        """Return the runs that a filter selects (`autolog.store.query`), newest first. Child runs are left out unless
        `children` is true, or the filter mentions `parent`. Archived runs and those below them are left out unless `archived`
        is true, or the filter mentions `archived`. Raises FilterError.
        """
        chosen = selection(where, order_by, children, archived)
        sql = f"{_SELECT} {chosen.sql} LIMIT ?"
        parameters = [*chosen.parameters, -1 if limit is None else min(max(0, limit), 2**31)]
        return self._index.read(lambda connection: self._records(connection, sql, parameters))

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Bring the index up to date, run a query on it and return what it returns. The query changes no table of the index."""
        return self._index.read(query)

    def children(self, parent: str) -> Runs:
        sql = f"{_SELECT} WHERE r.parent = ? ORDER BY r.started, r.id"
        return self._index.read(lambda connection: self._records(connection, sql, [parent]))

    def count_children(self, parents: Sequence[str]) -> dict[str, int]:
        """Return the number of children of each of these runs. Runs without any are left out."""
        sql = "SELECT count(*) FROM runs WHERE parent = ?"
        return self._index.read(
            lambda connection: {
                parent: count
                for parent in parents
                if (count := connection.execute(sql, (parent,)).fetchone()[0])
            }
        )

    def descendants(self, runs: Iterable[str]) -> list[str]:
        """Return the ids of these runs' children, their children and so on."""
        given = list(runs)
        found = self._index.read(
            lambda connection: [id for run in given for (id,) in connection.execute(BELOW, (run,))]
        )
        return [id for id in dict.fromkeys(found) if id not in given]

    def get(self, reference: str) -> RunRecord:
        """Return the run with this name, id, or unique prefix of an id (4 characters or more). `@last` is the newest root run
        that is not archived, `@last~1` the one before.

        Raises UnknownRun, naming what is near or what there is to choose from.
        """
        back = re.fullmatch(r"@last(?:~([0-9]{1,9}))?", reference)
        if back:
            sql = f"{_SELECT} WHERE r.parent IS NULL AND NOT r.archived ORDER BY r.started DESC, r.id DESC LIMIT 1 OFFSET ?"
            found = self._index.read(lambda connection: self._records(connection, sql, [int(back[1] or 0)]))
            if not found:
                raise UnknownRun(f"There is no run {reference} in {self.layout.root}. {self._how_many()}")
            return found[0]
        reference = reference.encode("utf-8", "backslashreplace").decode()  # SQLite holds no lone surrogates
        prefix = reference.upper()
        sql = (
            f"{_SELECT} WHERE r.name = ? OR r.id IN (?, ?) OR (length(?) >= 4 AND r.id >= ? AND r.id < ?)"
            " ORDER BY r.id IN (?, ?) DESC, r.id DESC LIMIT 6"
        )
        parameters = [reference, reference, prefix, prefix, prefix, f"{prefix}\uffff", reference, prefix]
        found = self._index.read(lambda connection: self._records(connection, sql, parameters))
        if len(found) == 1 or (found and found[0].id in (reference, prefix)):
            return found[0]
        if found:
            listed = [f"{run.id} ({run.name}, {_iso(run._started)})" for run in found[:5]]  # pyright: ignore
            more = ["…"] if len(found) > 5 else []
            raise UnknownRun(
                f"{reference!r} is more than one run. Say which by its id: {', '.join(listed + more)}"
            )
        from difflib import get_close_matches

        names = self._index.read(
            lambda connection: [
                name for (name,) in connection.execute("SELECT name FROM runs ORDER BY id DESC LIMIT 2000")
            ]
        )
        close = get_close_matches(reference, dict.fromkeys(names), 3)
        hint = f" Did you mean {' or '.join(close)}?" if close else f" {self._how_many()}"
        raise UnknownRun(f"There is no run {reference!r} in {self.layout.root}.{hint}")

    def change(
        self, run: str, *, name: str | None = None, description: str | None = None, starred: bool | None = None,
        archived: bool | None = None, tags: Mapping[str, Any] = {},
    ) -> RunRecord:  # fmt: skip
        """Change the run with this id, and return it as it is now. The change is on the disk. What is not given stays; an empty
        description is removed, and so is a tag of None.

        Raises UnknownRun, TypeError and ValueError for what a name, a description or a tag cannot be, and OSError if the store
        cannot be written.
        """
        fields = checked(name, description, starred, archived, tags)
        known = "SELECT max(c.t) FROM runs r LEFT JOIN changes c ON c.run = r.id WHERE r.id = ? GROUP BY r.id"
        found = self._index.read(lambda connection: connection.execute(known, (run,)).fetchone())
        if found is None:
            raise self._unknown(run)
        # Later than what it replaces, whatever this machine's clock says.
        time = e.now() if found[0] is None else max(e.now(), min(found[0] + 1, 2**63 - 1))
        event = e.RunChanged(run, time, new_id(), **fields)
        if not self._record(event):
            self._append([event])
        now = self.run(run)
        if now is None:  # removed meanwhile
            raise self._unknown(run)
        return now

    def changes(self, runs: Iterable[str]) -> list[e.RunChanged]:
        """Return the latest changes of these runs, as one event for each run that was changed."""
        given = list(runs)
        found = self._index.read(
            lambda connection: [(run, rows) for run in given if (rows := changes_of(connection, run))]
        )
        return [event_of(run, rows) for run, rows in found]

    def _append(self, events: Sequence[e.Event]) -> None:
        """Write events into this store's own journal. Raises OSError."""
        with self._writing:
            if self._journal is None or self._journal[0] != os.getpid():
                self._journal = os.getpid(), self.layout.new_journal()
            writer = journals.JournalWriter(self._journal[1])
            writer.keep(journals.encode(events))
            try:
                writer.open()
                writer.drain()
            except OSError as error:
                self._journal = None  # its last line may be torn
                raise OSError(
                    error.errno, f"The store was not changed: {error.strerror}", str(self.layout.root)
                ) from error
            finally:
                writer.close()

    def run(self, id: str) -> RunRecord | None:
        """Return the run with exactly this id; None if there is none."""
        return next(
            iter(self._index.read(lambda c: self._records(c, f"{_SELECT} WHERE r.id = ?", [id]))), None
        )

    def remove(self, runs: Iterable[RunRecord]) -> list[str]:
        """Remove runs, their children and their files. Return the ids. Existing journals are not touched: a new one says that
        the runs are gone. Files behind a link in place of the store's folder `artifacts` stay.
        """
        from autolog.store.disk import discard, run_dirs

        given = list(dict.fromkeys(run.id for run in runs))
        ids = [*given, *self.descendants(given)]
        if ids:
            self._append([e.RunRemoved(run) for run in ids])
            discard(run_dirs(self.layout, ids))
            collect(self.layout.objects)
        return ids

    def removed(self) -> frozenset[str]:
        """Return the ids of runs that were removed; the journals still mention them."""
        return self._index.read(
            lambda connection: frozenset(id for (id,) in connection.execute("SELECT id FROM removed"))
        )

    def journals(self) -> list[str]:
        """Return the names of the journals that can be read."""
        folder = self.layout.journals
        return sorted(name for name in journal_sizes(self.layout) if os.access(folder / name, os.R_OK))

    def journals_of(self, runs: Iterable[str]) -> set[str]:
        """Return the names of the journals that mention these runs, as far as they still count."""
        sql = (
            "SELECT j.name FROM segments s JOIN journals j ON j.id = s.journal JOIN runs r ON r.no = s.run WHERE r.id = ?1"
            " UNION SELECT j.name FROM changes c JOIN journals j ON j.id = c.journal WHERE c.run = ?1"
        )
        given = list(runs)
        return self._index.read(
            lambda connection: {name for run in given for (name,) in connection.execute(sql, (run,))}
        )

    def lost(self, journal: str) -> list[e.RunEnded]:
        """Return ends for those runs of a journal that could not record theirs, because the process is gone."""
        sql = (
            "SELECT r.id, r.ended FROM runs r JOIN journals j ON r.journal = j.id WHERE j.name = ? AND r.status = 'lost'"
            " ORDER BY r.id"
        )
        rows = self._index.read(lambda connection: connection.execute(sql, (journal,)).fetchall())
        return [e.RunEnded(run, ended, "lost") for run, ended in rows]

    def environment(self, run: str) -> dict[str, Any]:
        """Return the code and environment of the process that made a run; empty if it recorded none. `sources` are the files
        that no commit holds, `cells` the cells of its notebook that were run before the run ended.
        """
        sql = "SELECT j.environment, j.id, r.ended FROM journals j JOIN runs r ON r.journal = j.id WHERE r.id = ?"
        row = self._index.read(lambda connection: connection.execute(sql, (run,)).fetchone())
        if not row:
            return {}
        said: dict[str, Any] = msgspec.json.decode(row[0]) if row[0] else {}
        sql = "SELECT t, name, text FROM code WHERE journal = ? ORDER BY rowid"
        parts = self._index.read(lambda connection: connection.execute(sql, (row[1],)).fetchall())
        files = {name: text for t, name, text in parts if t is None}
        cells = {name: text for t, name, text in parts if t is not None and (row[2] is None or t <= row[2])}
        return {**said, **({"sources": files} if files else {}), **({"cells": cells} if cells else {})}

    def segments(self, run: str) -> list[tuple[Path, int, int]]:
        """Return the parts of journals that hold a run: each journal's path, and the first byte and the one after the last."""
        sql = (
            "SELECT j.name, s.first, s.last FROM segments s JOIN journals j ON j.id = s.journal"
            " JOIN runs r ON r.no = s.run WHERE r.id = ? ORDER BY j.name"
        )
        rows = self._index.read(lambda connection: connection.execute(sql, (run,)).fetchall())
        return [(self.layout.journals / name, first, last) for name, first, last in rows]

    def histories(self, run: str, metrics: set[str]) -> dict[str, list[Point]]:
        """Return the values of some of a run's metrics, by step."""
        points: dict[str, list[Point]] = {metric: [] for metric in metrics}
        needle = run.encode()
        for path, first, last in self.segments(run):
            for event in _events_of(path, first, last, needle):
                if isinstance(event, e.MetricsLogged) and event.run == run:
                    for metric in metrics & event.v.keys():
                        points[metric].append(
                            Point(int64(event.step), event.epoch, int64(event.t) / 1000, event.v[metric])
                        )
                elif isinstance(event, e.RunRecorded) and event.run == run:
                    for metric in metrics & event.metrics.keys():
                        points[metric].append(
                            Point(0, None, int64(event.ended) / 1000, event.metrics[metric])
                        )
        for values in points.values():
            values.sort(key=lambda point: point.step)
        return points

    def count(self) -> int:
        """Return the number of runs, child runs included."""
        return self._index.read(
            lambda connection: connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        )

    def unknown_metrics(self, where: str | None, order_by: str, found: Iterable[RunRecord]) -> list[str]:
        """Return sentences on the metrics that a filter and a sort key name and no run has; `found` is what they selected."""
        named = [*compile_order(order_by).metrics, *(compile_filter(where).metrics if where else ())]
        runs = list(found) if named else []
        named = [metric for metric in named if not any(metric.name in run.metrics for run in runs)]
        if not named:
            return []
        known = self._index.read(
            lambda connection: [
                key for (key,) in connection.execute("SELECT DISTINCT key FROM metrics WHERE count > 0")
            ]
        )
        return unknown_metrics(named, known) if known else []

    def names(self, start: str, limit: int) -> list[str]:
        """Return names of root runs that begin with `start`, the newest first, and ids."""
        sql = (
            "SELECT name, max(id) FROM runs WHERE parent IS NULL AND substr(name, 1, length(?)) = ?"
            " GROUP BY name ORDER BY 2 DESC LIMIT ?"
        )
        by_id = "SELECT id FROM runs WHERE length(?) >= 4 AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?"
        prefix = start.upper()
        return self._index.read(
            lambda connection: [
                *(name for name, _ in connection.execute(sql, (start, start, limit))),
                *(id for (id,) in connection.execute(by_id, (prefix, prefix, f"{prefix}\uffff", limit))),
            ]
        )

    def _unknown(self, id: str) -> UnknownRun:
        return UnknownRun(f"There is no run {id!r} in {self.layout.root}. {self._how_many()}")

    def _how_many(self) -> str:
        count = self.count()
        held = "no runs yet" if not count else "one run" if count == 1 else f"{count} runs"
        return f"It holds {held}."

    def _records(self, connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> Runs:
        rows = connection.execute(sql, parameters).fetchall()
        if not all(map(_is_possible, rows)):
            raise sqlite3.DatabaseError("The index has runs that no journal can have put there")
        records = {row[0]: RunRecord(self, dict(zip(_COLUMNS, row, strict=True))) for row in rows}
        numbers = list(records)
        for start in range(0, len(numbers), 500):
            some = numbers[start : start + 500]
            marks = f"({', '.join('?' * len(some))})"

            def rows_of(
                columns: str, table: str, marks: str = marks, some: list[int] = some
            ) -> Iterator[Any]:
                return connection.execute(f"SELECT run, {columns} FROM {table} WHERE run IN {marks}", some)

            for no, key, value, text in rows_of("key, value, json", "params"):
                records[no].params[key] = value if text is None else msgspec.json.decode(text)
            for no, key, last, low, high, step, count, special, kept, direction, about in rows_of(
                "key, last, min, max, step, count, special, kept, direction, about", "metrics"
            ):
                if count:
                    last = float("nan") if special else last
                    records[no].metrics[key] = {
                        "value": last if kept is None else kept, "last": last, "min": low, "max": high, "step": step,
                        "count": count, **_meaning(key, direction, about),
                    }  # fmt: skip
            for no, key, value in rows_of("key, value", "tags"):
                records[no].tags[key] = value
            for no, context, text in rows_of("context, json", "datasets"):
                records[no].datasets.append({"context": context, **msgspec.json.decode(text)})
            for no, path, size in rows_of("path, bytes", "artifacts"):
                records[no].artifacts.append({"path": path, "bytes": size})
            for no, path, flavor, size, seconds in rows_of("path, flavor, bytes, seconds", "models"):
                records[no].models.append({"path": path, "flavor": flavor, "bytes": size, "seconds": seconds})
            for no, text, error in rows_of("text, error", "notes"):
                (records[no].errors if error else records[no].notes).append(text)
        return Runs(records.values())


def _meaning(key: str, direction: str | None, about: str | None) -> dict[str, Any]:
    """Return which way a metric is better, as recorded or (with a mark) guessed by its name; and what else is known of it."""
    found: dict[str, Any] = {"direction": direction if direction in ("higher", "lower") else None}
    if direction is None and (guessed := guess(key)):
        found.update(direction=guessed, guess=True)
    if about is not None:
        found.update(msgspec.json.decode(about))
    return found


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the names that may be meant, or the first that there are."""
    from difflib import get_close_matches

    names = sorted(known)
    return ", ".join(get_close_matches(name, names, 3, 0.4) or names[:5]) or "none"


def _is_possible(row: Sequence[Any]) -> bool:
    """Return whether journals can have made a row of `runs`. An index may be somebody else's, and an id is a folder's name."""
    known = dict(zip(_COLUMNS, row, strict=True))
    texts = [known[name] for name in ("id", "name", "experiment", "status", "kind")]
    return all(isinstance(text, str) for text in texts) and is_run_id(known["id"])


def _events_of(path: Path, first: int, last: int, needle: bytes) -> Iterator[Any]:
    """Yield the events of one run between two bytes of a journal, without decoding other runs' lines."""
    try:
        with open(path, "rb") as file:
            file.seek(first)
            position = first
            for line in file:
                if position >= last or not line.endswith(b"\n"):
                    return
                position += len(line)
                if needle in line:
                    yield journals.decode(line)
    except OSError:
        return


def _time(milliseconds: int | None) -> datetime | None:
    if milliseconds is None:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=milliseconds)
    except OverflowError:  # no time at all, from a damaged journal
        return None


def _iso(milliseconds: int | None) -> str | None:
    time = _time(milliseconds)
    return None if time is None else f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
