"""`autolog show`: shows one run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autolog.cli import chart
from autolog.cli.ls import star
from autolog.cli.output import Column, Page, UserError, write, write_json
from autolog.cli.store import JsonOption, RunArgument, StoreOption, open_store
from autolog.cli.text import ago, count, cut, duration, local, number, param, size
from autolog.tracking.events import NOT_SAVED
from autolog.tracking.metrics import primary_metric

if TYPE_CHECKING:
    from autolog.store.records import Point, RunRecord

MOST_CHILDREN = 10
MOST_FILES = 30
LONGEST_VALUE = 200
_FIELDS = (Column("", style="dim"), Column("", wraps=True))


def show(
    run: RunArgument,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="Draw this metric's curve.")] = None,
    code: Annotated[bool, typer.Option("--code", help="Print the code that is in no commit.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show one run: description, params, metrics, data, children, files, environment, notes and errors.

    Examples:

    autolog show @last

    autolog show brave-otter --metric val_loss

    autolog show brave-otter --code

    --code prints the changes since the commit, the script and imported files that are in no commit, and the notebook cells that
    ran before the run ended. Secrets are left out.

    With --json: id, name, experiment, parent, status, framework, framework_version, kind, estimator, started, ended (UTC),
    duration (seconds), params, metrics ({name: {value, last, min, max, step, count, direction}}), tags, datasets, artifacts
    ([{path, bytes}]), models ([{path, flavor, bytes, seconds}]), overhead (seconds), error, errors, notes (autolog's
    remarks), description (the user's own text), starred, archived.

    A metric's value is that of the kept model, else the last one. Its direction, "higher" or "lower", says which way is better;
    null means unknown, and "guess": true means guessed from the name. If known, a metric also has data ("train", "validation",
    or the script's name for the data), part, settings, and sample: {rows, of, error}, where error is the standard error. A
    model's seconds say how long saving it held up the training. Numbers that JSON does not have are "NaN", "Infinity" and
    "-Infinity". With --metric and --json: a list of {step, epoch, time, value}.
    """
    record = open_store(store).get(run)
    if metric is not None:
        points = _history(record, metric)
        if json:
            write_json([_point(point) for point in points])
        else:
            _curve(Page(), record, metric, points)
    elif code:
        _code(record, json)
    elif json:
        write_json(record.to_dict())
    else:
        _run(Page(), record)


def _code(record: RunRecord, json: bool) -> None:
    said = record.environment
    git: dict[str, Any] = said.get("git") or {}
    diff: str = git.get("diff") or ""
    sources: dict[str, str] = said.get("sources") or {}
    cells: dict[str, str] = said.get("cells") or {}
    if json:
        write_json({"diff": diff, "sources": sources, "cells": cells})
        return
    parts = [f"# %% {path}\n{text}" for path, text in sources.items()]
    parts += [f"# %% [{number}]\n{text}" for number, text in cells.items()]
    if not (diff or parts):
        commit: str | None = git.get("commit")
        raise UserError(
            f"All code of this run is in the commit {commit[:12]}."
            if commit
            else "No code was recorded for this run."
        )
    for part in filter(None, (diff, *parts)):
        write(part if part.endswith("\n") else f"{part}\n")


def _history(record: RunRecord, metric: str) -> list[Point]:
    try:
        return record.history(metric)
    except KeyError as error:
        raise UserError(error.args[0]) from None


def _point(point: Point) -> dict[str, Any]:
    from autolog.tracking.values import number_of

    return {**point._asdict(), "value": number_of(point.value)}


def _curve(page: Page, record: RunRecord, metric: str, points: list[Point]) -> None:
    finite = [point for point in points if math.isfinite(point.value)]
    said = [count(len(points), "value")]
    if points:
        said.append(f"last {number(points[-1].value)} at step {points[-1].step}")
    if finite:
        lowest, highest = (choose(finite, key=lambda point: point.value) for choose in (min, max))
        said.append(f"lowest {number(lowest.value)} at step {lowest.step}")
        said.append(f"highest {number(highest.value)} at step {highest.step}")
    if len(finite) < len(points):
        said.append(f"{len(points) - len(finite)} not finite")
    page.line(f"{metric} of {record.name}", "bold")
    page.line(" · ".join(said))
    page.line()
    axis = ("│", "└─") if page.terminal else ("|", "+-")
    lines = chart.curve(
        [point.step for point in points], [point.value for point in points], min(page.width, 120), 15, axis
    )
    for line in lines:
        write(f"{line}\n")


def _run(page: Page, record: RunRecord) -> None:
    marks = [star(page)] if record.starred else []
    marks += ["archived"] if record.archived else []
    page.line("  ".join([record.name, record.status, *marks]), "bold")
    for line in (record.description or "").splitlines():
        page.line(line)
    for note in record.notes:
        if note.startswith(NOT_SAVED):  # at the top, for those who look for the model
            page.line(note, "yellow")
    page.table(_FIELDS, list(_identity(record).items()), head=False)
    if record.params:
        page.title(f"params ({len(record.params)})")
        values = [(key, cut(param(value), LONGEST_VALUE)) for key, value in sorted(record.params.items())]
        page.table(_FIELDS, values, head=False, indent=2)
    if record.metrics:
        page.title(f"metrics ({len(record.metrics)})")
        _metrics(page, record)
    if record.tags:
        page.title(f"tags ({len(record.tags)})")
        values = [(key, cut(value, LONGEST_VALUE)) for key, value in sorted(record.tags.items())]
        page.table(_FIELDS, values, head=False, indent=2)
    if record.datasets:
        page.title("data")
        page.table(
            _FIELDS, [(data["context"], data_line(data)) for data in record.datasets], head=False, indent=2
        )
    _children(page, record)
    if record.models:
        page.title("models")
        rows = [
            (model["path"], model["flavor"], size(model["bytes"]), f"saved in {duration(model['seconds'])}")
            for model in record.models
        ]
        page.table((Column(""), Column(""), Column("", right=True), Column("")), rows, head=False, indent=2)
    if record.artifacts:
        total = sum(file["bytes"] for file in record.artifacts)
        page.title(f"files ({len(record.artifacts)}, {size(total)}) in {record.folder}")
        rows = [(file["path"], size(file["bytes"])) for file in record.artifacts]
        page.table((Column(""), Column("", right=True)), rows[:MOST_FILES], head=False, indent=2)
        if len(rows) > MOST_FILES:
            page.line(f"  and {len(rows) - MOST_FILES} more")
    environment = record.environment
    if environment:
        page.title("environment")
        page.table(_FIELDS, list(_environment(environment, record.name).items()), head=False, indent=2)
    notes = [note for note in record.notes if not note.startswith(NOT_SAVED)]
    for title, texts in (("notes", notes), ("errors", record.errors)):
        if texts:
            page.title(title)
            for text in texts:
                page.line(f"  {text}")


def _identity(record: RunRecord) -> dict[str, str]:
    started = local(record.started)
    recent = ago(record.started)
    fields = {
        "id": record.id,
        "experiment": record.experiment,
        "parent": record.parent or "",
        "kind": record.kind,
        "framework": f"{record.framework} {record.framework_version or ''}".strip()
        if record.framework
        else "",
        "estimator": record.estimator or "",
        "started": started if started.startswith(recent) else f"{started} ({recent})",
        "took": duration(record.duration) if record.ended else "",
        "overhead": _overhead(record),
        "dropped": f"{count(record.dropped, 'value')}: the disk was full or too slow"
        if record.dropped
        else "",
        "error": record.error or "",
    }
    return {key: value for key, value in fields.items() if value}


def _overhead(record: RunRecord) -> str:
    """Return the time that autolog itself took, and its share of the training's time."""
    if not record.overhead:
        return ""
    share = f", {record.overhead / record.duration:.1%} of the time" if record.duration else ""
    return f"{duration(record.overhead)}, spent by autolog itself{share}"


def _metrics(page: Page, record: RunRecord) -> None:
    if all(value["count"] == 1 for value in record.metrics.values()):
        rows = [
            (name, number(value["value"]), sampled(value)) for name, value in sorted(record.metrics.items())
        ]
        columns = [Column("", style="dim"), Column("", right=True), Column("")]
        page.table(columns, rows, head=False, indent=2)
        return
    histories = record.histories()
    kept = any(number(value["value"]) != number(value["last"]) for value in record.metrics.values())
    names = ("value", "last", "lowest", "highest", "step", "values")[0 if kept else 1 :]
    columns = [
        Column("metric", style="dim"), *(Column(name, right=True) for name in names), Column("curve", style="cyan"),
    ]  # fmt: skip
    rows = [
        (
            name, *([number(value["value"])] if kept else ()), number(value["last"]), number(value["min"]),
            number(value["max"]), str(value["step"]), str(value["count"]),
            chart.sparkline([point.value for point in histories[name]]) if value["count"] != 1 else "",
        )
        for name, value in sorted(record.metrics.items())
    ]  # fmt: skip
    page.table(columns, rows, indent=2)


def sampled(metric: dict[str, Any]) -> str:
    """Return the standard error and the number of rows of a metric that was computed on a sample; else ""."""
    sample: dict[str, Any] = metric.get("sample") or {}
    if not sample:
        return ""
    error = f"± {sample['error']:.1g}, " if "error" in sample else ""
    return f"{error}of {sample['rows']:,} of {sample['of']:,} rows"


def data_line(data: dict[str, Any]) -> str:
    """Describe a data set in one line."""
    said = [str(data.get("kind", ""))]
    shape = data.get("shape") or [data[key] for key in ("rows", "columns") if key in data]
    if shape:
        one = "row" if data.get("shape") or "rows" in data else "column"
        said.append(" x ".join(map(str, shape)) if len(shape) > 1 else count(shape[0], one))
    if isinstance(data.get("sources"), list):
        said.append(f"from {' and '.join(map(str, data['sources']))}")
    if data.get("dtype"):
        said.append(str(data["dtype"]))
    if data.get("sparse"):
        said.append(f"sparse ({data['sparse']})")
    target: dict[str, Any] = data.get("target") or {}
    if target:
        said.append(f"target {target.get('kind', '')} {target.get('dtype', '')}".rstrip())
    if data.get("digest"):
        said.append(f"digest {str(data['digest'])[:12]}")
    return ", ".join(part for part in said if part)


def _children(page: Page, record: RunRecord) -> None:
    """Print the children with the params that differ, best first if a rank or a score is known."""
    children = list(record.children)
    if not children:
        return
    page.title(f"children ({len(children)})")
    metrics = list(dict.fromkeys(metric for child in children for metric in child.metrics))
    order = _ranking(children, metrics)
    if order is not None:
        metric, sign = order
        children.sort(key=lambda child: _sortable(child, metric, sign))
    shown = children[:MOST_CHILDREN]
    params = [
        key
        for key in dict.fromkeys(key for child in children for key in child.params)
        if len({param(child.params.get(key)) for child in children}) > 1
    ][:6]
    chosen = sorted(
        metrics,
        key=lambda metric: (metric != (order and order[0]), "time" in metric or "std" in metric, metric),
    )[:3]
    columns = [
        Column("name", style="bold"),
        *(Column(metric, right=True) for metric in chosen),
        *(Column(key) for key in params),
    ]
    odd = [child.status for child in shown if child.status != "finished"]
    if odd:
        columns.append(Column("status", style="status"))
    rows = [
        [
            child.name.removeprefix(f"{record.name}/"),
            *(
                number(child.metrics[metric]["value"]) if metric in child.metrics else "-"
                for metric in chosen
            ),
            *(cut(param(child.params[key]), 30) if key in child.params else "-" for key in params),
            *([child.status] if odd else []),
        ]
        for child in shown
    ]
    page.table(columns, rows, indent=2)
    if len(children) > len(shown):
        page.line(f"  and {len(children) - len(shown)} more: autolog ls \"parent == '{record.id}'\"")


def _ranking(children: list[RunRecord], metrics: list[str]) -> tuple[str, int] | None:
    """Return the metric that orders children, with 1 if the smallest is best and -1 if the largest is. That is a rank, the
    mean of a search's scores, or the primary metric.
    """
    directions = {
        name: said
        for child in children
        for name, metric in child.metrics.items()
        if (said := metric["direction"])
    }
    ranked = [name for name in metrics if name.startswith("rank_test_")]
    means = [name for name in metrics if name.startswith("mean_test_") and name in directions]
    chosen = next(iter((*ranked, *means)), None) or primary_metric(metrics, directions)
    if chosen is None:
        return None
    return chosen, 1 if chosen in ranked or directions[chosen] == "lower" else -1


def _sortable(child: RunRecord, metric: str, sign: int) -> tuple[bool, float]:
    value = child.metrics.get(metric, {}).get("value")
    known = value is not None and value == value
    return not known, sign * value if known and value is not None else 0.0


def _kept_code(environment: dict[str, Any], run: str) -> str:
    sources: dict[str, str] = environment.get("sources") or {}
    cells: dict[str, str] = environment.get("cells") or {}
    said = [", ".join(list(sources)[:3]) + (", …" if len(sources) > 3 else "")] if sources else []
    said += [count(len(cells), "cell")] if cells else []
    return f"{' and '.join(said)}  (autolog show {run} --code)" if said else ""


def _environment(environment: dict[str, Any], run: str) -> dict[str, str]:
    git: dict[str, Any] = environment.get("git") or {}
    changed = ", with uncommitted changes" if git.get("dirty") else ""
    remote = f", from {git['remote']}" if git.get("remote") else ""
    cpus, memory = environment.get("cpus"), environment.get("memory")
    machine = [
        str(environment.get("host") or ""), count(cpus, "CPU") if cpus else "", size(memory) if memory else "",
        *environment.get("gpus", ()),
    ]  # fmt: skip
    distributions: dict[str, str] = environment.get("distributions") or {}
    fields = {
        "script": " ".join([environment.get("script") or "", *environment.get("arguments", [])[1:]]).strip(),
        "directory": environment.get("working_directory") or "",
        "git": f"{git['commit'][:12]} on {git.get('branch', '?')}{changed}{remote}"
        if git.get("commit")
        else "",
        "code": _kept_code(environment, run),
        "python": f"{environment.get('implementation', '')} {environment.get('python', '')}".strip(),
        "platform": environment.get("platform") or "",
        "machine": ", ".join(part for part in machine if part),
        "installed": count(len(distributions), "distribution") if distributions else "",
    }
    return {key: cut(value, LONGEST_VALUE) for key, value in fields.items() if value}
