"""What the PyTorch tests share: a store and a session for each test, one thread, the loops, and views of a record."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from autolog import RunRecord
from autolog.testing import Recorded, recorded

sys.path.insert(0, str(Path(__file__).parent))
collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small data is not worth threads, and on a busy machine they wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def seen(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """Records torch into a store of its own; an error of autolog's own fails the test."""
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))
    import torch

    torch.manual_seed(0)
    with recorded("torch") as seen:
        yield seen


@pytest.fixture
def visible() -> Callable[[RunRecord], dict[str, Any]]:
    """All that a record shows, but what differs from one execution to the next; metrics as (step, epoch, value)."""

    def visible(record: RunRecord) -> dict[str, Any]:
        shown = record.to_dict()
        for name in (
            "id",
            "name",
            "parent",
            "started",
            "ended",
            "duration",
            "overhead",
            "framework_version",
            "experiment",
            "description",
            "starred",
            "archived",
        ):
            del shown[name]
        shown["metrics"] = {
            name: [(p.step, p.epoch, round(p.value, 6)) for p in record.history(name)]
            for name in shown["metrics"]
            if name not in ("data_wait", "samples_per_second")
        }
        shown["artifacts"] = [
            artifact["path"] for artifact in shown["artifacts"] if "/data/" in artifact["path"]
        ]
        shown["models"] = [(model["path"], model["flavor"]) for model in shown["models"]]
        return shown

    return visible
