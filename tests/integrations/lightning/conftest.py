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
def _in_a_folder(own_key: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers write checkpoints into the working directory; weights begin with the same random numbers."""
    import torch

    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def seen() -> Iterator[Recorded]:
    """Records Lightning into a store of its own; an error of autolog's own fails the test."""
    with recorded("lightning") as seen:
        yield seen


@pytest.fixture
def shown_of_metrics() -> Callable[[RunRecord, str], Any]:
    """Its steps."""
    return lambda record, name: [point.step for point in record.history(name)]
