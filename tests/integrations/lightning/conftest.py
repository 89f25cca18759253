"""What the Lightning tests share: a store and a session for each test, a small module and its data, quiet Trainers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from autolog import RunRecord
from autolog.testing import Recorded, recorded

collect_ignore_glob = [] if find_spec("lightning") else ["*.py"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small data is not worth threads, and on a busy machine they wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers write checkpoints into the working directory; weights begin with the same random numbers."""
    import torch

    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def seen() -> Iterator[Recorded]:
    """Records Lightning into a store of its own; an error of autolog's own fails the test."""
    with recorded("lightning") as seen:
        yield seen


@pytest.fixture
def points() -> Callable[..., list[tuple[int, float]]]:
    """A metric's points: step and value."""

    def points(record: RunRecord, name: str) -> list[tuple[int, float]]:
        return [(point.step, round(point.value, 6)) for point in record.history(name)]

    return points


@pytest.fixture
def visible() -> Callable[[RunRecord], dict[str, Any]]:
    """All that a record shows, but what differs from one execution to the next: each metric's steps, of files the paths."""

    def visible(record: RunRecord) -> dict[str, Any]:
        shown = record.to_dict()
        for name in ("id", "name", "parent", "started", "ended", "duration", "overhead", "framework_version"):
            del shown[name]
        shown["metrics"] = {name: [p.step for p in record.history(name)] for name in shown["metrics"]}
        shown["artifacts"] = [artifact["path"] for artifact in shown["artifacts"]]
        shown["models"] = [(model["path"], model["flavor"]) for model in shown["models"]]
        return shown

    return visible
