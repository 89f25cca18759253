"""A store may be somebody else's: unpacked from an archive, cloned with a project, or shared. Whatever is in it, reading it
runs no code, and nothing outside of it is written, deleted or shown; the rest of it is read as before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import sqlite3
import struct
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from helpers import write_journal
from typer.testing import CliRunner

from autolog.cli.app import app
from autolog.registry import sinks
from autolog.sinks.follower import _note_of
from autolog.sinks.make import make_sink
from autolog.store.layout import Layout, file_of
from autolog.store.records import Store
from autolog.tracking import events as e

SINKS = ("jsonl", "tensorboard") if find_spec("tensorboard") else ("jsonl",)

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z
PRECIOUS = "hunter2, of nobody's business"
ESCAPES = "\x1b[2J\x1b]0;x\x07\x9b2J\r\n\u202e\u2066\u061c[bold]"
ACTS = re.compile(
    "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\r(?!\n)"
)
"""What a terminal obeys, or what turns the writing round. A line may end as CSV's do."""


class Place:
    """Somebody else's store, and what is around it. `home` holds what is precious."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout(folder / "given" / ".autolog")
        self.store = self.layout.root
        self.home = folder / "home"
        (self.home / "kept").mkdir(parents=True)
        for name in ("precious.txt", "kept/precious.txt", "kept/.precious.0123456789abcdef"):
            (self.home / name).write_text(PRECIOUS)
            os.utime(self.home / name, (0, 0))
        with sqlite3.connect(self.home / "other.sqlite") as other:
            other.execute("CREATE TABLE precious (x)")
        other.close()
        self.journals = 0

    def journal(self, *events: e.Event) -> Path:
        self.journals += 1
        return write_journal(self.layout, events, f"j{self.journals}")

    def link(self, name: str, target: str | Path) -> None:
        (self.store / name).parent.mkdir(parents=True, exist_ok=True)
        (self.store / name).symlink_to(target)

    def index(self, *statements: str) -> None:
        """One that is up to date, and has been tampered with."""
        Store(self.store).runs()
        connection = sqlite3.connect(self.layout.index, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def outside(self) -> dict[str, Any]:
        """All that is not the store's."""
        found: dict[str, Any] = {}
        for path in sorted(self.folder.rglob("*")):
            if not path.is_relative_to(self.folder / "given") and not path.is_relative_to(
                self.folder / "own"
            ):
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
                found[str(path)] = (content, path.lstat().st_mode, path.lstat().st_nlink)
        return found


def a_run(run: str = "good", **about: Any) -> list[e.Event]:
    metrics = [e.MetricsLogged(run, step, NOON + step, {"loss": 1.0 / (1 + step)}) for step in range(3)]
    start = e.RunStarted(run, NOON, about.pop("name", run), "default", **about)
    return [start, e.ParamsLogged(run, {"C": 1}), *metrics, e.RunEnded(run, NOON + 9, "finished")]


# -- the attacks: what each leaves in the store, beside the run `good`


def ids_of_removed_runs(place: Place) -> None:
    """`gc` removes what is left of removed runs: by ids that are paths, it would remove anything."""
    place.journal(*(e.RunRemoved(run) for run in ("../../../home", str(place.home), "..", "", "good/../..")))


def ids_of_runs(place: Place) -> None:
    for run in ("../../../home", str(place.home), "../../../home/kept"):
        place.journal(*a_run(run))


def all_runs_folder_is_a_link(place: Place) -> None:
    place.journal(*a_run("kept"), e.ArtifactLogged("kept", "precious.txt", 1))
    place.link("artifacts", place.home)


def runs_folder_is_a_link(place: Place) -> None:
    place.link("artifacts/good", place.home / "kept")
    place.journal(e.RunRemoved("removed"), e.ArtifactLogged("good", "precious.txt", 1))
    place.link("artifacts/removed", place.home / "kept")


def objects_are_a_link(place: Place) -> None:
    place.link("objects", place.home / "kept")


def index_is_another_programs_database(place: Place) -> None:
    place.link("index.sqlite", place.home / "other.sqlite")


def index_is_a_folder(place: Place) -> None:
    place.layout.index.mkdir()


def index_is_a_pipe(place: Place) -> None:
    os.mkfifo(place.layout.index)


def indexs_journal_names_a_file_to_delete(place: Place) -> None:
    """SQLite deletes the file that binds the journals of several databases, when it takes back what was half done."""
    place.index()
    name, magic = os.fsencode(place.home / "precious.txt"), bytes.fromhex("d9d505f920a163d7")
    pages = place.layout.index.stat().st_size // 4096
    head = (magic + struct.pack(">5I", 0, 1, pages, 512, 4096)).ljust(512, b"\0")
    tail = struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic
    Path(f"{place.layout.index}-journal").write_bytes(head + tail)


def indexs_journal_is_a_link(place: Place) -> None:
    place.index()
    place.link("index.sqlite-journal", place.home / "precious.txt")


def index_has_triggers_and_views(place: Place) -> None:
    place.index(
        "DELETE FROM journals",
        "ALTER TABLE tags RENAME TO other_tags",
        f"CREATE VIEW tags AS SELECT 1 AS run, '{ESCAPES}' AS key, writefile('{place.home}/x', 'x') AS value",
        f"CREATE TRIGGER t AFTER INSERT ON runs BEGIN UPDATE runs SET id = '{place.home}'; END",
    )


def index_has_another_name_in_quotes(place: Place) -> None:
    place.index('CREATE TABLE """; DROP TABLE runs; --" (x)', "PRAGMA user_version = 1")


def index_has_ids_that_are_paths(place: Place) -> None:
    place.index(
        "INSERT INTO runs (no, id, name, status, started) VALUES (7, '../../../home/kept', 'bad', 'finished', 1)",
        f"INSERT INTO runs (no, id, name, status, started) VALUES (8, '{place.home}', 'worse', 'finished', 1)",
        f"INSERT INTO models VALUES (7, '{place.home}/kept', 'sklearn', 1, 1.0)",
        f"INSERT INTO removed (id) VALUES ('{place.home}')",
    )


def index_has_what_is_no_json(place: Place) -> None:
    place.index("INSERT INTO params SELECT no, 'bad', 1, '{' FROM runs")


def paths_of_files(place: Place) -> None:
    folder = place.layout.artifacts_of("good")
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "fine").mkdir()
    (folder / "way").symlink_to(folder / "a/b/c")  # `way/../..` is another place where no such link is
    paths = [
        "../../../../home/kept",
        f"{place.home}/kept",
        "out",
        "way/../../../fine",
        "C:\\x",
        "nul\0",
        "x" * 5000,
    ]
    place.link("artifacts/good/out", place.home / "kept")
    for path in paths:
        place.journal(
            e.ArtifactLogged("good", f"{path}/precious.txt", 1),
            e.ModelLogged("good", path, "sklearn", 1, {"x": 1}),
        )
    for model in (place.home / "kept", folder / "fine"):
        (model / "MLmodel").write_text(json.dumps({"flavors": {"nothing": {}, PRECIOUS: {}}}))


def notes_of_sinks_are_links(place: Place) -> None:
    """The names under which a position is written are known beforehand."""
    for kind in SINKS:
        sink = make_sink(f"{kind}:{place.folder / 'own' / kind}", sinks())
        note = _note_of(sink, place.layout.journals / "j1.jsonl", place.layout)
        for suffix, target in (
            (f".{os.getpid()}", "precious.txt"),
            (".lock", f"made by {kind}"),
            (".json", "/dev/zero"),
        ):
            place.link(f"followers/{note.with_suffix(suffix).name}", place.home / target)


def journals_are_no_files(place: Place) -> None:
    place.index(
        "INSERT INTO journals (name, position) VALUES ('gone.jsonl', 9)"
    )  # so that all are read again
    (place.layout.journals / "folder.jsonl").mkdir()
    os.mkfifo(place.layout.journals / "pipe.jsonl")
    for name, target in (("device", "/dev/zero"), ("loop", "loop.jsonl"), ("nothing", "not there")):
        place.link(f"journal/{name}.jsonl", target)
    place.link("journal/secret.jsonl", place.home / "precious.txt")


def journals_of_processes_that_cannot_be(place: Place) -> None:
    for host in (socket.gethostname(), "x" * 9000):
        for pid in (-1, 2**63 - 1):
            path = place.journal()
            header = {"e": "journal", "version": 1, "t": 2**60, "host": host, "pid": pid}
            start = {"e": "start", "run": f"r{place.journals}", "t": 2**60, "name": "bad", "experiment": "x"}
            path.write_text(f"{json.dumps(header)}\n{json.dumps(start)}\n")


def lines_of_any_kind(place: Place) -> None:
    with open(place.journal(*a_run("bad")), "ab") as file:
        for depth in (100, 900, 990, 1000, 100_000):
            file.write(b'{"e":"params","run":"bad","values":{"x":%s}}\n' % (b"[" * depth + b"]" * depth))
            file.write(b'{"e":"environment","values":{"x":%s}}\n' % (b'{"a":' * depth + b"1" + b"}" * depth))
        many = ",".join(f'"metric {number}":{number}' for number in range(1_000))
        file.write(b'{"e":"m","run":"bad","step":1,"t":1,"v":{%s}}\n' % many.encode())
        file.write(b'{"e":"tags","run":"bad","values":{"x":"%s"}}\n' % (b"x" * 1_000_000))
        file.write(
            b"\0" * 1_000_000 + b"\n\xff\xfe\n" + b'{"e":"end","run":"bad","t":-9e999}\n' + b"{" * 1_000_000
        )


ATTACKS: dict[str, Callable[[Place], None]] = {
    function.__name__.replace("_", " "): function
    for function in (
        ids_of_removed_runs, ids_of_runs, all_runs_folder_is_a_link, runs_folder_is_a_link, objects_are_a_link,
        index_is_another_programs_database, index_is_a_folder, index_is_a_pipe, indexs_journal_names_a_file_to_delete,
        indexs_journal_is_a_link, index_has_triggers_and_views, index_has_another_name_in_quotes,
        index_has_ids_that_are_paths, index_has_what_is_no_json, paths_of_files,
        notes_of_sinks_are_links, journals_are_no_files, journals_of_processes_that_cannot_be, lines_of_any_kind,
    )
}  # fmt: skip


# -- what the owner of the computer does with it


def commands(place: Place) -> list[list[str]]:
    runs = ["good", "bad"]
    reading = [
        ["ls"], ["ls", "--children", "--json"], ["ls", "metrics.loss < 1"], ["compare", *runs], ["compare", *runs, "--json"],
        ["export", "--children"], ["export", "--format", "jsonl"], ["export", "--histories"],
        *(["show", run, *more] for run in runs for more in ([], ["--json"], ["--metric", "loss"])),
    ]  # fmt: skip
    sending = [["sync", "--to", f"{kind}:{place.folder / 'own' / kind}"] for kind in SINKS]
    removing = [["gc"], *(["rm", run.id, "--yes"] for run in Store(place.store).runs(children=True)), ["gc"]]
    return [*reading, *sending, *removing]


def asked(place: Place) -> None:
    """The same by Python's means."""
    for record in Store(place.store).runs(children=True):
        repr(record), record.to_dict(), record.histories(), record.environment, list(record.children)
        for model in record.models:
            with pytest.raises(Exception) as caught:
                record.model(model["path"])
            assert PRECIOUS not in str(caught.value)
            assert not ACTS.search(str(caught.value))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_malicious_store_does_no_harm(tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command goes through its work, or says in a line what is wrong; the run beside is there; nothing else happens."""
    pytest.importorskip("tensorboard")
    for variable, folder in (
        ("HOME", "home"),
        ("XDG_CACHE_HOME", "own/cache"),
        ("AUTOLOG_CONFIG_DIR", "own/config"),
    ):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    place = Place(tmp_path)
    place.journal(*a_run())
    ATTACKS[attack](place)
    before = place.outside()
    asked(place)
    assert "good" in [run.name for run in Store(place.store).runs()]
    for arguments in commands(place):
        done = CliRunner().invoke(app, [*arguments, "--store", str(place.store)])
        assert isinstance(done.exception, (SystemExit, type(None))), (arguments, done.exception)
        assert not ACTS.search(done.output.replace("\n", "")), arguments
        assert PRECIOUS not in done.output
        assert place.outside() == before, arguments
    for path in (tmp_path / "own").rglob("*"):
        assert not path.is_file() or PRECIOUS.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("fine.txt", True), ("a/fine.txt", True), ("not there/x", True), ("fine.txt/x", True), ("a\\..\\b", True),
        ("..", False), ("../other/x", False), ("../good/fine.txt", False), ("a/../fine.txt", False), ("a//x", False),
        ("", False), (".", False), ("/etc/passwd", False), ("out", False), ("out/precious.txt", False), ("loop/x", False),
        ("nul\0", False), ("x" * 5000, False), ("x/" * 5000 + "x", False),
    ],
)  # fmt: skip
def test_a_path_that_leads_out_of_the_runs_folder_is_no_file_of_the_run(
    tmp_path: Path, path: str, inside: bool
) -> None:
    place = Place(tmp_path)
    folder = place.layout.artifacts_of("good")
    (folder / "a").mkdir(parents=True)
    for name in ("fine.txt", "a/fine.txt"):
        (folder / name).write_text("fine")
    place.link("artifacts/good/out", place.home)
    place.link("artifacts/good/loop", "loop")
    assert file_of(place.layout.artifacts, "good", path) == (folder / path if inside else None)
    assert file_of(place.layout.artifacts, "../artifacts/good", path) is None
