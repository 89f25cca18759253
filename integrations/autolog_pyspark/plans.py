"""Reads a frame's plan without running anything. Spark gives each column of a plan a unique number, which the column keeps in
derived frames. A frame of Spark Connect holds the plans that it was derived from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_COLUMN = re.compile(r"(.*?)#(\d+)L?(?:, |$)", re.DOTALL)
MAX_DEPTH = 100


def java_frame(frame: Any) -> Any:
    """Return the JVM's frame, or None. Reads `__dict__`, because a frame takes any attribute for a column."""
    return getattr(frame, "__dict__", {}).get("_jdf")


def columns(frame: Any) -> dict[str, int]:
    """Return the numbers of a frame's columns by name."""
    java = java_frame(frame)
    if java is None:
        return {}
    said = java.queryExecution().analyzed().output().mkString(", ")
    return {name: int(number) for name, number in _COLUMN.findall(said)}


def meaning(frame: Any) -> Any:
    """Return a number that is equal for frames with the same plan on the same data; None if Spark does not tell."""
    java = java_frame(frame)
    return None if java is None else java.semanticHash()


def steps(frame: Any) -> Iterator[Any]:
    """Yield the plan of a Spark Connect frame and those that it was derived from, latest first."""
    plan = getattr(frame, "__dict__", {}).get("_plan")
    for _ in range(MAX_DEPTH):
        if plan is None:
            return
        yield plan
        plan = getattr(plan, "_child", None)
