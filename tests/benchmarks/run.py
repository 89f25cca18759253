"""The figures of autolog beside its peers', measured in one go: `python tests/benchmarks/run.py [--write] [WHAT …]`.

Times belong to a machine: none of them passes or fails but by a wide margin, and only if asked to, by `--within 5`. Each row is
measured in processes of its own, plain, autolog and MLflow in turn, so that the ratios hold where the machine's speed drifts;
min and median are given.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import figures
import typer
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
Row = dict[str, Any]


def child(script: str, *arguments: str) -> Any:
    """Run one of `cases.py`'s functions in a new process and an empty folder; returns what it prints as JSON."""
    with tempfile.TemporaryDirectory(prefix="autolog-bench-") as folder:
        environment = {
            **os.environ, "AUTOLOG_DIR": f"{folder}/store", "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_DISABLE_TELEMETRY": "true", "AUTOLOG_SILENT": "1",
        }  # fmt: skip
        # A user's Python keeps what it has compiled: without that, each process would compile our modules and none of theirs.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-W", "ignore", str(HERE / "cases.py"), script, *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{script} {arguments} failed:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])


def in_turn(rounds: int, script: str, variants: list[str], *arguments: str) -> dict[str, list[float]]:
    """Each variant once a round, all measurements by variant."""
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            times[variant] += child(script, variant, *arguments)
    return times


def row(what: str, unit: str, times: dict[str, list[float]], goal: str) -> Row:
    measured = {
        name: {"min": min(values), "median": statistics.median(values)} for name, values in times.items()
    }
    return {"what": what, "unit": unit, "goal": goal, **measured}


def peers(*variants: str) -> list[str]:
    """Those that are installed; with --within, which compares with goals, only our own."""
    wanted = find_spec("mlflow") and not any(one.startswith("--within") for one in sys.argv)
    return [v for v in variants if wanted or not v.startswith("mlflow")]


def switch_on() -> list[Row]:
    return [
        row(
            "import and switch on",
            "ms",
            in_turn(7, "switch_on", peers("plain", "autolog", "mlflow")),
            "40 above plain",
        ),
        row(
            "the same, and import scikit-learn, which is patched",
            "ms",
            in_turn(7, "switch_on", peers("plain", "autolog", "mlflow"), "import sklearn.ensemble"),
            "",
        ),
    ]


def small_fit() -> list[Row]:
    rows: list[Row] = []
    for data in ("array", "frame"):
        times = in_turn(2, "small_fit", peers("plain", "autolog", "mlflow", "mlflow-no-model"), data)
        rows.append(row(f"fit of a pipeline, 569 × 30, {data}, model saved", "ms", times, "10 above plain"))
    return rows


def xgboost() -> list[Row]:
    if not find_spec("xgboost"):
        return []
    times = in_turn(3, "xgboost_fit", peers("plain", "autolog", "mlflow", "mlflow-no-model"))
    rounds = in_turn(2, "xgboost_rounds", ["plain", "autolog"])
    return [
        row("xgboost, 200 rounds, one eval set, model saved", "ms", times, "15 above plain"),
        row("xgboost, a round of 5,000 with four metrics", "µs", rounds, ""),
    ]


def lightgbm() -> list[Row]:
    if not find_spec("lightgbm"):
        return []
    times = in_turn(3, "lightgbm_fit", peers("plain", "autolog", "mlflow", "mlflow-no-model"))
    rounds = in_turn(2, "lightgbm_rounds", ["plain", "autolog"])
    return [
        row("lightgbm, 200 rounds, one validation set, model saved", "ms", times, "15 above plain"),
        row("lightgbm, a round of 5,000 with four metrics", "µs", rounds, ""),
    ]


def lightning_fit() -> list[Row]:
    if not find_spec("lightning"):
        return []
    times: dict[str, list[float]] = {}
    for variant in peers("autolog", "mlflow"):
        times |= child("lightning_fit", variant)
    return [row("Lightning, 10 epochs × 32 batches, model saved", "ms of CPU", times, "3 % above plain")]


def keras() -> list[Row]:
    if not find_spec("keras"):
        return []
    fits: list[dict[str, list[float]]] = []
    for epochs in ("1", "21"):
        fits.append({})
        for variant in peers("autolog", "mlflow", "mlflow-no-model"):
            fits[-1] |= child("keras_fit", variant, epochs)
    short, long = fits
    an_epoch = {
        name: [(more - less) * 50 for less, more in zip(sorted(short[name]), sorted(long[name]), strict=True)]
        for name in short
    }
    return [
        row("Keras, a fit of one epoch of 4 batches, model saved", "ms of CPU", short, ""),
        row("Keras, a fit of 21 epochs of 4 batches, model saved", "ms of CPU", long, ""),
        row("Keras, an epoch more", "µs of CPU", an_epoch, ""),
        row("a step of a loop with a tf.function, 20 wide", "µs", child("keras_steps"), ""),
    ]


def pyspark() -> list[Row]:
    if not find_spec("pyspark"):
        return []
    measured = child("pyspark_fit")
    return [
        row("PySpark, a LogisticRegression, 569 × 30, model saved", "ms", measured["fit"], ""),
        row(
            "PySpark, a CrossValidator, 3 folds × 4 param maps, best model saved",
            "ms",
            measured["search"],
            "",
        ),
    ]


def calls() -> list[Row]:
    return [row("nested or suspended call", "µs", child("calls"), "1 above plain")]


def handing_over() -> list[Row]:
    return [
        row(f"work handed to {kind} inside a block", "µs of CPU", in_turn(3, "handing_over", ["plain", "autolog"], kind), goal)
        for kind, goal in (("threads", "2 above plain"), ("processes", "20 above plain"))
    ]  # fmt: skip


def metric() -> list[Row]:
    return [
        row(
            "one logged metric, the caller's side",
            "µs",
            in_turn(3, "metric", peers("autolog", "mlflow")),
            "3",
        )
    ]


def points() -> list[Row]:
    return [row("points to disk", "points a second", in_turn(3, "points", ["autolog"]), "300,000")]


def torch_steps() -> list[Row]:
    if not find_spec("torch"):
        return []
    rows: list[Row] = []
    for hidden in ("16", "512"):
        times = {"plain": [], "autolog": []}
        for _ in range(3):
            for name, values in child("torch_steps", hidden).items():
                times[name] += values
            if find_spec("comet_ml"):
                times["comet"] = times.get("comet", []) + child("torch_steps_comet", hidden)
        rows.append(row(f"a step of a raw torch loop, {hidden} wide", "µs", times, "25 above plain"))
    return rows


def sinks() -> list[Row]:
    """With fewer points by MLflow's client, which takes milliseconds each."""
    rows: list[Row] = []
    for backend, variants in {
        "mlflow": {"autolog": 5_000, "client": 50, "batches": 5_000},
        "tensorboard": {"autolog": 25_000, "client": 25_000},
        "wandb": {"autolog": 5_000, "client": 5_000},
        "jsonl": {"autolog": 25_000},
    }.items():
        if backend != "jsonl" and not find_spec(backend):
            continue
        times: dict[str, list[float]] = {variant: [] for variant in variants}
        for _ in range(3):
            for variant, steps in variants.items():
                times[variant] += child("sink", variant, backend, str(steps))
        rows.append(row(f"points into {backend}", "points a second", times, "as its client"))
    return rows


def bad_sinks() -> list[Row]:
    """The training beside MLflow servers in trouble, and beside one that is well."""
    if not find_spec("mlflow"):
        return []
    rows: list[Row] = []
    for kind in ("absent", "401", "closing", "hanging", "slow", "500", "429", "413", "full", "well"):
        measured = child("bad_sink", kind)
        rows.append(row(f"a step beside a server: {kind}", "µs of CPU", measured["cpu"], "1 % above plain"))
        rows.append(row(f"a step beside a server: {kind}", "µs", measured["wall"], "1 % above plain"))
        rows.append(row(f"exit beside a server: {kind}", "s", measured["exit"], "1"))
    return rows


def model_1gb() -> list[Row]:
    """A large model beside the framework's own way of saving it."""
    rows: list[Row] = []
    for flavor in ("sklearn", "pytorch"):
        if not find_spec("torch" if flavor == "pytorch" else flavor):
            continue
        times: dict[str, dict[str, list[float]]] = {}
        for _ in range(4):
            for variant in ("plain", "autolog"):
                for what, values in child("model_1gb", variant, flavor).items():
                    times.setdefault(what, {}).setdefault(variant, []).extend(values)
        rows.append(
            row(f"a model of 1 GB, {flavor}: holds up the training", "s", times["held"], "1.1 × plain")
        )
        rows.append(row(f"a model of 1 GB, {flavor}: on the disk, signed", "s", times["whole"], ""))
        rows.append(row(f"a model of 1 GB, {flavor}: most memory", "MB", times["peak"], "1.1 × plain"))
    return rows


def index() -> list[Row]:
    measured = child("index")
    return [
        row("index of 10,000 runs × 50 values, built", "s", {"autolog": measured["build"]}, "10"),
        row("50 of 10,000 runs, sorted by a metric, warm", "ms", {"autolog": measured["query"]}, "100"),
        row(
            "`autolog ls --sort=-metrics.m3 --limit 50`, the whole command",
            "ms",
            {"autolog": measured["command"]},
            "",
        ),
    ]


ALL = {
    f.__name__: f
    for f in (
        switch_on,
        small_fit,
        xgboost,
        lightgbm,
        lightning_fit,
        keras,
        pyspark,
        calls,
        handing_over,
        metric,
        points,
        torch_steps,
        sinks,
        bad_sinks,
        model_1gb,
        index,
    )
}


def main(
    what: Annotated[list[str] | None, typer.Argument(help=f"Which: {', '.join(ALL)}.")] = None,
    within: Annotated[
        float,
        typer.Option(
            help="Fail where the cost is more than so many times its goal, without peers; 0: never."
        ),
    ] = 0,
    write: Annotated[
        bool,
        typer.Option("--write", help="Keep them in figures.json, and make docs/figures.md anew."),
    ] = False,
) -> None:
    """Measure and print a table."""
    rows = [measured for name in what or ALL for measured in ALL[name]()]
    variants = list(dict.fromkeys(key for r in rows for key in r if isinstance(r[key], dict)))
    table = Table("what", "unit", *(f"{v} min / median" for v in variants), "goal", box=None, pad_edge=False)
    for r in rows:
        cells = [f"{r[v]['min']:,.4g} / {r[v]['median']:,.4g}" if v in r else "" for v in variants]
        table.add_row(r["what"], r["unit"], *cells, r["goal"])
    Console(width=200).print(table)
    if write:
        figures.write(figures.keep(rows))
    over = [r["what"] for r in rows if within and (figures.cost(r) or 0) > within]
    if over:
        print(f"More than {within:g} times its goal: {', '.join(over)}", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
