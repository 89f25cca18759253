"""Reading a store: records, references to runs, and what becomes of journals and indexes that something happened to."""

from __future__ import annotations

import gc
import json
import math
import os
import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import in_threads, write_journal
from hypothesis import given, settings
from hypothesis import strategies as st

from autolog.store import index as indexes
from autolog.store.journal import encode
from autolog.store.layout import Layout, find
from autolog.store.records import Point, RunRecord, Store, UnknownRun
from autolog.tracking.events import (
    ArtifactLogged,
    DatasetLogged,
    EnvironmentLogged,
    Event,
    MetricsDescribed,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    RunChanged,
    RunDescribed,
    RunEnded,
    RunRecorded,
    RunRemoved,
    RunStarted,
    TagsSet,
)  # fmt: skip

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def id_of(number: int) -> str:
    return f"01JG{number:022d}"


def keep(root: Path, *events: Event, name: str | None = None) -> Path:
    """Write a journal as this process does, and return its path."""
    return write_journal(Layout(root), events, name)


def began(number: int, name: str = "otter", **more: Any) -> RunStarted:
    return RunStarted(id_of(number), NOON + number * 1000, name, "default", kind="fit", **more)


def ended(number: int, status: str = "finished", **more: Any) -> RunEnded:
    return RunEnded(id_of(number), NOON + number * 1000 + 500, status, **more)


def names(store: Store, *args: Any, **more: Any) -> list[str]:
    return [run.name for run in store.runs(*args, **more)]


# -- records


def test_a_record_holds_everything_that_was_logged(tmp_path: Path) -> None:
    run = id_of(1)
    keep(
        tmp_path,
        EnvironmentLogged({"python": "3.11.4", "git": {"commit": "abc"}}),
        RunStarted(run, NOON, "brave-otter", "spring", tags={"team": "blue"}),
        RunDescribed(run, "fit", "sklearn", "1.9.1", "sklearn.svm._classes.SVC"),
        ParamsLogged(
            run, {"C": 0.1, "n": 2**70, "kernel": "rbf", "none": None, "yes": True, "list": [1, {"a": None}]}
        ),
        ParamsLogged(run, {"C": 0.2, "nan": "NaN"}),
        MetricsLogged(run, 0, NOON + 10, {"loss": 2.0, "bad": math.nan}, epoch=0.5),
        MetricsLogged(run, 1, NOON + 20, {"loss": 0.5, "bad": 1.0, "up": math.inf}),
        MetricsLogged(run, 2, NOON + 30, {"loss": 1.0, "bad": math.nan, "big": 10**400}),
        TagsSet(run, {"fold": "3", "team": "red"}),
        DatasetLogged(run, "train", {"kind": "numpy.ndarray", "rows": 569, "columns": 30, "digest": "d1"}),
        DatasetLogged(run, "test", {"kind": "list"}),
        ModelLogged(run, "model", "sklearn", 2100, {"MLmodel": 612, "model.pkl": 1488}),
        ArtifactLogged(run, "curve.json", 99),
        NoteLogged(run, "The test data was a generator."),
        NoteLogged(run, "RuntimeError: hook", error=True),
        RunEnded(run, NOON + 1234, "failed", "ValueError: no", 0.0031, 7),
    )
    store = Store(tmp_path)
    record = store.get("brave-otter")
    assert record.to_dict() == {
        "id": run, "name": "brave-otter", "experiment": "spring", "parent": None, "status": "failed",
        "framework": "sklearn", "framework_version": "1.9.1", "kind": "fit", "estimator": "sklearn.svm._classes.SVC",
        "started": "2026-01-01T12:00:00.000Z", "ended": "2026-01-01T12:00:01.234Z", "duration": 1.234,
        "params": {
            "C": 0.2, "kernel": "rbf", "list": [1, {"a": None}], "n": 2**70, "nan": "NaN", "none": None, "yes": True,
        },
        "metrics": {
            "bad": {"value": "NaN", "last": "NaN", "min": 1.0, "max": 1.0, "step": 2, "count": 3, "direction": None},
            "big": {
                "value": "Infinity", "last": "Infinity", "min": "Infinity", "max": "Infinity", "step": 2, "count": 1,
                "direction": None,
            },
            "loss": {
                "value": 1.0, "last": 1.0, "min": 0.5, "max": 2.0, "step": 2, "count": 3, "direction": "lower", "guess": True,
            },
            "up": {
                "value": "Infinity", "last": "Infinity", "min": "Infinity", "max": "Infinity", "step": 1, "count": 1,
                "direction": None,
            },
        },
        "tags": {"fold": "3", "team": "red"},
        "datasets": [
            {"context": "train", "kind": "numpy.ndarray", "rows": 569, "columns": 30, "digest": "d1"},
            {"context": "test", "kind": "list"},
        ],
        "artifacts": [
            {"path": "curve.json", "bytes": 99}, {"path": "model/MLmodel", "bytes": 612},
            {"path": "model/model.pkl", "bytes": 1488},
        ],
        "models": [{"path": "model", "flavor": "sklearn", "bytes": 2100, "seconds": 0.0}],
        "overhead": 0.0031, "error": "ValueError: no", "errors": ["RuntimeError: hook"],
        "notes": ["The test data was a generator."], "description": None, "starred": False, "archived": False,
    }  # fmt: skip
    assert type(record.params["yes"]) is bool
    assert record.dropped == 7
    assert record.started == datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    assert record.environment == {"python": "3.11.4", "git": {"commit": "abc"}}
    assert record.folder == tmp_path / "artifacts" / run


def test_a_history_has_every_value_by_step(tmp_path: Path) -> None:
    run = id_of(1)
    keep(
        tmp_path,
        began(1),
        began(2, "other"),
        MetricsLogged(run, 5, NOON + 50, {"loss": 0.5}, epoch=1.0),
        MetricsLogged(id_of(2), 5, NOON + 50, {"loss": 99.0}),
        MetricsLogged(run, 1, NOON + 60, {"loss": math.nan}),
        MetricsLogged(run, 1, NOON + 70, {"loss": -math.inf, "acc": 1}),
        RunRecorded(
            id_of(3), run, "otter/0", "default", NOON, NOON + 80, "candidate", metrics={"score": 0.25}
        ),
    )
    store = Store(tmp_path)
    record = store.get("otter")
    first, second, third = record.history("loss")
    assert math.isnan(first.value)
    assert first[:3] == (1, None, (NOON + 60) / 1000)
    assert second == Point(1, None, (NOON + 70) / 1000, -math.inf)
    assert third == Point(5, 1.0, (NOON + 50) / 1000, 0.5)
    assert {metric: len(points) for metric, points in record.histories().items()} == {"acc": 1, "loss": 3}
    assert store.get("otter/0").history("score") == [Point(0, None, (NOON + 80) / 1000, 0.25)]
    with pytest.raises(KeyError, match=r"otter has no metric 'los'; it has loss\."):
        record.history("los")


def test_a_history_goes_on_over_journals_and_reads_on_while_they_grow(tmp_path: Path) -> None:
    """A run whose journal was deleted under it goes on in another; readers see each batch as it comes."""
    keep(tmp_path, began(1), MetricsLogged(id_of(1), 0, NOON, {"loss": 3.0}), name="1")
    store = Store(tmp_path)
    record = store.get("otter")
    keep(
        tmp_path, MetricsLogged(id_of(1), 1, NOON, {"loss": 2.0}), MetricsLogged(id_of(1), 2, NOON, {"loss": 1.0}), name="2"
    )  # fmt: skip
    assert [point.value for point in record.history("loss")] == [3.0, 2.0, 1.0]
    assert store.get("otter").metrics["loss"] == {
        "value": 1.0, "last": 1.0, "min": 1.0, "max": 3.0, "step": 2, "count": 3, "direction": "lower", "guess": True
    }  # fmt: skip


def test_a_metric_has_the_direction_and_the_value_that_were_stated(tmp_path: Path) -> None:
    """Its direction, whenever and in whichever journal that was said, and the kept model's value, until it is logged again.
    Nobody guesses what is said to be unknown, and a metric that was described and never logged is none.
    """
    described = MetricsDescribed(
        id_of(1),
        {
            "score": {"direction": "lower", "value": 0.25, "sample": {"rows": 10, "of": 20, "error": 0.1}},
            "accuracy": {"direction": "unknown"},
            "odd": {"direction": 5, "value": "x", "sample": []},
            "never": {"direction": "higher", "value": 1.0},
        },
    )
    values = {"score": 0.75, "accuracy": 0.5, "odd": 1.0, "f1": 1.0}
    keep(tmp_path, MetricsDescribed(id_of(1), {"f1": {"direction": "lower", "value": 9.0}}), name="1")
    keep(tmp_path, began(1), MetricsLogged(id_of(1), 0, NOON, values), described, name="2")
    Store(tmp_path).runs()  # what comes now is another batch
    keep(
        tmp_path, MetricsDescribed(id_of(1), {"accuracy": {"value": 2.0}, "odd": {"value": 9.0}}),
        MetricsLogged(id_of(1), 1, NOON, {"odd": 1.0}), name="2b",
    )  # fmt: skip
    keep(tmp_path, began(2, "other"), MetricsLogged(id_of(2), 0, NOON, {"score": 0.5}), name="3")
    store = Store(tmp_path)
    record = store.get("otter")
    shown = {
        name: {key: value for key, value in metric.items() if key not in ("min", "max", "step", "count")}
        for name, metric in record.to_dict()["metrics"].items()
    }
    assert shown == {
        "score": {
            "value": 0.25, "last": 0.75, "direction": "lower", "sample": {"rows": 10, "of": 20, "error": 0.1},
        },
        "accuracy": {"value": 2.0, "last": 0.5, "direction": None},
        "odd": {"value": 1.0, "last": 1.0, "direction": None},
        "f1": {"value": 1.0, "last": 1.0, "direction": "lower"},
    }  # fmt: skip
    assert names(store, "metrics.score < 0.3") == ["otter"]
    assert names(store, order_by="metrics.score") == ["otter", "other"]
    assert names(store, "'never' in metrics or metrics.never == 1") == []


def test_children_are_listed_in_order_and_left_out_elsewhere_unless_asked_for(tmp_path: Path) -> None:
    keep(
        tmp_path,
        began(1, "search"),
        RunRecorded(
            id_of(3), id_of(1), "search/1", "default", NOON + 2, NOON + 3, "candidate", params={"C": 1}
        ),
        RunRecorded(id_of(2), id_of(1), "search/0", "default", NOON + 1, NOON + 3, "candidate"),
        RunStarted(id_of(4), NOON, "search/0/fit", "default", id_of(2)),
        began(5, "alone"),
    )
    store = Store(tmp_path)
    assert [child.name for child in store.get("search").children] == ["search/0", "search/1"]
    assert names(store) == ["alone", "search"]
    assert names(store, children=True) == ["alone", "search", "search/1", "search/0", "search/0/fit"]
    assert names(store, f"parent == '{id_of(1)}'", order_by="started") == ["search/0", "search/1"]
    assert names(store, "params.C == 1") == []
    assert names(store, "params.C == 1", children=True) == ["search/1"]
    assert store.count_children([id_of(1), id_of(2), id_of(5)]) == {id_of(1): 2, id_of(2): 1}
    assert sorted(store.descendants([id_of(1)])) == [id_of(2), id_of(3), id_of(4)]


def test_runs_of_the_same_moment_keep_the_order_of_their_ids(tmp_path: Path) -> None:
    events = [RunStarted(id_of(number), NOON, str(number), "default") for number in (2, 3, 1)]
    keep(tmp_path, *events)
    store = Store(tmp_path)
    assert names(store) == ["3", "2", "1"]
    assert names(store, order_by="started") == ["1", "2", "3"]
    assert names(store, limit=2) == ["3", "2"]
    assert names(store, limit=0) == []
    assert names(store, limit=10**30) == ["3", "2", "1"]


def test_runs_become_a_data_frame(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    keep(
        tmp_path, began(1, tags={"team": "blue"}), ParamsLogged(id_of(1), {"C": 0.5}),
        MetricsLogged(id_of(1), 0, NOON, {"loss": 0.25}), ended(1),
    )  # fmt: skip
    frame = Store(tmp_path).runs().to_pandas()
    row = frame.iloc[0]
    assert row[["name", "status", "params.C", "metrics.loss", "tags.team"]].tolist() == [
        "otter",
        "finished",
        0.5,
        0.25,
        "blue",
    ]
    assert row["started"] == pandas.Timestamp("2026-01-01T12:00:01Z")


# -- references


def test_a_run_is_found_by_name_id_beginning_and_place(tmp_path: Path) -> None:
    keep(
        tmp_path,
        began(1, "first"),
        began(2, "second"),
        RunStarted(id_of(3), NOON + 9000, "child", "default", id_of(2)),
    )
    store = Store(tmp_path)
    found = [
        store.get(reference).name
        for reference in ("first", id_of(1), id_of(1).lower(), "@last", "@last~0", "@last~1", "child")
    ]
    assert found == ["first", "first", "first", "second", "second", "first", "child"]
    keep(tmp_path, RunStarted("01JGZZ" + "0" * 20, NOON, "third", "default"))
    assert store.get("01jgz").name == "third"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("secnd", "There is no run 'secnd' in {root}. Did you mean second?"),
        ("zzz", "There is no run 'zzz' in {root}. It holds 3 runs."),
        ("01J", "There is no run '01J' in {root}. It holds 3 runs."),
        ("@last~3", "There is no run @last~3 in {root}. It holds 3 runs."),
        ("@last~", "There is no run '@last~' in {root}. It holds 3 runs."),
        ("@last~²", "There is no run '@last~²' in {root}. It holds 3 runs."),
        ("@last~-1", "There is no run '@last~-1' in {root}. It holds 3 runs."),
        ("a\udc80\0", "There is no run 'a\\\\udc80\\x00' in {root}. It holds 3 runs."),
        (
            "second",
            (
                f"'second' is more than one run. Say which by its id: {id_of(3)} (second, 2026-01-01T12:00:03.000Z),"
                f" {id_of(2)} (second, 2026-01-01T12:00:02.000Z)"
            ),
        ),
        (
            "01JG",
            (
                f"'01JG' is more than one run. Say which by its id: {id_of(3)} (second, 2026-01-01T12:00:03.000Z),"
                f" {id_of(2)} (second, 2026-01-01T12:00:02.000Z), {id_of(1)} (first, 2026-01-01T12:00:01.000Z)"
            ),
        ),
    ],
)
def test_a_wrong_reference_is_an_error_that_says_what_there_is(
    tmp_path: Path, reference: str, message: str
) -> None:
    keep(tmp_path, began(1, "first"), began(2, "second"), began(3, "second"))
    with pytest.raises(UnknownRun) as caught:
        Store(tmp_path).get(reference)
    assert str(caught.value) == message.format(root=tmp_path)


def test_an_id_wins_over_a_name_that_looks_like_it(tmp_path: Path) -> None:
    keep(tmp_path, began(1, "first"), began(2, id_of(1)))
    assert Store(tmp_path).get(id_of(1)).name == "first"


def test_names_are_completed_newest_first(tmp_path: Path) -> None:
    keep(tmp_path, began(1, "otter"), began(2, "owl"), began(3, "otter"), began(4, "50%_off"))
    store = Store(tmp_path)
    assert store.names("o", 10) == ["otter", "owl"]
    assert store.names("ow", 10) == ["owl"]
    assert store.names("%", 10) == []
    assert store.names("01jg" + "0" * 21, 2) == [id_of(4), id_of(3)]


def test_a_place_without_a_store_holds_no_runs(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert list(store.runs()) == []
    with pytest.raises(UnknownRun, match=r"There is no run @last in .*none\. It holds no runs yet\."):
        store.get("@last")
    assert not (tmp_path / "none").exists()
    keep(tmp_path / "none", began(1))
    assert names(store) == ["otter"]


# -- runs whose process is gone


def dies_in_the_middle(root: Path) -> None:
    """A process that begins a run, logs into it, and is killed."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from autolog.store.journal import JournalWriter, encode
from autolog.store.layout import Layout
from autolog.tracking.events import Heartbeat, MetricsLogged, RunEnded, RunStarted
writer = JournalWriter(Layout({str(root)!r}).new_journal())
writer.open()
writer.keep(encode([RunStarted("{id_of(1)}", {NOON}, "killed", "default"), RunStarted("{id_of(2)}", {NOON}, "done", "default"),
    RunEnded("{id_of(2)}", {NOON + 5}, "finished"), MetricsLogged("{id_of(1)}", 0, {NOON + 7000}, {{"loss": 0.5}})]))
writer.drain()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9


def test_a_run_is_lost_when_its_process_is_gone_and_keeps_what_it_logged(tmp_path: Path) -> None:
    dies_in_the_middle(tmp_path)
    keep(tmp_path, began(3, "alive"))
    store = Store(tmp_path)
    assert {run.name: run.status for run in store.runs()} == {
        "killed": "lost",
        "done": "finished",
        "alive": "running",
    }
    killed = store.get("killed")
    assert killed.duration == 7.0
    assert killed.metrics["loss"]["last"] == 0.5
    assert store.get("alive").duration is None


def foreign(path: Path) -> None:
    """Make a journal one of another machine."""
    head, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(head), "host": "elsewhere"}).encode() + b"\n" + rest)


def test_a_run_on_another_machine_is_lost_when_its_journal_is_silent_and_back_when_it_goes_on(
    tmp_path: Path,
) -> None:
    path = keep(tmp_path, began(1))
    foreign(path)
    store = Store(tmp_path)
    assert store.get("otter").status == "running"
    long_ago = time.time() - indexes.SILENT_SECONDS - 10
    os.utime(path, (long_ago, long_ago))
    assert store.get("otter").status == "lost"
    with open(path, "ab") as file:
        file.write(encode([MetricsLogged(id_of(1), 0, NOON, {"loss": 1.0})]))
    record = store.get("otter")
    assert (record.status, record.ended) == ("running", None)
    with open(path, "ab") as file:
        file.write(encode([ended(1)]))
    assert store.get("otter").status == "finished"


def test_a_process_with_the_pid_of_a_dead_one_is_not_taken_for_it(tmp_path: Path) -> None:
    path = keep(tmp_path, began(1))
    lines = path.read_bytes().splitlines(keepends=True)
    header = json.loads(lines[0])
    if not header.get("started"):
        pytest.skip("this system does not say when a process started")
    header["started"] = "another-boot/1"
    path.write_bytes(json.dumps(header).encode() + b"\n" + b"".join(lines[1:]))
    assert Store(tmp_path).get("otter").status == "lost"


# -- journals in every condition


def test_a_torn_last_line_is_ignored_until_it_is_complete(tmp_path: Path) -> None:
    path = keep(tmp_path, began(1), ParamsLogged(id_of(1), {"C": 1}))
    line = encode([ParamsLogged(id_of(1), {"C": 2}), ended(1)])
    with open(path, "ab") as file:
        file.write(line[:20])
    store = Store(tmp_path)
    assert store.get("otter").params == {"C": 1}
    with open(path, "ab") as file:
        file.write(line[20:])
    assert store.get("otter").params == {"C": 2}
    assert store.get("otter").status == "finished"


def test_unreadable_lines_and_files_are_skipped(tmp_path: Path) -> None:
    path = keep(tmp_path, began(1))
    with open(path, "ab") as file:
        file.write(
            b'not json\n\n[]\n"\n\xff\xfe\n{"e":"future","run":"x"}\n{"e":"params","run":5}\n'
            + b"[" * 5000
            + b"\n"
        )
        file.write(b'{"e":"params","run":"' + id_of(1).encode() + b'","values":{"C":1},"new_key":[1]}\n')
    (path.parent / "notes.txt").write_text("not a journal")
    (path.parent / "empty.jsonl").touch()
    assert Store(tmp_path).get("otter").params == {"C": 1}


def test_a_journal_of_a_newer_version_is_not_read(tmp_path: Path) -> None:
    path = keep(tmp_path, began(1, "old"))
    newer = keep(tmp_path, began(2, "new"))
    newer.write_bytes(newer.read_bytes().replace(b'"version":1', b'"version":2'))
    assert b'"version":2' in newer.read_bytes()
    store = Store(tmp_path)
    assert names(store) == ["old"]
    with open(path, "ab") as file:
        file.write(encode([ended(1)]))
    assert store.get("old").status == "finished"
    newer.write_bytes(newer.read_bytes().replace(b'"version":2', b'"version":1'))
    assert names(store) == ["new", "old"]


def test_numbers_beyond_sqlites_do_not_stop_reading(tmp_path: Path) -> None:
    """One odd line must not take the whole store with it."""
    keep(
        tmp_path, began(1), MetricsLogged(id_of(1), 10**30, NOON, {"loss": 1.0}), ArtifactLogged(id_of(1), "file", 10**30),
        RunStarted(id_of(2), 10**30, "far", "default"),
    )  # fmt: skip
    store = Store(tmp_path)
    assert store.get("otter").metrics["loss"]["step"] == 2**63 - 1
    assert store.get("far").to_dict()["started"] is None


def test_a_run_whose_id_is_a_path_is_not_read(tmp_path: Path) -> None:
    """Ids are names of folders, which `rm` removes; a journal may come from anybody."""
    keep(
        tmp_path,
        began(1),
        *(RunStarted(id, NOON, "evil", "default") for id in ("../..", "/etc", "a/b", "..", "")),
    )
    assert names(Store(tmp_path)) == ["otter"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=5) | st.just(id_of(1))
NUMBERS = st.integers() | st.sampled_from([0, 2**63, -(2**63) - 1, 10**400])
FLOATS = st.floats() | NUMBERS
EVENTS = st.one_of(
    st.builds(RunStarted, TEXT, NUMBERS, TEXT, TEXT, st.none() | TEXT, TEXT, TEXT, TEXT, TEXT, st.dictionaries(TEXT, TEXT)),
    st.builds(ParamsLogged, TEXT, st.dictionaries(TEXT, JSON)),
    st.builds(MetricsLogged, TEXT, NUMBERS, NUMBERS, st.dictionaries(TEXT, FLOATS), st.none() | FLOATS),
    st.builds(DatasetLogged, TEXT, TEXT, st.dictionaries(TEXT, JSON)),
    st.builds(ModelLogged, TEXT, TEXT, TEXT, NUMBERS, st.dictionaries(TEXT, NUMBERS), FLOATS),
    st.builds(NoteLogged, TEXT, TEXT, st.booleans()),
    st.builds(RunEnded, TEXT, NUMBERS, TEXT, TEXT, FLOATS, NUMBERS),
    st.builds(
        RunRecorded, TEXT, TEXT, TEXT, TEXT, NUMBERS, NUMBERS, TEXT, params=st.dictionaries(TEXT, JSON),
        metrics=st.dictionaries(TEXT, FLOATS),
    ),
    st.builds(RunRemoved, TEXT),
    st.builds(
        RunChanged, TEXT, NUMBERS, TEXT, st.none() | TEXT, st.none() | TEXT, st.none() | st.booleans(),
        st.none() | st.booleans(), st.dictionaries(TEXT, st.none() | TEXT),
    ),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(EVENTS, max_size=8))
def test_no_events_make_a_store_unreadable(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    root = tmp_path_factory.mktemp("any")
    keep(root, RunStarted("good", NOON, "good", "default"), name="a")
    keep(root, *events, name="b")
    store = Store(root)
    for record in store.runs(children=True):
        assert isinstance(record, RunRecord)
        assert json.loads(json.dumps(record.to_dict(), allow_nan=False))
        record.histories()
    assert next(run for run in store.runs(archived=True) if run.id == "good").status == "running"
    store.close()


# -- indexes in every condition


def test_a_deleted_index_is_made_again(tmp_path: Path) -> None:
    keep(tmp_path, began(1), ended(1))
    assert names(Store(tmp_path)) == ["otter"]
    (tmp_path / "index.sqlite").unlink()
    assert names(Store(tmp_path)) == ["otter"]
    assert (tmp_path / "index.sqlite").exists()


@pytest.mark.parametrize("damage", ["text", "half", "zeros", "another schema", "a table gone", "empty"])
def test_a_damaged_index_is_made_again(tmp_path: Path, damage: str) -> None:
    keep(tmp_path, *(began(number, f"otter{number}") for number in range(50)))
    store = Store(tmp_path)
    expected = names(store)
    store.close()
    path = tmp_path / "index.sqlite"
    if damage == "text":
        path.write_text("this is not a database " * 1000)
    elif damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "zeros":
        path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096))
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        connection = sqlite3.connect(path)
        connection.execute("DROP TABLE metrics")
        if damage == "another schema":
            connection.execute("PRAGMA user_version = 1")
        connection.commit()
        connection.close()
    assert len(expected) == 50
    assert names(Store(tmp_path)) == expected


def test_an_index_that_is_damaged_while_a_store_is_open_is_made_again(tmp_path: Path) -> None:
    keep(tmp_path, began(1))
    store = Store(tmp_path)
    assert names(store) == ["otter"]
    (tmp_path / "index.sqlite").write_bytes(b"garbage" * 1000)
    keep(tmp_path, began(2, "owl"))
    assert names(store) == ["owl", "otter"]


def test_the_index_is_in_the_cache_directory_where_the_store_cannot_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "store"
    keep(root, began(1))
    (root / "index.sqlite").mkdir()
    for _ in range(2):
        assert names(Store(root)) == ["otter"]
    (cached,) = (tmp_path / "cache" / "autolog").iterdir()
    cached.write_text("damaged, too")
    assert names(Store(root)) == ["otter"]


def test_a_read_only_index_is_replaced_by_one_in_the_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "store"
    keep(root, began(1))
    assert names(Store(root)) == ["otter"]
    keep(root, began(2, "owl"))

    class ReadOnly(indexes.Index):
        """SQLite's own read-only mode, as on a read-only file system: this test may run as root."""

        def _open(self) -> sqlite3.Connection:
            if self._connection is None and self.path == root / "index.sqlite":
                self._connection = sqlite3.connect(
                    f"file:{self.path}?mode=ro", uri=True, isolation_level=None
                )
            return super()._open()

    store = Store(root)
    store._index = ReadOnly(store.layout)
    assert names(store) == ["owl", "otter"]
    assert len(list((tmp_path / "cache" / "autolog").iterdir())) == 1


def test_readers_in_several_threads_and_processes_see_the_same(tmp_path: Path) -> None:
    """The index is brought up to date by whoever reads first; the others wait for it."""
    for number in range(20):
        keep(tmp_path, *(began(number * 10 + i, f"{number}-{i}") for i in range(10)))
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from autolog.store.records import Store
print(len(Store({str(tmp_path)!r}).runs()))
"""
    processes = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[0] for process in processes] == [b"200\n"] * 3
    store, seen = Store(tmp_path), list[tuple[int, int]]()

    def write_and_read(thread: int) -> None:
        for number in range(10):
            name = f"thread{thread}-{number}"
            keep(tmp_path, began(1000 + thread * 10 + number, name))
            seen.append((thread, len(store.runs(f"name == '{name}'"))))

    in_threads(*(partial(write_and_read, thread) for thread in range(8)))
    assert sorted(seen) == [(thread, 1) for thread in range(8) for _ in range(10)]
    assert len(store.runs()) == 280


# -- stores as folders of files


def test_a_store_that_nobody_holds_closes_its_index(tmp_path: Path) -> None:
    """Transparent: Python 3.13 warns of a connection that nobody has closed, and users do not close `autolog.runs()`."""
    keep(tmp_path, began(1, "one"))
    store = Store(tmp_path)
    assert len(store.runs()) == 1
    connection = store._index._connection
    assert connection is not None
    del store
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_stores_are_merged_by_copying_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    keep(first, began(1, "one"), ended(1))
    path = keep(second, began(2, "two"), MetricsLogged(id_of(2), 0, NOON, {"loss": 0.5}), ended(2))
    store = Store(first)
    assert names(store) == ["one"]
    (first / "journal" / path.name).write_bytes(path.read_bytes())
    assert names(store) == ["two", "one"]
    assert store.get("two").history("loss")[0].value == 0.5
    assert {"one", "two"} == set(names(Store(first)))


def test_removing_a_journal_removes_exactly_its_runs(tmp_path: Path) -> None:
    keep(tmp_path, began(1, "one"), MetricsLogged(id_of(1), 0, NOON, {"loss": 1.0}), name="a")
    gone = keep(
        tmp_path, began(2, "two"), MetricsLogged(id_of(1), 1, NOON, {"loss": 2.0}), RunRemoved(id_of(3)), name="b"
    )  # fmt: skip
    keep(tmp_path, began(3, "three"), name="c")
    store = Store(tmp_path)
    assert names(store) == ["two", "one"]
    one = store.get("one")
    gone.unlink()
    assert names(store) == ["three", "one"]
    assert store.get("one").metrics["loss"]["count"] == 1
    assert [point.value for point in one.history("loss")] == [1.0]


def test_a_removed_run_stays_removed_with_its_children_and_files(tmp_path: Path) -> None:
    keep(
        tmp_path, began(1, "search"), RunStarted(id_of(2), NOON, "child", "default", id_of(1)),
        RunRecorded(id_of(3), id_of(2), "grandchild", "default", NOON, NOON, "candidate"), began(4, "kept"), name="z",
    )  # fmt: skip
    for number in (1, 2, 4):
        (tmp_path / "artifacts" / id_of(number)).mkdir(parents=True)
        (tmp_path / "artifacts" / id_of(number) / "model").write_bytes(b"model")
    store = Store(tmp_path)
    search = store.get("search")
    assert sorted(store.remove([search, search])) == [id_of(1), id_of(2), id_of(3)]
    assert names(store, children=True) == ["kept"]
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == [id_of(4)]
    with open(tmp_path / "journal" / "z.jsonl", "ab") as file:  # its process was still writing
        file.write(encode([MetricsLogged(id_of(1), 0, NOON, {"loss": 1.0}), ended(1)]))
    assert names(store, children=True) == ["kept"]
    (tmp_path / "index.sqlite").unlink()
    assert names(Store(tmp_path), children=True) == ["kept"]


def test_the_store_is_the_nearest_one_above_but_never_in_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTOLOG_DIR", raising=False)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find(deep).root == deep / ".autolog"
    (tmp_path / ".autolog").mkdir()
    assert find(deep).root == tmp_path / ".autolog"
    monkeypatch.chdir(deep)
    assert find().root == tmp_path / ".autolog"
    monkeypatch.setenv("AUTOLOG_DIR", str(tmp_path / "other"))
    assert find().root == tmp_path / "other"
    monkeypatch.delenv("AUTOLOG_DIR")
    monkeypatch.setattr(os.path, "isdir", lambda path: str(path) == os.path.abspath("/.autolog"))
    assert find(deep).root == deep / ".autolog"
    assert find("/").root == Path("/.autolog")


def test_another_users_store_in_a_shared_folder_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made it would read all that is recorded. A team's, in a folder of its own, is taken as before."""
    monkeypatch.delenv("AUTOLOG_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = tmp_path / "tmp" / "project"
    project.mkdir(parents=True)
    (tmp_path / "tmp" / ".autolog").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    assert find(project).root == tmp_path / "tmp" / ".autolog"  # our own
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert find(project).root == project / ".autolog"
    assert find(tmp_path / "tmp").root == tmp_path / "home" / ".autolog"
    (tmp_path / "tmp").chmod(0o775)
    assert find(project).root == tmp_path / "tmp" / ".autolog"
