"""`autolog compare`: the differences between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autolog.cli.output import Column, Page, UserError, write_json
from autolog.cli.store import JsonOption, RunsArgument, StoreOption, open_store
from autolog.cli.text import ABSENT, cut, duration, number, param

if TYPE_CHECKING:
    from autolog.store.records import RunRecord

LONGEST_VALUE = 40
Part = dict[str, list[Any]]
"""For each name, the value of every run in order; None for a run without one."""


def compare(
    runs: RunsArgument,
    all: Annotated[bool, typer.Option("--all", help="Show equal values, too.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show how runs differ in params, metrics, tags, data, code and environment.

    A * marks the best value of a metric; *? marks it where autolog guessed from the metric's name which way is better.

    Example:

    autolog compare @last @last~1 brave-otter

    With --json: {"runs": [...], "differences": {part: {name: [a value for each run, or null]}}, "best": {metric: [ids of the
    best runs]}}. Each run has the form of `autolog show --json`. The parts are run, params, metrics, tags, data, code and
    distributions. They hold only what differs, or everything with --all.
    """
    opened = open_store(store)
    records = list({record.id: record for record in map(opened.get, runs)}.values())
    if len(records) < 2:
        raise UserError("Only one run is named. Name at least two different runs to compare.")
    parts = _parts(records)
    shown = {
        name: part if all else {key: values for key, values in part.items() if _differ(values)}
        for name, part in parts.items()
    }
    best = _best(records, parts["metrics"])
    if json:
        ids = [record.id for record in records]
        write_json(
            {
                "runs": [record.to_dict() for record in records],
                "differences": {
                    **shown,
                    "metrics": {key: list(map(_finite, values)) for key, values in shown["metrics"].items()},
                },
                "best": {key: [ids[place] for place in places] for key, places in best.items()},
            }
        )
    else:
        _print(Page(), records, parts, shown, best)


def _print(
    page: Page,
    records: list[RunRecord],
    parts: dict[str, Part],
    shown: dict[str, Part],
    best: dict[str, list[int]],
) -> None:
    names = [record.name for record in records]
    if len(set(names)) < len(names):
        names = [f"{record.name} {record.id}" for record in records]
    columns = [Column("", style="dim"), *(Column(name, wraps=True) for name in names)]
    rows: list[list[str]] = []
    for name, part in shown.items():
        for key, values in part.items():
            if name == "metrics":
                star = "*?" if any(record.metrics.get(key, {}).get("guess") for record in records) else "*"
                marks = [star if place in best.get(key, ()) else "" for place in range(len(values))]
                texts = [number(value) + mark for value, mark in zip(values, marks, strict=True)]
            elif name == "run" and key == "duration":
                texts = [duration(value) for value in values]
            else:
                has = [name == "params" and key in record.params for record in records]
                texts = [
                    ABSENT if value is None and not none else cut(param(value), LONGEST_VALUE)
                    for value, none in zip(values, has, strict=True)
                ]
            rows.append([key if name == "run" else f"{name}.{key}", *texts])
    page.table(columns, rows)
    equal = [
        f"{name} ({len(part) - len(shown[name])})"
        for name, part in parts.items()
        if len(part) > len(shown[name])
    ]
    if equal:
        page.line()
        page.line(f"Equal: {', '.join(equal)}. --all shows them.")


def _parts(records: list[RunRecord]) -> dict[str, Part]:
    environments = [record.environment for record in records]
    run = [
        {
            "status": record.status, "error": record.error, "experiment": record.experiment, "kind": record.kind,
            "framework": record.framework, "framework_version": record.framework_version, "estimator": record.estimator,
            "duration": record.duration,
        }
        for record in records
    ]  # fmt: skip
    metrics = [{key: value["value"] for key, value in record.metrics.items()} for record in records]
    return {
        "run": _aligned(run),
        "params": _aligned(record.params for record in records),
        "metrics": _aligned(metrics),
        "tags": _aligned(record.tags for record in records),
        "data": _aligned(map(_data, records)),
        "code": _aligned(map(_code, environments)),
        "distributions": _aligned(environment.get("distributions") or {} for environment in environments),
    }


def _aligned(mappings: Iterable[dict[str, Any]]) -> Part:
    columns = list(mappings)
    names = sorted({name for column in columns for name in column})
    part = {name: [column.get(name) for column in columns] for name in names}
    return {name: values for name, values in part.items() if any(value is not None for value in values)}


def _data(record: RunRecord) -> dict[str, Any]:
    described: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for data in record.datasets:
        context: str = data["context"]
        seen[context] = seen.get(context, 0) + 1
        prefix = context if seen[context] == 1 else f"{context} {seen[context]}"
        for key in ("digest", "rows", "columns", "kind"):
            if data.get(key) is not None:
                described[f"{prefix}.{key}"] = data[key]
    return described


def _code(environment: dict[str, Any]) -> dict[str, Any]:
    git: dict[str, Any] = environment.get("git") or {}
    changes = str(git.get("diff") or "") or None
    return {
        "commit": git.get("commit"),
        "branch": git.get("branch"),
        "remote": git.get("remote"),
        "uncommitted": changes and f"changes {hashlib.sha256(changes.encode()).hexdigest()[:12]}",
        "script": environment.get("script"),
        "arguments": " ".join(environment.get("arguments", [])[1:]) or None,
        "python": environment.get("python"),
        "platform": environment.get("platform"),
        "host": environment.get("host"),
    }


def _differ(values: list[Any]) -> bool:
    first = values[0]
    return any(value != first and (value == value or first == first) for value in values)  # NaN equals NaN


def _finite(value: float | None) -> float | str | None:
    from autolog.tracking.values import number_of

    return None if value is None else number_of(value)


def _best(records: list[RunRecord], metrics: Part) -> dict[str, list[int]]:
    """Return the indexes of the best runs by metric, for metrics with a known direction and with unequal values."""
    found: dict[str, list[int]] = {}
    for name, values in metrics.items():
        known = [value for value in values if value is not None and value == value]
        said = {record.metrics[name]["direction"] for record in records if name in record.metrics}
        choose = {"lower": min, "higher": max}.get(said.pop() or "") if len(said) == 1 else None
        if choose is not None and len(known) > 1 and len(set(known)) > 1:
            best = choose(known)
            found[name] = [place for place, value in enumerate(values) if value == best]
    return found
