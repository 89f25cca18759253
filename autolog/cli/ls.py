"""`autolog ls`: lists runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from autolog.cli.output import Column, Page, write_error, write_json
from autolog.cli.store import ArchivedOption, JsonOption, StoreOption, open_store
from autolog.cli.text import ABSENT, ago, cut, duration, number

if TYPE_CHECKING:
    from autolog.store.query import Metric
    from autolog.store.records import RunRecord, Runs

ON_A_TERMINAL = 50
MOST_METRICS = 6


def ls(
    filter: Annotated[
        str | None, typer.Argument(metavar="FILTER", help="Which runs, e.g. metrics.loss < 0.3.")
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="KEY", help="A name, e.g. metrics.loss; with - before it, largest first.")
    ] = "-started",
    limit: Annotated[
        int | None,
        typer.Option(min=0, help=f"The most to list, 0 for all. On a terminal {ON_A_TERMINAL}, else all."),
    ] = None,
    children: Annotated[bool, typer.Option("--children", help="Include child runs.")] = False,
    archived: ArchivedOption = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List runs, newest first.

    A filter is a Python-like expression over params, metrics (their values), tags and: id, name, experiment, parent, status,
    framework, framework_version, kind, estimator, started, ended, duration, overhead, error, description, starred, archived.
    min(metrics.loss), max(metrics.loss) and count(metrics.loss) summarise a metric's history. Write metrics['val/loss'] for a
    name that is not a plain word. Archived runs are left out, unless the filter names archived.

    Examples:

    autolog ls

    autolog ls "metrics.val_loss < 0.3 and params.C in (1, 10) and 'forest' in estimator" --sort metrics.val_loss

    autolog ls "starred or 'baseline' in description"

    autolog ls "'val_loss' in metrics" --sort "min(metrics.val_loss)" --limit 5

    With --json: a list of runs, each in the form of `autolog show --json`.
    """
    from autolog.store.query import compile_filter, compile_order

    page = Page()
    if limit is None:
        limit = ON_A_TERMINAL if page.terminal and not json else 0
    asked_for = [*compile_order(sort).metrics, *(compile_filter(filter).metrics if filter else ())]
    opened = open_store(store)
    most = limit + 1 if limit else None
    runs = opened.runs(filter, order_by=sort, limit=most, children=children, archived=archived)
    more = bool(limit) and len(runs) > limit
    runs = runs[:limit] if more else runs
    for sentence in opened.unknown_metrics(filter, sort, runs):
        write_error(f"autolog: {sentence}")
    if json:
        write_json([run.to_dict() for run in runs])
    elif runs:
        _table(page, runs, opened.count_children([run.id for run in runs]), asked_for)
        if more:
            write_error(f"There are more than {limit} runs. For more: --limit {limit * 2}, or 0 for all.")
    elif filter:
        write_error(f"No run in {opened.layout.root} matches the filter.")
    elif opened.count():
        write_error(f"All runs in {opened.layout.root} are archived. List them: autolog ls --archived")
    else:
        write_error(f"{opened.layout.root} holds no runs yet. Record one: autolog run train.py")


def _table(page: Page, runs: Runs, children: dict[str, int], asked_for: list[Metric]) -> None:
    # Each with its rank: if the terminal is too narrow, the columns with the highest rank are left out.
    columns: list[tuple[int, Column, list[str]]] = [
        (0, Column("name", style="bold"), [run.name for run in runs]),
        (1, Column("status", style="status"), [run.status for run in runs]),
        (3, Column("estimator"), [cut(what(run), 40) for run in runs]),
        (2, Column("started"), [ago(run.started) for run in runs]),
        (5, Column("took", right=True), [duration(run.duration) for run in runs]),
    ]
    if any(run.starred for run in runs):
        columns.insert(1, (1, Column("starred"), [star(page) if run.starred else "" for run in runs]))
    if any(run.archived for run in runs):
        columns.append((2, Column("archived"), ["yes" if run.archived else "" for run in runs]))
    if any(run.description for run in runs):
        first_lines = [(run.description or "").partition("\n")[0] for run in runs]
        columns.append((50, Column("description"), [cut(line, 40) for line in first_lines]))
    if len({run.experiment for run in runs}) > 1:
        columns.append((6, Column("experiment"), [run.experiment or ABSENT for run in runs]))
    if children:
        columns.append((7, Column("children", right=True), [str(children.get(run.id, "")) for run in runs]))
    for place, metric in enumerate(_metrics(runs, asked_for)):
        held = [run.metrics.get(metric.name) for run in runs]
        values = [ABSENT if one is None else number(one[metric.function]) for one in held]
        columns.append((8 + place if place else 4, Column(str(metric), right=True), values))
    columns.append((99, Column("id", style="dim"), [run.id for run in runs]))
    while page.terminal and len(columns) > 1 and _width(columns) > page.width:
        columns.remove(max(columns, key=lambda column: column[0]))
    rows = zip(*(values for _, _, values in columns), strict=True)
    page.table([column for _, column, _ in columns], list(rows))


def star(page: Page) -> str:
    """Return the mark of a starred run."""
    return "★" if page.terminal else "*"


def _width(columns: list[tuple[int, Column, list[str]]]) -> int:
    return sum(max(map(len, [column.title, *values])) + 2 for _, column, values in columns) - 2


def what(run: RunRecord) -> str:
    """Return the shortest name of what was trained."""
    if run.estimator:
        return run.estimator.rpartition(".")[2]
    return f"{run.framework} {run.kind}" if run.framework else run.kind


def _metrics(runs: Runs, asked_for: list[Metric]) -> list[Metric]:
    """Return the metrics to show: those in the filter and order, then those of unseen data, then those most runs have."""
    from autolog.store.query import Metric
    from autolog.tracking.metrics import is_of_unseen_data

    # Of a metric of folds, show the mean: the last fold's value says nothing about the others.
    having = Counter(metric for run in runs for metric in run.metrics if f"mean_{metric}" not in run.metrics)
    unseen = {
        name
        for run in runs
        for name, metric in run.metrics.items()
        if is_of_unseen_data(name, metric.get("data")) or name.startswith("best_")
    }
    order = sorted(having, key=lambda metric: (metric not in unseen, -having[metric], metric))
    chosen = dict.fromkeys([*(metric for metric in asked_for if metric.name in having), *map(Metric, order)])
    return list(chosen)[:MOST_METRICS]
