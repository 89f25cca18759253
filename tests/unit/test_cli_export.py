"""`autolog export`: what is in the file is what the records say."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

import autolog
from autolog.cli.app import app
from autolog.store.records import Store
from autolog.testing import recorded


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with recorded() as seen:
        for number in range(2):
            with autolog.run(f"run {number}", tags={"team": "blue, red"}) as run:
                run.log_params({"C": number + 0.5, "layers": [1, 2], "on": True, "odd": number or "none"})
                for step in range(3):
                    run.log_metrics({"loss": math.nan if step else 0.5}, step=step, epoch=step / 2)
                run.record_child("0", kind="candidate", params={"C": 2**70}, metrics={"score": 1.0})
        autolog.flush(60)
        yield Store(seen.client.layout)


def export(store: Store, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["export", "--store", str(store.layout.root), *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_csv_has_a_row_a_run(store: Store):
    """Columns as in `to_pandas()`; lists are JSON, commas and NaN no trouble."""
    rows = list(csv.DictReader(export(store).splitlines()))
    assert [row["name"] for row in rows] == ["run 0", "run 1"]
    assert [row["params.C"] for row in rows] == ["0.5", "1.5"]
    assert (rows[0]["params.layers"], rows[0]["params.on"], rows[0]["tags.team"]) == (
        "[1,2]",
        "true",
        "blue, red",
    )
    assert rows[0]["metrics.loss"] == "nan"
    assert len(list(csv.DictReader(export(store, "--children").splitlines()))) == 4
    pytest.importorskip("pandas")
    assert set(rows[0]) == set(store.runs().to_pandas().columns)


@pytest.mark.parametrize(
    ("name", "first"), [("runs.csv", b"id,"), ("runs", b"id,"), ("runs.JSONL", b'{"id"'), ("runs.parquet", b"PAR1")]
)  # fmt: skip
def test_the_ending_of_a_file_says_its_format(store: Store, tmp_path: Path, name: str, first: bytes) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    export(store, "--output", str(tmp_path / name))
    assert (tmp_path / name).read_bytes().startswith(first)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "runs.xlsx"], "runs.xlsx would hold CSV."),
        (["--output", "runs.json"], "runs.json would hold CSV."),
        (["--output", "runs.parquet", "--format", "csv"], "runs.parquet would hold CSV."),
        (["--output", "runs.csv", "--format", "jsonl"], "runs.csv would hold lines of JSON."),
    ],
)
def test_an_unknown_ending_is_refused_and_nothing_is_written(
    store: Store, arguments: list[str], said: str
) -> None:
    done = CliRunner().invoke(app, ["export", "--store", str(store.layout.root), *arguments])
    assert done.exit_code == 1
    assert said in done.output
    assert not Path(arguments[1]).exists()


def test_a_named_format_may_have_any_ending_but_that_of_another(store: Store, tmp_path: Path) -> None:
    """Many name lines of JSON `.json`."""
    export(store, "--format", "jsonl", "--output", str(tmp_path / "runs.json"))
    assert [json.loads(line)["name"] for line in (tmp_path / "runs.json").open()] == ["run 0", "run 1"]


def test_no_text_in_csv_is_a_formula():
    """Whoever opens it in a spreadsheet would run what somebody else has named a run or a param. Numbers stay as they are."""
    evil, fine = ["=1+1", "+x", "-x|y", "@x", "\t=1", "\r=1"], ["-1e5", "+.5", "a=1", "1-1", "-inf"]
    with recorded() as seen:
        with autolog.run("=HYPERLINK()") as run:
            run.log_params({str(number): text for number, text in enumerate([*evil, *fine])})
            run.log_params({"number": -1.5})
        autolog.flush(60)
        (row,) = csv.DictReader(io.StringIO(export(Store(seen.client.layout)), newline=""))
        lines = export(Store(seen.client.layout), "--format", "jsonl")
    said = [row[f"params.{number}"] for number in range(len(evil) + len(fine))]
    assert said == [*(f"'{text}" for text in evil), *fine]
    assert (row["name"], row["params.number"]) == ("'=HYPERLINK()", "-1.5")
    assert json.loads(lines)["params"]["0"] == "=1+1"


def test_a_json_line_is_what_show_prints(store: Store):
    runs = {run.id: run.to_dict() for run in store.runs("name == 'run 1'")}
    lines = [json.loads(line) for line in export(store, "name == 'run 1'", "--format", "jsonl").splitlines()]
    assert {line["id"]: line for line in lines} == json.loads(json.dumps(runs))


def test_histories_have_a_row_for_each_value(store: Store):
    expected = [
        (run.id, run.name, name, *point)
        for run in store.runs(order_by="started")
        for name, points in run.histories().items()
        for point in points
    ]
    assert len(expected) == 6
    lines = [json.loads(line) for line in export(store, "--histories", "--format", "jsonl").splitlines()]
    assert [tuple(str(value).lower() for value in line.values()) for line in lines] == [
        tuple(str(value).lower() for value in row) for row in expected
    ]
    rows = list(csv.reader(export(store, "--histories").splitlines()))
    assert rows[0] == ["run", "name", "metric", "step", "epoch", "time", "value"]
    assert [row[3] for row in rows[1:]] == ["0", "1", "2"] * 2


def test_parquet_has_types(store: Store, tmp_path: Path):
    """Numbers are numbers; a column of mixed things is text."""
    parquet = pytest.importorskip("pyarrow.parquet")
    export(store, "--format", "parquet", "-o", str(tmp_path / "runs.parquet"), "--children")
    table = parquet.read_table(tmp_path / "runs.parquet")
    assert table.num_rows == 4
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert kinds["params.odd"] == "string"
    assert (kinds["params.on"], kinds["metrics.loss"], kinds["duration"]) == ("bool", "double", "double")
    assert table.column("params.C").to_pylist().count("1180591620717411303424") in (0, 2)
    export(store, "--format", "parquet", "-o", str(tmp_path / "values.parquet"), "--histories")
    values = parquet.read_table(tmp_path / "values.parquet").to_pylist()
    assert [(row["step"], row["epoch"]) for row in values] == [(0, 0.0), (1, 0.5), (2, 1.0)] * 2
    export(
        store, "name == 'nobody'", "--format", "parquet", "-o", str(tmp_path / "none.parquet"), "--histories"
    )
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_a_file_is_whole_or_not_there(store: Store, tmp_path: Path):
    """A wrong place is one line, and nothing half is left."""
    done = CliRunner().invoke(
        app, ["export", "--store", str(store.layout.root), "-o", str(tmp_path / "no" / "runs.csv")]
    )
    assert done.exit_code == 1
    assert list(tmp_path.glob("*.csv*")) == []
    done = CliRunner().invoke(app, ["export", "--store", str(store.layout.root), "--format", "parquet"])
    assert done.exit_code == 1
    assert done.stderr.endswith("Name a file: --output runs.parquet\n")
