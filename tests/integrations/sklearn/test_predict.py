"""The promise: `autolog predict` gives the model's own predictions for a file, whatever its form and size, says what does not
fit in words of the data, and leaves no half a file.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from typer.testing import CliRunner

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.linear_model import LinearRegression, Ridge  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder  # noqa: E402

from autolog.cli import predict as predict_module  # noqa: E402
from autolog.cli.app import app  # noqa: E402

# What pandas 3.1 and newer do by themselves, and warn of when asked for.
EXACT = {"float_precision": "round_trip"} if Version(pd.__version__).release < (3, 1) else {}
from autolog.models.capture import snapshot  # noqa: E402
from autolog.models.folder import write  # noqa: E402
from autolog.models.signature import infer_signature  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_key")

COLUMNS = " columns 'size', 'rooms', 'zip'."
DOUBLE, LONG, DURING = (
    "the model was trained on double ones.",
    "the model was trained on long ones.",
    "during transform",
)
ROWS = 23
X = pd.DataFrame(
    {
        "size": np.linspace(0, 1, ROWS) ** 2 + 0.1,
        "rooms": np.arange(ROWS) % 5,
        "zip": [f"0{1000 + number % 3}" for number in range(ROWS)],
    }
)


def model() -> Any:
    columns = make_column_transformer((OneHotEncoder(), ["zip"]), remainder="passthrough")
    return make_pipeline(columns, Ridge()).fit(X, X["size"] * 3 + X["rooms"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a model of named columns, one of which is a text that looks like a number."""
    place = tmp_path / "model"
    write(snapshot("sklearn", model(), staging_dir=tmp_path, signature=infer_signature(X)), place)
    return place


def cli(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["predict", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


WRITE: dict[str, Callable[[Path, Any], Any]] = {
    "csv": lambda path, frame: frame.to_csv(path, index=False),
    "parquet": lambda path, frame: frame.to_parquet(path),
    "json": lambda path, frame: frame.to_json(path, orient="records", double_precision=15),
    "jsonl": lambda path, frame: frame.to_json(path, orient="records", lines=True, double_precision=15),
}
READ: dict[str, Callable[[Path], Any]] = {
    "csv": lambda path: pd.read_csv(path, **EXACT),
    "parquet": pd.read_parquet,
    "json": lambda path: pd.DataFrame(json.loads(path.read_text())),
    "jsonl": lambda path: pd.DataFrame(list(map(json.loads, path.read_text().splitlines()))),
}


@pytest.mark.parametrize("given", WRITE)
@pytest.mark.parametrize("wanted", READ)
def test_predictions_are_the_models_own(
    folder: Path, tmp_path: Path, given: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, a few rows at a time, from each kind of file into each; columns in any order."""
    if "parquet" in (given, wanted):
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(predict_module, "ROWS_AT_ONCE", 10)
    data, output = tmp_path / f"data.{given}", tmp_path / f"out.{wanted}"
    WRITE[given](data, X[["zip", "size", "rooms"]])
    assert cli(folder, "--input", data, "--output", output) == (
        0,
        "",
        f"autolog: 23 predictions in {output}\n",
    )
    found = READ[wanted](output)
    assert list(found.columns) == ["prediction"]
    read = {
        "csv": lambda: pd.read_csv(data, dtype={"zip": str}, **EXACT),
        "parquet": lambda: pd.read_parquet(data),
    }
    same = read.get(given, lambda: READ[given](data))()
    parts = [same[at : at + 10] for at in range(0, ROWS, 10)]
    expected = np.concatenate([model().predict(part[X.columns]) for part in parts])
    if given == "json":  # read as a whole
        expected = model().predict(same[X.columns])
    assert found["prediction"].to_numpy().tobytes() == expected.tobytes()


def test_predict_takes_a_runs_name_id_or_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, its id or @last; without --output, the predictions go to standard output."""
    import autolog
    from autolog.testing import recorded

    with recorded("sklearn") as seen:
        LinearRegression().fit(X[["size", "rooms"]], X["size"])
        run = seen.run
        data = tmp_path / "data.csv"
        X[["size", "rooms"]].to_csv(data, index=False)
        store = run.folder.parent.parent
        printed = [cli(name, "-i", data, "--store", store) for name in ("@last", run.name, run.id)]
        expected = autolog.load_model(run).predict(X[["size", "rooms"]])
    assert [code for code, _, _ in printed] == [0, 0, 0]
    assert [err for _, _, err in printed] == ["", "", ""]
    for _, out, _ in printed:
        lines = out.splitlines()
        assert lines[0] == "prediction"
        assert [float(line) for line in lines[1:]] == expected.tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x.drop(columns="rooms"), "The data lacks column 'rooms'; the model was trained on" + COLUMNS),
        (lambda x: x.assign(price=1), "The data has column 'price' too many; the model was trained on" + COLUMNS),
        (lambda x: x.assign(size="large"), "Column 'size' holds string values; " + DOUBLE),
        (lambda x: x.assign(rooms=[None] * 21 + [1.5, 2]), "Column 'rooms' holds double values; " + LONG),
        (lambda x: x.assign(zip="x"), "the model failed with ValueError: Found unknown categories ['x'] in column 0 " + DURING),
    ],
)  # fmt: skip
def test_data_that_does_not_fit_is_an_error_in_one_line(
    folder: Path, tmp_path: Path, change: Any, said: str
) -> None:
    data, output = tmp_path / "data.csv", tmp_path / "out.csv"
    change(X).to_csv(data, index=False)
    assert cli(folder, "--input", data, "--output", output) == (1, "", f"autolog: {said}\n")
    # The user's key is made once a folder, and older releases of pytest give the next test a folder of the same name.
    assert {path.name for path in tmp_path.iterdir()} - {"config"} == {"data.csv", "model"}


def test_an_error_in_a_large_file_says_the_row(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_module, "ROWS_AT_ONCE", 10)
    data = tmp_path / "data.csv"
    X.assign(rooms=pd.Series([*range(15), 1.5, *range(7)], dtype=object)).to_csv(data, index=False)
    code, _, err = cli(folder, "--input", data, "--output", tmp_path / "out.csv")
    assert (code, err) == (
        1, "autolog: After row 10: Column 'rooms' holds double values; the model was trained on long ones.\n",
    )  # fmt: skip


def test_predict_reads_the_body_of_a_request_to_mlflow(tmp_path: Path, folder: Path) -> None:
    body, array = tmp_path / "body.json", tmp_path / "array.json"
    split = {"columns": list(X.columns), "data": X.to_numpy(dtype=object).tolist()}
    body.write_text(json.dumps({"dataframe_split": split}))
    code, out, _ = cli(folder, "-i", body)
    assert (code, len(out.splitlines())) == (0, 1 + ROWS)
    numbers = X[["size", "rooms"]].to_numpy()
    place = tmp_path / "of-arrays"
    write(
        snapshot("sklearn", LinearRegression().fit(numbers, numbers), staging_dir=tmp_path, signature=infer_signature(numbers)),
        place,
    )  # fmt: skip
    array.write_text(json.dumps({"inputs": numbers.tolist()}))
    code, out, _ = cli(place, "-i", array)
    assert (code, out.splitlines()[0], len(out.splitlines())) == (0, "prediction_0,prediction_1", 1 + ROWS)
    array.write_text("[[1.0, 2.0, 3.0]]")
    assert cli(place, "-i", array) == (
        1,
        "",
        "autolog: The shape of the data is 1×3; the model was trained on any×2.\n",
    )


def test_a_wrong_command_line_is_an_error(folder: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "x.csv", tmp_path / "bad.json"
    X.to_csv(good, index=False)
    bad.write_text("{")
    assert cli(folder, "-i", tmp_path / "x.xls")[0] == 2
    assert cli(folder, "-i", good, "-o", "x.txt")[0] == 2
    assert cli(folder)[0] == 2
    assert cli(folder, "-i", tmp_path / "no.csv") == (
        1,
        "",
        f"autolog: The file {tmp_path / 'no.csv'} does not exist.\n",
    )
    assert cli(folder, "-i", bad)[2].startswith(f"autolog: Cannot read {bad}: Expecting property name")
    store = tmp_path / ".autolog"
    store.mkdir()
    assert cli("nobody", "-i", good, "--store", store)[2].startswith(
        f"autolog: There is no run 'nobody' in {store}."
    )
    for place in ("models:/m/1", "runs:/0123/model", "s3://bucket/model"):
        assert f"mlflow artifacts download --artifact-uri {place}" in cli(place, "-i", good)[2]


def test_a_strangers_pickle_is_loaded_only_with_trust(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "x.csv"
    X.to_csv(data, index=False)
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "another"))
    code, out, err = cli(folder, "-i", data)
    assert (code, out) == (1, "")
    assert "it was signed with another key than yours" in err
    assert "If you trust whoever made it, pass --trust." in err
    assert cli(folder, "-i", data, "--trust")[0] == 0


def test_a_terminal_shows_a_progress_bar_and_ctrl_c_leaves_no_file(folder: Path, tmp_path: Path) -> None:
    data, output = tmp_path / "data.csv", tmp_path / "out.csv"
    pd.concat([X] * 3).to_csv(data, index=False)
    code = (
        "import sys; from autolog.cli import main, predict; predict.ROWS_AT_ONCE = 5; "
        "sys.argv = ['autolog', 'predict', *sys.argv[1:]]; main()"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color", "COLUMNS": "80"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", code, str(folder), "-i", str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=env)
    os.close(theirs)
    assert process.stdout is not None
    printed = process.stdout.read().decode().splitlines()
    assert process.wait(60) == 0
    shown = os.read(ours, 100_000).decode()
    assert len(printed) == 1 + 3 * ROWS
    assert "kB" in shown
    os.close(ours)
    pd.concat([X] * 2000).to_csv(data, index=False)
    process = subprocess.Popen(
        [*command, "-o", str(output)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not list(tmp_path.glob("out.csv.*")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode not in (0, 2)
    assert b"Traceback" not in err
    assert not list(tmp_path.glob("out.csv*"))
