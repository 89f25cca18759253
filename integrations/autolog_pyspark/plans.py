"""What Spark knows of a frame without running anything: the columns of its plan, each with the number by which Spark itself
tells it from all others, and which it keeps in every frame that is made of this one.
"""

from __future__ import annotations

import re
from typing import Any

_COLUMN = re.compile(r"(?:^List\(|, )(.*?)#(\d+)L?(?=, |\)$)", re.DOTALL)


def columns(frame: Any) -> dict[str, int]:
    """The numbers of a frame's columns by name."""
    java = getattr(frame, "_jdf", None)
    if java is None:
        return {}
    return {name: int(number) for name, number in _COLUMN.findall(java.queryExecution().analyzed().output().toString())}
