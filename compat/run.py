"""Runs cells by tox and returns their results. This module knows tox's command line and pytest's XML."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any
from xml.etree import ElementTree

from compat import results
from compat.cells import HERE, Cell, interpreter

TIMEOUT = 3600
"""The time limit of a cell in seconds."""
LAST_LINES = 60
"""The lines of a failed cell's output to show."""


def run(
    cell: Cell,
    *,
    keep: bool = False,
    jobs: int = 2,
    say: Callable[[str], None] = print,
    work: Path | None = None,
) -> dict[str, Any]:
    """Create the cell's environment, run its tests, remove the environment, and return the line for results.jsonl.

    Args:
        cell: the cell to run.
        keep: keep the environment for inspection.
        jobs: processes that share the tests.
        say: called with the last output of a failed cell, and with the folder of all output.
        work: the folder for the environment and pytest's report, `junit.xml`. An existing environment is used. It is kept.
    """
    fingerprint = results.fingerprint(cell)
    about = {
        "cell": cell.name, "frameworks": dict(cell.frameworks), "python": cell.python,
        "fingerprint": fingerprint, "date": date.today().isoformat(),
        "passed": 0, "failed": 0, "skipped": 0, "seconds": 0, "points": {}, "resolved": {},
    }  # fmt: skip
    python = interpreter(cell.python)
    if python is None:
        return {**about, "status": "skip", "reason": f"Python {cell.python} is not on this machine"}
    keep = keep or work is not None
    work = work or Path(tempfile.mkdtemp(prefix="autolog-cell-"))
    work.mkdir(parents=True, exist_ok=True)
    (work / "junit.xml").unlink(missing_ok=True)
    began = monotonic()
    command = [
        sys.executable, "-m", "tox", "-c", str(HERE), "--workdir", str(work), "run", "-e", cell.name, "--",
        f"--junitxml={work / 'junit.xml'}", "-n", str(jobs),
    ]  # fmt: skip
    try:
        with (work / "output.txt").open("w") as output:
            status = _wait(command, output, os.path.dirname(python), cell.tests)
        outcome = _outcome(work / "junit.xml")
        resolved = _resolved(work / cell.name, cell)
        text = (work / "output.txt").read_text(errors="replace")
    finally:
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    seconds = round(monotonic() - began)
    if cell.pre:
        about["frameworks"] = {name: resolved.get(_package(name), "") for name in cell.frameworks}
    result = {**about, **outcome, "seconds": seconds, "resolved": resolved}
    if status == 0 and outcome["passed"]:
        return {**result, "status": "pass", "reason": ""}
    reason = outcome.pop("reason", "") or _last_words(text)
    say("\n".join(text.splitlines()[-LAST_LINES:]))
    if keep:
        say(f"{cell.name}: environment and output are in {work}")
    status_name = "known" if cell.known else "fail"
    return {**result, "status": status_name, "reason": cell.known or reason}


def make(cell: Cell, work: Path) -> None:
    """Create the cell's environment in the folder `work`, where `run` uses it. If this fails, `run` reports it."""
    python = interpreter(cell.python)
    if python is None:
        return
    work.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "tox", "-c", str(HERE), "--workdir", str(work), "run", "--notest", "-e", cell.name
    ]  # fmt: skip
    with (work / "made.txt").open("w") as output:
        _wait(command, output, os.path.dirname(python), cell.tests)


def _wait(command: list[str], output: Any, first: str, tests: Sequence[str]) -> int:
    """Run a command and return its exit status. It gets its own process group, so that all its processes end on an interrupt or
    after the time limit.

    `first` becomes the first folder on the path, where tox finds the Python.
    """
    path = os.pathsep.join((first, os.environ.get("PATH", "")))
    environment = {**os.environ, "PATH": path, "COMPAT_TESTS": " ".join(tests)}
    process = subprocess.Popen(
        command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env=environment
    )
    try:
        return process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        output.write(f"\nended after {TIMEOUT} seconds\n")
        return -1
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


def _outcome(path: Path) -> dict[str, Any]:
    """Return the numbers of tests and the patch points from pytest's report."""
    if not path.exists():
        return {"passed": 0, "failed": 0, "skipped": 0}
    suite = ElementTree.parse(path).getroot().find("testsuite")
    assert suite is not None
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    skipped = int(suite.get("skipped", 0))
    points: dict[str, Any] = {}
    failures: list[str] = []
    for case in suite.iter("testcase"):
        for one in case.iter("property"):
            if one.get("name") == "points":
                points[(case.get("name") or "").partition("[")[2].rstrip("]")] = json.loads(
                    one.get("value") or "{}"
                )
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(f"{(case.get('classname') or '').rpartition('.')[2]}::{case.get('name')}")
    found = {
        "passed": int(suite.get("tests", 0)) - failed - skipped, "failed": failed, "skipped": skipped, "points": points,
    }  # fmt: skip
    return {**found, "reason": "; ".join(failures[:10])} if failures else found


def _resolved(environment: Path, cell: Cell) -> dict[str, str]:
    """Return the installed versions, without installers and autolog."""
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        return {}
    listed = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "list", "--python", python, "--format=json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        return {}
    leave = {"pip", "setuptools", "wheel", "autolog-ml"}
    return {one["name"]: one["version"] for one in json.loads(listed.stdout) if one["name"] not in leave}


def _package(framework: str) -> str:
    from compat.cells import matrix

    return matrix().frameworks[framework].package


def _last_words(text: str) -> str:
    """Return the last line of an output that names an error, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[-1][:300]
