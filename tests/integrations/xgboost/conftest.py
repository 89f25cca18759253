"""What the XGBoost tests share: a store and a session for each test, small data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from autolog import RunRecord
from autolog.testing import Recorded, recorded

collect_ignore_glob = [] if find_spec("xgboost") else ["test_*.py"]
if not (find_spec("pandas") and find_spec("sklearn")):  # which it does without
    collect_ignore_glob += ["test_xgboost_[!b]*.py"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small data is not worth threads, and on a busy machine they wait for each other."""
    import xgboost  # loads the library that has threads

    assert xgboost
    if find_spec("threadpoolctl") is None:  # scikit-learn's
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@pytest.fixture
def seen(own_key: None) -> Iterator[Recorded]:
    """Records XGBoost and scikit-learn into a store of its own; an error of autolog's own fails the test."""
    with recorded("xgboost", "sklearn") as seen:
        yield seen


@pytest.fixture
def shown_of_metrics() -> Callable[[RunRecord, str], Any]:
    """The value of each round."""
    return lambda record, name: [point.value for point in record.history(name)]
