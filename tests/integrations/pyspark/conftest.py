"""What the tests of PySpark share: one small session a process, a store and a session of autolog's for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from helpers import spark_session

from autolog.testing import Recorded, recorded

collect_ignore_glob = [] if find_spec("pyspark") else ["test_*.py"]


@pytest.fixture(scope="session")
def spark() -> Any:
    """Spark's session. It ends with the process."""
    return spark_session()


@pytest.fixture
def seen(own_key: None) -> Iterator[Recorded]:
    """Records PySpark into a store of its own; an error of autolog's own fails the test."""
    with recorded("pyspark") as seen:
        yield seen


@pytest.fixture
def frame(spark: Any) -> Any:
    """40 rows: a vector of two features, a label of two classes, and the number of the row."""
    from pyspark.ml.linalg import Vectors

    rows = [(Vectors.dense(i / 40, (i * 7 % 40) / 40), float(i % 3 == 0), i) for i in range(40)]
    return spark.createDataFrame(rows, ["features", "label", "id"])


@pytest.fixture
def jobs(spark: Any) -> Callable[[], int]:
    """How many jobs Spark has been given so far."""
    return spark.sparkContext._jsc.sc().dagScheduler().numTotalJobs


@pytest.fixture
def described(spark: Any) -> Callable[[int], list[str]]:
    """The descriptions of the jobs from this number on, empty where there is none."""

    def described(first: int) -> list[str]:
        context = spark.sparkContext._jsc.sc()
        context.listenerBus().waitUntilEmpty()
        found = context.statusStore().jobsList(None)
        some = [found.apply(i) for i in range(found.size())]
        return [
            job.description().get() if job.description().isDefined() else ""
            for job in some
            if job.jobId() >= first
        ]

    return described
