"""What the page is given, as plain data: runs as columns, what has changed since, curves, the verdict, files. No server."""

from __future__ import annotations

import math
import os
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers import write_journal
from hypothesis import given
from hypothesis import strategies as st

from autolog.page import details, files, series, table, verdict
from autolog.store import columns
from autolog.store import curves as curve_module
from autolog.store.curves import Curve, Curves
from autolog.store.layout import Layout
from autolog.store.query import FilterError, selection
from autolog.store.records import Store
from autolog.tracking.events import (
    ArtifactLogged,
    EnvironmentLogged,
    Event,
    MetricsDescribed,
    MetricsLogged,
    ParamsLogged,
    RunEnded,
    RunRecorded,
    RunStarted,
    TagsSet,
)

NOON = 1_767_268_800_000
HOSTILE = [
    "<script>alert(1)</script>",
    "a,b",
    '"',
    "'; DROP TABLE runs; --",
    "\x00",
    "\u202e",
    "💥",
    "../..",
    "__proto__",
]


def id_of(number: int) -> str:
    return f"01JG{number:022d}"


def run(
    number: int, status: str | None = "finished", parent: str | None = None, **values: Any
) -> list[Event]:
    """The events of one run: params by `params`, and `loss` or other metrics as values by step."""
    events: list[Event] = [
        RunStarted(id_of(number), NOON + number * 1000, f"run-{number}", "default", parent, "fit")
    ]
    if params := values.pop("params", None):
        events.append(ParamsLogged(id_of(number), params))
    for name, points in values.items():
        events += [
            MetricsLogged(id_of(number), step, NOON + step, {name: value})
            for step, value in enumerate(points)
        ]
    return [*events, RunEnded(id_of(number), NOON + number * 1000 + 500, status)] if status else events


def store_of(root: Path, *runs: Sequence[Event]) -> Store:
    write_journal(Layout(root), [event for one in runs for event in one])
    return Store(root)


# -- columns


def test_columns_say_what_records_say(tmp_path: Path) -> None:
    about = MetricsDescribed(id_of(2), {"loss": {"value": 0.25}, "odd": {"direction": "unknown"}})
    store = store_of(
        tmp_path,
        run(
            1,
            params={"C": 0.1, "big": 2**60, "list": [1, None], "flag": True, "none": None},
            loss=[3.0, 1.0, 2.0],
        ),
        [
            *run(2, None, loss=[0.5, math.nan], odd=[math.inf, 1.0]),
            about,
            TagsSet(id_of(2), {"team": "blue"}),
        ],
        run(3, parent=id_of(1)),
    )
    found = table.runs(store, table.Asked(children=True), sort="started")
    assert (found["total"], found["runs"]["id"]) == (3, [id_of(1), id_of(2), id_of(3)])
    for row, record in enumerate(store.runs(children=True, order_by="started")):
        said = record.to_dict()
        for name in (
            "name",
            "experiment",
            "parent",
            "status",
            "kind",
            "duration",
            "starred",
            "archived",
            "description",
        ):
            assert found["runs"][name][row] == said[name], name
        assert {n: c[row] for n, c in found["tags"].items() if c[row] is not None} == record.tags
        for name, metric in record.metrics.items():
            for what in ("value", "min", "max", "step", "count"):
                assert found["metrics"][name][what][row] == metric[what], (name, what)
    assert found["runs"]["children"] == [1, 0, 0]
    assert found["runs"]["step"] == [2, 1, None]
    assert [column[0] for column in found["params"].values()] == [0.1, str(2**60), True, [1, None], None]
    loss = found["metrics"]["loss"]
    assert (loss["direction"], loss["best"], loss["best_step"]) == ("lower", [1.0, 0.5, None], [1, 0, None])
    assert math.isnan(loss["last"][1])
    assert found["metrics"]["odd"]["direction"] is None
    assert found["metrics"]["odd"]["best"] == [None, None, None]


def test_numbers_that_are_not_finite_are_null_and_named(tmp_path: Path) -> None:
    found = table.runs(
        store_of(tmp_path, *(run(n, loss=[v]) for n, v in enumerate((1.0, math.nan, math.inf, -math.inf))))
    )
    assert found["metrics"]["loss"]["special"] == {"0": "-Infinity", "1": "Infinity", "2": "NaN"}
    plain = msgspec.json.decode(msgspec.json.encode(found))
    assert plain["metrics"]["loss"]["value"] == [None, None, None, 1.0]


def test_a_part_of_the_rows_in_the_order_that_was_asked_for(tmp_path: Path) -> None:
    store = store_of(tmp_path, *(run(n, loss=[float(n % 5)]) for n in range(10)), run(11))
    found = table.runs(store, sort="metrics.loss", offset=2, limit=3)
    assert (found["total"], found["offset"]) == (11, 2)
    assert found["metrics"]["loss"]["value"] == [1.0, 1.0, 2.0]
    everything = table.runs(store, sort="metrics.loss")["runs"]["id"]
    assert everything == [record.id for record in store.runs(order_by="metrics.loss")]
    assert table.runs(store, sort="started", limit=0)["runs"]["id"] == []
    with pytest.raises(FilterError) as error:
        table.runs(store, table.Asked("metrics.loss < "))
    assert (error.value.sentence, error.value.column) != ("", 0)


def test_the_step_of_the_best_value_is_known_across_journals(tmp_path: Path) -> None:
    write_journal(Layout(tmp_path), run(1, None, loss=[3.0, math.nan, 2.0]), "a")
    store = Store(tmp_path)
    assert table.runs(store)["metrics"]["loss"]["best_step"] == [2]
    more = [
        MetricsLogged(id_of(1), step, NOON, {"loss": value}) for step, value in ((3, 5.0), (4, 1.0), (5, 1.0))
    ]
    write_journal(Layout(tmp_path), more, "b")
    loss = table.runs(store)["metrics"]["loss"]
    assert (loss["best"], loss["best_step"], loss["max"]) == ([1.0], [4], [5.0])


# -- what has changed


def test_what_changed_since_a_version_is_told(tmp_path: Path) -> None:
    store = store_of(tmp_path, *(run(n, loss=[1.0]) for n in range(1, 5)))
    seen = table.version(store)
    assert table.version(store) == seen
    assert table.runs(store, since=seen)["runs"]["id"] == []

    store.change(id_of(2), name="better")
    found = table.runs(store, since=seen)
    assert found["version"] > seen
    assert (found["runs"]["name"], found["removed"], found["total"]) == (["better"], [], 4)

    seen = found["version"]
    store.remove(store.runs("name == 'run-3'"))
    found = table.runs(store, since=seen)
    assert (found["runs"]["id"], found["removed"], found["total"]) == ([], [id_of(3)], 3)


def test_a_row_that_is_not_asked_for_any_more_is_removed(tmp_path: Path) -> None:
    store = store_of(tmp_path, run(1), run(2), run(3, parent=id_of(1)))
    seen = table.version(store)
    store.change(id_of(1), archived=True)
    found = table.runs(store, table.Asked(children=True), since=seen)
    assert sorted(found["removed"]) == [id_of(1), id_of(3)]  # with what is below it
    seen = found["version"]
    store.change(id_of(1), archived=False)
    assert sorted(table.runs(store, table.Asked(children=True), since=seen)["runs"]["id"]) == [
        id_of(1),
        id_of(3),
    ]


def test_a_new_child_changes_its_parent(tmp_path: Path) -> None:
    store = store_of(tmp_path, run(1))
    seen = table.version(store)
    write_journal(Layout(tmp_path), run(2, parent=id_of(1)))
    found = table.runs(store, since=seen)
    assert (found["runs"]["id"], found["runs"]["children"]) == ([id_of(1)], [1])
    store.remove(store.runs("name == 'run-2'", children=True))
    assert table.runs(store, since=found["version"])["runs"]["children"] == [0]


def test_a_run_whose_process_dies_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path, run(1, None), run(2))
    seen = table.runs(store)["version"]
    monkeypatch.setattr("autolog.store.index._is_gone", lambda *_: True)
    found = table.runs(store, since=seen)
    assert (found["runs"]["id"], found["runs"]["status"]) == ([id_of(1)], ["lost"])
    assert table.version(store) == found["version"]


def test_versions_grow_when_the_index_is_made_anew(tmp_path: Path) -> None:
    """The index does not know then what is gone: all rows are sent, and nothing is said to be removed."""
    store = store_of(tmp_path, run(1))
    other = write_journal(Layout(tmp_path), run(2))
    seen = table.version(store)
    other.unlink()
    found = table.runs(store, since=seen)
    assert (found["runs"]["id"], "removed" in found) == ([id_of(1)], False)
    store.close()
    store.layout.index.unlink()
    again = table.runs(Store(tmp_path), since=found["version"])
    assert again["version"] > found["version"]
    assert "removed" not in again


def test_more_changes_than_rows_are_the_whole_table(tmp_path: Path) -> None:
    store = store_of(tmp_path, run(1))
    seen = table.version(store)
    write_journal(Layout(tmp_path), [event for n in range(2, 9) for event in run(n)])
    assert "removed" not in table.runs(store, since=seen, limit=3)
    assert len(table.runs(store, since=seen)["runs"]["id"]) == 7


# -- curves


def test_curves_are_the_histories(tmp_path: Path) -> None:
    events = run(1, loss=[1.0, math.nan, math.inf, -2.0], acc=[0.1])
    recorded = RunRecorded(
        id_of(2), id_of(1), "small", "default", NOON, NOON + 5, "fit", metrics={"loss": math.nan, "acc": 2}
    )
    store = store_of(tmp_path, [*events, recorded])
    curves = Curves(store)
    for id in (id_of(1), id_of(2)):
        for name, points in store.histories(id, {"loss", "acc"}).items():
            curve = curves.of(id, [name])[name].by_step()
            expected = [(float(p.step), p.epoch, p.time * 1000, p.value) for p in points]
            found = [
                (step, None if math.isnan(epoch) else epoch, time, value)
                for step, epoch, time, value in zip(
                    curve.step, curve.epoch, curve.time, curve.value, strict=True
                )
            ]
            assert repr(found) == repr(expected)
    assert len(curves.of("nothing", ["loss"])["loss"]) == 0


def test_a_curve_is_read_on_from_where_it_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_journal(Layout(tmp_path), run(1, None, loss=[1.0, 2.0]), "a")
    curves = Curves(Store(tmp_path))
    assert list(curves.of(id_of(1), ["loss"])["loss"].value) == [1.0, 2.0]
    read: list[int] = []
    real = curve_module._lines
    monkeypatch.setattr(
        curve_module, "_lines", lambda path, start, end: read.append(start) or real(path, start, end)
    )
    assert len(curves.of(id_of(1), ["loss"])["loss"]) == 2
    assert read == []
    write_journal(Layout(tmp_path), [MetricsLogged(id_of(1), 2, NOON, {"loss": 3.0})], "a")
    assert list(curves.of(id_of(1), ["loss"])["loss"].value) == [1.0, 2.0, 3.0]
    assert len(read) == 1
    assert read[0] > 0


def test_a_line_that_is_damaged_costs_only_itself(tmp_path: Path) -> None:
    path = write_journal(Layout(tmp_path), run(1, None, loss=[1.0, 2.0, 3.0]))
    data = path.read_bytes().replace(b'"loss":2.0', b'"loss":2.0.')
    path.write_bytes(data)
    curve = Curves(Store(tmp_path)).of(id_of(1), ["loss"])["loss"]
    assert list(curve.value) == [1.0, 3.0]


def test_no_more_points_are_kept_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autolog.store.curves.MOST_KEPT", 10)
    store = store_of(tmp_path, *(run(n, loss=[0.0] * 6) for n in range(5)))
    curves = Curves(store)
    for n in range(5):
        assert len(curves.of(id_of(n), ["loss"])["loss"]) == 6
    assert sum(map(len, curves._kept.values())) <= 10


def curve_of(values: Sequence[float]) -> Curve:
    curve = Curve()
    for step, value in enumerate(values):
        curve.step.append(step)
        curve.epoch.append(math.nan)
        curve.time.append(NOON + step)
        curve.value.append(value)
    return curve


@given(st.lists(st.floats(), max_size=300), st.integers(3, 40))
def test_thinning_keeps_the_ends_and_the_extremes(values: list[float], points: int) -> None:
    shown = series.thin(curve_of(values), points)
    assert len(shown.step) == len(shown.low) == len(shown.high) == min(len(values), max(points, 3))
    assert list(shown.step) == sorted(shown.step)
    if not values:
        return
    finite = [value for value in values if math.isfinite(value)]
    low = [value for value in shown.low if math.isfinite(value)]
    high = [value for value in shown.high if math.isfinite(value)]
    assert bool(finite) == bool(low)
    if finite:
        assert (min(low), max(high)) == (min(finite), max(finite))
    assert (shown.step[0], shown.step[-1]) == (0, len(values) - 1)
    if math.isfinite(values[0]):
        assert shown.low[0] == shown.high[0] == values[0]


def read_blocks(data: bytes) -> tuple[dict[str, Any], dict[tuple[str, str], list[tuple[float, ...]]]]:
    (size,) = struct.unpack("<I", data[:4])
    assert (size + 4) % 8 == 0
    header = msgspec.json.decode(data[4 : 4 + size])
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for one in header["series"]:
        n, at = one["length"], 4 + size + one["offset"]
        parts = [data[at + 8 * n * place : at + 8 * n * (place + 1)] for place in range(5)]
        found[one["run"], one["metric"]] = [struct.unpack(f"<{n}d", part) for part in parts]
    return header, found


def test_blocks_hold_what_was_logged(tmp_path: Path) -> None:
    store = store_of(
        tmp_path, run(1, loss=[float(n) for n in range(100)], acc=[1.0, math.nan]), run(2, loss=[5.0])
    )
    header, found = read_blocks(series.blocks(Curves(store), 7, [id_of(1), id_of(2)], ["loss", "acc"], 10))
    assert header["version"] == 7
    assert [(one["metric"], one["count"], one["length"], one["thinned"]) for one in header["series"]] == [
        ("loss", 100, 10, True), ("acc", 2, 2, False), ("loss", 1, 1, False),
    ]  # fmt: skip
    assert header["series"][1]["gaps"] == {"nan": 1, "inf": 0}
    assert math.isnan(found[id_of(1), "acc"][3][1])
    step, _, _, low, high = found[id_of(1), "loss"]
    assert (step[0], step[-1], low[0], high[-1]) == (0, 99, 0, 99)
    header, found = read_blocks(series.blocks(Curves(store), 7, [id_of(1)], ["loss"], 50, 10, 20))
    assert found[id_of(1), "loss"][0] == tuple(range(9, 22))


def test_sparks_share_their_ranges(tmp_path: Path) -> None:
    store = store_of(
        tmp_path, run(1, loss=[3.0, 1.0, 2.0]), run(2, loss=[math.nan] * 3), run(3, loss=[9.0] * 500), run(4)
    )
    found = series.sparks(Curves(store), [id_of(n) for n in range(1, 5)], "loss", "lower")
    assert (found["x"], found["y"]) == ([0, 499], [1, 9])
    assert found["curves"][id_of(1)] == {"points": [[0, 3, 3], [1, 1, 1], [2, 2, 2]], "best": [1, 1]}
    assert found["curves"][id_of(2)] == {"points": [], "best": None}
    assert len(found["curves"][id_of(3)]["points"]) == series.SPARK_POINTS
    assert id_of(4) not in found["curves"]
    assert series.sparks(Curves(store), [id_of(4)], "loss", None) == {"x": None, "y": None, "curves": {}}


# -- the verdict


def test_the_best_run_leads_the_second(tmp_path: Path) -> None:
    store = store_of(
        tmp_path,
        run(1, val_loss=[0.5, 0.2]),
        run(2, val_loss=[0.3, 0.1, 0.15]),
        run(3, "failed", val_loss=[0.0]),
    )
    found = verdict.verdict(store, Curves(store))
    assert (found["metric"], found["direction"], found["finished"]) == ("val_loss", "lower", 2)
    assert found["best"] == {"id": id_of(2), "name": "run-2", "value": 0.15, "step": 2, "steps": 2}
    assert found["second"]["id"] == id_of(1)
    assert found["second"]["lead"] == pytest.approx(0.05)
    assert (found["ahead"], found["shares"]) == (None, [])
    first = table.runs(store, table.Asked("status == 'finished'"), sort="metrics.val_loss")
    assert first["runs"]["id"][0] == found["best"]["id"]


def test_an_open_run_is_never_the_best_but_may_be_ahead(tmp_path: Path) -> None:
    store = store_of(
        tmp_path, run(1, acc=[0.1, 0.5, 0.9]), run(2, None, acc=[0.3, 0.8]), run(3, None, acc=[0.05])
    )
    found = verdict.verdict(store, Curves(store), metric="acc")
    assert found["best"]["id"] == id_of(1)
    assert found["ahead"] == {"id": id_of(2), "name": "run-2", "lead": pytest.approx(0.3), "step": 1}


def test_without_a_direction_there_is_no_best(tmp_path: Path) -> None:
    store = store_of(tmp_path, run(1, thing=[1.0]), run(2, thing=[2.0]))
    found = verdict.verdict(store, Curves(store))
    assert (found["metric"], found["best"], found["finished"]) == (None, None, 2)
    assert found["candidates"] == [{"name": "thing", "runs": 2, "direction": None}]
    assert verdict.verdict(store, Curves(store), metric="thing")["best"] is None
    assert verdict.verdict(store, Curves(store), metric="absent_loss")["best"] is None


def test_an_empty_store_has_no_verdict(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert verdict.verdict(store, Curves(store))["candidates"] == []
    assert verdict.experiments(store, NOON) == []
    assert table.runs(store)["runs"]["id"] == []


def test_what_goes_with_the_metric_is_found_and_chance_is_not(tmp_path: Path) -> None:
    source = random.Random(1)
    runs = []
    for n in range(200):
        rate, chance, text = source.choice([0.1, 0.01, 0.001]), source.random(), source.choice(["a", "b"])
        score = {0.1: 0.5, 0.01: 0.9, 0.001: 0.7}[rate] + 0.02 * source.random()
        runs.append(run(n, params={"rate": rate, "chance": chance, "text": text, "same": 1}, val_acc=[score]))
    store = store_of(tmp_path, *runs)
    found = verdict.verdict(store, Curves(store))["shares"]
    assert found[0]["param"] == "rate"
    assert found[0]["share"] > 0.8
    assert found[0]["kind"] == "number"
    assert [value["value"] for value in found[0]["values"]] == [0.001, 0.01, 0.1]
    assert [value["is_best"] for value in found[0]["values"]] == [False, True, False]
    assert sum(value["count"] for value in found[0]["values"]) == 200 == len(found[0]["dots"])
    assert all(one["share"] < 0.1 for one in found[1:])


def test_of_many_runs_some_are_ranked_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "MOST_RANKED", 30)
    store = store_of(tmp_path, *(run(n, params={"x": n % 2}, acc=[n % 2 + n / 1000]) for n in range(100)))
    found = verdict.verdict(store, Curves(store), metric="acc")
    assert (found["finished"], found["shares_of"]) == (100, 25)
    [share] = found["shares"]
    assert sum(value["count"] for value in share["values"]) == 25
    assert [value["is_best"] for value in share["values"]] == [False, True]


def test_many_numbers_are_eight_bins(tmp_path: Path) -> None:
    store = store_of(tmp_path, *(run(n, params={"x": n / 7}, acc=[float(n)]) for n in range(40)))
    [share] = verdict.verdict(store, Curves(store), metric="acc")["shares"]
    assert (share["kind"], len(share["values"])) == ("bins", 8)
    assert share["values"][-1]["is_best"]
    assert share["values"][0]["value"] == [0, 4 / 7]


def test_nothing_is_said_of_params_below_twelve_runs(tmp_path: Path) -> None:
    store = store_of(tmp_path, *(run(n, params={"x": n % 2}, acc=[float(n % 2)]) for n in range(11)))
    assert verdict.verdict(store, Curves(store), metric="acc")["shares"] == []


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8), max_size=6))
def test_a_share_is_between_nothing_and_all(groups: list[list[float]]) -> None:
    assert 0 <= verdict.epsilon_squared(groups) <= 1


def test_shares_of_known_groups() -> None:
    assert verdict.epsilon_squared([[1, 2, 3], [4, 5, 6]]) == pytest.approx(1 - (1 - 13.5 / 17.5) * 5 / 4)
    assert verdict.epsilon_squared([[1, 1], [1, 1]]) == 0
    assert verdict.epsilon_squared([[1, 2], [1, 2]]) == 0


def test_experiments_say_how_their_best_moved(tmp_path: Path) -> None:
    store = store_of(
        tmp_path, *(run(n, val_loss=[v]) for n, v in enumerate((3.0, 4.0, 1.0, math.nan))), run(9, None)
    )
    [found] = verdict.experiments(store, NOON + 20_000)
    assert (found["name"], found["runs"], found["running"]) == ("default", 5, 1)
    assert found["best"] == {"id": id_of(2), "name": "run-2", "value": 1.0}
    assert [value for _, value in found["best_so_far"]] == [3.0, 1.0]
    assert found["activity"] == [0] * 23 + [5]


# -- one run


def test_a_run_has_its_place_among_the_others(tmp_path: Path) -> None:
    store = store_of(
        tmp_path,
        *(run(n, acc=[n / 10]) for n in range(8)),
        run(9, parent=id_of(3), acc=[1.0]),
        [EnvironmentLogged({"git": {"commit": "abc", "diff": "+secret"}, "python": "3.11"})],
    )
    found = details.run(store, id_of(5))
    assert found is not None
    assert found["places"]["acc"] == {"rank": 3, "of": 8, "values": [n / 10 for n in range(8)]}
    assert found["environment"] == {"git": {"commit": "abc"}, "python": "3.11"}
    assert (found["children"], found["ancestors"]) == (0, [])
    child = details.run(store, id_of(9))
    assert child is not None
    assert child["ancestors"] == [{"id": id_of(3), "name": "run-3"}]
    assert child["places"]["acc"]["of"] == 1
    code = details.code(store, id_of(5))
    assert code == {"commit": "abc", "dirty": None, "diff": "+secret", "files": {}, "cells": {}}
    assert details.run(store, "none") is None
    assert details.code(store, "none") is None


def test_a_run_is_shown_whatever_its_environment_is(tmp_path: Path) -> None:
    for number, environment in enumerate(({"git": "text"}, {"git": None}, {}), 1):
        write_journal(Layout(tmp_path), [EnvironmentLogged(environment), *run(number)])
        assert details.run(Store(tmp_path), id_of(number)) is not None
        assert details.code(Store(tmp_path), id_of(number)) is not None


def test_runs_that_are_each_others_parents_are_shown(tmp_path: Path) -> None:
    store = store_of(tmp_path, run(1, parent=id_of(2)), run(2, parent=id_of(1)))
    found = details.run(store, id_of(1))
    assert found is not None
    assert [one["id"] for one in found["ancestors"]] == [id_of(2)]


# -- files


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A store with files of a run, and things around it that must not be read."""
    layout = Layout(tmp_path / "store")
    folder = layout.artifacts_of(id_of(1))
    (folder / "sub").mkdir(parents=True)
    (folder / "plain.txt").write_text("hello")
    (folder / "sub" / "deep é <b>.txt").write_text("deep")
    (tmp_path / "secret.txt").write_text("secret")
    (layout.artifacts_of(id_of(2))).mkdir()
    (layout.artifacts_of(id_of(2)) / "other.txt").write_text("secret")
    os.symlink(tmp_path / "secret.txt", folder / "link.txt")
    os.symlink(tmp_path, folder / "linked")
    os.symlink("plain.txt", folder / "inner.txt")
    os.symlink("loop", folder / "loop")
    os.mkfifo(folder / "pipe")
    return layout


REFUSED = (
    "../../../secret.txt", "sub/../plain.txt", "../01JG0000000000000000000002/other.txt", "/etc/passwd", "./plain.txt", "",
    "sub", "sub/", "link.txt", "linked/secret.txt", "loop", "pipe", "absent", "plain.txt/x", "plain.txt\0", "a\0b",
    "..\\..\\secret.txt", "sub\\deep.txt", "%2e%2e/%2e%2e/secret.txt", "%252e%252e/secret.txt", "..%2fsecret.txt",
    "C:/secret.txt", "c:secret", "//etc/passwd", "x" * 5000, "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("path", REFUSED)
def test_no_path_leads_out_of_the_runs_folder(layout: Layout, path: str) -> None:
    with pytest.raises(files.Refused) as error:
        files.open_file(layout, id_of(1), path)
    assert error.value.status == 404
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("id", ["..", "", ".", "a/b", "a\\b", "x\0", "ü", "x" * 65, id_of(3)])
def test_no_id_leads_out_of_the_folder_of_all_runs(layout: Layout, id: str) -> None:
    with pytest.raises(files.Refused):
        files.open_file(layout, id, "plain.txt")


@pytest.mark.parametrize(
    ("path", "text"), [("plain.txt", b"hello"), ("sub/deep é <b>.txt", b"deep"), ("inner.txt", b"hello")]
)
def test_files_of_the_run_are_opened(layout: Layout, path: str, text: bytes) -> None:
    opened = files.open_file(layout, id_of(1), path)
    with open(opened.descriptor, "rb") as file:
        assert file.read() == text
    assert opened.size == len(text)


def test_a_huge_file_is_not_served(layout: Layout) -> None:
    with open(layout.artifacts_of(id_of(1)) / "huge.bin", "wb") as file:
        file.truncate(files.MOST_BYTES + 1)
    with pytest.raises(files.Refused) as error:
        files.open_file(layout, id_of(1), "huge.bin")
    assert error.value.status == 413


@given(st.text())
def test_any_path_is_refused_or_inside(path: str) -> None:
    with pytest.raises(files.Refused):
        files.open_file(Layout("/nowhere"), id_of(1), path)


def test_previews(layout: Layout) -> None:
    folder = layout.artifacts_of(id_of(1))
    (folder / "t.csv").write_text("a,b\n" + "".join(f"{n},<i>\n" for n in range(300)))
    (folder / "d.json").write_text('{"a": [1, 9007199254740993]}')
    (folder / "bad.json").write_text("{")
    (folder / "long.txt").write_text("x" * (files.PREVIEW_BYTES + 5))
    (folder / "model.pkl").write_bytes(b"\x80\x04\x95\0\0\0cos\nsystem\n")
    (folder / "page.html").write_text("<script>alert(1)</script>")
    preview = {
        name: files.preview(layout, id_of(1), name)
        for name in os.listdir(folder)
        if "." in name and "link" not in name
    }
    assert preview["t.csv"]["columns"] == ["a", "b"]
    assert (len(preview["t.csv"]["rows"]), preview["t.csv"]["more"]) == (200, True)
    assert preview["d.json"]["json"] == {"a": [1, "9007199254740993"]}
    assert (preview["bad.json"]["kind"], preview["bad.json"]["text"]) == ("text", "{")
    assert (preview["long.txt"]["cut"], len(preview["long.txt"]["text"])) == (True, files.PREVIEW_BYTES)
    assert preview["model.pkl"] == {"kind": "other", "bytes": 17, "cut": False}
    assert preview["page.html"]["kind"] == "text"


@pytest.mark.parametrize(
    "name", ["x.html", "x.HTM", "x.svg", "x.xhtml", "x.xml", "x.js", "x.pdf", "x", "x.swf", "x.mhtml"]
)
def test_nothing_is_served_as_what_a_browser_runs(name: str) -> None:
    assert files.content_type(name) in ("text/plain; charset=utf-8", "application/octet-stream")


def test_listed_files_say_what_they_are() -> None:
    found = files.listed(
        [{"path": "a/b.PNG", "bytes": 1}, {"path": "model/MLmodel", "bytes": 2}, {"path": "x", "bytes": 3}]
    )
    assert [one["kind"] for one in found] == ["image", "text", "other"]


# -- hostile names


def test_hostile_names_come_back_as_they_are(tmp_path: Path) -> None:
    events: list[Event] = []
    for n, name in enumerate(HOSTILE):
        events += [
            RunStarted(id_of(n), NOON + n, name, name, None, name, name, name, name, {name: name}),
            ParamsLogged(id_of(n), {name: name}), MetricsLogged(id_of(n), 0, NOON, {name: 1.0}),
            ArtifactLogged(id_of(n), name, 1), RunEnded(id_of(n), NOON + n, "failed", name),
        ]  # fmt: skip
    store = store_of(tmp_path, events)
    found = table.runs(store, sort="started")
    for what in ("name", "experiment", "framework", "kind", "estimator", "error"):
        assert found["runs"][what] == HOSTILE
    for n, name in enumerate(HOSTILE):
        assert found["params"][name][n] == found["tags"][name][n] == name
        assert found["metrics"][name]["value"][n] == 1.0
        assert table.runs(store, table.Asked(experiment=name))["total"] == 1
    assert sorted(one["name"] for one in verdict.experiments(store, NOON)) == sorted(HOSTILE)
    assert msgspec.json.decode(msgspec.json.encode(found))["runs"]["name"] == HOSTILE
    curves = Curves(store)
    for n, name in enumerate(HOSTILE):
        found = {key: list(curve.value) for key, curve in curves.of(id_of(n), HOSTILE).items()}
        assert found == {**{key: [] for key in HOSTILE}, name: [1.0]}
        assert list(curves.of(id_of(n), [name])[name].value) == [1.0]


def test_a_choice_holds_within_one_version(tmp_path: Path) -> None:
    """A choice ends its transaction whatever happens in it."""
    store = store_of(tmp_path, run(1))

    def broken(connection: Any) -> None:
        with columns.choose(connection, selection(None)):
            raise LookupError

    with pytest.raises(LookupError):
        store.read(broken)
    assert table.runs(store)["total"] == 1
