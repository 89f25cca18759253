"""What Spark knows of a frame without running anything: the columns of its plan, each with the number by which Spark itself
tells it from all others, and which it keeps in every frame that is made of this one. A frame of Spark Connect has the plans
that it was made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_COLUMN = re.compile(r"(.*?)#(\d+)L?(?:, |$)", re.DOTALL)
MAX_DEPTH = 100


def java_frame(frame: Any) -> Any:
    """The JVM's frame, None for what has none. Frames themselves are not asked: they take any name for a column's."""
    return getattr(frame, "__dict__", {}).get("_jdf")


def columns(frame: Any) -> dict[str, int]:
    """The numbers of a frame's columns by name."""
    java = java_frame(frame)
    if java is None:
        return {}
    said = java.queryExecution().analyzed().output().mkString(", ")
    return {name: int(number) for name, number in _COLUMN.findall(said)}


def meaning(frame: Any) -> Any:
    """A number that frames share which are made alike from the same data; None where Spark does not tell."""
    java = java_frame(frame)
    return None if java is None else java.semanticHash()


def steps(frame: Any) -> Iterator[Any]:
    """The plan of a frame of Spark Connect, and those that it was made of, the last one first."""
    plan = getattr(frame, "__dict__", {}).get("_plan")
    for _ in range(MAX_DEPTH):
        if plan is None:
            return
        yield plan
        plan = getattr(plan, "_child", None)
