"""Changes of recorded runs: names, tags, descriptions, stars, archives; by whom and in whichever order they are read."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from helpers import environment, examples, write_journal
from hypothesis import given, settings
from hypothesis import strategies as st

import autolog
from autolog.store.gc import collect_garbage
from autolog.store.journal import decode, encode
from autolog.store.layout import Layout
from autolog.store.records import RunRecord, Store, UnknownRun
from autolog.tracking import events as e

NOON = 1_767_268_800_000
RUN, CHILD = "01JG0000000000000000000001", "01JG0000000000000000000002"
STARTED = e.RunStarted(RUN, NOON, "otter", "default", kind="fit", tags={"team": "blue", "fold": "3"})
CHANGED = ("name", "description", "starred", "archived", "tags")


def keep(root: Path, *events: e.Event, name: str | None = None) -> Path:
    return write_journal(Layout(root), events, name)


def said(record: RunRecord) -> dict[str, Any]:
    return {key: value for key, value in record.to_dict().items() if key in CHANGED}


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    keep(tmp_path, STARTED, e.RunEnded(RUN, NOON + 500, "finished"), name="1")
    return Store(tmp_path).get(RUN)


# -- what a user does


def test_a_run_is_renamed_described_tagged_starred_and_archived_at_once_and_for_every_reader(
    tmp_path: Path, run: RunRecord
) -> None:
    run.rename("baseline")
    run.describe("The first one.\nNothing is tuned.")
    run.set_tags({"team": "red", "checked": True, "rounds": 3})
    run.remove_tags("fold")
    run.star()
    run.archive()
    expected = {
        "name": "baseline", "description": "The first one.\nNothing is tuned.", "starred": True, "archived": True,
        "tags": {"team": "red", "checked": "True", "rounds": "3"},
    }  # fmt: skip
    assert said(run) == expected
    assert said(Store(tmp_path).get("baseline")) == expected
    assert (run.starred, run.archived, run.description) == (True, True, "The first one.\nNothing is tuned.")


def test_every_change_can_be_undone(tmp_path: Path, run: RunRecord) -> None:
    before = said(run)
    for change, undo in (
        (lambda: run.rename("baseline"), lambda: run.rename("otter")),
        (lambda: run.describe("good"), lambda: run.describe("  ")),
        (run.star, run.unstar),
        (run.archive, run.unarchive),
        (lambda: run.set_tags({"new": "x"}), lambda: run.set_tags({"new": None})),
        (lambda: run.remove_tags("team"), lambda: run.set_tags({"team": "blue"})),
    ):
        change()
        assert said(Store(tmp_path).get(RUN)) == said(run) != before
        undo()
        assert said(Store(tmp_path).get(RUN)) == said(run) == before


def test_a_change_stands_above_what_the_run_itself_logs(tmp_path: Path) -> None:
    """The script sets its tags again and again; what a person says of the run stays, whichever journal is read first."""
    tags = e.TagsSet(RUN, {"team": "green", "fold": "4", "more": "1"})
    change = e.RunChanged(RUN, NOON + 1, "a", name="baseline", tags={"team": "red", "fold": None})
    for first, names in enumerate((("1", "2", "3"), ("3", "2", "1"), ("2", "3", "1"))):
        root = tmp_path / str(first)
        for event, name in zip((STARTED, change, tags), names, strict=True):
            keep(root, event, name=name)
            Store(root).runs()
        record = Store(root).get(RUN)
        assert (record.name, record.tags) == ("baseline", {"team": "red", "more": "1"})


def test_a_change_on_a_slow_clock_still_replaces_what_it_has_seen(tmp_path: Path, run: RunRecord) -> None:
    """A user changes what is shown; a clock that another machine has set wrong must not keep that from working."""
    keep(tmp_path, e.RunChanged(RUN, 2**62, "a", name="from tomorrow"))
    run.rename("now")
    assert (run.name, Store(tmp_path).get(RUN).name) == ("now", "now")


def test_a_record_that_is_old_takes_in_what_others_have_changed(tmp_path: Path, run: RunRecord) -> None:
    Store(tmp_path).get(RUN).set_tags({"by": "another"})
    run.star()
    assert (run.starred, run.tags["by"]) == (True, "another")


# -- what cannot be


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda run: run.rename(""), ValueError, "A run needs a name; this one is empty."),
        (lambda run: run.rename(" \n"), ValueError, "A run needs a name; this one is empty."),
        (lambda run: run.rename(5), TypeError, "The name of a run is text, not int."),
        (lambda run: run.describe(b"x"), TypeError, "A description is text, not bytes."),
        (lambda run: run.describe("x" * 6001), ValueError, "A description has at most 6,000 characters; this one has 6,001."),
        (lambda run: run.set_tags(["a"]), TypeError, 'Tags are a dict, such as {"team": "blue"}, not list.'),
        (lambda run: run.set_tags({1: "a"}), TypeError, "The name of a tag is text, not int."),
        (lambda run: run.set_tags({" ": "a"}), ValueError, "A tag needs a name; this one is empty."),
        (
            lambda run: run.set_tags({str(number): 1 for number in range(2001)}), ValueError,
            "At most 2,000 tags can be changed at once; these are 2,001.",
        ),
        (lambda run: run.remove_tags("tem"), KeyError, "otter has no tag 'tem'; it has team."),
        (lambda run: run._store.change(RUN, starred=1), TypeError, "`starred` is True or False, not int."),
        (
            lambda run: run._store.change("01JGX", starred=True), UnknownRun,
            "There is no run '01JGX' in {root}. It holds one run.",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_clear_error_and_changes_nothing(
    tmp_path: Path, run: RunRecord, change: Any, error: type[Exception], message: str
) -> None:
    before = said(run)
    with pytest.raises(error) as caught:
        change(run)
    assert caught.value.args[0] == message.replace("{root}", str(tmp_path))
    assert said(run) == said(Store(tmp_path).get(RUN)) == before
    assert len(list((tmp_path / "journal").iterdir())) == 1


def test_a_removed_run_cannot_be_changed(tmp_path: Path, run: RunRecord) -> None:
    store = Store(tmp_path)
    store.remove([store.get(RUN)])
    with pytest.raises(UnknownRun, match=f"There is no run '{RUN}' in .* It holds no runs yet"):
        run.star()
    keep(tmp_path, e.RunChanged(RUN, NOON, "late", name="back"))
    assert len(Store(tmp_path).runs()) == 0


def test_a_store_that_cannot_be_written_says_so(
    tmp_path: Path, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:  # this test may run as root, who may write everywhere
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(OSError, match="The store was not changed: Read-only file system: ") as caught:
            run.star()
    assert caught.value.filename == str(tmp_path)
    assert not run.starred


def test_what_the_disk_refuses_is_an_error_and_never_comes_later(
    tmp_path: Path, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes half a line; what was refused must not appear with the next change."""
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if b'"refused"' in data and len(data) > 20:
            return write(fd, data[:-20])
        if len(data) == 20:
            raise OSError(28, "No space left on device")
        return write(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="The store was not changed: No space left on device"):
            run.rename("refused")
    assert run.name == "otter"
    run.star()
    record = Store(tmp_path).get(RUN)
    assert (record.name, record.starred) == ("otter", True)


def test_hostile_text_is_made_harmless_and_secrets_are_replaced(tmp_path: Path, run: RunRecord) -> None:
    token = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
    run.rename("\x1b[31m\udc80" + "n" * 1000)
    run.describe(f"my token is {token}")
    run.set_tags({"password": "hunter22!x", "k" * 1000: "\udcff"})
    record = Store(tmp_path).get(RUN)
    assert said(record) == said(run)
    assert len(record.name) < 300
    assert "\x1b" not in repr(record)
    assert token not in (record.description or "")
    assert "hunter22!x" not in record.tags.values()
    assert all(len(key) < 300 for key in record.tags)
    text = b"".join(path.read_bytes() for path in (tmp_path / "journal").iterdir())
    assert token.encode() not in text
    assert b"hunter22!x" not in text


# -- the order of journals

_moments = st.integers(NOON, NOON + 3)
_fields = st.fixed_dictionaries(
    {
        "name": st.none() | st.sampled_from("abc"),
        "description": st.none() | st.sampled_from(["", "x", "y"]),
        "starred": st.none() | st.booleans(),
        "archived": st.none() | st.booleans(),
        "tags": st.dictionaries(
            st.sampled_from(["team", "fold", "new"]), st.none() | st.sampled_from("12"), max_size=3
        ),
    }
)
CHANGES = st.lists(
    st.tuples(st.sampled_from([RUN, CHILD]), _moments, st.text("AZ", min_size=1, max_size=2), _fields),
    max_size=8,
    unique_by=lambda one: one[1:3],
)


def latest(events: list[e.Event]) -> dict[str, dict[str, Any]]:
    """What the runs are by the rule itself: the changes one after the other, by time and id, over what was logged."""
    runs: dict[str, dict[str, Any]] = {}
    for event in events:
        if isinstance(event, e.RunStarted):
            about = {"description": None, "starred": False, "archived": False}
            runs[event.run] = {"name": event.name, "tags": dict(event.tags), **about}
    for event in events:
        if isinstance(event, e.TagsSet):
            runs[event.run]["tags"].update(event.values)
    changes = [event for event in events if isinstance(event, e.RunChanged)]
    for event in sorted(changes, key=lambda change: (change.t, change.id)):
        run = runs[event.run]
        for field in ("name", "description", "starred", "archived"):
            if (value := getattr(event, field)) is not None:
                run[field] = None if value == "" else value
        run["tags"].update(event.tags)
    for run in runs.values():
        run["tags"] = {key: value for key, value in run["tags"].items() if value is not None}
    return runs


@settings(deadline=None, max_examples=examples(150))
@given(CHANGES, st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_order_of_reading_gives_the_latest_by_time_and_id(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Any], journals: int, chance: random.Random
) -> None:
    """Journals grow line by line, in any order, beside a reader that reads whenever it likes. A rebuilt index is the same."""
    root = tmp_path_factory.mktemp("store")
    child = e.RunStarted(CHILD, NOON, "child", "default", RUN)
    own = [[STARTED, e.TagsSet(RUN, {"team": "own"})], [child, e.TagsSet(CHILD, {"new": "own"})]]
    made: list[e.Event] = [e.RunChanged(run, t, id, **fields) for run, t, id, fields in changes]
    queues = [*own, *([] for _ in range(journals))]
    for event in made:
        queues[chance.randrange(len(queues))].append(event)
    for queue in queues[2:]:
        chance.shuffle(queue)
    names = [str(number) for number in range(len(queues))]
    chance.shuffle(names)
    paths = [keep(root, name=name) for name in names]
    store = Store(root)
    expected = latest([event for queue in queues for event in queue])
    while any(queues):
        place = chance.choice([place for place, queue in enumerate(queues) if queue])
        with open(paths[place], "ab") as file:
            file.write(encode([queues[place].pop(0)]))
        if chance.random() < 0.5:
            store.runs()

    def found(store: Store) -> dict[str, dict[str, Any]]:
        return {run.id: said(run) for run in store.runs(children=True, archived=True)}

    assert found(store) == expected
    rows = "SELECT run, field, t, id, value FROM changes"
    kept = store._index.read(lambda connection: connection.execute(rows).fetchall())
    store.close()
    for path in root.glob("index.sqlite*"):
        path.unlink()
    rebuilt = Store(root)
    assert found(rebuilt) == expected
    assert rebuilt._index.read(lambda connection: connection.execute(rows).fetchall()) == kept
    rebuilt.close()


def test_a_change_whose_run_is_not_there_makes_no_run_and_waits_for_it(tmp_path: Path) -> None:
    keep(tmp_path, e.RunChanged(RUN, NOON, "a", name="baseline", starred=True))
    store = Store(tmp_path)
    assert len(store.runs()) == store.count() == 0
    path = keep(tmp_path, STARTED)
    assert (store.get("baseline").starred, store.count()) == (True, 1)
    path.unlink()
    assert store.count() == 0


def test_what_a_vanished_journal_has_changed_is_no_longer_changed(tmp_path: Path, run: RunRecord) -> None:
    path = keep(tmp_path, e.RunChanged(RUN, NOON, "a", name="baseline", tags={"team": None}))
    store = Store(tmp_path)
    assert store.get(RUN).name == "baseline"
    path.unlink()
    assert said(store.get(RUN)) == said(run)


def test_an_index_of_the_release_before_is_made_anew(tmp_path: Path, run: RunRecord) -> None:
    """That release skipped changes as lines that it did not know, and has noted that it has read them."""
    import sqlite3

    run.rename("baseline")
    run._store.close()
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.executescript(
            "DROP TABLE changes; PRAGMA user_version = 6; UPDATE runs SET name = 'otter'"
        )
    connection.close()
    assert Store(tmp_path).get(RUN).name == "baseline"


def test_a_reader_that_does_not_know_an_event_skips_it() -> None:
    """So does each release before: its decoder knows no event `change`."""
    line = encode([e.RunChanged(RUN, NOON, "a", name="x")])
    assert json.loads(line) == {"e": "change", "run": RUN, "t": NOON, "id": "a", "name": "x"}
    assert decode(line.replace(b'"change"', b'"changed"')) is None


# -- processes


def process(code: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], cwd=folder, env=environment(folder), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("recording", [True, False])
def test_a_change_survives_a_kill_right_after_it(tmp_path: Path, recording: bool) -> None:
    """Whether the process itself records or only reads."""
    code = f"""
        import os, signal
        import autolog
        if {recording}:
            autolog.autolog()
        autolog.runs()[0].rename("baseline")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    root = tmp_path / ".autolog"
    keep(root, STARTED)
    killed = process(code, tmp_path)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert Store(root).get(RUN).name == "baseline"


def test_changes_of_a_recording_process_are_in_its_journal(tmp_path: Path) -> None:
    """They reach its sinks as they happen; a process that only reads has one journal for all changes of a store."""
    code = """
        import sys
        import autolog
        from autolog.store.records import Store
        if sys.argv[1] == "record":
            autolog.autolog(sinks=["jsonl:out.jsonl"])
        for number in range(3):
            autolog.runs()[0].set_tags({"number": number})
        store = Store()
        for number in range(3):
            store.runs()[0].set_tags({"number": number})
        autolog.flush(sinks=True)
    """
    root = tmp_path / ".autolog"
    keep(root, STARTED)
    for how, journals in (("record", 2), ("read", 4)):
        before = set((root / "journal").iterdir())
        done = process(code, tmp_path, how)
        done.communicate(timeout=60)
        assert done.returncode == 0
        assert len(set((root / "journal").iterdir()) - before) == journals
    sent = [decode(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    changes = [event for event in sent if isinstance(event, e.RunChanged)]
    assert changes[-1].tags == {"number": "2"}  # several at once are sent as one


def test_processes_that_change_a_run_at_the_same_time_lose_nothing_and_agree(tmp_path: Path) -> None:
    code = """
        import sys
        from autolog.store.records import Store
        run = Store().runs()[0]
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(20):
            run.set_tags({f"{sys.argv[1]}-{number}": number, "last": f"{sys.argv[1]}-{number}"})
    """
    root = tmp_path / ".autolog"
    keep(root, STARTED)
    both = [process(code, tmp_path, name) for name in ("a", "b")]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    for one in both:
        one.communicate(timeout=60)
        assert one.returncode == 0
    tags = Store(root).get(RUN).tags
    assert {key: tags[key] for key in tags if "-" in key} == {
        f"{name}-{number}": str(number) for name, number in itertools.product("ab", range(20))
    }
    assert tags["last"] in ("a-19", "b-19")
    (root / "index.sqlite").unlink()
    assert Store(root).get(RUN).tags == tags


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_changes_runs_in_a_journal_of_its_own(tmp_path: Path, run: RunRecord) -> None:
    code = """
        import os, sys
        from autolog.store.records import Store
        run = Store(sys.argv[1]).runs()[0]
        run.star()
        child = os.fork()
        run.set_tags({"child" if child == 0 else "parent": 1})
        if child:
            os.waitpid(child, 0)
    """
    done = process(code, tmp_path, str(tmp_path))
    done.communicate(timeout=60)
    assert done.returncode == 0
    assert {"child", "parent"} <= Store(tmp_path).get(RUN).tags.keys()
    assert len(list((tmp_path / "journal").iterdir())) == 3


# -- lists and filters


@pytest.fixture
def several(tmp_path: Path) -> Store:
    """`a` is starred and described; `b` is archived and has a child; `c` is the last."""
    for number, name in enumerate("abc"):
        keep(tmp_path, e.RunStarted(f"01JH{number:022d}", NOON + number, name, "default"))
    keep(tmp_path, e.RunRecorded(CHILD, f"01JH{1:022d}", "b/0", "default", NOON, NOON, "candidate"))
    keep(tmp_path, e.RunRecorded(f"{CHILD[:-1]}9", CHILD, "b/0/0", "default", NOON, NOON, "candidate"))
    store = Store(tmp_path)
    store.get("a").star()
    store.get("a").describe("A Baseline.")
    store.get("b").archive()
    return store


def names(store: Store, *arguments: Any, **more: Any) -> list[str]:
    return [run.name for run in store.runs(*arguments, order_by="name", **more)]


def test_archived_runs_are_left_out_unless_they_are_asked_for(several: Store) -> None:
    assert names(several) == ["a", "c"]
    assert names(several, archived=True) == ["a", "b", "c"]
    assert names(several, children=True) == ["a", "c"]
    assert names(several, children=True, archived=True) == ["a", "b", "b/0", "b/0/0", "c"]
    assert names(several, "archived") == names(several, "archived == True") == ["b"]
    assert names(several, "not archived and name != 'a'") == ["c"]
    assert [child.name for child in several.get("b").children] == ["b/0"]
    assert several.get("@last~1").name == "a"
    several.get("c").archive()
    assert several.get("@last").name == "a"
    assert several.get("c").archived


def test_stars_and_descriptions_filter_and_sort(several: Store) -> None:
    assert names(several, "starred") == names(several, "starred == True") == ["a"]
    assert names(several, "not starred") == ["c"]
    assert names(several, "'baseline' in description") == ["a"]
    assert names(several, "description == None") == ["c"]
    assert [run.name for run in several.runs(order_by="-starred")] == ["a", "c"]


def test_changed_names_and_tags_are_what_filters_see(several: Store) -> None:
    run = several.get("a")
    run.rename("first")
    run.set_tags({"size": 12})
    assert names(several, "name == 'first' and tags.size > 9") == ["first"]
    run.remove_tags("size")
    assert names(several, "'size' in tags") == []


def test_autolog_runs_takes_archived(several: Store) -> None:
    root = several.layout.root
    assert [run.name for run in autolog.runs(store=root)] == ["c", "a"]
    assert [run.name for run in autolog.runs(store=root, archived=True)] == ["c", "b", "a"]


def test_garbage_collection_keeps_the_files_of_an_archived_run(tmp_path: Path, run: RunRecord) -> None:
    run.archive()
    run.folder.mkdir(parents=True)
    (run.folder / "model").write_bytes(b"model")
    assert collect_garbage(Store(tmp_path)) == 0
    assert (run.folder / "model").exists()
    assert Store(tmp_path).remove([run]) == [RUN]
    assert not run.folder.exists()


def test_journals_that_change_a_run_are_among_its_journals(tmp_path: Path, run: RunRecord) -> None:
    path = keep(tmp_path, e.RunChanged(RUN, NOON, "a", name="x"))
    keep(tmp_path, e.RunChanged(CHILD, NOON, "a", name="x"))
    assert Store(tmp_path).journals_of([RUN]) == {"1.jsonl", path.name}
