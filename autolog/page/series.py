"""Curves for drawing: thinned to what a screen can show, as binary blocks, and small ones for the cells of a table.

Knows no HTTP. The blocks hold values as they were logged, also those that are not finite; what draws them shows gaps.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from autolog.store.curves import Curve, Curves

MOST_POINTS = 20_000
SPARK_POINTS = 40


class Thinned(NamedTuple):
    """Five arrays of one length. Each entry is a value, or the smallest and the largest of several neighbours."""

    step: array[float]
    epoch: array[float]
    time: array[float]
    low: array[float]
    high: array[float]
    thinned: bool


def thin(curve: Curve, points: int) -> Thinned:
    """Return at most `points` columns of a curve in the order of its steps. The first and the last value stay as they are."""
    count = len(curve)
    if count <= max(points, 3):
        return Thinned(curve.step, curve.epoch, curve.time, curve.value, curve.value, False)
    inner = max(points, 3) - 2
    edges = [0, *(1 + place * (count - 2) // inner for place in range(inner + 1)), count]
    middles = [(start + end) // 2 for start, end in pairwise(edges)]
    finite = all(map(math.isfinite, curve.value))
    low, high = array("d"), array("d")
    for start, end in pairwise(edges):
        part: Sequence[float] = curve.value[start:end]
        if not finite:
            part = [value for value in part if math.isfinite(value)] or [math.nan]
        low.append(min(part))
        high.append(max(part))
    step, epoch, time = (
        array("d", [one[place] for place in middles]) for one in (curve.step, curve.epoch, curve.time)
    )
    return Thinned(step, epoch, time, low, high, True)


def between(curve: Curve, x0: float | None, x1: float | None) -> Curve:
    """Return the part of a curve, in the order of its steps, that lies between two steps, with one value on either side."""
    from bisect import bisect_left, bisect_right

    start = 0 if x0 is None else max(0, bisect_left(curve.step, x0) - 1)
    end = len(curve) if x1 is None else min(len(curve), bisect_right(curve.step, x1) + 1)
    return curve[start : max(start, end)]


def blocks(
    curves: Curves, version: int, runs: Iterable[str], metrics: Sequence[str], points: int = 2000,
    x0: float | None = None, x1: float | None = None,
) -> bytes:  # fmt: skip
    """Return the curves of these runs and metrics: four bytes with the length of a header in JSON, the header, and behind it
    five arrays of little-endian doubles for each curve: step, epoch, time, smallest, largest. A curve without values is left
    out.
    """
    series: list[dict[str, Any]] = []
    arrays: list[bytes] = []
    offset = 0
    for run in runs:
        for metric, curve in curves.of(run, metrics).items():
            if not len(curve):
                continue
            shown = thin(between(curve.by_step(), x0, x1), min(points, MOST_POINTS))
            data = [_little(one) for one in shown[:5]]
            nan = sum(map(math.isnan, curve.value))
            series.append(
                {
                    "run": run, "metric": metric, "count": len(curve), "length": len(shown.step), "thinned": shown.thinned,
                    "offset": offset, "gaps": {"nan": nan, "inf": sum(map(math.isinf, curve.value))},
                }
            )  # fmt: skip
            arrays += data
            offset += sum(map(len, data))
    header = msgspec.json.encode({"version": version, "series": series})
    header += b" " * (-(len(header) + 4) % 8)  # so that the arrays lie on multiples of eight bytes
    return b"".join([len(header).to_bytes(4, "little"), header, *arrays])


def _little(values: array[float]) -> bytes:
    import sys

    if sys.byteorder == "big":
        values = array("d", values)
        values.byteswap()
    return values.tobytes()


def sparks(curves: Curves, runs: Iterable[str], metric: str, direction: str | None) -> dict[str, Any]:
    """Return one small curve for each run that has the metric, and the ranges of all of them. `points` are steps with the
    smallest and largest value there; `best` is the step and value of the best one, where a direction is known.
    """
    found: dict[str, Any] = {}
    for run in runs:
        curve = curves.of(run, [metric])[metric].by_step()
        if not len(curve):
            continue
        shown = thin(curve, SPARK_POINTS)
        points = [
            [step, low, high]
            for step, low, high in zip(shown.step, shown.low, shown.high, strict=True)
            if math.isfinite(low) and math.isfinite(high)
        ]
        finite = [place for place, value in enumerate(curve.value) if math.isfinite(value)]
        best = None
        if finite and direction in ("higher", "lower"):
            place = (max if direction == "higher" else min)(finite, key=curve.value.__getitem__)
            best = [curve.step[place], curve.value[place]]
        found[run] = {"points": points, "best": best}
    every = [point for one in found.values() for point in one["points"]]
    x = [min(point[0] for point in every), max(point[0] for point in every)] if every else None
    y = [min(point[1] for point in every), max(point[2] for point in every)] if every else None
    return {"x": x, "y": y, "curves": found}
