"""`autolog ls`: lists runs."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from autolog.cli.output import Column, Page, write_error, write_json
from autolog.cli.store import JsonOption, StoreOption, open_store
from autolog.cli.text import ABSENT, ago, cut, duration, number

if TYPE_CHECKING:
    from autolog.store.records import RunRecord, Runs

ON_A_TERMINAL = 50
MOST_METRICS = 6


def ls(
    filter: Annotated[
        str | None, typer.Argument(metavar="[FILTER]", help="Which runs, as metrics.loss < 0.3.")
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="KEY", help="A name, as metrics.loss; with - before it, the largest first.")
    ] = "-started",
    limit: Annotated[
        int | None,
        typer.Option(min=0, help=f"How many at most, 0 for all. On a terminal {ON_A_TERMINAL}, else all."),
    ] = None,
    children: Annotated[bool, typer.Option("--children", help="Child runs too.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List runs, newest first.

    A filter is a Python-like expression over params, metrics (their last values), tags and: id, name, experiment, parent,
    status, framework, framework_version, kind, estimator, started, ended, duration, overhead, error.

    Examples:

    autolog ls

    autolog ls "metrics.val_loss < 0.3 and params.C in (1, 10) and 'forest' in estimator" --sort metrics.val_loss

    With --json, a list of runs, each as `autolog show --json` prints it.
    """
    page = Page()
    if limit is None:
        limit = ON_A_TERMINAL if page.terminal and not json else 0
    opened = open_store(store)
    runs = opened.runs(filter, order_by=sort, limit=limit + 1 if limit else None, children=children)
    more = bool(limit) and len(runs) > limit
    runs = runs[:limit] if more else runs
    if json:
        write_json([run.to_dict() for run in runs])
    elif runs:
        _table(page, runs, opened.count_children([run.id for run in runs]), _asked_for(sort, filter))
        if more:
            write_error(f"There are more runs than these {limit}: --limit {limit * 2}, or 0 for all.")
    elif filter:
        write_error(f"No run in {opened.layout.root} matches.")
    else:
        write_error(f"{opened.layout.root} holds no runs yet. Record some: autolog run train.py")


def _table(page: Page, runs: Runs, children: dict[str, int], asked_for: list[str]) -> None:
    columns = [
        Column("name", style="bold"),
        Column("status", style="status"),
        Column("estimator"),
        Column("started"),
        Column("took", right=True),
    ]
    rows = [
        [
            run.name,
            run.status,
            cut(what(run), 40),
            ago(run.started),
            duration(run.duration),
        ]
        for run in runs
    ]
    if len({run.experiment for run in runs}) > 1:
        columns.append(Column("experiment"))
        for run, row in zip(runs, rows, strict=True):
            row.append(run.experiment or ABSENT)
    if children:
        columns.append(Column("children", right=True))
        for run, row in zip(runs, rows, strict=True):
            row.append(str(children.get(run.id, "")))
    for metric in _metrics(runs, asked_for):
        values = [number(run.metrics[metric]["last"]) if metric in run.metrics else ABSENT for run in runs]
        if not page.terminal or _width(columns, rows) + 2 + max(map(len, [metric, *values])) <= page.width:
            columns.append(Column(metric, right=True))
            for value, row in zip(values, rows, strict=True):
                row.append(value)
    if not page.terminal or _width(columns, rows) + 28 <= page.width:
        columns.append(Column("id", style="dim"))
        for run, row in zip(runs, rows, strict=True):
            row.append(run.id)
    page.table(columns, rows)


def what(run: RunRecord) -> str:
    """What was trained, in a word."""
    if run.estimator:
        return run.estimator.rpartition(".")[2]
    return f"{run.framework} {run.kind}" if run.framework else run.kind


def _width(columns: list[Column], rows: list[list[str]]) -> int:
    widths = [max(len(column.title), *(len(row[place]) for row in rows)) for place, column in enumerate(columns)]
    return sum(widths) + 2 * (len(widths) - 1)


def _metrics(runs: Runs, asked_for: list[str]) -> list[str]:
    """Which metrics to show: those asked for, then those most runs have, of data that was not trained on first."""
    having = Counter(metric for run in runs for metric in run.metrics)
    order = sorted(having, key=lambda metric: (not _is_validation(metric), -having[metric], metric))
    chosen = dict.fromkeys([*(metric for metric in asked_for if metric in having), *order])
    return list(chosen)[:MOST_METRICS]


def _is_validation(metric: str) -> bool:
    return any(word in metric.lower() for word in ("val", "test", "cv", "best"))


def _asked_for(*texts: str | None) -> list[str]:
    """The metrics that a sort key and a filter name."""
    found: list[str] = []
    for text in texts:
        if not text:
            continue
        for node in ast.walk(ast.parse(text.strip().lstrip("-"), mode="eval")):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "metrics":
                found.append(node.attr)
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                found.append(str(node.slice.value))
    return found
