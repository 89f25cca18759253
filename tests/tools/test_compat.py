"""The compatibility matrix: what is declared, what was run, and what is said of it agree."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # last: what is installed stays what is tested

from compat import cells, index, results, run, table  # noqa: E402

MATRIX = """
pythons = ["3.10", "3.11", "3.12"]
requires = ["pytest"]

[frameworks.toy]
package = "toy-cpu"
versions = ["1.0.2", "1.1.0", "2.0.0"]
requires = ["numpy"]
optional = ["pandas"]
rules = [
  { for = "<1.1", package = "toy", python = "<3.12", requires = ["numpy<2", "pandas<2"] },
  { for = ">=2", python = ">=3.11" },
]
missing = [{ for = "<2", targets = ["toy:predict"] }]

[cells.toy-bare]
frameworks = ["toy 1.0.2"]
python = "3.10"
bare = true

[cells.toy-pre]
frameworks = ["toy"]
python = "3.12"
pre = true

[[known]]
cells = "toy-1.0.2-*"
reason = "it was never good on it"
"""


def matrix(tmp_path: Path, text: str = MATRIX) -> cells.Matrix:
    path = tmp_path / "matrix.toml"
    path.write_text(text)
    cells.matrix.cache_clear()
    return cells.matrix(path)


def test_a_matrix_says_once_what_each_cell_is(tmp_path: Path) -> None:
    """The oldest version on its oldest Python, the newest on every one, those between on one; rules add what they need."""
    found = matrix(tmp_path).cells
    tests = ("integrations/toy", "contract/test_toy.py", "tools/test_patch_points.py")
    assert [(one.name, one.requires, one.known) for one in found] == [
        ("toy-1.0.2-py310", ("pytest", "toy==1.0.2", "numpy", "pandas", "numpy<2", "pandas<2"), "it was never good on it"),
        ("toy-1.1.0-py311", ("pytest", "toy-cpu==1.1.0", "numpy", "pandas"), ""),
        ("toy-2.0.0-py311", ("pytest", "toy-cpu==2.0.0", "numpy", "pandas"), ""),
        ("toy-2.0.0-py312", ("pytest", "toy-cpu==2.0.0", "numpy", "pandas"), ""),
        ("toy-bare", ("pytest", "toy==1.0.2", "numpy", "numpy<2"), ""),
        ("toy-pre", ("pytest", "toy-cpu", "numpy", "pandas"), ""),
    ]  # fmt: skip
    assert all(one.tests == tests for one in found)
    assert found[-1].title == "toy newest on Python 3.12, with pre-releases"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (MATRIX.replace("optional =", "optoinal ="), "frameworks.toy: unknown key 'optoinal'"),
        (MATRIX.replace('"1.0.2", "1.1.0"', '"1.1.0", "1.0.2"'), "sort the versions, oldest first"),
        (MATRIX.replace('["toy"]', '["tyo"]'), "cells.toy-pre: unknown framework 'tyo'"),
        (MATRIX.replace(">=3.11", ">=3.15"), "frameworks.toy: no Python is allowed for 2.0.0"),
    ],
)
def test_an_impossible_matrix_is_an_error_that_says_where(tmp_path: Path, wrong: str, says: str) -> None:
    with pytest.raises(cells.MatrixError, match=says):
        matrix(tmp_path, wrong)


def test_what_a_version_does_not_have_is_declared_for_that_version(tmp_path: Path) -> None:
    toy = matrix(tmp_path).frameworks["toy"]
    assert toy.declared_missing("1.1.0") == {"toy:predict"}
    assert toy.declared_missing("2.0.0") == set()


def line(cell: str, status: str, version: str = "1.0") -> dict[str, Any]:
    return {
        "cell": cell, "status": status, "reason": "two tests" if status == "fail" else "", "fingerprint": "x",
        "frameworks": {"toy": version},
    }  # fmt: skip


def test_the_latest_result_of_each_cell_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    for one in (line("b", "fail"), line("a", "pass"), line("b", "pass")):
        results.write(one, path)
    assert results.read(path) == {"a": line("a", "pass"), "b": line("b", "pass")}
    assert [one.name for one in tmp_path.iterdir()] == ["results.jsonl"]


def test_a_result_is_stale_once_the_code_that_it_tested_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its integration, its tests and the core count; another integration does not."""
    for name in (
        "autolog/a.py",
        "integrations/autolog_toy/b.py",
        "integrations/autolog_other/c.py",
        "pyproject.toml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    for name in (
        "conftest.py",
        "helpers.py",
        "contract/conftest.py",
        "contract/test_toy.py",
        "tools/conftest.py",
        "tools/test_patch_points.py",
    ):
        (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / name).write_text("1")
    cell = matrix(tmp_path).cells[0]
    monkeypatch.setattr(results, "ROOT", tmp_path)
    held = {cell.name: {**line(cell.name, "pass"), "fingerprint": results.fingerprint(cell)}}
    assert not results.is_stale(cell, held)
    assert results.is_stale(cell, {})
    (tmp_path / "integrations/autolog_other/c.py").write_text("2")
    assert not results.is_stale(cell, held)
    (tmp_path / "integrations/autolog_toy/b.py").write_text(
        '    tested = "1.0 to 2.0"\n1'
    )  # what a table writes there
    assert not results.is_stale(cell, held)
    (tmp_path / "tests/contract/test_toy.py").write_text("2")
    assert results.is_stale(cell, held)


def test_the_table_shows_what_was_run_and_why_something_failed(tmp_path: Path) -> None:
    """What no Python is for is empty, what was not run is a dot."""
    held = {
        one["cell"]: one
        for one in (
            line("toy-1.0.2-py310", "known"), line("toy-2.0.0-py311", "pass"), line("toy-2.0.0-py312", "fail"),
            line("toy-bare", "pass"),
        )
    }  # fmt: skip
    assert table.render(matrix(tmp_path), held).splitlines() == [
        "| | version | 3.10 | 3.11 | 3.12 |",
        "|---|---|---|---|---|",
        "| toy | 2.0.0 |  | ✓ | ✗ |",
        "| toy | 1.0.2 | ✗ |  |  |",
        "",
        "Of several frameworks, with older companions, without what is optional, before release: `toy-bare` ✓.",
        "",
        "`toy-1.0.2-py310` ✗: ",
        "",
        "`toy-2.0.0-py312` ✗: two tests",
    ]


def test_new_releases_are_taken_once_they_are_a_week_old(tmp_path: Path) -> None:
    """Of each minor its newest patch, in the place of the one before; the oldest version stays."""
    toy = matrix(tmp_path).frameworks["toy"]
    days = {"1.1.0": 1, "1.1.5": 2, "2.0.0": 3, "2.0.1": 10, "2.1.0": 11, "2.1.1": 12, "3.0.0": 20}
    dates = {Version(one): datetime(2026, 1, day, tzinfo=timezone.utc) for one, day in days.items()}
    found = index.choose(toy, dates, datetime(2026, 1, 15, tzinfo=timezone.utc))
    assert found == index.News("toy", add=("2.0.1", "2.1.1"), drop=("2.0.0",), waiting=("3.0.0",))
    path = tmp_path / "matrix.toml"
    pytest.importorskip("tomlkit", reason="in the extra `compat`")
    index.write([found], path)
    assert path.read_text() == MATRIX.replace(
        'versions = ["1.0.2", "1.1.0", "2.0.0"]', 'versions = ["1.0.2", "1.1.0", "2.0.1", "2.1.1"]'
    )


def test_a_red_cell_names_the_tests_that_failed(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "test_it.py").write_text(
        "import json, pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert False\n"
        "@pytest.mark.skip\ndef test_left_out(): pass\n"
        "@pytest.mark.parametrize('name', ['toy'])\n"
        "def test_points(name, record_property): record_property('points', json.dumps({'found': 3, 'missing': []}))\n"
    )
    report = tmp_path / "junit.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "test_it.py"],
        cwd=tmp_path, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert run._outcome(report) == {
        "passed": 2, "failed": 1, "skipped": 1, "points": {"toy": {"found": 3, "missing": []}},
        "reason": "test_it::test_bad",
    }  # fmt: skip


# -- this repository's own


@pytest.fixture
def declared() -> cells.Matrix:
    cells.matrix.cache_clear()
    return cells.matrix()


def test_the_oldest_version_in_the_matrix_is_the_floor_of_its_integration(declared: cells.Matrix) -> None:
    folders = {
        path.parent.name.removeprefix("autolog_")
        for path in (ROOT / "integrations").glob("autolog_*/__init__.py")
        if "(Integration):" in path.read_text()
    }
    assert set(declared.frameworks) == folders
    for name, framework in declared.frameworks.items():
        text = (ROOT / f"integrations/autolog_{name}/__init__.py").read_text()
        supports = Requirement(text.partition('supports = "')[2].partition('"')[0])
        oldest = Version(framework.versions[0])
        assert oldest in supports.specifier, name
        floor = next(one.version for one in supports.specifier if one.operator == ">=")
        assert Version(floor).release[:2] == oldest.release[:2], name


def test_the_documented_versions_are_those_that_were_tested(declared: cells.Matrix) -> None:
    """docs/compatibility.md and each integration's `tested` are made of results.jsonl: `python -m compat table`."""
    held = results.read()
    assert set(held) <= {cell.name for cell in declared.cells}, (
        "results of cells that are gone: remove their lines"
    )
    assert table.block(table.PAGE.read_text()) == table.render(declared, held)
    for name in declared.frameworks:
        assert table.stated(name) == table.wanted(name, held), name


def test_tox_reads_the_cells_of_the_matrix(declared: cells.Matrix, tmp_path: Path) -> None:
    import subprocess

    for module in ("tox", "tox_uv"):
        pytest.importorskip(module, reason="in the extra `compat`")
    command = [sys.executable, "-m", "tox", "-c", str(ROOT / "compat"), "--workdir", str(tmp_path)]
    listed = subprocess.run(
        [*command, "list", "--no-desc"], capture_output=True, text=True, check=True, timeout=60
    )
    assert [cell.name for cell in declared.cells] == [
        name for name in listed.stdout.split() if name in {cell.name for cell in declared.cells}
    ]
    shown = subprocess.run(
        [*command, "config", "-e", "boosters", "-k", "deps", "commands", "base_python"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    boosters = next(cell for cell in declared.cells if cell.name == "boosters")
    assert all(one in shown for one in (*boosters.requires, *boosters.tests, boosters.python))
