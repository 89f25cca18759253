"""What holds for all tests, and what those of the integrations share: a user's key of the test's own, and views of a record.

Not in a conftest of theirs: their folders are named as the frameworks, and would be taken for them where these are not
installed.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from autolog import RunRecord

# A shell without job control starts its background jobs deaf to Ctrl-C, and so are their children: tests that interrupt a
# process would then test nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DIFFERS = ("id", "name", "parent", "started", "ended", "duration", "overhead", "framework_version")
"""What is another in each execution, or on each version."""


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
def visible(last: Callable[[RunRecord], dict[str, Any]]) -> Callable[[RunRecord], dict[str, Any]]:
    """All that a record shows, but what differs from one execution to the next; of metrics the last value, of files the
    paths, of a dataset's digest nothing.
    """

    def visible(record: RunRecord) -> dict[str, Any]:
        shown = {key: value for key, value in record.to_dict().items() if key not in DIFFERS}
        shown["metrics"] = last(record)
        shown["artifacts"] = [artifact["path"] for artifact in shown["artifacts"]]
        shown["models"] = [(model["path"], model["flavor"]) for model in shown["models"]]
        for dataset in shown["datasets"]:
            assert len(dataset.pop("digest", "0" * 32)) == 32
        return shown

    return visible
