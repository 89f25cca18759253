"""What the LightGBM tests share: a store and a session for each test, small data."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from autolog.testing import Recorded, recorded

collect_ignore_glob = [] if find_spec("lightgbm") else ["test_*.py"]
if not (find_spec("pandas") and find_spec("sklearn")):  # which it does without
    collect_ignore_glob += ["test_lightgbm_[!b]*.py"]


@pytest.fixture
def seen(own_key: None) -> Iterator[Recorded]:
    """Records LightGBM into a store of its own; an error of autolog's own fails the test."""
    with recorded("lightgbm") as seen:
        yield seen


@pytest.fixture
def seen_both(own_key: None) -> Iterator[Recorded]:
    """The same with scikit-learn's integration beside."""
    with recorded("lightgbm", "sklearn") as seen:
        yield seen
