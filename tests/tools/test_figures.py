"""What is said of figures is what was measured: the tables are made from what is kept, and from nothing else."""

from __future__ import annotations

import html
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]


def module(path: str) -> ModuleType:
    """A module of the tools beside the tests, by its file."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, TESTS / path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_page_of_figures_is_up_to_date() -> None:
    figures = module("benchmarks/figures.py")
    assert figures.PAGE.read_text() == figures.render(figures.read())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_chart_of_figures_is_up_to_date(theme: str) -> None:
    """`python docs/pictures.py` makes it."""
    figures = module("benchmarks/figures.py")
    text = (TESTS.parent / "docs" / "pictures" / f"cost-{theme}.svg").read_text()
    drawn = json.loads(html.unescape(text.partition("<dc:description>")[2].partition("</dc:description>")[0]))
    assert drawn == [list(bar) for bar in figures.added(figures.read())]


def test_the_table_of_suites_is_up_to_date() -> None:
    results = module("suites/results.py")
    assert results.TABLES.read_text() == results.render(results.read())


def test_a_row_that_is_measured_again_replaces_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = module("benchmarks/figures.py")
    path = tmp_path / "figures.json"

    def measured(what: str, plain: float, autolog: float) -> dict[str, Any]:
        sides = {"plain": plain, "autolog": autolog}
        return {
            "what": what,
            "unit": "ms",
            "goal": "",
            **{n: {"min": v, "median": v + 1} for n, v in sides.items()},
        }

    for day, rows in (
        ("2026-01-01", [measured("a fit", 5, 9), measured("a step", 1234.5, 2)]),
        ("2026-01-02", [measured("a fit", 4, 0.12345)]),
    ):
        about = {"date": day, "python": "3.11", "machine": "2 × CPU", "versions": {"xgboost": "3.2.0"}}
        monkeypatch.setattr(figures, "circumstances", lambda about=about: about)
        held = figures.keep(rows, path)
    assert held == figures.read(path)
    assert figures.render(held).partition("the variants in turn.\n\n")[2] == (
        "### 2026-01-02, Python 3.11, 2 × CPU: xgboost 3.2.0\n"
        "\n"
        "|  | unit | plain | **autolog** | goal |\n"
        "|---|---|---|---|---|\n"
        "| a fit | ms | 4 / 5 | 0.1235 / 1.123 |  |\n"
        "\n"
        "### 2026-01-01, Python 3.11, 2 × CPU: xgboost 3.2.0\n"
        "\n"
        "|  | unit | plain | **autolog** | goal |\n"
        "|---|---|---|---|---|\n"
        "| a step | ms | 1,234 / 1,236 | 2 / 3 |  |\n"
    )


def test_a_suite_that_has_got_worse_is_named_in_its_row(tmp_path: Path) -> None:
    """What is listed is what only fails with autolog on; scripts are counted together, the long ones alone."""
    results = module("suites/results.py")
    path = tmp_path / "results.jsonl"
    suite = {
        "outcomes": [{"passed": 1002, "failed": 1}, {"passed": 1001, "failed": 2}], "recorded": {"runs": {"finished": 40}},
        "seconds": {"tests": [10.0, 11.0], "wall": [12.0, 13.0], "cpu": [10.0, 10.5]},
    }  # fmt: skip
    changes = {
        "new failures": {"a.py::b": "passed -> failed"},
        "moved random streams": {"x": "1", "y": "2"},
    }
    results.keep("suite", "its tests", "autolog", results.of_suite(suite, changes), ["toy 1.2"], path)
    rows = [
        {
            "script": "a.py", "exit": 0, "changed": {}, "wall": [20.0, 20.4], "cpu": [18.0, 18.0],
            "recorded": {"runs": {"finished": 2}},
        },
        {"script": "b.py", "exit": 0, "changed": {"stdout": "…"}, "wall": [1.0, 2.0], "cpu": [1.0, 1.0], "recorded": {}},
        {"script": "c.py", "exit": 1, "changed": {}, "wall": [1.0, 1.0], "cpu": [1.0, 1.0], "recorded": {}},
        {"script": "d.py", "exit": None, "changed": {}, "wall": [60.0, 60.0], "cpu": [9.0, 60.0], "recorded": {}},
    ]  # fmt: skip
    results.keep("scripts", "its examples", "autolog", results.of_scripts(rows), ["toy 1.2"], path)
    results.keep("scripts", "its examples", "peer", results.of_scripts(rows[:1]), ["toy 1.2"], path)
    lines = [{**line, "date": "2026-01-01"} for line in results.read(path)]
    shown = [line for line in results.render(lines).splitlines() if "toy" in line]
    assert shown == [
        "| its tests | toy 1.2 | 1,002 / 1,001 | 1: a.py::b | moved random streams: 2 | 1.10 | 1.05 | 40 | 2026-01-01 |",
        "| its examples | toy 1.2 | 4, 1 fail in both, 1 out of time | b.py (stdout) | 1.06 | 1.00 | 1.02 (of 1) | 1.00 | 2 | 2026-01-01 |",  # noqa: E501
        "| its examples | toy 1.2 | 1 | none | 1.02 | 1.00 | 1.02 (of 1) | 1.00 | 2 | 2026-01-01 |",
    ]


@pytest.mark.parametrize(
    ("goal", "unit", "plain", "autolog", "times"),
    [
        ("15 above plain", "ms", 100, 130, 2),
        ("3 % above plain", "ms", 100, 106, 2),
        ("3", "µs", 0, 1.5, 0.5),
        ("300,000", "points a second", 0, 150_000, 2),
        ("", "ms", 1, 2, None),
        ("as its client", "points a second", 1, 2, None),
    ],
)
def test_a_cost_is_shown_as_a_multiple_of_its_goal(
    goal: str, unit: str, plain: float, autolog: float, times: float | None
) -> None:
    values = {
        name: {"min": value, "median": value} for name, value in (("plain", plain), ("autolog", autolog))
    }
    row = {"what": "x", "unit": unit, "goal": goal, **values}
    assert module("benchmarks/figures.py").cost(row) == (None if times is None else pytest.approx(times))
