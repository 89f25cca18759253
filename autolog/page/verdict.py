"""The answer that the page begins with: which run is best, by how much, and what goes with it.

Knows no HTTP. Says nothing that is not known: a metric without a direction has no best, an open run is never the best, and a
param's share of the differences is corrected for chance.
"""

from __future__ import annotations

import math
import sqlite3
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from autolog.page.table import ALL, Asked, exact
from autolog.store.columns import choose
from autolog.store.curves import Curves
from autolog.store.query import selection
from autolog.store.records import Store
from autolog.tracking.metrics import guess, primary_metric

FEWEST_RUNS = 12
"""Finished runs that are needed before anything is said of params."""
LEAST_SHARE = 0.02
MOST_VALUES = 8
"""Different numbers of a param, above which they are put into as many bins."""
MOST_CATEGORIES = 24
MOST_DOTS = 400
MOST_RANKED = 5_000
"""Finished runs that the shares are computed on; of more, every so many-th by rank."""


class _Read(NamedTuple):
    metric: str | None
    candidates: list[dict[str, Any]]
    runs: dict[str, list[Any]]
    numbers: dict[str, Any]
    params: dict[str, list[Any]]


def verdict(store: Store, curves: Curves, asked: Asked = ALL, metric: str | None = None) -> dict[str, Any]:
    """Return the verdict on the runs that were asked for, by `metric` or else by the one that counts most likely. Raises
    FilterError.
    """
    chosen = selection(asked.q, "started", asked.children, asked.archived, experiment=asked.experiment)

    def read(connection: sqlite3.Connection) -> _Read:
        with choose(connection, chosen) as choice:
            runs = choice.attributes("id", "name", "status")
            known = candidates(connection)
            by = metric or next((one["name"] for one in known if one["direction"]), None)
            numbers = choice.metrics(only=by).get(by) if by is not None else None
            finished = runs["status"].count("finished")
            params = choice.params() if numbers and finished >= FEWEST_RUNS else {}
            return _Read(by, known, runs, numbers or {}, params)

    found = store.read(read)
    direction = found.numbers.get("direction") or (guess(found.metric) if found.metric else None)
    answer: dict[str, Any] = {
        "metric": found.metric, "direction": direction, "candidates": found.candidates, "finished": 0, "best": None,
        "second": None, "ahead": None, "shares": [], "shares_of": 0,
    }  # fmt: skip
    if direction is None or not found.numbers:
        answer["finished"] = found.runs["status"].count("finished")
        return answer
    values = found.numbers["value"]
    rows = [
        row
        for row, status in enumerate(found.runs["status"])
        if status == "finished" and values[row] is not None and math.isfinite(values[row])
    ]
    sign = 1 if direction == "higher" else -1
    rows.sort(key=lambda row: -sign * values[row])
    answer["finished"] = len(rows)
    if rows:
        best = rows[0]
        answer["best"] = {
            **_said(found, best),
            "step": _step(found, best),
            "steps": found.numbers["step"][best],
        }
        if len(rows) > 1:
            lead = sign * (values[best] - values[rows[1]])
            answer["second"] = {**_said(found, rows[1]), "lead": lead}
        answer["ahead"] = _ahead(found, curves, best, sign)
    if len(rows) >= FEWEST_RUNS:
        ranked = rows[:: -(-len(rows) // MOST_RANKED)]  # the best is the first
        answer["shares"], answer["shares_of"] = shares(found.params, values, ranked), len(ranked)
    return answer


def candidates(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return the metrics of the chosen runs, those first by which models are compared: with a direction, of data that was not
    trained on, of most runs.
    """
    rows = connection.execute(
        "SELECT m.key, count(*), max(CASE WHEN m.direction IN ('higher', 'lower') THEN m.direction END),"
        " max(m.direction = 'unknown') FROM temp.chosen c JOIN metrics m ON m.run = c.no WHERE m.count > 0 GROUP BY m.key"
    ).fetchall()
    found = [
        {"name": name, "runs": runs, "direction": said or (None if unknown else guess(name))}
        for name, runs, said, unknown in rows
    ]
    return sorted(
        found,
        key=lambda one: (
            one["direction"] is None,
            primary_metric([one["name"]], {one["name"]: one["direction"] or "unknown"}) is None,
            "loss" not in one["name"].lower(),
            -one["runs"],
            one["name"],
        ),
    )


def _said(found: _Read, row: int) -> dict[str, Any]:
    return {
        "id": found.runs["id"][row],
        "name": found.runs["name"][row],
        "value": found.numbers["value"][row],
    }


def _step(found: _Read, row: int) -> int | None:
    """Return the step of a run's value: that of its best value, if it is the best one."""
    numbers = found.numbers
    return numbers["best_step" if numbers["value"][row] == numbers["best"][row] else "step"][row]


def _ahead(found: _Read, curves: Curves, best: int, sign: int) -> dict[str, Any] | None:
    """Return the open run that is furthest ahead of the best run at the same step."""
    name = found.metric
    assert name is not None
    last, steps = found.numbers["last"], found.numbers["step"]
    open_rows = [
        row
        for row, status in enumerate(found.runs["status"])
        if status == "running" and last[row] is not None and math.isfinite(last[row])
    ]
    if not open_rows:
        return None
    curve = curves.of(found.runs["id"][best], [name])[name].by_step()
    ahead: dict[str, Any] | None = None
    for row in open_rows:
        there = [value for step, value in zip(curve.step, curve.value, strict=True) if step == steps[row]]
        if not there or not math.isfinite(there[-1]):
            continue
        lead = sign * (last[row] - there[-1])
        if lead > 0 and (ahead is None or lead > ahead["lead"]):
            ahead = {
                "id": found.runs["id"][row],
                "name": found.runs["name"][row],
                "lead": lead,
                "step": steps[row],
            }
    return ahead


# -- what goes with it


def shares(
    params: dict[str, list[Any]], values: Sequence[float], rows: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the params that go with the metric, the strongest first. `rows` are those of the finished runs, the best first."""
    found = [
        one for name, column in params.items() if (one := _share(name, column, values, rows)) is not None
    ]
    return sorted(found, key=lambda one: (-one["share"], one["param"]))


def _share(
    name: str, column: list[Any], values: Sequence[float], rows: Sequence[int]
) -> dict[str, Any] | None:
    having = [row for row in rows if column[row] is not None]
    if len(having) < FEWEST_RUNS:
        return None
    kind, groups = _grouped({row: column[row] for row in having})
    if len(groups) < 2:
        return None
    share = epsilon_squared([[values[row] for row in members] for _, members in groups])
    if share < LEAST_SHARE:
        return None
    best = rows[0]
    listed = [
        {
            **label,
            "median": statistics.median(values[row] for row in members),
            "count": len(members),
            "is_best": best in members,
        }
        for label, members in groups
    ]
    dots = [[place, values[row]] for place, (_, members) in enumerate(groups) for row in members]
    if len(dots) > MOST_DOTS:
        dots = [dots[number * len(dots) // MOST_DOTS] for number in range(MOST_DOTS)]
    return {"param": name, "share": share, "kind": kind, "values": listed, "dots": dots}


_Group = tuple[dict[str, Any], list[int]]


def _grouped(column: dict[int, Any]) -> tuple[str, list[_Group]]:
    """Return a param's values as groups of rows: each number, or bins with as many rows each, or categories."""
    kind, groups = "category", {}
    different = {_key(value) for value in column.values()}
    if all(type(value) in (int, float) for value in column.values()):
        kind = "number" if len(different) <= MOST_VALUES else "bins"
    elif len(different) > min(MOST_CATEGORIES, len(column) // 2):
        return kind, []
    if kind == "bins":
        return kind, _bins(column)
    members: dict[Any, list[int]] = {}
    for row, value in column.items():
        members.setdefault(_key(value), []).append(row)
    order = (
        sorted(members)
        if kind == "number"
        else sorted(members, key=lambda key: (-len(members[key]), str(key)))
    )
    groups = [
        ({"label": _label(column[members[key][0]]), "value": exact(column[members[key][0]])}, members[key])
        for key in order
    ]
    return kind, groups


def _bins(column: dict[int, Any]) -> list[_Group]:
    """Return bins of equal size; equal numbers are in one bin."""
    rows = sorted(column, key=column.__getitem__)
    bins: list[list[int]] = []
    for number in range(MOST_VALUES):
        part = rows[number * len(rows) // MOST_VALUES : (number + 1) * len(rows) // MOST_VALUES]
        while bins and part and column[part[0]] == column[bins[-1][-1]]:
            bins[-1].append(part.pop(0))
        if part:
            bins.append(part)
    return [
        (
            {
                "label": f"{_label(column[one[0]])} – {_label(column[one[-1]])}",
                "value": [exact(column[one[0]]), exact(column[one[-1]])],
            },
            one,
        )
        for one in bins
    ]


def _key(value: Any) -> Any:
    """Return what values are equal by: True is no 1, and a list is its text."""
    if type(value) in (int, float):
        return value
    return f"{type(value).__name__} {_label(value)}"


def _label(value: Any) -> str:
    return value if type(value) is str else repr(value)


def epsilon_squared(groups: Sequence[Sequence[float]]) -> float:
    """Return how much of the differences between the values' ranks lies between the groups, from 0 to 1: η² less what chance
    gives, `1 − (1 − η²)(n − 1)/(n − k)`, not below 0.
    """
    sizes = [len(group) for group in groups if len(group)]
    n, k = sum(sizes), len(sizes)
    if k < 2 or n <= k:
        return 0.0
    counts = Counter(value for group in groups for value in group)
    rank: dict[float, float] = {}
    below = 0
    for value in sorted(counts):
        rank[value] = below + (counts[value] + 1) / 2
        below += counts[value]
    mean = (n + 1) / 2
    total = sum(count * (rank[value] - mean) ** 2 for value, count in counts.items())
    if total <= 0:
        return 0.0
    between = sum(
        len(group) * (sum(rank[value] for value in group) / len(group) - mean) ** 2
        for group in groups
        if len(group)
    )
    return max(0.0, 1 - (1 - between / total) * (n - 1) / (n - k))


# -- experiments


def experiments(store: Store, now: int) -> list[dict[str, Any]]:
    """Return what the first page says of each experiment, the most recently active first. `now` is when its last hour
    ends.
    """

    def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        names = connection.execute(
            "SELECT experiment, count(*), sum(status = 'running'), max(max(coalesce(ended, 0), coalesce(started, 0)))"
            " FROM runs WHERE parent IS NULL AND NOT archived GROUP BY experiment ORDER BY 4 DESC"
        ).fetchall()
        return [
            {
                "name": name,
                "runs": runs,
                "running": running,
                "last": last or None,
                **_moves(connection, name, now),
            }
            for name, runs, running, last in names
        ]

    return store.read(read)


def _moves(connection: sqlite3.Connection, experiment: str, now: int) -> dict[str, Any]:
    with choose(connection, selection(None, "started", experiment=experiment)) as choice:
        runs = choice.attributes("id", "name", "status", "started", "ended")
        by = next((one for one in candidates(connection) if one["direction"]), None)
        numbers = choice.metrics(only=by["name"]).get(by["name"]) if by else None
    activity = [0] * 24
    for started in runs["started"]:
        hour = (now - started) // 3_600_000 if started is not None else 24
        if 0 <= hour < 24:
            activity[23 - hour] += 1
    best: dict[str, Any] | None = None
    so_far: list[list[Any]] = []
    direction = by["direction"] if by else None
    sign = 1 if direction == "higher" else -1
    ended = sorted(
        (runs["ended"][row], row)
        for row, status in enumerate(runs["status"])
        if status == "finished" and runs["ended"][row] is not None
    )
    for time, row in ended if numbers else ():
        value = numbers["value"][row] if numbers else None
        if value is None or not math.isfinite(value) or (best and sign * (value - best["value"]) <= 0):
            continue
        best = {"id": runs["id"][row], "name": runs["name"][row], "value": value}
        so_far.append([time, value])
    return {
        "metric": by["name"] if by else None, "direction": direction, "best": best, "best_so_far": so_far,
        "activity": activity,
    }  # fmt: skip
