"""The command line: what it prints, to people, to pipes and as JSON; what it says when something is wrong; `autolog run`."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from helpers import write_journal
from hypothesis import example as also
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import autolog
from autolog import __version__
from autolog.cli import chart, text
from autolog.cli.app import app
from autolog.cli.store import run_names
from autolog.models.errors import ModelError
from autolog.store.layout import Layout
from autolog.store.records import Store
from autolog.testing import recorded
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
    RunEnded,
    RunRecorded,
    RunStarted,
    TagsSet,
)  # fmt: skip
from autolog.tracking.metrics import guess

PROJECT = Path(__file__).parents[2]
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z, long enough ago to be shown as a date
MINUTE = 60_000
LOGISTIC = "sklearn.linear_model._logistic.LogisticRegression"


def id_of(number: int) -> str:
    return f"01JG{number:022d}"


def keep(root: Path, *events: Event) -> None:
    write_journal(Layout(root), events)


def a_run(number: int, name: str, *events: Event, error: str | None = None, **more: Any) -> list[Event]:
    started = NOON + number * MINUTE
    fields = {
        "kind": "fit",
        "framework": "sklearn",
        "version": "1.9.1",
        "estimator": LOGISTIC,
        "experiment": "default",
    }
    status = "failed" if error else "finished"
    return [
        RunStarted(id_of(number), started, name, **{**fields, **more}),
        *events,
        RunEnded(id_of(number), started + 2500, status, error, 0.0031),
    ]


def write_example(root: Path) -> None:
    """Four runs: `plain`, `curves` with everything there is, `search` with children, and `broken`."""
    keep(
        root,
        *a_run(
            1, "plain", ParamsLogged(id_of(1), {"C": 1.0}), MetricsLogged(id_of(1), 0, NOON, {"loss": 0.5})
        ),
    )
    two = id_of(2)
    keep(
        root,
        EnvironmentLogged(
            {
                "script": "/home/u/train.py", "arguments": ["train.py", "--lr", "0.1"], "working_directory": "/home/u",
                "git": {"commit": "cf7c7de0123456789", "branch": "main", "dirty": True, "diff": "+x"},
                "python": "3.11.4", "implementation": "CPython", "platform": "Linux-6.1", "host": "box", "cpus": 2,
                "memory": 8_000_000_000, "gpus": ["T4"], "distributions": {"numpy": "2.4.0", "scikit-learn": "1.9.1"},
            }
        ),
        *a_run(
            2, "curves",
            ParamsLogged(two, {"C": 0.1, "penalty": "l2", "long": "x" * 300, "seed": None, "layers": [64, {"units": 2}]}),
            *(
                MetricsLogged(two, step, NOON + step, {"loss": 4 / (step + 1), "val_accuracy": 0.5 + step / 10}, step / 2)
                for step in range(4)
            ),
            MetricsLogged(two, 4, NOON + 4, {"loss": math.nan}),
            TagsSet(two, {"team": "blue"}),
            DatasetLogged(
                two, "train",
                {"kind": "numpy.ndarray", "rows": 569, "columns": 30, "dtype": "float64", "digest": "0123456789abcdef" * 2,
                 "target": {"kind": "numpy.ndarray", "dtype": "int64"}},
            ),
            DatasetLogged(two, "test", {"kind": "list", "rows": 1}),
            ModelLogged(two, "model", "sklearn", 2100, {"MLmodel": 612, "model.pkl": 1488}),
            ArtifactLogged(two, "curves/roc.json", 812),
            NoteLogged(two, "The data was not described: a generator."),
            NoteLogged(two, "RuntimeError: in a hook", error=True),
        ),
    )  # fmt: skip
    keep(
        root,
        *a_run(
            3, "search",
            *(
                RunRecorded(
                    id_of(100 + number), id_of(3), f"search/{number}", "default", NOON, NOON, "candidate", "sklearn", "1.9.1",
                    "sklearn.svm._classes.SVC", params={"C": 10**number, "kernel": "rbf"},
                    metrics={"mean_fit_time": 0.01, "mean_test_score": 0.5 + number / 100, "rank_test_score": 12 - number},
                )
                for number in range(12)
            ),
            kind="search", estimator="sklearn.model_selection._search.GridSearchCV",
        ),
    )  # fmt: skip
    keep(
        root,
        *a_run(
            4, "broken", error="ValueError: Input X contains NaN.", framework=None, estimator=None, kind="run"
        ),
    )


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown as they are in UTC, and nothing of the surroundings has a say."""
    for name in ("AUTOLOG_DIR", "AUTOLOG_DISABLED", "AUTOLOG_CHILDREN", "COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("example") / ".autolog"
    write_example(root)
    return root


class Result(NamedTuple):
    code: int
    out: str
    err: str


def cli(*arguments: str) -> Result:
    try:
        runner: Any = CliRunner(mix_stderr=False)  # type: ignore[call-arg]  # pyright: ignore
    except TypeError:  # click >= 8.2 keeps them apart by itself
        runner = CliRunner()
    result = runner.invoke(app, arguments, prog_name="autolog")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(result.exit_code, result.stdout, result.stderr)


def environment(**more: str) -> dict[str, str]:
    paths = [str(PROJECT), str(PROJECT / "integrations"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        **more,
    }


def process(*arguments: str, cwd: Path, **more: str) -> Result:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment(**more), capture_output=True, text=True, encoding="utf-8",
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


def on_a_terminal(*arguments: str, cwd: Path, typed: str = "", columns: int = 100) -> Result:
    """Run the command line with a terminal for all three streams; what it prints there is `out`."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "autolog", *arguments]
    env = environment(COLUMNS=str(columns), TERM="xterm-256color", PYTHONIOENCODING="utf-8")
    child = subprocess.Popen(command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed.encode())
    printed = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            part = b""
        if not part:
            break
        printed += part
    os.close(ours)
    return Result(child.wait(), printed.decode().replace("\r\n", "\n"), "")


def without_style(printed: str) -> str:
    return "\n".join(line.rstrip() for line in re.sub("\x1b\\[[0-9;]*m", "", printed).splitlines())


# -- ls


def test_ls_lists_the_newest_runs_first_in_plain_columns(example: Path) -> None:
    """In a pipe: no colours, no lines, nothing cut, one run a line."""
    assert cli("ls", "--store", str(example)) == (
        0,
        """\
name    status    estimator           started            took  children  val_accuracy  loss  id
broken  failed    run                 2026-01-01 12:04  2.5 s                       -     -  01JG0000000000000000000004
search  finished  GridSearchCV        2026-01-01 12:03  2.5 s        12             -     -  01JG0000000000000000000003
curves  finished  LogisticRegression  2026-01-01 12:02  2.5 s                     0.8   NaN  01JG0000000000000000000002
plain   finished  LogisticRegression  2026-01-01 12:01  2.5 s                       -   0.5  01JG0000000000000000000001
""",
        "",
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["status == 'failed'"], ["broken"]),
        (["--limit", "2"], ["broken", "search"]),
        (["--limit", "0"], ["broken", "search", "curves", "plain"]),
        (["--sort", "name"], ["broken", "curves", "plain", "search"]),
        (["--sort", "-metrics.val_accuracy", "--limit", "1"], ["curves"]),
        (["kind == 'candidate'"], []),
        (["kind == 'candidate'", "--children", "--sort", "metrics.rank_test_score", "--limit", "1"], ["search/11"]),
        (["parent == '01JG0000000000000000000003'", "--sort", "name", "--limit", "1"], ["search/0"]),
    ],
)  # fmt: skip
def test_ls_selects_sorts_and_limits(example: Path, arguments: list[str], expected: list[str]) -> None:
    listed = cli("ls", *arguments, "--store", str(example))
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == expected
    as_json = cli("ls", *arguments, "--store", str(example), "--json")
    assert [run["name"] for run in json.loads(as_json.out)] == expected


def test_ls_shows_the_metrics_that_were_asked_for_first(tmp_path: Path) -> None:
    metrics = {
        "train_loss": 1.0,
        "val_loss": 2.0,
        "zebra": 3.0,
        **{f"m{number}": 0.0 for number in range(10)},
    }
    keep(tmp_path, *a_run(1, "otter", MetricsLogged(id_of(1), 0, NOON, metrics)))
    head = cli(
        "ls", "metrics['m7'] == 0", "--sort", "-metrics.zebra", "--store", str(tmp_path)
    ).out.splitlines()[0]
    assert head.split()[5:] == ["zebra", "m7", "val_loss", "m0", "m1", "m2", "id"]


def test_ls_shows_what_it_sorts_by(tmp_path: Path) -> None:
    """Where that is another value than a metric's last, too."""
    with recorded() as seen:
        for name, losses in (("down", (3, 1)), ("up", (2, 4))):
            with autolog.run(name) as run:
                for loss in losses:
                    run.log_metrics({"loss": loss})
        autolog.flush(60)
        store = str(seen.client.layout.root)
        result = cli("ls", "--sort", "max(metrics.loss)", "--store", store)
        wrong = cli("ls", "metrics['loss'].min < 2", "--sort", "metrics.los", "--store", store)
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[0][-3:] == ["max(loss)", "loss", "id"]
    assert [(row[0], row[-3], row[-2]) for row in rows[1:]] == [("down", "3", "1"), ("up", "4", "4")]
    assert wrong.err.splitlines()[:2] == [
        "autolog: No run has a metric 'los'. Did you mean 'loss'?",
        "autolog: No run has a metric 'loss.min'. Write min(metrics['loss']).",
    ]


def test_a_store_that_is_no_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "A store is a folder, not s3://…; `autolog sync` sends what is in a folder on."
    assert cli("ls", "--store", "s3://bucket/x") == (1, "", f"autolog: {said}\n")
    monkeypatch.setenv("AUTOLOG_DIR", "s3://bucket/x")
    assert cli("ls") == (1, "", f"autolog: AUTOLOG_DIR: {said}\n")


def test_ls_says_that_there_are_no_runs(tmp_path: Path, example: Path) -> None:
    empty = tmp_path / ".autolog"
    empty.mkdir()
    assert cli("ls", "--store", str(empty)) == (
        0,
        "",
        f"{empty} holds no runs yet. Record one: autolog run train.py\n",
    )
    assert cli("ls", "name == 'x'", "--store", str(example)) == (
        0,
        "",
        f"No run in {example} matches the filter.\n",
    )
    assert cli("ls", "--json", "--store", str(empty)) == (0, "[]\n", "")


def test_ls_and_show_show_stars_descriptions_and_what_is_archived(tmp_path: Path) -> None:
    keep(tmp_path, *a_run(1, "otter"), *a_run(2, "owl"))
    store = Store(tmp_path)
    store.get("otter").star()
    store.get("otter").describe(f"A baseline {'x' * 40}\nfor \x1b[31mall.")
    store.get("owl").archive()
    listed = cli("ls", "--store", str(tmp_path)).out
    assert [line.split()[:2] for line in listed.splitlines()] == [["name", "starred"], ["otter", "*"]]
    assert f"A baseline {'x' * 28}…" in listed
    assert "archived" not in listed
    listed = cli("ls", "--archived", "--store", str(tmp_path)).out
    assert [line.split()[0] for line in listed.splitlines()] == ["name", "owl", "otter"]
    assert "archived" in listed
    shown = cli("show", "otter", "--store", str(tmp_path)).out.splitlines()
    assert shown[:3] == ["otter  finished  *", f"A baseline {'x' * 40}", r"for \x1b[31mall."]
    assert cli("show", "owl", "--store", str(tmp_path)).out.startswith("owl  finished  archived\n")
    exported = [cli("export", *more, "--store", str(tmp_path)).out for more in ((), ("--archived",))]
    assert [text.count("\n") for text in exported] == [3, 4]  # a description has two lines
    store.get("otter").archive()
    done = cli("ls", "--store", str(tmp_path))
    assert done.err == f"All runs in {tmp_path} are archived. List them: autolog ls --archived\n"


def test_ls_says_how_long_ago_recent_runs_began(tmp_path: Path) -> None:
    began = int((datetime.now(timezone.utc) - timedelta(minutes=3, seconds=30)).timestamp() * 1000)
    keep(tmp_path, RunStarted(id_of(1), began, "otter", "default"))
    assert "3 min ago" in cli("ls", "--store", str(tmp_path)).out


def test_json_is_the_records_and_always_valid(example: Path) -> None:
    """One documented shape: `ls`, `show` and `to_dict()` agree; NaN is a text."""
    listed = json.loads(cli("ls", "--json", "--store", str(example)).out, parse_constant=pytest.fail)
    assert listed == [run.to_dict() for run in Store(example).runs()]
    shown = json.loads(
        cli("show", "curves", "--json", "--store", str(example)).out, parse_constant=pytest.fail
    )
    assert shown in listed
    assert shown["metrics"]["loss"] == {
        "value": "NaN", "last": "NaN", "min": 1.0, "max": 4.0, "step": 4, "count": 5, "direction": "lower", "guess": True
    }  # fmt: skip
    assert shown["params"]["long"] == "x" * 300
    assert shown["started"] == "2026-01-01T12:02:00.000Z"


# -- show


def test_show_shows_everything_of_a_run(example: Path) -> None:
    assert cli("show", "curves", "--store", str(example)) == (
        0,
        f"""curves  finished
id          01JG0000000000000000000002
experiment  default
kind        fit
framework   sklearn 1.9.1
estimator   sklearn.linear_model._logistic.LogisticRegression
started     2026-01-01 12:02:00
took        2.5 s
overhead    3.1 ms, spent by autolog itself, 0.1% of the time

params (5)
  C        0.1
  layers   [64,{{"units":2}}]
  long     {"x" * 199}…
  penalty  l2
  seed     None

metrics (2)
  metric        last  lowest  highest  step  values  curve
  loss           NaN       1        4     4       5  █▃▁▁×
  val_accuracy   0.8     0.5      0.8     3       4  ▁▃▆█

tags (1)
  team  blue

data
  train  numpy.ndarray, 569 x 30, float64, target numpy.ndarray int64, digest 0123456789ab
  test   list, 1 row

models
  model  sklearn  2.1 kB  saved in 0 ms

files (3, 2.9 kB) in {example}/artifacts/01JG0000000000000000000002
  curves/roc.json   812 B
  model/MLmodel     612 B
  model/model.pkl  1.5 kB

environment
  script     /home/u/train.py --lr 0.1
  directory  /home/u
  git        cf7c7de01234 on main, with uncommitted changes
  python     CPython 3.11.4
  platform   Linux-6.1
  machine    box, 2 CPUs, 8.0 GB, T4
  installed  2 distributions

notes
  The data was not described: a generator.

errors
  RuntimeError: in a hook
""",
        "",
    )


def test_show_lists_the_best_children_first_with_what_tells_them_apart(example: Path) -> None:
    shown = cli("show", "search", "--store", str(example)).out
    assert shown[shown.index("children") :] == (
        "children (12)\n"
        "  name  rank_test_score  mean_test_score  mean_fit_time  C\n"
        "  11                  1             0.61           0.01  100000000000\n"
        "  10                  2              0.6           0.01  10000000000\n"
        "  9                   3             0.59           0.01  1000000000\n"
        "  8                   4             0.58           0.01  100000000\n"
        "  7                   5             0.57           0.01  10000000\n"
        "  6                   6             0.56           0.01  1000000\n"
        "  5                   7             0.55           0.01  100000\n"
        "  4                   8             0.54           0.01  10000\n"
        "  3                   9             0.53           0.01  1000\n"
        "  2                  10             0.52           0.01  100\n"
        "  and 2 more: autolog ls \"parent == '01JG0000000000000000000003'\"\n"
    )


def test_show_says_how_a_run_failed_and_leaves_out_what_it_does_not_have(example: Path) -> None:
    assert cli("show", "@last", "--store", str(example)).out == (
        "broken  failed\n"
        "id          01JG0000000000000000000004\n"
        "experiment  default\n"
        "kind        run\n"
        "started     2026-01-01 12:04:00\n"
        "took        2.5 s\n"
        "overhead    3.1 ms, spent by autolog itself, 0.1% of the time\n"
        "error       ValueError: Input X contains NaN.\n"
    )


def test_show_says_what_is_known_of_data_and_no_more(tmp_path: Path) -> None:
    """Of a table that nobody has counted the columns are known, and where it is from."""
    known: list[dict[str, Any]] = [
        {"columns": 7, "sources": ["shop.sales", "file:/data/prices"]},
        {"columns": 1},
        {"rows": 1},
        {"rows": 3, "columns": 2},
    ]
    data = [DatasetLogged(id_of(1), "train", {"kind": "Frame", **values}) for values in known]
    keep(tmp_path, *a_run(1, "otter", *data))
    shown = cli("show", "otter", "--store", str(tmp_path)).out
    assert [line.split("train  ")[1] for line in shown.splitlines() if "train" in line] == [
        "Frame, 7 columns, from shop.sales and file:/data/prices", "Frame, 1 column", "Frame, 1 row", "Frame, 3 x 2",
    ]  # fmt: skip


def test_show_draws_a_metric_with_labelled_axes(tmp_path: Path) -> None:
    steps = [MetricsLogged(id_of(1), step, NOON, {"loss": float(step)}) for step in range(10, 21)]
    keep(tmp_path, *a_run(1, "otter", *steps, MetricsLogged(id_of(1), 21, NOON, {"loss": math.inf})))
    shown = cli("show", "otter", "--metric", "loss", "--store", str(tmp_path))
    head, said, empty, *drawn, baseline, axis = shown.out.splitlines()
    assert (head, empty) == ("loss of otter", "")
    assert said == (
        "12 values · last Infinity at step 21 · lowest 10 at step 10 · highest 20 at step 20 · 1 not finite"
    )
    assert [line[:4] for line in (drawn[0], drawn[7], drawn[-1])] == ["20 |", "15 |", "10 |"]
    assert drawn[-1][4] != " "
    assert drawn[0].rstrip()[-1] not in " |"
    assert baseline == "   +" + "-" * 96
    assert axis.split() == ["10", "step", "21"]
    rising = [line.rstrip()[-1:] and len(line.rstrip()) for line in reversed(drawn)]
    assert rising == sorted(rising)


def test_show_metric_as_json_is_its_history(example: Path) -> None:
    shown = json.loads(cli("show", "curves", "--metric", "loss", "--json", "--store", str(example)).out)
    assert shown[1] == {"step": 1, "epoch": 0.5, "time": (NOON + 1) / 1000, "value": 2.0}
    assert shown[4] == {"step": 4, "epoch": None, "time": (NOON + 4) / 1000, "value": "NaN"}
    assert len(shown) == 5


def test_text_from_a_run_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    """Journals may come from others: no escape sequence, line break or change of direction gets through."""
    evil = "\x1b[31m\x1b]0;x\x07\r\n[bold]\u202eevil\u2028\x9b2J\u061c\u200f"
    run = RunStarted(
        id_of(1), NOON, f"otter{evil}", evil, kind=evil, framework=evil, estimator=evil, tags={evil: evil}
    )
    rest = [ParamsLogged(id_of(1), {evil: evil, "l": [evil]}), MetricsLogged(id_of(1), 0, NOON, {evil: 1.0}),
            NoteLogged(id_of(1), evil), ArtifactLogged(id_of(1), f"../{evil}", 1), ModelLogged(id_of(1), evil, evil, 1, {}),
            DatasetLogged(id_of(1), evil, {"kind": evil}), EnvironmentLogged({"script": evil, "host": evil})]  # fmt: skip
    keep(tmp_path, run, *rest)
    keep(tmp_path, RunStarted(id_of(2), NOON, "other", "default"))
    acts = "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200f\u2028\u202e]"
    for arguments in (
        ["ls"],
        ["show", id_of(1)],
        ["show", id_of(1), "--metric", evil],
        ["compare", id_of(1), "other"],
    ):
        printed = cli(*arguments, "--store", str(tmp_path)).out
        assert "evil" in printed
        assert not re.search(acts, printed)
    assert not re.search(acts, cli("show", evil, "--store", str(tmp_path)).err)
    shown = cli("show", id_of(1), "--json", "--store", str(tmp_path)).out
    assert not re.search(acts, shown)
    assert json.loads(shown)["artifacts"] == [{"path": f"../{evil}", "bytes": 1}]
    runs = Store(Layout(tmp_path)).runs()
    assert not re.search(acts, f"{runs!r} {runs[0]!r} {runs[1]!r}")
    for ask in (
        lambda: Store(Layout(tmp_path)).get("evil"),
        lambda: runs[1].model(),
        lambda: runs[1].model(evil),
    ):
        with pytest.raises((LookupError, ModelError)) as caught:  # whose message Python prints as it is
            ask()
        assert not re.search(acts, str(caught.value))
    words = {"_AUTOLOG_COMPLETE": "complete_bash", "COMP_WORDS": "autolog show ", "COMP_CWORD": "2"}
    assert process("-m", "autolog", cwd=tmp_path, AUTOLOG_DIR=str(tmp_path), **words).out == "other\n"


@pytest.mark.parametrize("crafted", ["../../kept", "..", "", "/", "nul\x00"])
def test_rm_never_removes_files_outside_the_store(tmp_path: Path, crafted: str) -> None:
    """A journal of somebody else's may say any id: the removal of such a run would remove what is not the store's."""
    theirs = [RunStarted(crafted, NOON, "theirs", "default"), RunEnded(crafted, NOON, "finished")]
    keep(tmp_path / "kept" / ".autolog", *a_run(1, "mine"), *theirs)
    done = cli("rm", "theirs", "mine", "--yes", "--store", str(tmp_path / "kept"))
    assert (done.code, done.out) == (1, "")
    assert cli("rm", "mine", "--yes", "--store", str(tmp_path / "kept")).code == 0
    assert (tmp_path / "kept" / ".autolog" / "journal").exists()


# -- compare


def test_compare_shows_what_differs_and_marks_the_best(tmp_path: Path) -> None:
    for number, digest in ((1, "aaaa"), (2, "bbbb")):
        id = id_of(number)
        keep(
            tmp_path,
            EnvironmentLogged(
                {"git": {"commit": "c" * 40, "dirty": number == 2, "diff": "+x" if number == 2 else ""},
                 "distributions": {"numpy": f"2.{number}", "pandas": "3.0"}}
            ),
            *a_run(
                number, f"run{number}",
                ParamsLogged(id, {"C": number, "penalty": "l2", "duration": None if number == 2 else "long"}),
                MetricsLogged(id, 0, NOON, {"loss": number / 2, "accuracy": number / 4, "bad": math.nan, "other": number}),
                MetricsDescribed(id, {"accuracy": {"direction": "lower"}}),
                TagsSet(id, {"fold": str(number)}), DatasetLogged(id, "train", {"rows": 5, "digest": digest}),
            ),
        )  # fmt: skip
    assert cli("compare", "run1", "run2", "--store", str(tmp_path)) == (
        0,
        """\
                     run1   run2
params.C             1      2
params.duration      long   None
metrics.accuracy     0.25*  0.5
metrics.loss         0.5*?  1
metrics.other        1      2
tags.fold            1      2
data.train.digest    aaaa   bbbb
code.uncommitted     -      changes 04a6fb169345
distributions.numpy  2.1    2.2

Equal: run (7), params (1), metrics (1), data (1), code (1), distributions (1). --all shows them.
""",
        "",
    )
    shown = json.loads(cli("compare", "run2", "run1", "--store", str(tmp_path), "--json").out)
    assert [run["name"] for run in shown["runs"]] == ["run2", "run1"]
    assert shown["differences"] == {
        "run": {}, "params": {"C": [2, 1], "duration": [None, "long"]},
        "metrics": {"accuracy": [0.5, 0.25], "loss": [1.0, 0.5], "other": [2.0, 1.0]}, "tags": {"fold": ["2", "1"]},
        "data": {"train.digest": ["bbbb", "aaaa"]}, "code": {"uncommitted": ["changes 04a6fb169345", None]},
        "distributions": {"numpy": ["2.2", "2.1"]},
    }  # fmt: skip
    assert shown["best"] == {"accuracy": [id_of(1)], "loss": [id_of(1)]}
    everything = json.loads(cli("compare", "run2", "run1", "--all", "--store", str(tmp_path), "--json").out)
    assert everything["differences"]["metrics"]["bad"] == ["NaN", "NaN"]
    assert everything["differences"]["params"]["penalty"] == ["l2", "l2"]
    assert "params.penalty" in cli("compare", "run2", "run1", "--all", "--store", str(tmp_path)).out


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val_loss", "lower"), ("training_mean_squared_error", "lower"), ("neg_mean_squared_error", "higher"),
        ("rmse", "lower"),
        ("mean_test_score", "higher"), ("std_test_score", None), ("rank_test_score", None), ("training_roc_auc", "higher"),
        ("log_loss", "lower"), ("val-auc", "higher"), ("epoch_time", "lower"), ("lr", None), ("accuracy", "higher"),
        ("f1_score_territory", "higher"), ("accuracy_score_X_time", None), ("d2_log_loss_score", "higher"),
        ("valLoss", "lower"), ("label_ranking_average_precision_score", "higher"), ("label_ranking_loss", "lower"),
        ("davies_bouldin_score", "lower"), ("test_neg_mean_squared_error", "higher"), ("valid_0-l2", "lower"),
        ("valid_0-tweedie", None), ("mapping", None), ("heatmap_size", None), ("loss_scale", None), ("maximum", None),
        ("terror", None), ("F1Score", "higher"), ("", None),
    ],
)  # fmt: skip
def test_the_name_of_a_metric_says_which_values_are_better(metric: str, expected: str | None) -> None:
    assert guess(metric) == expected


# -- rm


def a_store_to_remove_from(root: Path) -> None:
    write_example(root)
    for number, size in ((2, 1500), (103, 100)):
        folder = root / "artifacts" / id_of(number) / "model"
        folder.mkdir(parents=True)
        (folder / "model.pkl").write_bytes(b"x" * size)


def test_rm_without_a_terminal_needs_yes(tmp_path: Path) -> None:
    a_store_to_remove_from(tmp_path)
    assert cli("rm", "curves", "--store", str(tmp_path)) == (
        1, "", "autolog: Nothing was removed: there is no terminal to ask on. Pass --yes to remove.\n",
    )  # fmt: skip
    assert Store(tmp_path).count() == 16


def test_rm_removes_runs_with_their_children_and_files_and_says_so(tmp_path: Path) -> None:
    a_store_to_remove_from(tmp_path)
    removed = cli("rm", "curves", "search", "curves", "--yes", "--store", str(tmp_path))
    assert removed.out == (
        "removed curves (01JG0000000000000000000002), 1.5 kB\n"
        "removed search (01JG0000000000000000000003), 12 children, 100 B\n"
    )
    assert [run.name for run in Store(tmp_path).runs(children=True)] == ["broken", "plain"]
    assert list((tmp_path / "artifacts").iterdir()) == []
    removed = json.loads(cli("rm", "@last", "--yes", "--json", "--store", str(tmp_path)).out)
    assert removed == {"removed": [id_of(4)], "bytes": 0}


def test_rm_removes_nothing_if_one_of_the_runs_is_unknown_or_running(tmp_path: Path) -> None:
    a_store_to_remove_from(tmp_path)
    keep(tmp_path, RunStarted(id_of(9), NOON, "alive", "default"))
    assert cli("rm", "plain", "alive", "--yes", "--store", str(tmp_path)) == (
        1, "", "autolog: Nothing was removed. Still running: alive.\n",
    )  # fmt: skip
    assert cli("rm", "plain", "plane", "--yes", "--store", str(tmp_path)).code == 1
    assert cli("rm", "--yes", "--store", str(tmp_path)).code == 2
    assert Store(tmp_path).count() == 17


@pytest.mark.parametrize(("answer", "left"), [("y\n", 3), ("yes\n", 3), ("n\n", 16), ("\n", 16), ("x\n", 16)])
def test_rm_asks_on_a_terminal_and_takes_only_yes_for_yes(tmp_path: Path, answer: str, left: int) -> None:
    a_store_to_remove_from(tmp_path / ".autolog")
    asked = on_a_terminal("rm", "search", cwd=tmp_path, typed=answer)
    assert "search (01JG0000000000000000000003), 12 children, 100 B" in asked.out
    assert "Remove 1 run, 100 B, forever? [y/N]" in asked.out
    assert asked.code == (0 if left == 3 else 1)
    assert Store(tmp_path / ".autolog").count() == left


# -- status


def test_status_says_what_would_be_recorded_without_importing_it(tmp_path: Path) -> None:
    write_example(tmp_path / ".autolog")
    site = tmp_path / "site"
    (site / "known-1.dist-info").mkdir(parents=True)
    (site / "otherml.py").touch()
    (site / "known-1.dist-info" / "METADATA").write_text("Name: known\nVersion: 1\n")
    (site / "known-1.dist-info" / "entry_points.txt").write_text(
        "[autolog.unrecorded]\notherml = OtherML\nnowhere = Nowhere\n"
    )
    for name, version, supports in (("fakeml", "2.5", "fake-ml>=1"), ("absent", None, "absent>=3")):
        (site / f"autolog_{name}-1.dist-info").mkdir(parents=True)
        (site / f"autolog_{name}-1.dist-info" / "METADATA").write_text(f"Name: autolog-{name}\nVersion: 1\n")
        (site / f"autolog_{name}-1.dist-info" / "entry_points.txt").write_text(
            f"[autolog.integrations]\n{name} = autolog_{name}:It\n"
        )
        (site / f"autolog_{name}.py").write_text(
            f"from autolog.integration import Integration\n"
            f"class It(Integration):\n    name = module = {name!r}\n    supports = {supports!r}\n"
        )
        if version:
            (site / "fake_ml_cpu-2.5.dist-info").mkdir()
            (site / "fake_ml_cpu-2.5.dist-info" / "METADATA").write_text("Name: fake-ml-cpu\nVersion: 2.5\n")
            (site / "fake_ml_cpu-2.5.dist-info" / "top_level.txt").write_text("fakeml\n")
            (site / "fakeml.py").write_text("raise SystemExit('imported!')")
    paths = os.pathsep.join([str(site), str(PROJECT)])
    done = process("-m", "autolog", "status", "--json", cwd=tmp_path, PYTHONPATH=paths)
    assert (done.code, done.err) == (0, "")
    status = json.loads(done.out)
    assert (status["version"], status["store"], status["runs"]) == (
        __version__,
        str(tmp_path / ".autolog"),
        16,
    )
    found = {one["name"]: (one["installed"], one["supports"], one["state"]) for one in status["integrations"]}
    assert found["fakeml"] == ("2.5", "fake-ml>=1", "waiting for import")
    assert found["absent"] == (None, "absent>=3", "not installed")
    assert found["otherml"] == ("?", "", "not recorded")
    assert "nowhere" not in found
    done = process("-m", "autolog", "status", cwd=tmp_path, PYTHONPATH=paths, AUTOLOG_EXCLUDE="fakeml")
    assert done.out.startswith(
        f"autolog {__version__}, 16 runs in {tmp_path / '.autolog'}\n\nintegration  installed  supports"
    )
    assert re.search(r"^fakeml +2\.5 +fake-ml>=1 +- +disabled$", done.out, re.MULTILINE)


# -- what is wrong


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "curvs"], 1, "autolog: There is no run 'curvs' in {root}. Did you mean curves?\n"),
        (["compare", "plain", "plain"], 1, "autolog: Only one run is named. Name at least two different runs to compare.\n"),
        (["show", "curves", "--metric", "los"], 1, "autolog: curves has no metric 'los'; it has loss.\n"),
        (["show", "broken", "--metric", "los"], 1, "autolog: broken has no metric 'los'; it has none.\n"),
        (["ls", "nam == 'x'"], 1, "autolog: There is no 'nam'. Did you mean name?\n  nam == 'x'\n  ^\n"),
        (["ls", "--sort", "-nam"], 1, "autolog: There is no 'nam'. Did you mean name?\n  nam\n  ^\n"),
        (["ls", "--limit", "x"], 2, None),
        (["ls", "--limit", "-1"], 2, None),
        (["ls", "a", "b"], 2, None),
        (["show"], 2, None),
        (["nothing"], 2, None),
        (["ls", "--nothing"], 2, None),
    ],
)  # fmt: skip
def test_an_error_goes_to_standard_error_with_its_exit_code(
    example: Path, arguments: list[str], code: int, said: str | None
) -> None:
    result = cli(*arguments, *(["--store", str(example)] if arguments != ["nothing"] else []))
    assert (result.code, result.out) == (code, "")
    if said is not None:
        assert result.err == said.format(root=example)
    else:
        assert result.err.startswith("Usage: autolog ")


def test_a_named_store_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert cli("ls", "--store", str(path)) == (1, "", f"autolog: There is no store at {path}.\n")


def test_a_projects_folder_stands_for_the_store_in_it(example: Path) -> None:
    assert cli("ls", "--store", str(example.parent)) == cli("ls", "--store", str(example))


# -- help, version, completion


@pytest.mark.parametrize("command", ["run", "ls", "show", "compare", "predict", "status", "rm", "gc"])
def test_every_command_has_a_help_with_an_example(command: str) -> None:
    shown = cli(command, "--help")
    assert shown.code == 0
    assert re.search(r"^  [A-Z][^.]+(\.|:)", shown.out, re.MULTILINE)
    assert re.search(rf"^  autolog {command}\b", shown.out, re.MULTILINE)


def test_python_m_autolog_works_and_prints_the_version(example: Path) -> None:
    assert cli("--version") == (0, f"autolog {__version__}\n", "")
    listed = process("-m", "autolog", "ls", cwd=example.parent)
    assert listed == cli("ls", "--store", str(example))


def test_the_shell_completes_names_of_runs(example: Path) -> None:
    words = {
        "_AUTOLOG_COMPLETE": "complete_bash",
        "COMP_WORDS": "autolog show --store . cu",
        "COMP_CWORD": "4",
    }
    assert process("-m", "autolog", cwd=example.parent, **words) == (0, "curves\n", "")
    words = {"_AUTOLOG_COMPLETE": "complete_bash", "COMP_WORDS": "autolog compare x ", "COMP_CWORD": "3"}
    assert process("-m", "autolog", cwd=example.parent, **words).out.split() == [
        "broken",
        "search",
        "curves",
        "plain",
    ]


@pytest.mark.parametrize(
    "evil", ["$(touch x)", "`touch x`", "a;touch x", "--yes", "a b", "*", "a\\nb", "~", "'x", "a\x1b[2J"]
)
def test_completion_offers_no_name_that_the_shell_would_interpret(tmp_path: Path, evil: str) -> None:
    """Names may come from anybody's journal, and a shell puts what it is offered onto the command line as it is."""
    keep(
        tmp_path,
        RunStarted(id_of(1), NOON, evil, "default"),
        RunStarted(id_of(2), NOON, "otter.v2/a_b-1", "default"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOLOG_DIR", str(tmp_path))
        context = typer.Context(typer.main.get_command(app))
        assert run_names(context, "") == ["otter.v2/a_b-1"]
        assert run_names(context, evil[:1]) == []
        assert run_names(context, id_of(1)[:10]) == [id_of(2), id_of(1)]


# -- terminals and pipes


def test_on_a_terminal_tables_have_colours_and_fit(example: Path) -> None:
    wide = on_a_terminal("ls", cwd=example.parent, columns=140)
    assert "\x1b[31mfailed" in wide.out
    assert without_style(wide.out) == cli("ls", "--store", str(example)).out.rstrip("\n")
    narrow = without_style(on_a_terminal("ls", cwd=example.parent, columns=60).out)
    assert max(map(len, narrow.splitlines())) <= 60
    assert [line.split()[0] for line in narrow.splitlines()] == [
        "name",
        "broken",
        "search",
        "curves",
        "plain",
    ]
    shown = without_style(on_a_terminal("show", "curves", cwd=example.parent, columns=300).out)
    assert shown == cli("show", "curves", "--store", str(example)).out.rstrip("\n")
    drawn = without_style(
        on_a_terminal("show", "curves", "--metric", "loss", cwd=example.parent, columns=60).out
    )
    assert "│" in drawn
    assert "└──" in drawn


def test_on_a_terminal_an_export_prints_no_control_characters(tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b2J\u202e\u200f\r,\n"
    keep(tmp_path / ".autolog", RunStarted(id_of(1), NOON, evil, "default"))
    for format in ("csv", "jsonl"):
        printed = on_a_terminal("export", "--format", format, cwd=tmp_path)
        assert "2J" in printed.out
        assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u200f\u202e]|\r(?!\n)", printed.out)
        done = process("-m", "autolog", "export", "--format", format, cwd=tmp_path)
        assert ("\x1b[2J\x9b2J\u202e\u200f" if format == "csv" else "\x9b2J\u202e\u200f") in done.out


def test_on_a_terminal_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    keep(
        tmp_path / ".autolog", *(RunStarted(id_of(number), NOON, "otter", "default") for number in range(60))
    )
    listed = without_style(on_a_terminal("ls", cwd=tmp_path).out).splitlines()
    assert len(listed) == 52
    assert listed[-1] == "There are more than 50 runs. For more: --limit 100, or 0 for all."
    assert len(cli("ls", "--store", str(tmp_path)).out.splitlines()) == 61


def test_a_closed_pipe_ends_the_command_quietly(tmp_path: Path) -> None:
    keep(
        tmp_path / ".autolog",
        *(RunStarted(id_of(number), NOON, "otter", "default") for number in range(2000)),
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "autolog", "ls"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline().startswith(b"name")
    child.stdout.close()
    assert child.stderr.read() == b""
    child.wait()
    # What fits into the buffer meets the closed pipe only when the process ends.
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "autolog", "ls", "--limit", "1"], cwd=tmp_path, env=environment(PYTHONUNBUFFERED=""),
        stdout=writing, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert b"Error" not in done.stderr


def test_an_encoding_without_our_characters_gets_question_marks(example: Path) -> None:
    shown = process("-m", "autolog", "show", "curves", cwd=example.parent, PYTHONIOENCODING="ascii")
    assert (shown.code, shown.err) == (0, "")
    assert "5  ?????" in shown.out
    listed = process(
        "-m", "autolog", "show", "curves", "--json", cwd=example.parent, PYTHONIOENCODING="ascii"
    )
    assert json.loads(listed.out)["name"] == "curves"


def test_listing_runs_in_a_pipe_loads_nothing_heavy(example: Path) -> None:
    """What takes long to import is left out: frameworks, arrays, wrapt, and rich where no terminal is."""
    ls = "import sys; from autolog.cli import main; sys.argv = ['autolog', 'ls']\ntry: main()\nexcept SystemExit: pass\n"
    tell = (
        "import sys, typer; print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    loaded = set(process("-c", ls + tell, cwd=example.parent).err.split())
    by_typer = set(process("-c", tell, cwd=example.parent).err.split())
    assert {"typer", "msgspec", "sqlite3"} <= loaded
    assert not (loaded - by_typer) & {
        "rich",
        "numpy",
        "pandas",
        "wrapt",
        "sklearn",
        "mlflow",
        "http",
        "asyncio",
    }


# -- run

SCRIPT = """
'''Its docstring.'''
import atexit, os, pickle, sys, threading
answer: int = 42
class Thing: pass
print({key: str(value).split(" object")[0] for key, value in sorted(globals().items()) if key.startswith("__")})
print(sys.argv, sys.path[0], __name__, sys.modules["__main__"].__dict__ is globals())
print(sorted({name.partition(".")[0] for name in sys.modules} & {"typer", "rich", "click"}))
atexit.register(lambda: print("at exit", type(pickle.loads(pickle.dumps(Thing())))))
def work():
    threading.main_thread().join()
    print("thread", answer, sys.modules["__main__"].answer)
threading.Thread(target=work).start()
def fail():
    raise ValueError("no")
how = sys.argv[1] if len(sys.argv) > 1 else ""
if how == "raise":
    try:
        fail()
    except ValueError as error:
        raise KeyError("x") from error
if how == "exit":
    sys.exit("bye")
if how == "exit 3":
    sys.exit(3)
if how == "interrupt":
    import signal
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(10)
if how == "hook":
    sys.excepthook = lambda kind, error, trace: print("hook", kind, error, trace.tb_frame.f_code.co_name, trace.tb_next)
    1 / 0
if how == "recursion":
    def deep(): deep()
    try:
        deep()
    except RecursionError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "package").mkdir()
    (folder / "folder").mkdir()
    for name in ("script.py", "package/module.py", "package/__init__.py", "folder/__main__.py"):
        (folder / name).write_text("" if name.endswith("__init__.py") else SCRIPT)
    (folder / "folder" / "link.py").symlink_to(folder / "script.py")
    (folder / "wrong.py").write_text("def f(:\n")
    (folder / "latin.py").write_bytes("# -*- coding: latin-1 -*-\nprint('é', __file__)\n".encode("latin-1"))
    (folder / "spawns.py").write_text(
        "import multiprocessing, os, sys\n"
        "def work(x): return x * x, __name__\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(work, [1, 2, 3]))\n"
    )
    (folder / "recorded.py").write_text(
        "import os, subprocess, sys\n"
        "from autolog import process\n"
        "print(process.get() is not None and process.get().active, [n for n in os.environ if 'AUTOLOG' in n])\n"
    )
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["script.py", "a", "--help", "-x", "--store"], ["script.py", "raise"], ["script.py", "exit"], ["script.py", "exit 3"],
        ["script.py", "interrupt"], ["script.py", "hook"], ["script.py", "recursion"], ["./folder/"],
        ["./folder/..//script.py"],
        ["folder/link.py", "raise"], ["-m", "package.module", "-m", "--"], ["-m", "package.module", "raise"],
        ["-m", "package.module", "interrupt"], ["-m", "package.nothing"], ["-m", "nothing"], ["folder", "raise"], ["package"],
        ["wrong.py"], ["latin.py"], ["spawns.py"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_run_does_what_python_does(scripts: Path, arguments: list[str]) -> None:
    """Output, tracebacks, exit code or signal, globals, sys.argv, sys.path, pickles, threads, exit handlers, workers."""
    plain = process(*arguments, cwd=scripts)
    recorded = process("-m", "autolog", "run", *arguments, cwd=scripts)
    assert recorded == plain
    if arguments[-1] == "raise":
        assert "ValueError: no" in plain.err
    if arguments[-1] == "interrupt":
        assert plain.code == -2


def test_run_works_from_the_installed_command_too(scripts: Path, tmp_path: Path) -> None:
    """As pip writes it: another `__main__`, in another folder, whose names the script must not see."""
    command = tmp_path / "autolog"
    command.write_text(
        "import sys\nfrom autolog.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    for arguments in (["script.py", "raise"], ["-m", "package.module"], ["script.py", "interrupt"]):
        assert process(str(command), "run", *arguments, cwd=scripts) == process(*arguments, cwd=scripts)


def test_run_does_not_record_programs_that_the_script_starts(scripts: Path) -> None:
    recorded = process("-m", "autolog", "run", "recorded.py", cwd=scripts).out
    plain = process("recorded.py", cwd=scripts).out
    assert (recorded.startswith("True "), plain.startswith("False ")) == (True, True)
    assert recorded.partition(" ")[2] == plain.partition(" ")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.py"], "autolog run: the file {folder}/nothing.py does not exist\n"),
        ([], "Usage: autolog run SCRIPT [ARGS]...\n       autolog run -m MODULE [ARGS]...\n\nError: No script is given.\n"),
        (["-m"], "Error: -m needs the name of a module.\n"),
        (["--lr", "3", "script.py"], "Error: Unknown option --lr. Put options for the script after its name.\n"),
    ],
)  # fmt: skip
def test_run_without_a_script_prints_its_usage(scripts: Path, arguments: list[str], said: str) -> None:
    done = process("-m", "autolog", "run", *arguments, cwd=scripts)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(said.format(folder=scripts))


# -- how values look


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (text.duration(0), "0 ms"), (text.duration(0.000012), "0.012 ms"), (text.duration(0.9994), "999 ms"),
        (text.duration(0.9996), "1.0 s"), (text.duration(59.94), "59.9 s"), (text.duration(59.96), "1 min"),
        (text.duration(125), "2 min 5 s"), (text.duration(3599.6), "1 h"), (text.duration(3780), "1 h 3 min"),
        (text.duration(86400 * 2 + 3600 * 4), "2 d 4 h"), (text.duration(None), "-"),
        (text.size(0), "0 B"), (text.size(999), "999 B"), (text.size(1000), "1.0 kB"), (text.size(2149), "2.1 kB"),
        (text.size(99_949), "99.9 kB"), (text.size(123_456), "123 kB"), (text.size(999_499), "999 kB"),
        (text.size(999_500), "1.0 MB"), (text.size(8 * 10**12), "8.0 TB"), (text.size(5 * 10**15), "5.0 PB"),
        (text.number(0.1 + 0.2), "0.3"), (text.number(1234567.0), "1.23457e+06"), (text.number(3.0), "3"),
        (text.number(1e-7), "1e-07"), (text.number(math.nan), "NaN"), (text.number(-math.inf), "-Infinity"),
        (text.number(None), "-"),
        (text.param(0.1 + 0.2), "0.3"), (text.param(1e-5), "1e-05"), (text.param(True), "True"), (text.param("a\nb"), "a\\nb"),
        (text.param({"a": [1, None]}), '{"a":[1,null]}'), (text.cut("abcdef", 4), "abc…"), (text.cut("abcd", 4), "abcd"),
    ],
)  # fmt: skip
def test_values_are_shown_as_people_write_them(value: str, shown: str) -> None:
    assert value == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3600, "2026-01-01 13:00"), (-30, "just now"), (3, "just now"), (59, "59 s ago"), (61, "1 min ago"),
        (3599, "59 min ago"), (7300, "2 h ago"), (86399, "23 h ago"), (86401, "2025-12-31 11:59"),
    ],
)  # fmt: skip
def test_times_are_relative_within_a_day(seconds: int, shown: str) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    assert text.ago(now - timedelta(seconds=seconds), now) == shown


@settings(deadline=None)
@given(st.floats(0, 1e12), st.integers(0, 10**16))
def test_durations_and_sizes_are_short(seconds: float, count: int) -> None:
    assert len(text.duration(seconds)) <= 16
    assert len(text.size(count)) <= 8


# -- charts


def test_a_sparkline_shows_the_course_in_a_few_characters() -> None:
    assert chart.sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert chart.sparkline([7, math.nan, 0]) == "█×▁"
    assert chart.sparkline([5, 5, 5]) == "▁▁▁"
    assert chart.sparkline([math.inf]) == "×"
    assert chart.sparkline([]) == ""
    assert chart.sparkline(range(1000), width=8) == "▁▂▃▄▅▆▇█"


@settings(deadline=None)
@also([sys.float_info.max] * 3, 1)
@given(st.lists(st.floats()), st.integers(1, 30))
def test_a_sparkline_takes_any_values(values: list[float], width: int) -> None:
    assert len(chart.sparkline(values, width)) == min(len(values), width)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63), st.floats())), st.integers(20, 100), st.integers(3, 20)
)
def test_a_curve_takes_any_values_and_keeps_its_size(
    points: list[tuple[int, float]], width: int, height: int
) -> None:
    points.sort(key=lambda point: point[0])
    lines = chart.curve([step for step, _ in points], [value for _, value in points], width, height)
    if any(math.isfinite(value) for _, value in points):
        assert len(lines) == height + 2
        assert max(map(len, lines[:-1])) <= max(width, 18)
        assert any("\u2800" < character <= "\u28ff" for line in lines for character in line)
    else:
        assert lines == []


def test_a_curve_shows_a_peak_between_two_columns() -> None:
    """Thousands of values in a column: the extremes stay visible."""
    values = [0.0] * 10_000
    values[5_050] = 1.0
    lines = chart.curve(range(10_000), values, 50, 5)
    assert sum(line[4:].strip("│ ") != "" for line in lines[:5]) == 5
