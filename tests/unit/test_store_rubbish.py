"""The promise: whatever lies in a store beside what autolog has put there, each command and call still shows the runs that are
well, and raises nothing but what it says it does. Stores are copied, merged, torn by full disks and looked after by hand.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from typer.main import get_command

import autolog
from autolog.cli.app import app
from autolog.store.records import Store
from autolog.testing import recorded

COMMANDS = get_command(app)
HAS_MODEL = find_spec("sklearn") is not None
SECONDS = 60
"""Whoever waits longer waits for ever, as for somebody to write into a named pipe."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with a run that has a bit of everything, its child, and a run to remove."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOLOG_CONFIG_DIR", str(folder / "config"))
        with recorded() as seen:
            with autolog.run("good") as run:
                run.log_params({"C": 0.5})
                for step in range(5):
                    run.log_metrics({"loss": 1 / (step + 1)}, step=step)
                run.log_json("notes.json", {"text": "x" * 20_000})
                if HAS_MODEL:
                    run.log_model(fitted(), flavor="sklearn")
                with autolog.run("child"):
                    pass
            with autolog.run("other") as run:
                run.log_metrics({"loss": 7.0})
                run.log_json("notes.json", {"text": "y" * 20_000})
        shutil.copytree(Path(seen.folder, ".autolog"), folder / ".autolog")
        yield folder / ".autolog"


def fitted() -> Any:
    from sklearn.linear_model import Ridge

    with autolog.suspended():
        return Ridge(alpha=0).fit([[1.0], [2.0]], [2.0, 4.0])


# -- rubbish


def a_pipe(path: Path, content: bytes) -> None:
    os.mkfifo(path)


def a_socket(path: Path, content: bytes) -> None:
    # By the folder, as a socket's own path may only be short.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(b"/proc/self/fd/%d/" % folder + os.fsencode(path.name))
    finally:
        os.close(folder)


def an_unreadable_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0)


def an_unreadable_folder(path: Path, content: bytes) -> None:
    path.mkdir()
    path.chmod(0)


def a_folder_with_a_file(path: Path, content: bytes) -> None:
    path.mkdir()
    (path / "inner.jsonl").write_bytes(content)


def a_store(path: Path, content: bytes) -> None:
    (path / "journal").mkdir(parents=True)
    (path / "journal" / "inner.jsonl").write_bytes(content)


def a_database(path: Path, content: bytes) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE runs (name)")
    database.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(content) * 100 or None])


KINDS: tuple[Callable[[Path, bytes], Any], ...] = (
    lambda path, content: path.touch(),
    lambda path, content: path.write_bytes(content),
    lambda path, content: path.write_bytes(b"\x1f\x8b\x08\0" + content),
    lambda path, content: path.write_bytes(content + b"\n"),
    lambda path, content: path.mkdir(),
    lambda path, content: path.symlink_to("nowhere"),
    lambda path, content: path.symlink_to(path),
    lambda path, content: path.symlink_to("."),
    lambda path, content: path.symlink_to("/dev/full"),
    a_pipe,
    a_socket,
    an_unreadable_file,
    an_unreadable_folder,
    a_folder_with_a_file,
    a_store,
    a_database,
)

PLACES = ("", "journal", "artifacts", "artifacts/GOOD", "artifacts/GOOD/model", "objects", "followers")
OWN = (
    "journal",
    "artifacts",
    "objects",
    "followers",
    "index.sqlite",
    "index.sqlite-journal",
    "index.sqlite-wal",
)
names = st.one_of(
    st.sampled_from(("x", ".jsonl", "a.jsonl", "z.jsonl", "-rf.jsonl", "index.sqlite", ".autolog", "MLmodel", "n.tmp")),
    st.sampled_from(("x" * 255, "x" * 249 + ".jsonl", "..jsonl", " .jsonl", "\n.jsonl", "ü.jsonl", "\x1b[31m.jsonl")),
    st.binary(min_size=1, max_size=40).map(lambda name: os.fsdecode(name.replace(b"/", b"_").replace(b"\0", b"_"))),
    st.binary(min_size=1, max_size=40).map(
        lambda name: os.fsdecode(name.replace(b"/", b"_").replace(b"\0", b"_") + b".jsonl")
    ),
    st.sampled_from(("0" * 64, f"{'0' * 24}.json", f"{'0' * 24}.lock", ".model.0123456789abcdef", "x.0123456789abcdef.tmp")),
)  # fmt: skip
pieces = st.tuples(
    st.sampled_from(PLACES),
    names,
    st.sampled_from(KINDS),
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from((b"{}", b'{"e":"start"}', b'{"e":"journal","version":99,"t":1}')),
    ),
)


def lay(
    root: Path, good: str, place: str, name: str, kind: Callable[[Path, bytes], Any], content: bytes
) -> None:
    """Put one piece of rubbish where there is nothing yet."""
    folder = root / place.replace("GOOD", good)
    path = folder / name
    if name in (".", "..") or (not place and name in OWN[:4]) or os.path.lexists(path):
        return
    with suppress(OSError, sqlite3.Error):  # what cannot be made here need not be borne
        folder.mkdir(parents=True, exist_ok=True)
        kind(path, content)


@contextmanager
def alarm() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError("waits for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def copy_of(kept: Path) -> Iterator[tuple[Path, str]]:
    """A store of the example's own without an index, and the id of its good run."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AUTOLOG_CONFIG_DIR", str(kept.parent / "config"))
        patch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        root = Path(folder, ".autolog")
        shutil.copytree(kept, root)
        (root / "index.sqlite").unlink(missing_ok=True)
        yield root, Store(kept).get("good").id


def command(root: Path, *arguments: str) -> str:
    """What it writes to standard output; it ends with success."""
    out, error, code = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO()), None
    with alarm(), redirect_stdout(out), redirect_stderr(error):
        try:
            COMMANDS.main([*arguments, "--store", str(root)], "autolog")
        except SystemExit as end:
            code = end.code
    error.seek(0)
    assert code == 0, (arguments, error.read())
    out.seek(0)
    return out.read()


def assert_all_is_well(root: Path) -> None:
    """Every command and call that reads shows the good run, and what removes removes what it was told to."""
    with alarm():
        store = Store(root)
        assert [run.name for run in store.runs("metrics.loss < 5")] == ["good"]
        good = store.get("good")
        assert [point.value for point in good.history("loss")] == [1 / (step + 1) for step in range(5)]
        assert (good.params, [child.name for child in good.children]) == ({"C": 0.5}, ["child"])
        assert good.environment["python"]
        assert json.loads((good.folder / "notes.json").read_text()) == {"text": "x" * 20_000}
        assert store.names("", 10)[:2] == ["other", "good"]
        if HAS_MODEL:
            assert round(float(good.model().predict([[3.0]])[0]), 6) == 6.0
        store.close()
    assert [run["name"] for run in json.loads(command(root, "ls", "--json"))] == ["other", "good"]
    assert json.loads(command(root, "show", "good", "--json"))["params"] == {"C": 0.5}
    assert "loss" in command(root, "show", "good")
    assert "7" in command(root, "compare", "good", "other")
    assert len(command(root, "export", "--format", "jsonl").splitlines()) == 2
    assert len(command(root, "export", "--histories").splitlines()) == 1 + 5 + 1
    to = root.parent / "sent.jsonl"
    command(root, "sync", "--to", f"jsonl:{to}")
    assert to.read_bytes().count(b'"e":"m"') == 6
    command(root, "gc")
    assert len(json.loads(command(root, "rm", "other", "--yes", "--json"))["removed"]) == 1
    assert [run["name"] for run in json.loads(command(root, "ls", "--json"))] == ["good"]


@pytest.mark.parametrize("place", PLACES)
def test_no_rubbish_in_a_store_hides_its_runs(kept: Path, place: str) -> None:
    """Empty and torn files, folders and links named like journals, pipes, sockets, stores in the store."""
    with copy_of(kept) as (root, good):
        for number, kind in enumerate(KINDS):
            for name in (f"a{number}.jsonl", f"z{number}"):
                lay(root, good, place, name, kind, b'{"e":"start"}')
        assert_all_is_well(root)


@pytest.mark.parametrize("kind", [KINDS[number] for number in (1, 4, 5, 6, 8, 9, 15)])
@pytest.mark.parametrize("place", OWN[2:])
def test_rubbish_in_place_of_index_or_notes_hides_no_run(kept: Path, place: str, kind: Any) -> None:
    """The index is made anew, or elsewhere; without notes of what was sent, all of it is sent."""
    with copy_of(kept) as (root, _):
        if (root / place).is_dir():
            shutil.rmtree(root / place)
        kind(root / place, b"{}")
        assert_all_is_well(root)


@settings(
    max_examples=max(25, settings.default.max_examples // 2),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(rubbish=st.lists(pieces, min_size=1, max_size=12))
def test_random_rubbish_hides_no_run(kept: Path, rubbish: list[Any]) -> None:
    with copy_of(kept) as (root, good):
        for piece in rubbish:
            lay(root, good, *piece)
        assert_all_is_well(root)
