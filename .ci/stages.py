"""The stages of `.ci/run`: which there are, which may be left out, and what came of them.

A *stage* is an environment and tests that run in it. `lint`, `readme` and `types` run every time. Each other stage has a record
of its last pass in `.ci/passed/`, with fingerprints of what it depends on:

    core      autolog/, what all tests share, pyproject.toml
    own       its integrations, its tests, the versions in its environment (`.ci/versions/`; a cell's: compat/)

| changed since | the stage runs |
|---|---|
| its own inputs, or it has no record | whole |
| the core only | short: its contract and one file more |
| nothing | not at all |

One of those that would not run whole does so all the same: the one whose last whole pass is the oldest. So each has its turn.
Records and versions are part of the repository: commit them with the change.

Knows pip, uv and pytest's XML. What a cell of the matrix is, `compat` knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from xml.etree import ElementTree

import typer
from rich.console import Console
from rich.table import Column, Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from compat.cells import interpreter, matrix  # noqa: E402

PASSED = ROOT / ".ci" / "passed"
VERSIONS = ROOT / ".ci" / "versions"
CORE = (
    "autolog",
    "tests/conftest.py",
    "tests/helpers.py",
    "tests/fixtures",
    "tests/contract/conftest.py",
    "pyproject.toml",
)
SLOW = 20
"""Seconds. A slower test says why in its docstring, in a sentence that begins with "Slow:"."""

How = Literal["whole", "short"]
Plan = dict[str, "tuple[How | None, str]"]
"""How each stage runs (None: it is left out), and why."""
console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Environment:
    """A virtual environment: made once, however many stages use it."""

    name: str
    requires: tuple[str, ...]
    alone: tuple[str, ...] = ()
    """Installed after the others and without what they require."""
    python: str = ""
    """A version. Empty: the one that runs this."""
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stage:
    name: str
    title: str
    own: tuple[str, ...]
    """Files and folders that it depends on beside the core."""
    whole: tuple[tuple[str, ...], ...]
    """Its commands: arguments for its environment's Python."""
    short: tuple[tuple[str, ...], ...] = ()
    """What is run where only the core has changed. Empty: as `whole`."""
    environment: Environment | None = None
    """None: the README's."""
    cell: str = ""
    """The cell of the matrix that it is a part of. Then `whole` and `short` are paths below tests/."""


def tests(*arguments: str) -> tuple[str, ...]:
    """A command: pytest, with the slow tests."""
    return ("-m", "pytest", "-q", "-m", "", *arguments)


def integration(name: str, smoke: str, environment: Environment, *more: str, flavor: str = "") -> Stage:
    """The stage of a framework that has an environment of its own."""
    contract, folder = f"tests/contract/test_{name}.py", f"tests/integrations/{name}"
    whole = [tests(contract, folder), tests("tests/models", "-k", flavor or name)]
    own = (f"integrations/autolog_{name}", contract, folder, "tests/models", *more)
    short = (tests(contract, f"{folder}/{smoke}"),)
    return Stage(name, f"{name}: integration, contract, models", own, tuple(whole), short, environment)


def cells(cell: str, title: str, parts: Iterable[str]) -> Iterator[Stage]:
    """A cell of the matrix, one stage for each part of its tests."""
    for part in parts:
        own = tuple(f"integrations/autolog_{one}" for one in (BOOSTERS if part in PARTS else (part,)))
        whole, short = PARTS.get(part) or (
            (f"tests/integrations/{part}", f"tests/contract/test_{part}.py"), (f"tests/contract/test_{part}.py", SMOKE[part]),
        )  # fmt: skip
        name = cell if cell.endswith(part) else f"{cell}-{part}"
        yield Stage(name, f"{title}: {part}", ("compat", *own, *whole), (whole,), (short,), cell=cell)


BOOSTERS = ("sklearn", "xgboost", "lightgbm")
COMMON = tuple(f"tests/contract/test_{one}.py" for one in ("patching", "patch_points", "toy", "readme"))
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "contract": (COMMON, COMMON[:2]),
    "process": (("tests/process",), ("tests/process/test_fork.py",)),
    "models": (("tests/models",), ("tests/models/test_hard_models.py",)),
}
"""Parts of a cell that are no integration's: their tests, and those that are run where only the core has changed."""
SMOKE = {
    "sklearn": "tests/integrations/sklearn/test_runs.py",
    "xgboost": "tests/integrations/xgboost/test_xgboost_bare.py",
    "lightgbm": "tests/integrations/lightgbm/test_lightgbm_bare.py",
}
MLFLOW2 = Environment("mlflow2", ("mlflow<3", "sqlalchemy<2.1"))
"""A server of MLflow 2 for the sink's tests: run, never imported by them."""
# PyTorch first, and by pip: pip may have been told where builds for the CPU are.
TORCH = Environment("torch", ("torch==2.13.0", ".[test-torch]"))
# `tf_keras` asks for the other distribution of TensorFlow.
KERAS = Environment(
    "keras", ("torch==2.13.0", ".[test-keras]"), ("tf_keras",), variables=(("KERAS_BACKEND", "tensorflow"),)
)
PYSPARK = Environment("pyspark", (".[test-pyspark]",))
UNIT = Environment(
    "unit", (".", "pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.6", "hypothesis>=6.100")
)
OLD_MLFLOW = Environment(
    "mlflow-oldest",
    # Old releases of MLflow import pkg_resources.
    (".", "mlflow-skinny==2.11.0", "setuptools<81", "scikit-learn", "pandas", "pytest", "pytest-timeout", "pytest-xdist",
     "hypothesis", "cloudpickle"),
    python="3.10",
)  # fmt: skip
MAIN = Environment("main", (".[test]",))
"""The README's, which makes it itself where it runs. Its versions are the newest, always."""
MAIN_TESTS = (
    ".ci/versions/mlflow2.txt", "tests/sinks", "tests/process", "tests/models", "tests/contract",
    "tests/integrations/sklearn", "tests/integrations/xgboost", "tests/integrations/lightgbm",
)  # fmt: skip

STAGES = (
    Stage(
        "unit", "the unit tests where there is no framework", ("tests/unit",),
        (("-m", "pytest", "-q", "tests/unit"),), environment=UNIT,
    ),
    Stage(
        "slow", "the README's environment: the slow tests",
        (*MAIN_TESTS, "integrations/autolog_sklearn", "integrations/autolog_xgboost", "integrations/autolog_lightgbm"),
        (("-m", "pytest", "-q", "-m", "slow"),),
    ),
    Stage(
        "suites", "scikit-learn's own tests, plain and recorded (a part of them)",
        ("integrations/autolog_sklearn", "tests/suites", "tests/quickstart.py"),
        (("tests/suites/run.py", "--quick", "--jobs", "2"), ("tests/suites/scripts.py", "tests/quickstart.py")),
        (("tests/suites/scripts.py", "tests/quickstart.py"),),
    ),
    # A figure that is five times its goal is not the machine's fault.
    Stage(
        "figures", "figures (a part of them)", ("tests/benchmarks",),
        (("tests/benchmarks/run.py", "--within", "5", "switch_on", "calls", "metric", "points"),),
    ),
    integration("torch", "test_torch_loops.py", TORCH),
    integration("lightning", "test_lightning_runs.py", TORCH, "integrations/autolog_torch"),
    integration("keras", "test_keras_loops.py", KERAS),
    integration("pyspark", "test_pyspark_tasks.py", PYSPARK, flavor="spark"),
    Stage(
        "mlflow-oldest", "MLflow's client alone, the oldest that is supported",
        ("tests/sinks",), (tests("tests/sinks/test_mlflow.py", "tests/sinks/test_conformance.py", "-k", "mlflow"),),
        environment=OLD_MLFLOW,
    ),
    *cells("oldest", "the oldest versions", ("contract", "sklearn", "xgboost", "lightgbm")),
    *cells("oldest-models", "MLflow reads the oldest versions' models", ("models",)),
    *cells("newest", "the newest versions and Python", ("contract", "process", "sklearn", "xgboost", "lightgbm")),
)  # fmt: skip


ALWAYS = {"lint": "ruff", "readme": "the commands of the README", "types": "pyright"}

# -- what may be left out


@dataclass(frozen=True)
class Inputs:
    """Fingerprints of what a stage depends on."""

    core: str
    own: str


def inputs(stages: Iterable[Stage], root: Path = ROOT) -> dict[str, Inputs]:
    """Those of each stage, as they are now."""
    core, ci = _digest(root, CORE), (".ci/run", ".ci/stages.py")
    return {one.name: Inputs(core, _digest(root, (*one.own, _versions(one, root), *ci))) for one in stages}


def _versions(stage: Stage, root: Path) -> str:
    name = stage.environment.name if stage.environment else ""
    return str((root / ".ci" / "versions" / f"{name}.txt").relative_to(root)) if name else ""


def _digest(root: Path, names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(filter(None, names)):
        path = root / name
        below = (
            [one for one in path.rglob("*") if one.suffix in (".py", ".toml")] if path.is_dir() else [path]
        )
        files = sorted(one for one in below if one.is_file())
        for file in files:
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
            # An integration's `tested` follows from results of the matrix: it does not make them old.
            digest.update(b"".join(line for line in file.open("rb") if not line.startswith(b"    tested = ")))
    return digest.hexdigest()[:16]


def decide(stages: Sequence[Stage], now: dict[str, Inputs], records: dict[str, dict[str, Any]]) -> Plan:
    """See the module."""
    found: Plan = {}
    for stage in stages:
        record, current = records.get(stage.name), now[stage.name]
        if record is None:
            found[stage.name] = ("whole", "it has no recorded pass")
        elif record["own"] != current.own:
            found[stage.name] = ("whole", "its own files or versions have changed")
        elif record["core"] == current.core:
            found[stage.name] = (None, f"unchanged since its pass of {record['ended'][:10]}")
        elif record.get("short") == current.core:
            found[stage.name] = (None, f"unchanged since its short pass; whole on {record['ended'][:10]}")
        elif stage.short:
            found[stage.name] = ("short", "the core has changed")
        else:
            found[stage.name] = ("whole", "the core has changed")
    waiting = [stage.name for stage in stages if found[stage.name][0] != "whole"]
    if waiting:
        turn = min(waiting, key=lambda name: (records[name]["ended"], name))
        found[turn] = ("whole", f"its turn: its last whole pass was on {records[turn]['ended'][:10]}")
    return found


def read(folder: Path = PASSED) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def write(name: str, record: dict[str, Any], folder: Path = PASSED) -> None:
    folder.mkdir(exist_ok=True)
    new = folder / f"{name}.new"
    new.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    new.replace(folder / f"{name}.json")


# -- running


@dataclass
class Outcome:
    """What came of a stage."""

    ok: bool = True
    seconds: float = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    times: dict[str, float] = field(default_factory=dict)
    """Seconds of each test."""
    unexplained: dict[str, float] = field(default_factory=dict)
    """Those of tests that are slow and do not say why."""


class Runner:
    """Makes environments and runs commands, on a snapshot of the checkout: so one can go on editing it."""

    def __init__(self, work: Path, update: bool) -> None:
        self.work = work
        self.update = update
        self.checkout = work / "checkout"
        self._made: dict[str, Path] = {}
        self._snapshot()

    def _snapshot(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.checkout / name, follow_symlinks=False)

    def python(self, environment: Environment) -> Path:
        """Its Python; it is made if it is not there yet."""
        if environment.name not in self._made:
            self._made[environment.name] = self._make(environment)
        return self._made[environment.name]

    def _make(self, environment: Environment) -> Path:
        base = interpreter(environment.python) if environment.python else sys.executable
        folder = self.work / environment.name
        python = folder / "bin" / "python"
        run([str(base), "-m", "venv", str(folder)])
        torch = [one for one in environment.requires if one.startswith("torch==")]
        if torch:
            run([str(python), "-m", "pip", "install", "-q", "--no-compile", *torch])
        install = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", str(python)]
        held = VERSIONS / f"{environment.name}.txt"
        if held.exists() and not self.update:
            install += ["--constraint", str(held)]
        run([*install, *environment.requires], cwd=self.checkout)
        if environment.alone:
            run([*install, "--no-deps", *environment.alone])
        if environment is not MAIN:
            self._note_versions(environment.name, python)
        return python

    def _note_versions(self, name: str, python: Path) -> None:
        held = VERSIONS / f"{name}.txt"
        if held.exists() and not self.update:
            return
        listed = subprocess.run(
            [sys.executable, "-m", "uv", "pip", "freeze", "--python", str(python)],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        leave = re.compile(r"(autolog-ml|torch|pip|setuptools)\b(?!-)|.* @ ")
        found = "".join(f"{line}\n" for line in listed.splitlines() if not leave.match(line))
        for folder in (VERSIONS, self.checkout / ".ci" / "versions"):
            folder.mkdir(exist_ok=True)
            (folder / held.name).write_text(found)

    def readme(self) -> Outcome:
        """The README's commands, as they stand there, each in a virtual environment made as the README makes it."""
        outcome = Outcome()
        first, second = readme_commands(self.checkout)
        report = self.work / "readme.xml"
        activate = ". .venv/bin/activate"
        for command in (first, f"{activate} && {second}"):
            say(f"README: {command}")
            variables = {**os.environ, "PYTEST_ADDOPTS": f"--junitxml={report}"}
            started = time.monotonic()
            outcome.ok = (
                subprocess.run(["bash", "-c", command], cwd=self.checkout, env=variables).returncode == 0
            )
            console.print(f"{time.monotonic() - started:.0f} s")
            if not outcome.ok:
                break
        self._made[MAIN.name] = self.checkout / ".venv" / "bin" / "python"
        add(outcome, report)
        return outcome

    def lint(self) -> Outcome:
        commands = ("check", "."), ("format", "--check", ".")
        good = [run([sys.executable, "-m", "ruff", *one], cwd=self.checkout, check=False) for one in commands]
        return Outcome(all(good))

    def types(self) -> Outcome:
        """With the libraries of the README's environment."""
        command = [sys.executable, "-m", "pyright", "--pythonpath", str(self.python(MAIN))]
        return Outcome(run(command, cwd=self.checkout, check=False))

    def stage(self, stage: Stage, how: How) -> Outcome:
        outcome = Outcome()
        commands = stage.short if how == "short" and stage.short else stage.whole
        for number, command in enumerate(commands):
            report = self.work / f"{stage.name}-{number}.xml"
            if stage.cell:
                ok = self._cell(stage, command, report)
            else:
                environment = stage.environment or MAIN
                python = self.python(environment)
                variables = {**os.environ, **dict(environment.variables)}
                if environment == MAIN:
                    variables["MLFLOW2_PYTHON"] = str(self.python(MLFLOW2))
                if environment == OLD_MLFLOW:
                    variables["MLFLOW3_PYTHON"] = str(self.python(MAIN))
                # What is skipped is said with its reason: a skip may hide that something is not installed.
                more = ["-rfEs", f"--junitxml={report}"] if "pytest" in command else []
                ok = run([str(python), *command, *more], cwd=self.checkout, env=variables, check=False)
            add(outcome, report)
            outcome.ok = outcome.ok and ok
        return outcome

    def _cell(self, stage: Stage, paths: Sequence[str], report: Path) -> bool:
        """By `python -m compat`, which knows how a cell is made. Its environment stays for the cell's other parts."""
        below = [path.removeprefix("tests/") for path in paths]
        work = self.work / "cells"
        command = [sys.executable, "-m", "compat", "run", stage.cell, "--work", str(work)]
        command += [word for path in below for word in ("--only", path)]
        ok = run(command, cwd=self.checkout, check=False)
        if (work / "junit.xml").exists():
            (work / "junit.xml").replace(report)
        return ok

    def done_with(self, name: str) -> None:
        """An environment of several GB makes room for the next."""
        shutil.rmtree(self.work / name, ignore_errors=True)
        self._made.pop(name, None)


def readme_commands(root: Path) -> tuple[str, str]:
    """The two commands that the README gives a newcomer: one that does the main job, one that runs the tests."""
    first, second, *_ = re.findall(r"```sh\n(.*?)\n```", (root / "README.md").read_text(), re.DOTALL)
    return first, second


def run(command: Sequence[str], check: bool = True, **how: Any) -> bool:
    """Whether it succeeded."""
    return subprocess.run(command, check=check, **how).returncode == 0


def add(outcome: Outcome, report: Path) -> None:
    """The numbers and times of pytest's report."""
    if not report.exists():
        return
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{(case.get('classname') or '').replace('.', '/')}::{case.get('name')}"
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            outcome.failed += 1
        elif "skipped" in kinds:
            outcome.skipped += 1
        else:
            outcome.passed += 1
        seconds = outcome.times[name] = float(case.get("time") or 0)
        if seconds > SLOW and not any(one.get("name") == "slow" for one in case.iter("property")):
            outcome.unexplained[name] = seconds


def say(text: str) -> None:
    console.print(f"\n== {datetime.now():%H:%M:%S} {text}", style="bold", markup=False)


# -- the command


def main(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[STAGE]...", help="Only these; whole.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Leave nothing out.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Take the newest versions, and write them to .ci/versions/.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Say what would run, and why; run nothing.")
    ] = False,
    work: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Check the checkout: lint and types, the README's commands, then what has changed since its last recorded pass."""
    known = {stage.name: stage for stage in STAGES}
    always = list(ALWAYS)
    for name in names or ():
        if name not in (*known, *always):
            raise typer.BadParameter(f"there is no stage {name!r}; there are {', '.join((*always, *known))}")
    now = inputs(STAGES)
    records = read()
    plan = decide(STAGES, now, records)
    if everything or update or names:
        plan = dict.fromkeys(known, ("whole", "asked for"))
    if names:
        plan = {name: ("whole", "asked for") if name in names else (None, "not asked for") for name in known}
        always = [name for name in always if name in names]
    for stage in STAGES:
        reason = missing(stage)
        if reason and plan[stage.name][0]:
            plan[stage.name] = (None, reason)
    if listing:
        console.print(summary(plan, {}, records))
        return
    assert work is not None, "start it by `bash .ci/run`"
    outcomes: dict[str, Outcome] = {}
    began = time.monotonic()
    try:
        execute(Runner(work, update), always, plan, records, outcomes)
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(130) from None
    say(f"{(time.monotonic() - began) / 60:.1f} minutes")
    console.print(summary(plan, outcomes, records))
    report(outcomes)
    if not all(outcome.ok for outcome in outcomes.values()):
        raise typer.Exit(1)


def execute(
    runner: Runner,
    always: list[str],
    plan: Plan,
    records: dict[str, dict[str, Any]],
    outcomes: dict[str, Outcome],
) -> None:
    """Run what is to run, and keep what has passed. A failure does not stop what follows."""
    uses = [stage.environment.name for stage in STAGES if stage.environment and plan[stage.name][0]]

    def timed(name: str, title: str, function: Callable[[], Outcome]) -> Outcome:
        say(f"{name}: {title}")
        started = time.monotonic()
        try:
            outcome = function()
        except (subprocess.CalledProcessError, OSError) as error:  # an environment that cannot be made
            console.print(str(error), markup=False)
            outcome = Outcome(False)
        outcome.seconds = time.monotonic() - started
        outcomes[name] = outcome
        return outcome

    for name in always:
        outcome = timed(name, ALWAYS[name], getattr(runner, name))
        if outcome.ok and outcome.times:
            write(name, figures(outcome))
    for stage in STAGES:
        how, why = plan[stage.name]
        if how is None:
            continue
        outcome = timed(stage.name, f"{stage.title} ({how}: {why})", partial(runner.stage, stage, how))
        if outcome.ok:
            # Of what was run, with the versions that it brought.
            current = inputs([stage], runner.checkout)[stage.name]
            note(stage, how, outcome, current, records.get(stage.name))
        if stage.environment:
            uses.remove(stage.environment.name)
            if stage.environment.name not in uses:
                runner.done_with(stage.environment.name)


def missing(stage: Stage) -> str:
    """What this machine lacks for it."""
    if stage.name == "pyspark" and shutil.which("java") is None:
        return "there is no Java on this machine"
    cell = {one.name: one for one in matrix().cells}[stage.cell] if stage.cell else None
    python = cell.python if cell else stage.environment.python if stage.environment else ""
    return f"there is no Python {python} on this machine" if python and interpreter(python) is None else ""


def note(stage: Stage, how: How, outcome: Outcome, now: Inputs, record: dict[str, Any] | None) -> None:
    """Keep that it has passed."""
    if how == "short" and stage.short and record:
        write(stage.name, {**record, "short": now.core})
        return
    write(stage.name, {"core": now.core, "own": now.own, **figures(outcome)})


def figures(outcome: Outcome) -> dict[str, Any]:
    """What a record keeps of a pass."""
    slowest = sorted(outcome.times.items(), key=lambda one: -one[1])[:10]
    return {
        "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "passed": outcome.passed, "skipped": outcome.skipped, "seconds": round(outcome.seconds),
        "slowest": {name: round(seconds, 1) for name, seconds in slowest},
    }  # fmt: skip


def summary(plan: Plan, outcomes: dict[str, Outcome], records: dict[str, dict[str, Any]]) -> Table:
    """A row for each stage: what ran, what was left out and why."""
    table = Table(
        "stage", "", Column("tests", justify="right"), Column("minutes", justify="right"), "why", box=None
    )
    rows: Plan = {**dict.fromkeys(ALWAYS, ("whole", "always")), **plan}
    for name, (how, why) in rows.items():
        outcome = outcomes.get(name)
        before = records.get(name, {}).get("passed")
        if outcome is None:
            table.add_row(name, "left out" if how is None or outcomes else how, "", "", why)
            continue
        fewer = before is not None and how == "whole" and outcome.passed < before
        passed = (
            f"{outcome.passed}, {before - outcome.passed} fewer than before" if fewer else str(outcome.passed)
        )
        state = how if outcome.ok else "[red]FAILED[/red]"
        table.add_row(name, state, passed if outcome.times else "", f"{outcome.seconds / 60:.1f}", why)
    return table


def report(outcomes: dict[str, Outcome]) -> None:
    times = {
        f"{stage}: {name}": seconds for stage, one in outcomes.items() for name, seconds in one.times.items()
    }
    say("the ten slowest tests")
    for name, seconds in sorted(times.items(), key=lambda one: -one[1])[:10]:
        console.print(f"{seconds:6.1f} s  {name}", markup=False)
    for stage, one in outcomes.items():
        for name, seconds in one.unexplained.items():
            console.print(
                f'Slower than {SLOW} s, and its docstring does not say why ("Slow: …"): {stage}: {name}, {seconds:.0f} s',
                markup=False,
            )
    failed = sum(one.failed for one in outcomes.values()) + sum(
        not one.ok and not one.failed for one in outcomes.values()
    )
    print(f"\n{sum(one.passed for one in outcomes.values())} passed, {failed} failed, "
          f"{sum(one.skipped for one in outcomes.values())} skipped", flush=True)  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
