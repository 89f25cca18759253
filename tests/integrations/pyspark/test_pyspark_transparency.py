"""The promise: Spark does what it does without us: no job over the user's data, nothing persisted or let go of, no second
session, nothing of ours in what is sent to tasks.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from helpers import environment
from pyspark.ml import Estimator, Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import StringIndexer
from pyspark.ml.fpm import FPGrowth
from pyspark.ml.recommendation import ALS
from pyspark.ml.tuning import CrossValidator

import autolog
from autolog.testing import Recorded
from autolog_pyspark.flavor import DESCRIPTION


def train(frame: Any) -> Any:
    """A pipeline, a search, and what is measured of them."""
    indexer = StringIndexer(inputCol="id", outputCol="index")
    model = Pipeline(stages=[indexer, LogisticRegression(maxIter=1)]).fit(frame)
    evaluator = BinaryClassificationEvaluator()
    evaluator.evaluate(model.transform(frame))
    search = CrossValidator(
        estimator=LogisticRegression(maxIter=1), estimatorParamMaps=[{}, {}], evaluator=evaluator, numFolds=2
    )
    return search.fit(frame)


def test_no_job_is_started_except_to_write_the_model(
    seen: Recorded, frame: Any, jobs: Callable[[], int], described: Callable[[int], list[str]]
) -> None:
    """Nearly free: as many jobs as without; those that write the model say whose they are, and the user's own description of
    jobs is as it was.
    """
    context = frame.sparkSession.sparkContext
    with autolog.suspended():
        before = jobs()
        train(frame)
        plain = jobs() - before
    autolog.enable("pyspark", log_models=False)
    before = jobs()
    train(frame)
    assert jobs() - before == plain
    autolog.enable("pyspark", log_models=True)
    context.setJobDescription("mine")
    try:
        before = jobs()
        train(frame)
        said = described(before)
        assert context.getLocalProperty("spark.job.description") == "mine"
    finally:
        context.setJobDescription(None)
    assert len([one for one in said if one != DESCRIPTION]) == plain
    assert DESCRIPTION in said


@pytest.mark.parametrize("cached", [True, False])
def test_the_users_frames_are_neither_persisted_nor_unpersisted(
    seen: Recorded, spark: Any, frame: Any, cached: bool
) -> None:
    if cached:
        frame.cache()
    persistent = spark.sparkContext._jsc.getPersistentRDDs
    level, held = str(frame.storageLevel), len(persistent())
    train(frame)
    with pytest.raises(Exception, match="missing"):
        LogisticRegression(featuresCol="missing").fit(frame)
    assert (frame.is_cached, str(frame.storageLevel)) == (cached, level)
    assert len(persistent()) - held <= (1 if cached else 0)  # the user's own, filled by the fit
    frame.unpersist()


def test_models_that_spark_would_compute_anew_are_not_saved(seen: Recorded, spark: Any) -> None:
    """Nearly free: to write these models is to read the training data again, which is not ours to do; the run says so."""
    read = spark.sparkContext.accumulator(0)

    def touch(row: Any) -> Any:
        read.add(1)
        return row

    def fit(estimator: Any, rows: list[Any], schema: str) -> int:
        data = spark.createDataFrame(spark.sparkContext.parallelize(rows, 2).map(touch), schema)
        before = read.value
        estimator.fit(data)
        return read.value - before

    def all_fits() -> list[int]:
        ratings = [(i % 4, i % 5, float(i % 3)) for i in range(20)]
        schema = "user int, item int, rating double"
        named = {"userCol": "user", "itemCol": "item", "ratingCol": "rating", "maxIter": 1, "rank": 2}
        baskets = [([str(i % 3), str(i % 5 + 10)],) for i in range(20)]
        return [
            fit(FPGrowth(minSupport=0.1), baskets, "items array<string>"),
            fit(ALS(**named), ratings, schema),
            fit(ALS(**named, finalStorageLevel="NONE"), ratings, schema),
        ]

    with autolog.suspended():
        plain = all_fits()
    assert all_fits() == plain
    assert [len(run.models) for run in seen.runs] == [0, 1, 0]
    assert [bool(run.notes) for run in seen.runs] == [True, False, True]


def test_no_session_is_created_or_changed(seen: Recorded, spark: Any, frame: Any) -> None:
    other = spark.newSession()
    settings = dict(spark.sparkContext.getConf().getAll())
    train(frame)
    assert spark.sparkContext is frame.sparkSession.sparkContext
    assert type(spark).getActiveSession() is not other
    assert dict(spark.sparkContext.getConf().getAll()) == settings


def test_estimators_are_not_changed(seen: Recorded, frame: Any) -> None:
    plain, ours = (LogisticRegression(maxIter=1) for _ in range(2))
    with autolog.suspended():
        plain.fit(frame)
    maps, params = ours._paramMap, list(ours._paramMap)
    ours.fit(frame)
    assert ours._paramMap is maps
    assert all(one is other for one, other in zip(ours._paramMap, params, strict=True))
    assert vars(ours).keys() == vars(plain).keys()
    assert vars(frame).keys() == vars(frame.where("id > 0")).keys() | vars(frame).keys()


def test_functions_are_sent_to_tasks_as_without_autolog(seen: Recorded, spark: Any, frame: Any) -> None:
    """Transparent: functions of the user's that refer to patched classes are sent as they are without autolog, and run in
    workers that know nothing of it.
    """

    def name(_: Any) -> Any:
        import sys

        yield LogisticRegression.__name__, Pipeline.fit.__qualname__, "autolog" in sys.modules

    sent = cloudpickle.dumps((name, LogisticRegression, Pipeline))
    assert spark.sparkContext.parallelize([1], 1).mapPartitions(name).collect() == [
        ("LogisticRegression", "Estimator.fit", False)
    ]
    seen.client.disable()
    assert cloudpickle.dumps((name, LogisticRegression, Pipeline)) == sent


class Constant(Estimator[Any]):
    """An estimator of the user's that does not look at its data."""

    def _fit(self, dataset: Any) -> Any:
        return LogisticRegression()


def test_a_frame_is_not_asked_for_a_name_that_it_may_not_have(seen: Recorded, frame: Any) -> None:
    """Harmless: one that was never initialised looks for every name among its columns, without end."""
    Constant().fit(object.__new__(type(frame)))
    assert (seen.run.status, seen.run.errors, len(seen.run.datasets)) == ("finished", [], 1)


STOPPED = """
    import autolog
    autolog.autolog(silent=True)
    from helpers import spark_session
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.linalg import Vectors
    spark = spark_session()
    frame = spark.createDataFrame([(Vectors.dense(float(i)),) for i in range(9)], ["features"])
    model = KMeans(k=2, seed=1).fit(frame)
    estimator = KMeans(k=2, seed=1)
    spark.stop()
    said = []
    for _ in range(2):
        try:
            estimator.fit(frame)
        except Exception as error:
            said.append(type(error).__name__)
        autolog.disable()
    assert len(said) == 2 and said[0] == said[1], said
    autolog.flush()
    print([(run.status, len(run.models)) for run in autolog.runs()])
    print([type(stage).__name__ for stage in autolog.load_model(autolog.runs()[1]).stages])
"""


@pytest.mark.timeout(900)
def test_a_stopped_session_is_the_users_own_error(tmp_path: Path) -> None:
    """Transparent: the same exception as without, a failed run, and the process ends as it does.

    Slow: a process with a JVM of its own, which it stops.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STOPPED)], cwd=tmp_path, capture_output=True, text=True, timeout=840,
        env=environment(tmp_path, AUTOLOG_STRICT="1"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[('failed', 0), ('finished', 1)]",
        "['KMeansModel']",
    ]
