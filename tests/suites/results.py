"""What came of the suites and scripts the last time, one line each in results.jsonl, and the tables made of them: RESULTS.md.

    python tests/suites/results.py        (makes the tables anew)

Knows nothing of how they are run.
"""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS, TABLES = HERE / "results.jsonl", HERE / "RESULTS.md"
LEFT_OUT = ("changed outcomes", "no longer failing", "added tests")
"""Changes that are none for the worse are counted, not listed."""


def keep(
    kind: str, name: str, tool: str, said: dict[str, Any], versions: list[str], path: Path = RESULTS
) -> None:
    """Put a line in the place of the last one of that kind, name and tool, and make the tables anew."""
    line = {
        "kind": kind, "name": name, "tool": tool, "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(),
        "versions": versions, **said,
    }  # fmt: skip
    held = {(one["kind"], one["name"], one["tool"]): one for one in read(path)}
    held[kind, name, tool] = line
    lines = [json.dumps(held[key], ensure_ascii=False) for key in sorted(held)]
    path.write_text("\n".join(lines) + "\n")
    if path == RESULTS:
        TABLES.write_text(render(read(path)))


def read(path: Path = RESULTS) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def of_suite(result: dict[str, Any], changes: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What is kept of a comparison of `run.py`."""
    return {
        "plain": dict(result["outcomes"][0]), "with": dict(result["outcomes"][1]), "seconds": result["seconds"],
        "recorded": result["recorded"], "changes": {title: sorted(entries)[:20] for title, entries in changes.items()},
    }  # fmt: skip


def of_scripts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What is kept of the rows of `scripts.py`."""
    kept = ("script", "exit", "changed", "wall", "cpu", "recorded")
    return {"scripts": [{key: row[key] for key in kept} for row in rows]}


def render(lines: list[dict[str, Any]]) -> str:
    """Markdown: the suites, then the scripts; then those that a peer was measured with."""
    ours = [line for line in lines if line["tool"] == "autolog"]
    peers = sorted({line["tool"] for line in lines} - {"autolog"})
    return f"""# The frameworks' own tests and example scripts, with autolog and without

Made by `run.py --note NAME` and `scripts.py --note NAME`; what they say is also in [results.jsonl](results.jsonl). New
failures are those that fail only with autolog on. What changes by itself from one plain run to the
next, as random streams of unseeded tests, is listed with the rest. Times are ratios, with to without; those of CPU say more,
as the machine had other work beside.
{_tables(ours)}{"".join(_beside(peer, [line for line in lines if line["tool"] == peer]) for peer in peers)}"""


def _beside(peer: str, lines: list[dict[str, Any]]) -> str:
    return f"""
## Some of them under {peer}, by `--with {peer}`
{_tables(lines)}"""


def _tables(lines: list[dict[str, Any]]) -> str:
    suites = [_suite(line) for line in lines if line["kind"] == "suite"]
    scripts = [_scripts(line) for line in lines if line["kind"] == "scripts"]
    return (_SUITES + "".join(suites) if suites else "") + (_SCRIPTS + "".join(scripts) if scripts else "")


_SUITES = """
| tests | versions | passed plain / with | new failures | other changes | time of the tests | CPU | runs | date |
|---|---|---|---|---|---|---|---|---|
"""
_SCRIPTS = """
| scripts | versions | run | changed output, exit or result | time | CPU | time of those over 10 s | their CPU | runs | date |
|---|---|---|---|---|---|---|---|---|---|
"""


def _suite(line: dict[str, Any]) -> str:
    changes = {title: names for title, names in line["changes"].items() if title not in LEFT_OUT}
    new = changes.pop("new failures", [])
    other = "; ".join(f"{title}: {len(names)}" for title, names in changes.items())
    runs = line["recorded"].get("runs", {})
    cells = [
        line["name"], ", ".join(line["versions"]), f"{line['plain'].get('passed', 0):,} / {line['with'].get('passed', 0):,}",
        f"{len(new)}" + (f": {', '.join(new)}" if new else ""), other, _ratio(line["seconds"]["tests"]),
        _ratio(line["seconds"]["cpu"]), f"{sum(runs.values()):,}", line["date"],
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _scripts(line: dict[str, Any]) -> str:
    rows = line["scripts"]
    changed = [f"{row['script']} ({', '.join(row['changed'])})" for row in rows if row["changed"]]
    failed = sum(row["exit"] not in (0, None) and "exit" not in row["changed"] for row in rows)
    whole = [row for row in rows if row["exit"] is not None]  # what ran out of time has no time to compare
    long = [row for row in whole if row["wall"][0] > 10]
    runs = sum(sum(row["recorded"].get("runs", {}).values()) for row in rows)
    cells = [
        line["name"], ", ".join(line["versions"]),
        f"{len(rows)}" + (f", {failed} fail in both" if failed else "")
        + (f", {len(rows) - len(whole)} out of time" if len(whole) < len(rows) else ""),
        ", ".join(changed) or "none", _cost(whole, "wall"), _cost(whole, "cpu"),
        f"{_cost(long, 'wall')} (of {len(long)})" if long else "", _cost(long, "cpu"), f"{runs:,}", line["date"],
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _cost(rows: list[dict[str, Any]], name: str) -> str:
    """Of all of them together, so that many short ones do not hide what a long one costs."""
    return _ratio([sum(row[name][side] for row in rows) for side in (0, 1)])


def _ratio(pair: list[float]) -> str:
    return f"{pair[1] / pair[0]:.2f}" if pair[0] else ""


if __name__ == "__main__":
    TABLES.write_text(render(read()))
