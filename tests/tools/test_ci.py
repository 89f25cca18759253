"""The promise: `.ci/run` leaves out only what is unchanged since it passed, and the test command says what it leaves out."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ci() -> Iterator[ModuleType]:
    """`.ci/stages.py`, which is in no package."""
    yield from imported("stages")


@pytest.fixture(scope="module")
def runner() -> Iterator[ModuleType]:
    """`.ci/runner.py`."""
    yield from imported("runner")


def imported(name: str) -> Iterator[ModuleType]:
    """Import it as `.ci/run` does; then what is installed is again what is tested."""
    path, modules = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(ROOT / ".ci"))
    try:
        module = importlib.import_module(name)
    finally:
        sys.path[:] = path
    yield module
    for one in {"stages", "runner"} & (set(sys.modules) - modules):
        del sys.modules[one]


def record(core: str, own: str, day: int, **more: str) -> dict[str, str]:
    return {"core": core, "own": own, "ended": f"2026-01-{day:02}T00:00:00+00:00", **more}


def test_changes_decide_whether_a_stage_runs_whole_short_or_not_at_all(ci: ModuleType) -> None:
    """The table in the module's docstring; and the one whose last whole pass is the oldest runs whole in any case."""
    names = ("new", "own", "core", "core, no short", "none", "none, short", "oldest")
    short = ((),)
    stages = [ci.Stage(name, "", (), ((),), () if name == "core, no short" else short) for name in names]
    now = {name: ci.Inputs("core 2", "own 2") for name in names}
    records = {
        "own": record("core 2", "own 1", 9),
        "core": record("core 1", "own 2", 8),
        "core, no short": record("core 1", "own 2", 7),
        "none": record("core 2", "own 2", 6),
        "none, short": record("core 1", "own 2", 5, short="core 2"),
        "oldest": record("core 2", "own 2", 4),
    }
    assert ci.decide(stages, now, records) == {
        "new": ("whole", "it has no recorded pass"),
        "own": ("whole", "its own files or versions have changed"),
        "core": ("short", "the core has changed"),
        "core, no short": ("whole", "the core has changed"),
        "none": (None, "unchanged since its pass of 2026-01-06"),
        "none, short": (None, "unchanged since its short pass; whole on 2026-01-05"),
        "oldest": ("whole", "its turn: its last whole pass was on 2026-01-04"),
    }


def test_without_a_change_the_oldest_stage_runs(ci: ModuleType) -> None:
    """And each has its turn: after a pass, another is the oldest."""
    stages = [ci.Stage(name, "", (), ((),)) for name in "abc"]
    now = {stage.name: ci.Inputs("core", "own") for stage in stages}
    records = {name: record("core", "own", day) for name, day in zip("abc", (2, 3, 4), strict=True)}
    turns = []
    for day in range(5, 9):
        [turn] = [name for name, (how, _) in ci.decide(stages, now, records).items() if how]
        turns.append(turn)
        records[turn] = record("core", "own", day)
    assert turns == ["a", "b", "c", "a"]


def test_a_change_of_one_integration_runs_its_stages_and_no_other(ci: ModuleType) -> None:
    stages = [ci.Stage(name, "", (), ((),), ((),)) for name in "abc"]
    now = {stage.name: ci.Inputs("core", "own 2" if stage.name == "b" else "own") for stage in stages}
    records = {name: record("core", "own", 2) for name in "abc"}
    assert [name for name, (how, _) in ci.decide(stages, now, records).items() if how] == ["b"]


def test_a_change_makes_the_stages_that_depend_on_it_old(ci: ModuleType, tmp_path: Path) -> None:
    for folder in ("autolog", "integrations", "tests", "compat", "docs", ".ci"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def changed(name: str, text: str = "\n# changed\n") -> tuple[set[str], bool]:
        """The stages whose own inputs change with a file, and whether the core does."""
        path = tmp_path / name
        kept = path.read_bytes() if path.exists() else None
        before = ci.inputs(ci.STAGES, tmp_path)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((kept or b"") + text.encode())
        after = ci.inputs(ci.STAGES, tmp_path)
        path.unlink() if kept is None else path.write_bytes(kept)
        own = {name for name in before if before[name].own != after[name].own}
        return own, any(before[name].core != after[name].core for name in before)

    assert changed("integrations/autolog_keras/__init__.py") == ({"keras"}, False)
    assert changed("integrations/autolog_torch/__init__.py") == ({"torch", "lightning"}, False)
    assert changed("tests/integrations/pyspark/test_pyspark_tasks.py") == ({"pyspark"}, False)
    assert changed("tests/integrations/xgboost/test_xgboost_bare.py") == (
        {"slow", "oldest-xgboost", "newest-xgboost"},
        False,
    )
    assert changed(".ci/versions/torch.txt") == ({"torch", "lightning"}, False)
    assert changed("compat/matrix.toml") == (
        {stage.name for stage in ci.STAGES if stage.cell},
        False,
    )
    assert changed("autolog/client.py") == (set(), True)
    assert changed("tests/helpers.py") == (set(), True)
    assert changed("integrations/README.md") == ({"docs"}, False)
    assert changed("docs/tour.md") == ({"docs"}, False)
    assert changed("docs/frameworks/keras.md") == ({"docs", "keras"}, False)
    assert changed("integrations/autolog_keras/__init__.py", "    tested = '1'\n") == (set(), False)


def test_each_test_belongs_to_a_stage_that_runs_it_whole(ci: ModuleType) -> None:
    """A folder of tests that no stage names would never be run: but for the README's command, which runs what is installed."""
    named = {
        word
        for stage in ci.STAGES
        for command in stage.whole
        for word in command
        if word.startswith("tests/")
    }
    used = named | {
        word
        for stage in ci.STAGES
        for command in stage.short
        for word in command
        if word.startswith("tests/")
    }
    assert [name for name in used if not (ROOT / name).exists()] == []
    own = {name for stage in ci.STAGES for name in stage.own if not name.startswith(".ci/versions")}
    assert [name for name in own if not (ROOT / name).exists()] == []
    folders = {
        f"tests/integrations/{path.name}"
        for path in (ROOT / "tests" / "integrations").iterdir()
        if path.is_dir()
    }
    scripts = {path.name.partition("_")[0] for path in ci.SCRIPTS.glob("*.py")} - {"test"}
    with_scripts = {stage.name for stage in ci.STAGES if any("tests/scripts" in one for one in stage.whole)}
    assert scripts - set(ci.BOOSTERS) == with_scripts
    assert {name for name in folders if not name.endswith("__pycache__")} <= named
    contracts = {f"tests/contract/{path.name}" for path in (ROOT / "tests" / "contract").glob("test_*.py")}
    of_frameworks = {
        name for name in contracts if name.rpartition("test_")[2].removesuffix(".py") in " ".join(folders)
    }
    assert of_frameworks <= named


def test_stages_run_side_by_side_except_for_measurements_and_the_readmes_environment(
    ci: ModuleType,
) -> None:
    assert [stage.name for stage in ci.STAGES if not stage.beside] == [
        "slow", "slow-sinks", "suites", "figures", "mlflow-oldest",
    ]  # fmt: skip
    assert [stage.name for stage in ci.STAGES if stage.alone] == ["figures"]


def test_ci_runs_the_commands_that_the_readme_shows(runner: ModuleType) -> None:
    first, second = runner.readme_commands(ROOT)
    assert first.startswith("python -m venv .venv")
    assert "tests/quickstart.py" in first
    assert second == "pip install '.[test]' && python -m pytest"


def test_a_report_of_pytest_is_counted(runner: ModuleType, tmp_path: Path) -> None:
    """Numbers and times, and which slow tests give no reason."""
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites><testsuite name="pytest">'
        '<testcase classname="tests.unit.test_a" name="test_quick" time="0.5"/>'
        '<testcase classname="tests.unit.test_a" name="test_bad" time="1"><failure message="x"/></testcase>'
        '<testcase classname="tests.unit.test_a" name="test_out" time="0"><skipped message="x"/></testcase>'
        '<testcase classname="tests.unit.test_a" name="test_long" time="40"/>'
        '<testcase classname="tests.unit.test_a" name="test_says_why" time="40">'
        '<properties><property name="slow" value="12 kills"/></properties></testcase>'
        "</testsuite></testsuites>"
    )
    outcome = runner.Outcome()
    runner.add(outcome, report)
    assert (outcome.passed, outcome.failed, outcome.skipped) == (3, 1, 1)
    assert outcome.times["tests/unit/test_a::test_long"] == 40
    assert outcome.unexplained == {"tests/unit/test_a::test_long": 40}


def run_pytest(folder: Path, tests: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tests with this project's settings and conftest, in a folder of their own."""
    framework = folder / "tests" / "integrations" / "nowhere_to_be_found"
    framework.mkdir(parents=True, exist_ok=True)
    (framework / "test_nowhere.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    (folder / "tests" / "test_it.py").write_text(tests)
    # No parallel runs for two tests.
    options = ("-p", "no:cacheprovider", "-p", "no:randomly", "-n", "0", *arguments)
    command = [sys.executable, "-m", "pytest", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


SLOW = '''
import pytest

def test_quick():
    pass

@pytest.mark.slow
def test_long():
    """A promise.

    Slow: it kills
    twelve processes.
    """
'''


def test_the_test_command_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Slow tests, and those of frameworks that are not installed; with how to run them. Reports say why a test is slow."""
    done = run_pytest(tmp_path, SLOW)
    assert "slow tests: python -m pytest -m slow" in done.stdout
    assert "tests of nowhere_to_be_found, not installed: bash .ci/run nowhere_to_be_found" in done.stdout
    assert "1 passed, 1 deselected" in done.stdout
    done = run_pytest(tmp_path, SLOW, "-m", "slow", "--junitxml=report.xml")
    assert "1 passed, 1 deselected" in done.stdout
    assert "slow tests:" not in done.stdout
    assert (
        '<property name="slow" value="it kills twelve processes." />' in (tmp_path / "report.xml").read_text()
    )
    assert "left out" not in run_pytest(tmp_path, SLOW, "-m", "", "tests/test_it.py").stdout


def test_a_test_that_is_marked_slow_must_say_why(tmp_path: Path) -> None:
    tests: Any = SLOW.replace("Slow: it kills\n    twelve processes.\n", "")
    done = run_pytest(tmp_path, tests, "-m", "slow")
    assert done.returncode == 4
    assert 'test_it.py::test_long is marked slow; its docstring must say why: "Slow: …"' in done.stderr
