"""Small text charts: a line of blocks, and a curve of braille dots with axes. This module knows only numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autolog.cli.text import number

_BLOCKS = "▁▂▃▄▅▆▇█"
_DOTS = (
    (0x01, 0x02, 0x04, 0x40),
    (0x08, 0x10, 0x20, 0x80),
)  # Unicode's numbering of a braille cell, by column and row


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """Return the values as at most `width` characters. Each shows the mean of its part, or `×` if no value is finite."""
    parts: list[float | None] = []
    amount = min(width, len(values))
    for part in range(amount):
        some = values[part * len(values) // amount : (part + 1) * len(values) // amount]
        finite = [value for value in some if math.isfinite(value)]
        mean = sum(value / len(finite) for value in finite)
        # Rounding may push the mean of the largest floats beyond them.
        parts.append(min(max(mean, min(finite)), max(finite)) if finite else None)
    known = [part for part in parts if part is not None]
    if not known:
        return "×" * amount
    low, high = min(known), max(known)
    return "".join("×" if part is None else _BLOCKS[_level(part, low, high, len(_BLOCKS))] for part in parts)


def curve(
    steps: Sequence[float],
    values: Sequence[float],
    width: int,
    height: int,
    axis: tuple[str, str] = ("│", "└─"),
) -> list[str]:
    """Return the lines of a chart with labelled axes, `width` characters wide and `height` high.

    `steps` must ascend. Non-finite values are left out. `axis` holds the character of the vertical axis, and those of the
    corner and the baseline.
    """
    points = [(step, value) for step, value in zip(steps, values, strict=True) if math.isfinite(value)]
    if not points:
        return []
    low, high = min(value for _, value in points), max(value for _, value in points)
    first, last = steps[0], steps[-1]
    labels = {0: number(high), height // 2: number(low / 2 + high / 2), height - 1: number(low)}
    if low == high:
        labels = {height // 2: number(low)}
    margin = max(map(len, labels.values()))
    columns, rows = max(1, width - margin - 2) * 2, height * 4
    cells = [[0] * (columns // 2) for _ in range(height)]

    def draw(start: tuple[int, int], end: tuple[int, int]) -> None:
        for column, row in _line(start, end):
            cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]

    spans: dict[int, tuple[int, int]] = {}
    before: tuple[int, int] | None = None
    for step, value in points:
        x = _level(step, first, last, columns)
        y = rows // 2 if low == high else rows - 1 - _level(value, low, high, rows)
        if x not in spans:
            draw(before or (x, y), (x, y))
        upper, lower = spans.get(x, (y, y))
        spans[x] = min(upper, y), max(lower, y)
        before = (x, y)
    for x, (upper, lower) in spans.items():
        draw((x, upper), (x, lower))
    upright, corner = axis
    lines: list[str] = []
    for row, dots in enumerate(cells):
        drawn = "".join(chr(0x2800 + cell) if cell else " " for cell in dots)
        lines.append(f"{labels.get(row, ''):>{margin}} {upright}{drawn}")
    start, end = f"{first:.12g}", f"{last:.12g}" if first != last else ""
    lines.append(f"{'':>{margin}} {corner[0]}{corner[1] * (columns // 2)}")
    gap = columns // 2 - len(start) - len(end)
    name = "step".center(gap) if gap > 5 else " "
    lines.append(f"{'':>{margin}}  {start}{name}{end}")
    return [line.rstrip() for line in lines]


def _level(value: float, low: float, high: float, levels: int) -> int:
    """Return which of `levels` equal parts of the range holds the value."""
    span = high / 2 - low / 2  # halves, because the full span may exceed a float's range
    return 0 if span <= 0 else min(levels - 1, int((value / 2 - low / 2) / span * levels))


def _line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the dots from `start` to `end`, both included."""
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (
            start[0] + round((end[0] - start[0]) * part / length),
            start[1] + round((end[1] - start[1]) * part / length),
        )
        for part in range(length + 1)
    ]
