"""pytest plugin of run.py, loaded in both runs: switches on what SUITE_WITH names, and reports as JSON lines.

A line is written at once, so that a run that crashes or is killed still tells how far it came.
Must not import a framework: SUITE_WHEN=before means before the framework is imported.
"""

import importlib
import json
import logging
import os
import random
import sys
from typing import Any

import pytest

WITH, WHEN, MODELS, FRAMEWORKS, REPORT = (
    os.environ[f"SUITE_{name}"] for name in ("WITH", "WHEN", "MODELS", "FRAMEWORKS", "REPORT")
)
WORKER = "PYTEST_XDIST_WORKER" in os.environ  # what happens in a worker is reported by the main process


def write(**line: Any) -> None:
    """Append one line; safe with several processes, as it is one short write to a file opened to append."""
    with open(REPORT, "a") as file:
        file.write(json.dumps(line) + "\n")


class LogLines(logging.Handler):
    """Reports the tool's warnings and errors: failures inside it that it kept from the training."""

    def emit(self, record: logging.LogRecord) -> None:
        write(log=f"{record.levelname}: {record.getMessage()}"[:1000])


def switch_on() -> None:
    """Switch the tool on as a user would, quiet, with models unless told otherwise."""
    if WITH == "autolog":
        import autolog

        autolog.autolog(silent=True, **({} if MODELS == "1" else {"log_models": False}))
    elif WITH == "mlflow":
        import mlflow

        mlflow.search_experiments()  # makes the database now and not within the first test
        for framework in FRAMEWORKS.split():
            importlib.import_module(f"mlflow.{framework}").autolog(silent=True, log_models=MODELS == "1")
    logging.getLogger(WITH).addHandler(LogLines(logging.WARNING))


def seed() -> None:
    """Give Python's and numpy's global random streams a known state: many tests draw from them unseeded."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)


if WHEN == "before":
    if early := set(FRAMEWORKS.split()) & sys.modules.keys():
        raise pytest.UsageError(f"{early} imported before the switch")
    switch_on()


def pytest_collection_finish() -> None:
    """SUITE_WHEN=after: switch on when the test modules hold their names already."""
    if WHEN == "after":
        switch_on()


def pytest_collectstart() -> None:
    seed()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    seed()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Report the next draw of each global random stream: it tells how far the test moved them."""
    draws = [random.random()]
    if "numpy" in sys.modules:
        draws.append(float(sys.modules["numpy"].random.random()))
    write(stream=item.nodeid, draws=draws)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A module that cannot be imported counts as a failed test, one that skips itself as a skipped one."""
    if not report.passed:
        pytest_runtest_logreport(report)


def pytest_runtest_logreport(report: Any) -> None:
    """Report one phase (setup, call or teardown) of a test."""
    if WORKER:
        return
    expected = {"skipped": "xfailed", "passed": "xpassed"} if hasattr(report, "wasxfail") else {}
    outcome = expected.get(report.outcome, report.outcome)
    crash = getattr(report.longrepr, "reprcrash", None)
    message = " ".join(str(crash.message if crash else report.longrepr or "").split())
    write(
        test=report.nodeid, outcome=outcome, message=message[:500], seconds=getattr(report, "duration", 0.0)
    )


def pytest_warning_recorded(warning_message: Any, nodeid: str) -> None:
    """Report a warning that a test let out."""
    if not WORKER:
        message = " ".join(str(warning_message.message).split())
        write(warning=f"{nodeid} {warning_message.category.__name__}", message=message[:300])
