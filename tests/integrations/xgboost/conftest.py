"""What the XGBoost tests share: a store and a session for each test, small data, and views of a record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from autolog import RunRecord
from autolog.testing import Recorded, recorded

collect_ignore_glob = [] if find_spec("xgboost") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small data is not worth threads, and on a busy machine they wait for each other."""
    import xgboost  # loads the library that has threads
    from threadpoolctl import threadpool_limits

    assert xgboost
    with threadpool_limits(1):
        yield


@pytest.fixture
def seen(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """Records XGBoost and scikit-learn into a store of its own; an error of autolog's own fails the test."""
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))
    with recorded("xgboost", "sklearn") as seen:
        yield seen


@pytest.fixture
def last() -> Callable[[RunRecord], dict[str, Any]]:
    """The last value of each of a record's metrics."""
    return lambda record: {name: metric["last"] for name, metric in record.metrics.items()}


@pytest.fixture
def series() -> Callable[[RunRecord, str], list[tuple[int, float]]]:
    """A metric's steps and values."""
    return lambda record, name: [(point.step, point.value) for point in record.history(name)]


@pytest.fixture
def artifact() -> Callable[[RunRecord, str], Any]:
    """A JSON artifact of a record."""
    return lambda record, name: json.loads((record.folder / f"{name}.json").read_text())


@pytest.fixture
def visible() -> Callable[[RunRecord], dict[str, Any]]:
    """All that a record shows, but what differs from one execution to the next; of files the paths."""

    def visible(record: RunRecord) -> dict[str, Any]:
        shown = record.to_dict()
        for name in ("id", "name", "parent", "started", "ended", "duration", "overhead", "framework_version"):
            del shown[name]
        shown["metrics"] = {
            name: [point.value for point in record.history(name)] for name in shown["metrics"]
        }
        shown["artifacts"] = [artifact["path"] for artifact in shown["artifacts"]]
        shown["models"] = [(model["path"], model["flavor"]) for model in shown["models"]]
        for dataset in shown["datasets"]:
            dataset.pop("digest", None)
        return shown

    return visible
