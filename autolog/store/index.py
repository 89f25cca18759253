"""A SQLite file made from the journals, so that listing, filtering and sorting do not read all of them again.

It is only a cache: each read first brings it up to date, from where it left off in each journal. It is made anew when it is
missing, damaged or of another version. Metric histories are not copied into it; it knows which bytes of which journal hold a
run.

The index counts its versions: each update has a number, and each run that an update changes keeps it. So what has changed since
a version is a query. Numbers are milliseconds of the clock or more, so they also grow when the index is made anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from autolog.store.changes import Row, rows_of, tag_of
from autolog.store.journal import process_start, read_from
from autolog.store.layout import Layout, is_run_id
from autolog.tracking import events as e
from autolog.userkey import make_private

SCHEMA_VERSION = 9
SILENT_SECONDS = 90.0
"""A journal of another machine that has not grown for this long belongs to a process that is gone."""
_OF_A_RUN = ("params", "metrics", "tags", "datasets", "artifacts", "models", "notes", "segments")

_SCHEMA = """
CREATE TABLE journals (
  id INTEGER PRIMARY KEY, name TEXT UNIQUE, position INTEGER, host TEXT, pid INTEGER, started TEXT, last INTEGER,
  environment TEXT);
CREATE TABLE runs (
  no INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT, experiment TEXT, parent TEXT, status TEXT, framework TEXT,
  framework_version TEXT, kind TEXT, estimator TEXT, started INTEGER, ended INTEGER, error TEXT, overhead REAL,
  dropped INTEGER, journal INTEGER, best INTEGER, description TEXT, starred INTEGER DEFAULT 0, archived INTEGER DEFAULT 0,
  version INTEGER);
CREATE TABLE params (run INTEGER, key TEXT, value, json TEXT, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE metrics (
  run INTEGER, key TEXT, last REAL, min REAL, max REAL, step INTEGER, count INTEGER, special TEXT, kept REAL,
  direction TEXT, about TEXT, min_step INTEGER, max_step INTEGER, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE tags (run INTEGER, key TEXT, value TEXT, number REAL, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE datasets (run INTEGER, context TEXT, json TEXT);
CREATE TABLE artifacts (run INTEGER, path TEXT, bytes INTEGER, PRIMARY KEY (run, path)) WITHOUT ROWID;
CREATE TABLE models (
  run INTEGER, path TEXT, flavor TEXT, bytes INTEGER, seconds REAL, PRIMARY KEY (run, path)) WITHOUT ROWID;
CREATE TABLE notes (run INTEGER, text TEXT, error INTEGER);
CREATE TABLE segments (run INTEGER, journal INTEGER, first INTEGER, last INTEGER, PRIMARY KEY (run, journal)) WITHOUT ROWID;
CREATE TABLE code (journal INTEGER, t INTEGER, name TEXT, text TEXT);
CREATE TABLE changes (
  run TEXT, field TEXT, t INTEGER, id TEXT, value, journal INTEGER, PRIMARY KEY (run, field)) WITHOUT ROWID;
CREATE TABLE removed (id TEXT PRIMARY KEY, version INTEGER) WITHOUT ROWID;
CREATE TABLE version (now INTEGER, began INTEGER);
CREATE INDEX runs_by_parent ON runs (parent);
CREATE INDEX runs_by_started ON runs (started);
CREATE INDEX runs_by_name ON runs (name);
CREATE INDEX runs_by_version ON runs (version);
CREATE INDEX runs_open ON runs (journal) WHERE status IN ('running', 'lost');
CREATE INDEX runs_archived ON runs (id) WHERE archived;
CREATE INDEX datasets_of ON datasets (run);
CREATE INDEX notes_of ON notes (run);
CREATE INDEX code_of ON code (journal);
"""

_STATEMENTS = frozenset(statement.strip() for statement in _SCHEMA.split(";") if statement.strip())
_NAMES_ANOTHER_FILE = bytes.fromhex("d9d505f920a163d7")
"""The end of a SQLite journal that names a file, which SQLite deletes. Journals of a single database do not have it."""

BELOW = (
    "WITH RECURSIVE below(id) AS (SELECT id FROM runs WHERE parent = ?"
    " UNION SELECT r.id FROM runs r JOIN below b ON r.parent = b.id) SELECT id FROM below"
)
"""The ids of a run's children, their children and so on."""

T = TypeVar("T")


class Index:
    """The index of one store. `read` brings it up to date and hands a connection to a query, which must not write."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.path = layout.index
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Bring the index up to date and run the query on it. A damaged index is deleted and made anew, once."""
        with self._lock:
            try:
                return self._read(query)
            except sqlite3.ProgrammingError:
                raise
            except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
                self.close()
                if not _is_busy(error):
                    self._discard(error)
                return self._read(query)

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._open()
        self._refresh(connection)
        return query(connection)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(
        self, harmless: tuple[type[Exception], ...] = (AttributeError, TypeError, sqlite3.Error)
    ) -> None:
        """Close it: users do not close what `autolog.runs()` opens, and Python 3.13 warns of connections that stay open."""
        try:
            self.close()
        except harmless:  # `__init__` failed, or Python exits and has taken apart what `close` needs
            pass

    # -- opening

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if not self.layout.journals.is_dir():
                self._connection = _connect(":memory:")
            else:
                try:
                    self._connection = _connect(self.path)
                except (sqlite3.OperationalError, OSError):
                    self.path = _path_in_cache(self.layout)
                    self._connection = _connect(self.path)
        return self._connection

    def _discard(self, error: Exception) -> None:
        """Make room for a new index, in the user's cache directory if the store cannot be written at all."""
        try:
            for suffix in _FILES:
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except OSError:
            self.path = _path_in_cache(self.layout)
        if re.search("readonly|locking protocol|disk I/O|disk is full", str(error)):
            self.path = _path_in_cache(self.layout)

    # -- bringing up to date

    def _refresh(self, connection: sqlite3.Connection) -> None:
        known = {
            name: (number, position)
            for number, name, position in connection.execute("SELECT id, name, position FROM journals")
        }
        found = journal_sizes(self.layout)
        stale = {
            name: known.get(name, (None, 0))
            for name, size in found.items()
            if size > known.get(name, (0, 0))[1]
        }
        vanished = known.keys() - found.keys()
        if stale or vanished:
            connection.execute("BEGIN IMMEDIATE")
            try:
                version = _next_version(connection)
                if vanished:  # a run may have lived, or been removed, in several journals: all are read again
                    _empty(connection, version)
                _Update(connection, self.layout, version).apply(sorted(found if vanished else stale))
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        self._mark_lost(connection)

    def _mark_lost(self, connection: sqlite3.Connection) -> None:
        """Mark open runs as `lost` if their process is gone, and as running again if it was only slow."""
        rows = connection.execute(
            "SELECT DISTINCT j.id, j.host, j.pid, j.started, j.last, j.name FROM journals j JOIN runs r ON r.journal = j.id"
            " WHERE r.status IN ('running', 'lost')"
        ).fetchall()
        for number, host, pid, started, last, name in rows:
            gone = _is_gone(host, pid, started, last, self.layout.journals / name)
            change = ("lost", last, number, "running") if gone else ("running", None, number, "lost")
            sql = "UPDATE runs SET status = ?, ended = ?, version = ? WHERE journal = ? AND status = ?"
            if connection.execute(
                "SELECT 1 FROM runs WHERE journal = ? AND status = ?", change[2:]
            ).fetchone():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    connection.execute(sql, (*change[:2], _next_version(connection), *change[2:]))
                    connection.execute("COMMIT")
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise


_FILES = ("", "-journal", "-wal", "-shm")


def _require_harmless(path: str | Path) -> None:
    """Raise OSError for files that SQLite must not open; a file in the cache directory then replaces them. A store may be
    somebody else's: through a link, the tables of another program's database would be dropped, and a file that a journal names
    would be deleted.
    """
    for suffix in _FILES:
        try:
            if not stat.S_ISREG(os.lstat(f"{path}{suffix}").st_mode):
                raise OSError(f"{path}{suffix} is not a file")
            if suffix == "-journal" and _end_of(f"{path}{suffix}") == _NAMES_ANOTHER_FILE:
                raise OSError(f"{path}{suffix} names another file")
        except FileNotFoundError:  # or gone in the meantime: another reader is done
            continue


def _end_of(path: str) -> bytes:
    size = len(_NAMES_ANOTHER_FILE)
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read(size)


def _connect(path: str | Path) -> sqlite3.Connection:
    _require_harmless(path)
    connection = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Set the connection up, and make the tables that this version knows."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = OFF")  # a cache: made anew after a power cut if it is damaged
    connection.execute("PRAGMA temp_store = MEMORY")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again under the lock: another reader may have just made them.
            if connection.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
                for (table,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                ).fetchall():
                    quoted = table.replace('"', '""')
                    connection.execute(f'DROP TABLE "{quoted}"')
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    if frozenset(text for (text,) in found) != _STATEMENTS:  # a trigger or a view would act in our name
        raise sqlite3.DatabaseError("The index is not as this version makes it")


def _path_in_cache(layout: Layout) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "autolog"
    try:
        make_private(str(folder))
    except OSError:
        return Path(":memory:")
    return folder / f"index-{hashlib.sha256(str(layout.root).encode()).hexdigest()[:16]}.sqlite"


def _is_busy(error: Exception) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def journal_sizes(layout: Layout) -> dict[str, int]:
    """Return journals' names and sizes. Only a file is a journal: reading a named pipe, say, would wait."""
    found: dict[str, int] = {}
    try:
        with os.scandir(layout.journals) as entries:
            for entry in entries:
                try:
                    if entry.name.endswith(".jsonl") and entry.is_file():
                        entry.name.encode()
                        found[entry.name] = entry.stat().st_size
                except (OSError, UnicodeError):
                    continue  # gone meanwhile, a link to nowhere or in a loop, a name that is no text
    except OSError:
        pass
    return found


def _is_gone(host: str, pid: int, started: str, last: int, path: Path) -> bool:
    if host == socket.gethostname():
        now = process_start(pid)
        if started and now:
            return started != now
        if started and os.path.isdir("/proc/self"):
            return True
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OSError):
            return False
        except OverflowError:  # no process has such a number
            return True
        return False
    try:
        return time.time() - path.stat().st_mtime > SILENT_SECONDS
    except OSError:
        return True


class _Run:
    """What one batch says of one run, gathered before it is written: one row for each thing instead of one for each line."""

    __slots__ = (
        "about",
        "artifacts",
        "datasets",
        "fields",
        "first",
        "last",
        "metrics",
        "models",
        "no",
        "notes",
        "params",
        "tags",
    )

    def __init__(self, no: int) -> None:
        self.no = no
        self.fields: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self.metrics: dict[str, list[Any]] = {}
        self.about: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, str] = {}
        self.datasets: list[tuple[str, str]] = []
        self.artifacts: dict[str, int] = {}
        self.models: dict[str, tuple[str, int, float]] = {}
        self.notes: list[tuple[str, int]] = []
        self.first = -1
        self.last = -1


class _Update:
    """One transaction that applies the new lines of journals."""

    def __init__(self, connection: sqlite3.Connection, layout: Layout, version: int) -> None:
        self.connection = connection
        self.layout = layout
        self.version = version
        self.touched: set[str | None] = set()
        """The runs that this update changes, and those whose children it changes."""
        self.numbers: dict[str, int] = {}
        self.next_number = (connection.execute("SELECT max(no) FROM runs").fetchone()[0] or 0) + 1
        self.removed = {run for (run,) in connection.execute("SELECT id FROM removed")}
        self.changed = {run for (run,) in connection.execute("SELECT DISTINCT run FROM changes")}

    def apply(self, names: list[str]) -> None:
        for name in names:
            self._apply_journal(name)
        self.connection.executemany(
            "UPDATE runs SET version = ? WHERE id = ?", [(self.version, run) for run in self.touched]
        )

    def _apply_journal(self, name: str) -> None:
        execute = self.connection.execute
        execute("INSERT OR IGNORE INTO journals (name, position) VALUES (?, 0)", (name,))
        journal, position = execute("SELECT id, position FROM journals WHERE name = ?", (name,)).fetchone()
        runs: dict[str, _Run] = {}
        last = 0
        changes: list[e.RunChanged] = []
        removed: list[str] = []
        path = self.layout.journals / name
        try:
            for start, end, event in read_from(path, position):
                position = end
                if event is None:
                    continue
                if isinstance(event, e.MetricsLogged):  # the most frequent by far
                    last = event.t
                    self._gather_metrics(self._run(runs, event.run, start, end), event.v, event.step)
                elif isinstance(event, e.JournalOpened):
                    if event.version > e.FORMAT_VERSION:
                        return  # written by a newer autolog; left for it
                    execute(
                        "UPDATE journals SET host = ?, pid = ?, started = ? WHERE id = ?",
                        (event.host, int64(event.pid), event.started, journal),
                    )
                    last = event.t
                elif isinstance(event, e.EnvironmentLogged):
                    execute(
                        "UPDATE journals SET environment = ? WHERE id = ?", (_json(event.values), journal)
                    )
                elif isinstance(event, e.CodeLogged):
                    last = event.t
                    rows = [(journal, None, path, text) for path, text in event.files.items()]
                    rows += [(journal, event.t, number, text) for number, text in event.cells.items()]
                    self.connection.executemany("INSERT INTO code VALUES (?, ?, ?, ?)", rows)
                elif isinstance(event, e.RunChanged):
                    changes.append(event)
                elif isinstance(event, e.RunRemoved):
                    removed.append(event.run)
                elif isinstance(event, e.Heartbeat):
                    last = event.t
                else:
                    last = getattr(event, "t", last)
                    self._gather(self._run(runs, event.run, start, end), event)
        except OSError:  # gone meanwhile, unreadable, or damaged from here on
            pass
        for run_id, run in runs.items():
            if run_id not in self.removed and is_run_id(run_id):
                self._write(run_id, run, journal)
        for event in changes:
            if event.run not in self.removed and is_run_id(event.run):
                self._keep_change(event, journal)
        for run_id in self.changed & {*runs, *(event.run for event in changes)}:
            self._apply_changes(run_id)
        execute(
            "UPDATE journals SET position = ?, last = max(coalesce(last, 0), ?) WHERE id = ?",
            (position, int64(last), journal),
        )
        for run_id in removed:
            self.removed.add(run_id)
            execute("INSERT OR IGNORE INTO removed VALUES (?, ?)", (run_id, self.version))
            self._drop(run_id)

    def _run(self, runs: dict[str, _Run], run_id: str, start: int, end: int) -> _Run:
        run = runs.get(run_id)
        if run is None:
            run = runs[run_id] = _Run(self._number(run_id))
            run.first = start
        run.last = end
        return run

    def _number(self, run_id: str) -> int:
        number = self.numbers.get(run_id)
        if number is None:
            row = self.connection.execute("SELECT no FROM runs WHERE id = ?", (run_id,)).fetchone()
            if row is None:
                number, self.next_number = self.next_number, self.next_number + 1
            else:
                number = row[0]
            self.numbers[run_id] = number
        return number

    def _gather_metrics(self, run: _Run, values: dict[str, float], step: int) -> None:
        metrics = run.metrics
        if run.about:  # the kept model's value holds only until the metric is logged again
            for key in run.about.keys() & values.keys():
                run.about[key].pop("value", None)
        for key, value in values.items():
            held = metrics.get(key)
            if held is None:
                metrics[key] = [
                    value,
                    value if value == value else None,
                    value if value == value else None,
                    step,
                    1,
                    step,
                    step,
                ]
            else:
                held[0] = value
                if value == value:
                    if held[1] is None or value < held[1]:
                        held[1], held[5] = value, step
                    if held[2] is None or value > held[2]:
                        held[2], held[6] = value, step
                held[3] = step
                held[4] += 1

    def _gather_about(self, run: _Run, about: dict[str, dict[str, Any]]) -> None:
        for key, said in about.items():
            run.about.setdefault(key, {}).update(said)

    def _gather(self, run: _Run, event: Any) -> None:
        fields = run.fields
        kind = type(event)  # pyright: ignore[reportUnknownVariableType]
        if kind is e.RunStarted:
            fields.update(
                name=event.name, experiment=event.experiment, parent=event.parent, kind=event.kind,
                framework=event.framework, framework_version=event.version, estimator=event.estimator, started=event.t,
            )  # fmt: skip
            fields.setdefault("status", "running")
            run.tags.update(event.tags)
        elif kind is e.RunDescribed:
            fields.update(
                kind=event.kind,
                framework=event.framework,
                framework_version=event.version,
                estimator=event.estimator,
            )
        elif kind is e.RunEnded:
            fields.update(
                status=event.status,
                ended=event.t,
                error=event.error,
                overhead=event.overhead,
                dropped=event.dropped,
            )
        elif kind is e.RunRecorded:
            fields.update(
                name=event.name, experiment=event.experiment, parent=event.parent, kind=event.kind, started=event.t,
                framework=event.framework, framework_version=event.version, estimator=event.estimator,
                ended=event.ended, status=event.status,
            )  # fmt: skip
            run.params.update(event.params)
            run.tags.update(event.tags)
            self._gather_metrics(run, event.metrics, 0)
            self._gather_about(run, event.about)
        elif kind is e.MetricsDescribed:
            self._gather_about(run, event.metrics)
        elif kind is e.ParamsLogged:
            run.params.update(event.values)
        elif kind is e.TagsSet:
            run.tags.update(event.values)
        elif kind is e.DatasetLogged:
            run.datasets.append((event.context, _json(event.values)))
        elif kind is e.ArtifactLogged:
            run.artifacts[event.path] = event.bytes
        elif kind is e.ModelLogged:
            run.models[event.path] = (event.flavor, event.bytes, event.seconds)
            run.artifacts.update({f"{event.path}/{name}": size for name, size in event.files.items()})
        elif kind is e.NoteLogged:
            run.notes.append((event.text, int(event.error)))

    def _write(self, run_id: str, run: _Run, journal: int) -> None:
        no = run.no
        execute, many = self.connection.execute, self.connection.executemany
        self.touched |= {run_id, run.fields.get("parent")}
        execute(
            "INSERT OR IGNORE INTO runs (no, id, name, experiment, status, kind, journal)"
            " VALUES (?, ?, ?, '', 'running', 'run', ?)",
            (no, run_id, run_id, journal),
        )
        if run.fields:
            assignments = ", ".join(f"{name} = ?" for name in run.fields)
            execute(f"UPDATE runs SET {assignments} WHERE no = ?", (*map(int64, run.fields.values()), no))
        many(
            "INSERT OR REPLACE INTO params VALUES (?, ?, ?, ?)",
            [(no, key, *_param(value)) for key, value in run.params.items()],
        )
        if run.metrics:
            many(
                "INSERT INTO metrics (run, key, last, min, max, step, count, special, min_step, max_step)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET last = excluded.last,"
                " min_step = CASE WHEN min IS NULL OR excluded.min < min THEN excluded.min_step ELSE min_step END,"
                " max_step = CASE WHEN max IS NULL OR excluded.max > max THEN excluded.max_step ELSE max_step END,"
                " min = coalesce(min(min, excluded.min), min, excluded.min),"
                " max = coalesce(max(max, excluded.max), max, excluded.max),"
                " step = excluded.step, count = count + excluded.count, special = excluded.special,"
                " kept = NULL",
                [
                    (
                        no,
                        key,
                        v[0],
                        v[1],
                        v[2],
                        int64(v[3]),
                        v[4],
                        None if v[0] == v[0] else "NaN",
                        int64(v[5]),
                        int64(v[6]),
                    )
                    for key, v in run.metrics.items()
                ],
            )
        # A metric may be described in a journal that is read before the one in which it is logged: until then it has no values.
        many(
            "INSERT INTO metrics (run, key, count, kept, direction, about) VALUES (?, ?, 0, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " kept = coalesce(excluded.kept, kept), direction = coalesce(excluded.direction, direction),"
            " about = CASE WHEN about IS NULL OR excluded.about IS NULL THEN coalesce(excluded.about, about)"
            " ELSE json_patch(about, excluded.about) END",
            [
                (
                    no,
                    key,
                    _real(said.get("value")),
                    _text(said.get("direction")),
                    _about(said),
                )
                for key, said in run.about.items()
            ],
        )
        many(
            "INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)",
            [(no, k, v, _number(v)) for k, v in run.tags.items()],
        )
        many("INSERT INTO datasets VALUES (?, ?, ?)", [(no, *row) for row in run.datasets])
        many(
            "INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?)",
            [(no, k, int64(v)) for k, v in run.artifacts.items()],
        )
        many(
            "INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?)",
            [(no, k, flavor, int64(size), seconds) for k, (flavor, size, seconds) in run.models.items()],
        )
        many("INSERT INTO notes VALUES (?, ?, ?)", [(no, *row) for row in run.notes])
        execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
            (no, journal, run.first, run.last),
        )

    def _keep_change(self, event: e.RunChanged, journal: int) -> None:
        """Keep what an event changes, unless a later change of it is known. The run's own journal may come later."""
        self.changed.add(event.run)
        self.connection.executemany(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET t = excluded.t, id = excluded.id,"
            " value = excluded.value, journal = excluded.journal WHERE (excluded.t, excluded.id) > (t, id)",
            [(event.run, row.field, int64(row.t), row.id, row.value, journal) for row in rows_of(event)],
        )

    def _apply_changes(self, run_id: str) -> None:
        """Put the latest changes of a run over what its own journal says of it."""
        found = self.connection.execute("SELECT no FROM runs WHERE id = ?", (run_id,)).fetchone()
        if found is None:
            return
        self.touched.add(run_id)
        for row in changes_of(self.connection, run_id):
            tag = tag_of(row.field)
            if row.field == "archived":  # lists leave out the runs below it, too
                self.touched.update(run for (run,) in self.connection.execute(BELOW, (run_id,)))
            if tag is None:  # one of FIELDS
                self.connection.execute(f"UPDATE runs SET {row.field} = ? WHERE no = ?", (row.value, *found))
            elif row.value is None:
                self.connection.execute("DELETE FROM tags WHERE run = ? AND key = ?", (*found, tag))
            else:
                values = (*found, tag, row.value, _number(row.value))
                self.connection.execute("INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)", values)

    def _drop(self, run_id: str) -> None:
        self.connection.execute("DELETE FROM changes WHERE run = ?", (run_id,))
        sql = "SELECT no, parent FROM runs WHERE id = ?"
        for no, parent in self.connection.execute(sql, (run_id,)).fetchall():
            self.touched.add(parent)
            for table in _OF_A_RUN:
                self.connection.execute(f"DELETE FROM {table} WHERE run = ?", (no,))
            self.connection.execute("DELETE FROM runs WHERE no = ?", (no,))


def changes_of(connection: sqlite3.Connection, run_id: str) -> list[Row]:
    """Return the latest change of each thing that was changed of a run."""
    sql = "SELECT field, t, id, value FROM changes WHERE run = ? ORDER BY field"
    return [Row(*row) for row in connection.execute(sql, (run_id,))]


def version_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the index's version, and the version since which it knows what has been removed."""
    return connection.execute("SELECT now, began FROM version").fetchone() or (0, 0)


def _next_version(connection: sqlite3.Connection) -> int:
    version = max(e.now(), version_of(connection)[0] + 1)
    if not connection.execute("UPDATE version SET now = ?", (version,)).rowcount:
        connection.execute("INSERT INTO version VALUES (?, ?)", (version, version))
    return version


def _empty(connection: sqlite3.Connection, version: int) -> None:
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table != "version":
            connection.execute(f'DELETE FROM "{table}"')
    connection.execute("UPDATE version SET began = ?", (version,))


def int64(value: Any) -> Any:
    """Return a value as it is, but an integer that SQLite cannot hold as the nearest that it can."""
    if type(value) is int and not -(2**63) <= value < 2**63:
        return 2**63 - 1 if value > 0 else -(2**63)
    return value


def _number(text: str) -> float | None:
    """Return the number that a tag is, to compare it; else None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None


def _real(value: Any) -> float | None:
    """Return a number, or None for anything else: the journal may be somebody else's."""
    return float(value) if type(value) in (int, float) and abs(value) < 1e308 else None


def _text(value: Any) -> str | None:
    return value if type(value) is str else None


def _about(said: dict[str, Any]) -> str | None:
    """Return as JSON what was recorded of a metric beside its direction and value, if it has the right types."""
    known = {key: said[key] for key, kind in e.ABOUT.items() if type(said.get(key)) is kind}
    return _json(known) if known else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _param(value: Any) -> tuple[Any, str | None]:
    """Return the value as SQLite compares it, and its JSON if that differs."""
    if value is None:
        return None, "null"
    if isinstance(value, bool):
        return int(value), "true" if value else "false"
    if isinstance(value, (int, float)) and not (isinstance(value, int) and not -(2**63) <= value < 2**63):
        return value, None
    if isinstance(value, str):
        return value, None
    text = _json(value)
    return text, text
