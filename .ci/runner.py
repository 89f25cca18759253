"""Runs the stages of `.ci/run` and records passes.

It creates environments and runs commands in them, on a snapshot of the checkout. It knows pip, uv and pytest's XML. `stages.py`
defines the stages, and `compat` the cells of the matrix.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any
from xml.etree import ElementTree

import typer
from rich.console import Console
from rich.table import Column, Table

from stages import (
    ALWAYS,
    MAIN,
    MLFLOW2,
    OLD_MLFLOW,
    ROOT,
    STAGES,
    VERSIONS,
    Environment,
    How,
    Inputs,
    Plan,
    Stage,
    decide,
    inputs,
    read,
    write,
)

sys.path.insert(0, str(ROOT))

from compat.cells import interpreter, matrix
from compat.run import make

SLOW = 30
"""The limit of an ordinary test in seconds, with another stage beside it; alone, that is about 20. The docstring of a slower
test must say why, in a sentence that begins with "Slow:".
"""
console = Console(highlight=False, soft_wrap=True)


@dataclass
class Outcome:
    """The result of a stage."""

    ok: bool = True
    seconds: float = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    times: dict[str, float] = field(default_factory=dict)
    """The seconds of each test."""
    unexplained: dict[str, float] = field(default_factory=dict)
    """The seconds of slow tests without a reason."""


class Runner:
    """Creates environments and runs commands on a snapshot of the checkout, so that the checkout can be edited meanwhile."""

    def __init__(self, work: Path, update: bool) -> None:
        self.work = work
        self.update = update
        self.checkout = work / "checkout"
        self._made: dict[str, Path] = {}
        self._ahead = ThreadPoolExecutor(1)
        self._being_made: dict[str, Future[Any]] = {}
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
        """Return an environment's Python, creating the environment if needed."""
        being_made = self._being_made.pop(environment.name, None)
        if being_made is not None:
            self._made[environment.name] = being_made.result()
        if environment.name not in self._made:
            self._made[environment.name] = self._make(environment)
        return self._made[environment.name]

    def make_ahead(self, stage: Stage) -> None:
        """Create a stage's environments while another stage runs, because installing waits for disk and network."""
        if stage.cell:
            cell = {one.name: one for one in matrix().cells}[stage.cell]
            if stage.cell not in self._being_made:
                self._being_made[stage.cell] = self._ahead.submit(make, cell, self._cells / stage.cell)
            return
        for environment in (stage.environment, MLFLOW2 if stage.environment is None else None):
            if environment is not None and environment.name not in (*self._made, *self._being_made):
                self._being_made[environment.name] = self._ahead.submit(self._make, environment)

    @property
    def _cells(self) -> Path:
        return self.work / "cells"

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
        if environment.prepared_by:
            run([str(python), *environment.prepared_by], cwd=self.checkout)
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
        """Run the README's commands unchanged, the second one in the virtual environment that the first one creates."""
        outcome = Outcome()
        first, second = readme_commands(self.checkout)
        report = self.work / "readme.xml"
        activate = ". .venv/bin/activate"
        for command in (first, f"{activate} && {second}"):
            say(f"README: {command}")
            variables = {**os.environ, "PYTEST_ADDOPTS": f"--junitxml={report}"}
            # With fewer examples, the same ones each time. The stages `unit` and `slow` and the cells try all.
            variables["CI"] = "as a newcomer"
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
        """Check types with the libraries of the README's environment."""
        command = [sys.executable, "-m", "pyright", "--pythonpath", str(self.python(MAIN))]
        return Outcome(run(command, cwd=self.checkout, check=False))

    def stage(self, stage: Stage, how: How) -> Outcome:
        """Run a stage's commands. The output of a stage that runs beside others is printed at its end."""
        if not stage.beside:
            return self._commands(stage, how, None)
        printed = self.work / f"{stage.name}.log"
        try:
            with printed.open("w") as output:
                return self._commands(stage, how, output)
        finally:
            say(f"{stage.name}: what it printed")
            console.print(printed.read_text(errors="replace"), markup=False)

    def _commands(self, stage: Stage, how: How, output: IO[str] | None) -> Outcome:
        outcome = Outcome()
        commands = stage.short if how == "short" and stage.short else stage.whole
        for number, command in enumerate(commands):
            report = self.work / f"{stage.name}-{number}.xml"
            if stage.cell:
                ok = self._cell(stage, command, report, output)
            else:
                environment = stage.environment or MAIN
                python = self.python(environment)
                variables = {**os.environ, **dict(environment.variables)}
                if environment == MAIN:
                    variables["MLFLOW2_PYTHON"] = str(self.python(MLFLOW2))
                if environment == OLD_MLFLOW:
                    variables["MLFLOW3_PYTHON"] = str(self.python(MAIN))
                # Print the reasons of skips: a skip may hide that something is not installed.
                more = ["-rfEs", f"--junitxml={report}"] if "pytest" in command else []
                ok = run(
                    [str(python), *command, *more], cwd=self.checkout, env=variables, check=False,
                    stdout=output, stderr=output,
                )  # fmt: skip
            add(outcome, report)
            outcome.ok = outcome.ok and ok
        return outcome

    def _cell(self, stage: Stage, paths: Sequence[str], report: Path, output: IO[str] | None) -> bool:
        """Run a part of a cell by `python -m compat`. The environment stays for the cell's other parts."""
        below = [path.removeprefix("tests/") for path in paths]
        work = self._cells / stage.cell
        if stage.cell in self._being_made:
            self._being_made[stage.cell].result()
        command = [sys.executable, "-m", "compat", "run", stage.cell, "--work", str(work)]
        command += [word for path in below for word in ("--only", path)]
        ok = run(command, cwd=self.checkout, check=False, stdout=output, stderr=output)
        if (work / "junit.xml").exists():
            (work / "junit.xml").replace(report)
        return ok

    def done_with(self, name: str) -> None:
        """Delete an environment, which may have several GB, to make room for the next one."""
        shutil.rmtree(self.work / name, ignore_errors=True)
        self._made.pop(name, None)


def readme_commands(root: Path) -> tuple[str, str]:
    """Return the README's two commands for newcomers: one does the main job, the other runs the tests."""
    first, second, *_ = re.findall(r"```sh\n(.*?)\n```", (root / "README.md").read_text(), re.DOTALL)
    return first, second


def run(command: Sequence[str], check: bool = True, **how: Any) -> bool:
    """Run a command and return whether it succeeded."""
    return subprocess.run(command, check=check, **how).returncode == 0


def add(outcome: Outcome, report: Path) -> None:
    """Add the numbers and times of pytest's report to an outcome."""
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
        list[str] | None, typer.Argument(metavar="[STAGE]...", help="Run only these stages, whole.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Run all stages whole.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Use the newest versions, and write them to .ci/versions/.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Print what would run, and why. Run nothing.")
    ] = False,
    work: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Check the checkout: lint and types, the README's commands, and the stages that changed since their recorded pass."""
    os.environ["CI"] = "true"  # makes tests try all their examples
    known = {stage.name: stage for stage in STAGES}
    always = list(ALWAYS)
    for name in names or ():
        if name not in (*known, *always):
            raise typer.BadParameter(f"unknown stage {name!r}; the stages are {', '.join((*always, *known))}")
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
    """Run the planned stages in two lanes, and record passes. A failure does not stop later stages.

    Tests wait for servers, processes and the disk, so one stage leaves a tenth to a half of two cores idle. That is why stages
    with other environments than the README's run beside those with the README's.
    """
    chosen = [stage for stage in STAGES if plan[stage.name][0]]
    here = [stage for stage in chosen if not stage.beside and not stage.alone]
    beside = [stage for stage in chosen if stage.beside]
    uses = [stage.environment.name for stage in chosen if stage.environment]
    interrupted = threading.Event()

    def timed(name: str, title: str, function: Callable[[], Outcome]) -> Outcome:
        say(f"{name}: {title}")
        started = time.monotonic()
        try:
            outcome = function()
        except (subprocess.CalledProcessError, OSError) as error:  # an environment could not be created
            console.print(str(error), markup=False)
            outcome = Outcome(False)
        outcome.seconds = time.monotonic() - started
        outcomes[name] = outcome
        return outcome

    def lane(stages: Sequence[Stage]) -> None:
        for number, stage in enumerate(stages):
            if interrupted.is_set():
                return
            following = [one for one in stages[number + 1 :] if _place(one) != _place(stage)]
            if following:
                runner.make_ahead(following[0])
            how, why = plan[stage.name]
            assert how is not None
            outcome = timed(stage.name, f"{stage.title} ({how}: {why})", partial(runner.stage, stage, how))
            if outcome.ok:
                # The inputs of the snapshot that ran, with the versions that were installed.
                current = inputs([stage], runner.checkout)[stage.name]
                note(stage, how, outcome, current, records.get(stage.name))
            if stage.environment:
                uses.remove(stage.environment.name)
                if stage.environment.name not in uses:
                    runner.done_with(stage.environment.name)

    for first in (*beside[:1], *here[:1]):
        runner.make_ahead(first)
    with ThreadPoolExecutor(1) as second:
        running = second.submit(lane, beside)
        try:
            for name in always:
                outcome = timed(name, ALWAYS[name], getattr(runner, name))
                if outcome.ok and outcome.times:
                    write(name, figures(outcome))
            lane(here)
            running.result()
        except KeyboardInterrupt:
            interrupted.set()
            raise
    lane([stage for stage in chosen if stage.alone])


def _place(stage: Stage) -> str:
    """Return the name of the stage's cell or environment."""
    return stage.cell or (stage.environment or MAIN).name


def missing(stage: Stage) -> str:
    """Return what this machine lacks for the stage, or ""."""
    if stage.name == "pyspark" and shutil.which("java") is None:
        return "Java is not on this machine"
    cell = {one.name: one for one in matrix().cells}[stage.cell] if stage.cell else None
    python = cell.python if cell else stage.environment.python if stage.environment else ""
    return f"Python {python} is not on this machine" if python and interpreter(python) is None else ""


def note(stage: Stage, how: How, outcome: Outcome, now: Inputs, record: dict[str, Any] | None) -> None:
    """Record a stage's pass."""
    if how == "short" and stage.short and record:
        write(stage.name, {**record, "short": now.core})
        return
    write(stage.name, {"core": now.core, "own": now.own, **figures(outcome)})


def figures(outcome: Outcome) -> dict[str, Any]:
    """Return the figures of a pass for its record."""
    slowest = sorted(outcome.times.items(), key=lambda one: -one[1])[:10]
    return {
        "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "passed": outcome.passed, "skipped": outcome.skipped, "seconds": round(outcome.seconds),
        "slowest": {name: round(seconds, 1) for name, seconds in slowest},
    }  # fmt: skip


def summary(plan: Plan, outcomes: dict[str, Outcome], records: dict[str, dict[str, Any]]) -> Table:
    """Return a table with a row per stage: what ran, what was left out, and why."""
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
                f'Slower than {SLOW} s without a reason in the docstring ("Slow: …"): {stage}: {name}, {seconds:.0f} s',
                markup=False,
            )
    failed = sum(one.failed for one in outcomes.values()) + sum(
        not one.ok and not one.failed for one in outcomes.values()
    )
    print(f"\n{sum(one.passed for one in outcomes.values())} passed, {failed} failed, "
          f"{sum(one.skipped for one in outcomes.values())} skipped", flush=True)  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
