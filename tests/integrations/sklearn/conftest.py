"""What the scikit-learn tests share: a store and a session for each test, small data."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from autolog.testing import Recorded, recorded

collect_ignore_glob = [] if find_spec("sklearn") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small data is not worth threads, and on a busy machine they wait for each other."""
    import sklearn.cluster  # loads the libraries that have threads
    from threadpoolctl import threadpool_limits

    assert sklearn
    with threadpool_limits(1):
        yield


@pytest.fixture
def seen(own_key: None) -> Iterator[Recorded]:
    """Records scikit-learn into a store of its own; an error of autolog's own fails the test."""
    with recorded("sklearn") as seen:
        yield seen


@pytest.fixture
def binary() -> tuple[Any, Any]:
    """120 rows of 5 columns in two classes."""
    from sklearn.datasets import make_classification

    return make_classification(120, 5, random_state=0)
