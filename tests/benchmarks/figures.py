"""The newest figure of each row, in figures.json, and the page of docs that is made from them.

Rows are measured in environments of their own, as not all frameworks fit into one: what is measured takes the place of its last
measurement, with its date, machine and versions, and leaves the others. Knows nothing of how anything is measured.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIGURES, PAGE = HERE / "figures.json", HERE.parents[1] / "docs" / "figures.md"
VARIANTS = {
    "plain": "plain", "autolog": "**autolog**", "suspended": "suspended", "nested": "nested",
    "autolog-no-model": "autolog, no model", "mlflow": "MLflow",
    "mlflow-no-model": "MLflow, no model", "comet": "Comet", "client": "its client", "batches": "its client, in batches",
}  # fmt: skip
PROMISED = (
    "import and switch on",
    "fit of a pipeline, 569 × 30, array, model saved",
    "xgboost, 200 rounds, one eval set, model saved",
    "lightgbm, 200 rounds, one validation set, model saved",
    "Lightning, 10 epochs × 32 batches, model saved",
    "Keras, a fit of one epoch of 4 batches, model saved",
    "PySpark, a LogisticRegression, 569 × 30, model saved",
    "PySpark, a CrossValidator, 3 folds × 4 param maps, best model saved",
    "a step of a raw torch loop, 16 wide",
    "a step of a raw torch loop, 512 wide",
    "nested or suspended call",
    "one logged metric, the caller's side",
    "points to disk",
    "50 of 10,000 runs, sorted by a metric, warm",
    "index of 10,000 runs × 50 values, built",
)
"""Those that the project has promised figures for."""
CHART = {
    "scikit-learn, a pipeline": "fit of a pipeline, 569 × 30, array, model saved",
    "XGBoost, 200 rounds": "xgboost, 200 rounds, one eval set, model saved",
    "LightGBM, 200 rounds": "lightgbm, 200 rounds, one validation set, model saved",
    "Keras, one epoch": "Keras, a fit of one epoch of 4 batches, model saved",
    "PySpark, a logistic regression": "PySpark, a LogisticRegression, 569 × 30, model saved",
}
"""The bars of the README's chart, and their rows: those in which what is added is more than the noise of what is measured."""
PACKAGES = (
    "scikit-learn", "xgboost", "xgboost-cpu", "lightgbm", "torch", "lightning", "keras", "tensorflow-cpu", "pyspark", "mlflow",
    "comet_ml", "wandb", "tensorboard",
)  # fmt: skip

Row = dict[str, Any]


def circumstances() -> dict[str, Any]:
    """When, where and with what is measured."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(), "machine": _machine(), "versions": versions,
    }  # fmt: skip


def _machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{os.cpu_count()} × {name}"


def read(path: Path = FIGURES) -> list[Row]:
    return json.loads(path.read_text()) if path.exists() else []


def keep(rows: list[Row], path: Path = FIGURES) -> list[Row]:
    """Put what was measured now in the place of what was measured before."""
    about = circumstances()
    held = {row["what"]: row for row in read(path)}
    held |= {row["what"]: {**row, **about} for row in rows}
    path.write_text(json.dumps(list(held.values()), indent=1, ensure_ascii=False) + "\n")
    return list(held.values())


def write(rows: list[Row]) -> None:
    """Make the page anew."""
    PAGE.write_text(render(rows))


def render(rows: list[Row]) -> str:
    """The promised figures, then all rows with minimum and median, grouped by when and where they were measured."""
    lines = [
        "# Figures",
        "",
        "`python tests/benchmarks/run.py --write` makes this page. `tests/benchmarks/figures.json` has the same numbers.",
        "Times belong to a machine, and its speed differs from day to day, as the column `plain` shows. Compare within a row.",
        "",
        render_promised(rows),
        "## All measurements",
        "",
        "Each cell has the minimum and the median. Each measurement runs in a process of its own, the variants in turn.",
    ]
    for about in dict.fromkeys(_about(row) for row in rows):
        group = [row for row in rows if _about(row) == about]
        variants = [name for name in VARIANTS if any(name in row for row in group)]
        titles = ["", "unit", *(VARIANTS[name] for name in variants), "goal"]
        lines += ["", f"### {about}", "", f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
        for row in group:
            cells = [_pair(row[name]) if name in row else "" for name in variants]
            lines.append(f"| {' | '.join([row['what'], row['unit'], *cells, row['goal']])} |")
    return "\n".join(lines) + "\n"


def render_promised(rows: list[Row]) -> str:
    """A table of the promised figures: the minimum, for rates the median; with the day of each."""
    variants = ("plain", "autolog", "mlflow", "comet")
    by_name = {row["what"]: {**row, **({"autolog": ours} if (ours := _ours(row)) else {})} for row in rows}
    shown = [by_name[name] for name in PROMISED if name in by_name]
    lines = [
        f"| | {' | '.join(VARIANTS[name] for name in variants)} | goal | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in shown:
        pick = "median" if "a second" in row["unit"] else "min"
        cells = [number(row[name][pick]) if name in row else "" for name in variants]
        lines.append(
            f"| {row['what']} ({row['unit']}) | {' | '.join(cells)} | {row['goal']} | {row['date']} |"
        )
    machines = ", ".join(dict.fromkeys(row["machine"] for row in shown))
    return (
        "\n".join(lines) + f"\n\nThe minimum of several measurements, for rates the median, on {machines}.\n"
    )


def added(rows: list[Row]) -> list[tuple[str, float, float]]:
    """What autolog and MLflow add to a training, in milliseconds: the bars of the README's chart."""
    by_name = {row["what"]: row for row in rows}
    found: list[tuple[str, float, float]] = []
    for title, what in CHART.items():
        row = by_name[what]
        plain = row["plain"]["min"]
        found.append((title, *(max(0.0, round(row[one]["min"] - plain, 1)) for one in ("autolog", "mlflow"))))
    return found


def _pair(held: dict[str, float]) -> str:
    """Minimum and median, if both are known."""
    return " / ".join(number(held[name]) for name in ("min", "median") if name in held)


def _about(row: Row) -> str:
    """The heading of rows that were measured together."""
    versions = ", ".join(f"{name} {held}" for name, held in row["versions"].items())
    return f"{row['date']}, Python {row['python']}, {row['machine']}: {versions}"


def _ours(row: Row) -> dict[str, float] | None:
    """What autolog takes; of several ways in which it is there, the worst."""
    return max(
        (row[name] for name in ("autolog", "nested", "suspended") if name in row), key=_least, default=None
    )


def _least(held: dict[str, float]) -> float:
    return held["min"]


def cost(row: Row) -> float | None:
    """How many times its goal a row costs: `15 above plain`, `3 % above plain`, `3`, and of rates so many a second at least."""
    goal = re.match(r"([\d,.]+)( %)?( above plain)?$", row["goal"])
    ours = _ours(row)
    if goal is None or ours is None or (goal[3] and "plain" not in row):
        return None
    wanted = float(goal[1].replace(",", ""))
    if "a second" in row["unit"]:
        return wanted / ours["median"]
    found, plain = ours["min"], row["plain"]["min"] if goal[3] else 0
    return (found / plain - 1) * 100 / wanted if goal[2] else (found - plain) / wanted


def number(value: float) -> str:
    """Four digits, and no more than the value has."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
