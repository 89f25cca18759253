"""The promise: content that is equal is on the disk once, whoever writes it and wherever it came from; nothing is ever lost or
mixed up by that; and what nobody has any more is freed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import write_journal
from typer.testing import CliRunner

from autolog.cli.app import app
from autolog.store import objects
from autolog.store.disk import reclaimable, total_size
from autolog.store.gc import DRAFT_SECONDS
from autolog.store.layout import Layout
from autolog.store.objects import SMALLEST, collect, deduplicate, share
from autolog.store.records import Store
from autolog.tracking.events import ArtifactLogged, Event, RunEnded, RunStarted

ONE = b"1" * SMALLEST
OTHER = b"2" * SMALLEST


def id_of(number: int) -> str:
    return f"01JG{number:022d}"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / ".autolog")


def put(layout: Layout, number: int, content: bytes, name: str = "model/model.pkl") -> Path:
    """A run's file, written and shared as it is when a model is saved."""
    path = layout.artifacts_of(id_of(number)) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    share(layout.objects, path, hashlib.sha256(content).hexdigest())
    return path


def files(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def recorded(layout: Layout, *numbers: int, logged: tuple[str, ...] = ()) -> Store:
    """A store whose journal speaks of these runs."""
    events: list[Event] = []
    for number in numbers:
        run = id_of(number)
        events += [RunStarted(run, number, f"run-{number}", "default"), RunEnded(run, number + 1, "finished")]
        events += [ArtifactLogged(run, path, 1) for path in logged]
    write_journal(layout, events)
    return Store(layout)


def gc(layout: Layout) -> int:
    done = CliRunner().invoke(app, ["gc", "--store", str(layout.root), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)["bytes"]


def test_a_hundred_equal_files_take_the_room_of_one(layout: Layout) -> None:
    """Each stays an ordinary file at its path, and reads as before."""
    paths = [put(layout, number, ONE) for number in range(100)]
    other = put(layout, 100, OTHER)
    assert len(files(layout.root)) == 2
    assert {path.read_bytes() for path in paths} == {ONE}
    assert other.read_bytes() == OTHER
    assert not any(path.is_symlink() for path in paths)
    assert sorted(path.name for path in layout.objects.iterdir()) == sorted(
        hashlib.sha256(content).hexdigest() for content in (ONE, OTHER)
    )


def test_small_files_are_not_deduplicated(layout: Layout) -> None:
    put(layout, 1, ONE[:-1])
    assert not layout.objects.exists()


def test_a_file_without_a_known_digest_is_deduplicated_too(layout: Layout) -> None:
    one, other = put(layout, 1, ONE), layout.artifacts_of(id_of(2)) / "data.bin"
    other.parent.mkdir(parents=True)
    other.write_bytes(ONE)
    deduplicate(layout.objects)(str(other))
    assert other.samefile(one)


def test_processes_that_write_the_same_at_once_share_it_and_lose_nothing(layout: Layout) -> None:
    """Without locks, and with a garbage collection going on all the while."""
    code = """
        import hashlib, sys
        from pathlib import Path
        from autolog.store.objects import collect, share
        root, number = Path(sys.argv[1]), int(sys.argv[2])
        contents = [bytes([kind]) * 50_000 for kind in range(3)]
        digests = [hashlib.sha256(content).hexdigest() for content in contents]
        for turn in range(150):
            kind = (turn + number) % 3
            path = root / "artifacts" / f"{number}-{turn}"
            path.write_bytes(contents[kind])
            share(root / "objects", path, digests[kind])
            assert path.read_bytes() == contents[kind]
            if turn % 7 == number:
                collect(root / "objects")
    """
    layout.artifacts.mkdir(parents=True)
    command = [sys.executable, "-c", textwrap.dedent(code), str(layout.root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen([*command, str(number)], env=environment) for number in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    contents: dict[bytes, set[int]] = {}
    for path in layout.artifacts.iterdir():
        contents.setdefault(path.read_bytes(), set()).add(path.stat().st_ino)
    assert sorted(content[:1] for content in contents) == [b"\0", b"\1", b"\2"]
    # An object that was collected between its first and its second file is made anew: a few more files than contents.
    assert sum(map(len, contents.values())) < 450 / 3
    assert not list(layout.root.rglob("*.tmp"))


@pytest.mark.parametrize("harm", ["changed", "cut", "another mode"])
def test_a_damaged_object_never_replaces_a_runs_file(layout: Layout, harm: str) -> None:
    """What was changed in place, or copied in part, is never put in the place of a run's file: it gives way."""
    first = put(layout, 1, ONE)
    if harm == "another mode":
        first.chmod(0o755)
    else:
        first.write_bytes(b"x" * SMALLEST if harm == "changed" else ONE[:-9])
    second, third = put(layout, 2, ONE), put(layout, 3, ONE)
    assert (second.read_bytes(), third.read_bytes()) == (ONE, ONE)
    assert not second.samefile(first)
    assert second.samefile(third)
    assert not list(layout.root.rglob("*.tmp"))


@pytest.mark.parametrize("call", ["link", "makedirs", "replace"])
def test_files_stay_as_they_are_where_links_are_impossible(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    first, second = put(layout, 1, ONE), layout.artifacts_of(id_of(2)) / "x"

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("no")

    second.parent.mkdir()
    second.write_bytes(ONE)
    with monkeypatch.context() as without:
        without.setattr(objects.os, call, refuse)
        share(layout.objects, second, hashlib.sha256(ONE).hexdigest())
    assert (first.read_bytes(), second.read_bytes()) == (ONE, ONE)
    assert not second.samefile(first)
    assert not list(layout.root.rglob("*.tmp"))


def test_a_new_object_is_begun_when_a_file_has_too_many_links(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(layout, 1, ONE)
    link = os.link

    def full(source: Any, target: Any) -> None:
        if os.stat(source).st_ino == first.stat().st_ino:
            raise OSError(31, "Too many links")
        link(source, target)

    with monkeypatch.context() as limited:
        limited.setattr(objects.os, "link", full)
        second, third = put(layout, 2, ONE), put(layout, 3, ONE)
    assert not second.samefile(first)
    assert second.samefile(third)
    assert not list(layout.root.rglob("*.tmp"))


def test_rm_frees_and_counts_only_what_no_other_run_has(layout: Layout) -> None:
    store = recorded(layout, 1, 2, 3)
    paths = [put(layout, number, ONE) for number in (1, 2)] + [put(layout, 3, OTHER)]
    runs = [store.layout.artifacts_of(id_of(number)) for number in (1, 2, 3)]
    assert (total_size(runs), reclaimable(runs)) == (3 * SMALLEST, 2 * SMALLEST)
    assert [reclaimable(runs[:1]), reclaimable(runs[:2]), reclaimable(runs[2:])] == [0, SMALLEST, SMALLEST]
    removed = [
        json.loads(
            CliRunner().invoke(app, ["rm", f"run-{n}", "--yes", "--json", "--store", str(layout.root)]).stdout
        )
        for n in (1, 3, 2)
    ]
    assert [one["bytes"] for one in removed] == [0, SMALLEST, SMALLEST]
    assert not any(path.exists() for path in paths)
    assert list(layout.objects.iterdir()) == []


def test_a_copy_of_a_store_without_its_links_is_whole_and_gc_frees_the_rest(
    layout: Layout, tmp_path: Path
) -> None:
    """`cp -r` makes each name a file: everything is there, and the objects are copies that nobody needs."""
    recorded(layout, 1, 2)
    for number in (1, 2):
        put(layout, number, ONE)
    copy = Layout(tmp_path / "copy" / ".autolog")
    shutil.copytree(layout.root, copy.root)
    assert len(files(copy.artifacts) | files(copy.objects)) == 3
    assert gc(copy) == SMALLEST
    assert [put(copy, number, ONE).read_bytes() for number in (1, 2, 3)] == [ONE] * 3
    assert gc(layout) == 0
    assert len(files(layout.objects)) == 1


def test_gc_removes_what_killed_processes_have_left(layout: Layout) -> None:
    """But not what may still be written, what is only called as a draft, nor files of runs that are not known yet."""
    logged = ("notes.0123456789abcdef.tmp", ".tools.0123456789abcdef/a")
    recorded(layout, 1, 2, logged=logged)
    run, unknown = (layout.artifacts_of(id_of(number)) for number in (1, 7))
    leftovers = [
        ".model.0123456789abcdee/model.pkl", ".model.0123456789abcdee.old/MLmodel", "model-0123456789abcdef.tmp",
        "model-0123456789abcdef.tmp.keras", "a/x.0123456789abcdee.tmp",
    ]  # fmt: skip
    kept = [*logged, "model/MLmodel"]
    for folder, name in [*((run, name) for name in (*leftovers, *kept)), (unknown, leftovers[2])]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345678")
    assert gc(layout) == 0  # of today
    then = time.time() - DRAFT_SECONDS - 1
    for path in (*run.rglob("*"), *unknown.rglob("*")):
        os.utime(path, (then, then))
    fresh = layout.artifacts_of(id_of(2)) / "model-0123456789abcdef.tmp"
    fresh.parent.mkdir()
    fresh.write_bytes(b"1")
    assert gc(layout) == 8 * len(leftovers)
    left = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    assert left == sorted(kept)
    assert fresh.exists()
    assert (unknown / leftovers[2]).exists()


def test_gc_removes_old_reports_of_workers(layout: Layout) -> None:
    """The process that they told it was killed; what is told today may still be read."""
    recorded(layout, 1)
    layout.workers.mkdir()
    for name in ("old", "new"):
        (layout.workers / name).write_text("- here\n")
    then = time.time() - DRAFT_SECONDS - 1
    os.utime(layout.workers / "old", (then, then))
    assert gc(layout) == 7
    assert [path.name for path in layout.workers.iterdir()] == ["new"]


def test_gc_removes_what_is_left_of_removed_runs(layout: Layout) -> None:
    store = recorded(layout, 1, 2)
    kept = put(layout, 2, ONE)
    store.remove([store.get("run-1")])
    late = put(layout, 1, OTHER)
    assert gc(layout) == SMALLEST
    assert (kept.exists(), late.exists()) == (True, False)
    assert collect(layout.objects) == 0


def test_gc_of_a_store_without_files_frees_nothing(layout: Layout) -> None:
    recorded(layout, 1)
    assert gc(layout) == 0
    shown = CliRunner().invoke(app, ["gc", "--store", str(layout.root)])
    assert shown.stdout == "freed 0 B\n"
