"""The latest result of each cell, one line each in results.jsonl. This module does not know how a cell is run.

Each line has: cell, frameworks, python, status (pass, fail, known, skip), passed, failed, skipped, seconds, reason, points (for
each framework the number of patch points found, and the missing ones), resolved (installed versions), fingerprint, date.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compat.cells import HERE, ROOT, Cell

RESULTS = HERE / "results.jsonl"
GOOD = ("pass", "known")


def read(path: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return the latest line of each cell by name."""
    if not path.exists():
        return {}
    lines = (json.loads(line) for line in path.read_text().splitlines() if line.strip())
    return {line["cell"]: line for line in lines}


def write(result: dict[str, Any], path: Path = RESULTS) -> None:
    """Replace the cell's line. The file is replaced as a whole, so a kill leaves either the old or the new one."""
    held = {**read(path), result["cell"]: result}
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(held[name], sort_keys=True) + "\n" for name in sorted(held)))
    new.replace(path)


def fingerprint(cell: Cell) -> str:
    """Return the fingerprint of all that a cell's result depends on: autolog's code, the tests, the requirements."""
    digest = hashlib.sha256()
    digest.update(json.dumps(asdict(cell), sort_keys=True).encode())
    for path in sorted(_files(cell)):
        digest.update(str(path.relative_to(ROOT)).encode())
        # Leave out `tested`, which is made from results: writing it must not make them stale.
        digest.update(b"".join(line for line in path.open("rb") if not line.startswith(b"    tested = ")))
    return digest.hexdigest()[:16]


def is_stale(cell: Cell, held: dict[str, dict[str, Any]]) -> bool:
    """Return whether the cell has no result for the current code."""
    result = held.get(cell.name)
    return result is None or result["fingerprint"] != fingerprint(cell)


def tested(name: str, held: Iterable[dict[str, Any]]) -> tuple[str, str] | None:
    """Return the oldest and the newest version of a framework in cells that passed, or None."""
    from packaging.version import Version

    green = [
        Version(result["frameworks"][name])
        for result in held
        if result["status"] in GOOD and result["frameworks"].get(name)
    ]
    return (str(min(green)), str(max(green))) if green else None


def _files(cell: Cell) -> Iterator[Path]:
    folders = [ROOT / "autolog", *(ROOT / "integrations" / f"autolog_{name}" for name in cell.frameworks)]
    folders += [ROOT / "tests" / one for one in cell.tests]
    for one in folders:
        yield from [one] if one.is_file() else one.rglob("*.py")
    yield ROOT / "pyproject.toml"
    for helper in ("conftest.py", "helpers.py", "contract/conftest.py", "tools/conftest.py"):
        yield ROOT / "tests" / helper
