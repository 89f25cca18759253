"""Makes the table of tested versions in the docs from results.jsonl, and reads it to check that it is current."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from compat import results
from compat.cells import ROOT, Matrix

PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- compat: made by `python -m compat table` -->", "<!-- compat: end -->"
SIGNS = {"pass": "✓", "known": "✗", "fail": "✗", "skip": "–"}


def render(matrix: Matrix, held: dict[str, dict[str, Any]]) -> str:
    """Return Markdown: a row per framework and version, a column per Python, and the other cells below."""
    if not held:
        return "No environment has been run yet."
    lines = [f"| | version | {' | '.join(matrix.pythons)} |", f"|---|---|{'---|' * len(matrix.pythons)}"]
    special: list[str] = []
    for one in matrix.frameworks.values():
        for version in reversed(one.versions):
            cells = {
                cell.python: cell for cell in matrix.cells if cell.name.startswith(f"{one.name}-{version}-py")
            }
            signs = [
                _sign(held.get(cells[python].name)) if python in cells else "" for python in matrix.pythons
            ]
            if any(sign not in ("", "·") for sign in signs):
                lines.append(f"| {one.name} | {version} | {' | '.join(signs)} |")
    for cell in matrix.cells:
        if not re.search(r"-py\d+$", cell.name) and cell.name in held:
            result = held[cell.name]
            special.append(f"`{cell.name}` {SIGNS[result['status']]}")
    reasons = {r["cell"]: r["reason"] for r in held.values() if r["status"] in ("fail", "known")}
    text = "\n".join(lines)
    if special:
        what = "Of several frameworks, with older companions, without what is optional, before release"
        text += f"\n\n{what}: {', '.join(special)}."
    for cell, reason in sorted(reasons.items()):
        text += f"\n\n`{cell}` ✗: {reason}"
    return text


def _sign(result: dict[str, Any] | None) -> str:
    return "·" if result is None else SIGNS[result["status"]]


def block(text: str) -> str:
    """Return the text between the page's marks.

    Raises:
        ValueError: if the marks are missing.
    """
    _before, begin, rest = text.partition(BEGIN)
    inner, end, _ = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return inner.strip()


def write(matrix: Matrix, page: Path = PAGE) -> bool:
    """Write the table into the page and the tested range into each integration. Return whether anything has changed."""
    held = results.read()
    text = page.read_text()
    old = block(text)
    new = render(matrix, held)
    changed = old != new
    if changed:
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n{new}\n{END}{after}")
    for name in matrix.frameworks:
        changed |= _write_tested(name, wanted(name, held))
    return changed


def wanted(name: str, held: dict[str, dict[str, Any]]) -> str:
    """Return what an integration's `tested` should be, such as `1.3.0 to 1.9.1`."""
    found = results.tested(name, held.values())
    return "" if found is None else found[0] if found[0] == found[1] else f"{found[0]} to {found[1]}"


def stated(name: str) -> str:
    """Return what an integration's `tested` is."""
    match = _TESTED.search(_source(name).read_text())
    return match["value"] if match else ""


_TESTED = re.compile(r'^    tested = "(?P<value>[^"]*)"\n', re.MULTILINE)
_SUPPORTS = re.compile(r'^    supports = "[^"]*"\n', re.MULTILINE)


def _source(name: str) -> Path:
    return ROOT / "integrations" / f"autolog_{name}" / "__init__.py"


def _write_tested(name: str, value: str) -> bool:
    path = _source(name)
    text = path.read_text()
    without = _TESTED.sub("", text)
    line = f'    tested = "{value}"\n' if value else ""
    new = _SUPPORTS.sub(lambda match: match[0] + line, without, count=1)
    if new != text:
        path.write_text(new)
    return new != text
