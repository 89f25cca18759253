"""What holds for all tests, and what those of the integrations share: a user's key of the test's own, and views of a record.

`python -m pytest` runs the tests on all cores, without those that are marked `slow`, and says in the end how to run the rest.

Not in a conftest of theirs: their folders are named as the frameworks, and would be taken for them where these are not
installed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from autolog import RunRecord

# A shell without job control starts its background jobs deaf to Ctrl-C, and so are their children: tests that interrupt a
# process would then test nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Else each of the thousands of processes that the tests start compiles what it imports, which takes seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest.register_assert_rewrite(
    "autolog.testing", "helpers"
)  # so that their failed assertions show the values

MOST_WORKERS = 8
"""Each imports the frameworks, which takes longer than to wait for others to finish."""


LONG = tuple(f"contract/test_{framework}.py" for framework in ("lightgbm", "sklearn", "xgboost"))
ORDER = (
    "unit", "contract/test_patching.py", "tools", "sinks", *LONG, "contract", "models", "integrations", "scripts", "process",
)  # fmt: skip
"""In which workers take folders and files. Tests that switch everything on cost much more in a process that has imported
frameworks: so those that need none come first. Those that the workers take one by one come last, and of a folder the files that
take longest come first: then all workers end together.
"""
ONE_BY_ONE = ("tests/process/", "tests/scripts/", "tests/models/test_hard_models.py")
"""Tests that take long and share nothing. Other tests stay together by file: what they share is made once for each worker."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As `--dist loadfile`, but for some tests, and in the order of `ORDER`."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith(ONE_BY_ONE) else super()._split_scope(nodeid)

    return ByFile(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker for each core that this process may use; none for a few files, which are done before workers are there."""
    chosen = [Path(str(one).partition("::")[0]) for one in config.args]
    if len(chosen) <= 2 and all(one.suffix == ".py" for one in chosen):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The reason of a slow test goes into the report; a test that is marked and gives none is an error."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        here = Path(__file__).parent
        places = {path: path.relative_to(here).as_posix() for path in {item.path for item in items}}
        turns = {path: _turn(place) for path, place in places.items()}
        items.sort(key=lambda item: turns[item.path])
    for item in items:
        documented = [getattr(item, "function", None), getattr(item, "cls", None)]
        text = "\n\n".join(one.__doc__ or "" for one in documented if one)
        said = re.search(r"Slow: (.+?)(?:\n\n|\Z)", text, re.DOTALL)
        if said:
            item.user_properties.append(("slow", " ".join(said[1].split())))
        elif item.get_closest_marker("slow"):
            raise pytest.UsageError(f'{item.nodeid} is marked slow; its docstring must say why: "Slow: …"')


def _turn(place: str) -> int:
    """The place in `ORDER` of a file or of its folder."""
    return next((ORDER.index(one) for one in (place, place.partition("/")[0]) if one in ORDER), 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was left out, and how to run it."""
    lines: list[str] = []
    if config.option.markexpr == "not slow":
        lines.append("slow tests: python -m pytest -m slow")
    folders = [
        one for one in (Path(__file__).parent / "integrations").iterdir() if any(one.glob("test_*.py"))
    ]
    absent = sorted(one.name for one in folders if find_spec(one.name) is None)
    if absent and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        lines.append(f"tests of {', '.join(absent)}, not installed: bash .ci/run {' '.join(absent)}")
    if lines:
        terminalreporter.write_sep("-", "left out")
        for line in lines:
            terminalreporter.write_line(line)


DIFFERS = (
    "id", "name", "parent", "started", "ended", "duration", "overhead", "framework_version", "description", "starred",
    "archived",
)  # fmt: skip
"""What is another in each execution, or on each version; and what a person says of a run afterwards."""


@pytest.fixture
def own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are signed with a key that is made for the test."""
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def last() -> Callable[[RunRecord], dict[str, Any]]:
    """The last value of each of a record's metrics."""
    return lambda record: {name: metric["last"] for name, metric in record.metrics.items()}


@pytest.fixture
def series() -> Callable[[RunRecord, str], list[tuple[int, float]]]:
    """A metric's steps and values."""
    return lambda record, name: [(point.step, point.value) for point in record.history(name)]


@pytest.fixture
def points(series: Callable[[RunRecord, str], Any]) -> Callable[[RunRecord, str], list[tuple[int, float]]]:
    """The same, to six places."""
    return lambda record, name: [(step, round(value, 6)) for step, value in series(record, name)]


@pytest.fixture
def artifact() -> Callable[[RunRecord, str], Any]:
    """A JSON artifact of a record."""
    return lambda record, name: json.loads((record.folder / f"{name}.json").read_text())


@pytest.fixture
def shown_of_metrics() -> Callable[[RunRecord, str], Any]:
    """What `visible` shows of a metric: its last value, where a conftest does not say otherwise."""
    return lambda record, name: record.metrics[name]["last"]


@pytest.fixture
def visible(shown_of_metrics: Callable[[RunRecord, str], Any]) -> Callable[[RunRecord], dict[str, Any]]:
    """All that a record shows, except what differs from one execution to the next; of files the paths, of a dataset's digest
    nothing.
    """

    def visible(record: RunRecord) -> dict[str, Any]:
        shown = {key: value for key, value in record.to_dict().items() if key not in DIFFERS}
        shown["metrics"] = {name: shown_of_metrics(record, name) for name in record.metrics}
        shown["artifacts"] = [artifact["path"] for artifact in shown["artifacts"]]
        shown["models"] = [(model["path"], model["flavor"]) for model in shown["models"]]
        for dataset in shown["datasets"]:
            assert len(dataset.pop("digest", "0" * 32)) == 32
        return shown

    return visible
