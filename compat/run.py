"""Runs cells by tox, one after the other, and notes what came of each. Knows tox's command line and pytest's XML."""

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
"""Seconds that a cell may take."""
LAST_LINES = 60
"""Of the output of a cell that failed, these are shown."""


def run(
    cell: Cell,
    *,
    keep: bool = False,
    jobs: int = 2,
    say: Callable[[str], None] = print,
    work: Path | None = None,
) -> dict[str, Any]:
    """Make the cell's environment, run its tests, remove it, and give its line for results.jsonl.

    Args:
        cell: which.
        keep: leave the environment, to look into it.
        jobs: processes that share the tests.
        say: told what a cell that failed said last, and where all of it stands.
        work: the folder for the environment and pytest's report, `junit.xml`; an environment that is there is used. It stays.
    """
    fingerprint = results.fingerprint(cell)
    about = {
        "cell": cell.name, "frameworks": dict(cell.frameworks), "python": cell.python,
        "fingerprint": fingerprint, "date": date.today().isoformat(),
        "passed": 0, "failed": 0, "skipped": 0, "seconds": 0, "points": {}, "resolved": {},
    }  # fmt: skip
    python = interpreter(cell.python)
    if python is None:
        return {**about, "status": "skip", "reason": f"there is no Python {cell.python} on this machine"}
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
        say(f"{cell.name}: its environment and output are in {work}")
    status_name = "known" if cell.known else "fail"
    return {**result, "status": status_name, "reason": cell.known or reason}


def make(cell: Cell, work: Path) -> None:
    """Make the cell's environment in the folder `work`, where `run` finds it; whatever fails, `run` says."""
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
    """Its exit status. In a group of its own, so that all of it ends when we are interrupted or it takes too long.

    `first` stands before all other folders on the path: tox looks there for the Python.
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
    """The numbers of tests, and the places that are watched."""
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
    """What was installed, but for pytest's own."""
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
    """Why nothing was tested: the last line that says so."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[-1][:300]
