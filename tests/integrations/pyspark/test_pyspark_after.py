"""The promise: what the user measures belongs to the run of the model that made the predictions."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from pyspark.ml.classification import LogisticRegression
from pyspark.ml.clustering import LDA, KMeans
from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    Evaluator,
    MulticlassClassificationEvaluator,
)
from pyspark.ml.param.shared import HasPredictionCol

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

Last = Callable[[RunRecord], dict[str, Any]]
AT_HAND = {"objectiveHistory", "totalIterations"}


def measured(run: RunRecord, last: Last) -> dict[str, Any]:
    return {name: value for name, value in last(run).items() if name not in AT_HAND}


def test_an_evaluators_metric_belongs_to_the_run_of_the_model(seen: Recorded, frame: Any, last: Last) -> None:
    """Complete: under the metric's name and that of the data, also of what is selected of the predictions; the data is a test
    set, once, as the script has it, without the model's columns.

    Slow: each metric is a job of Spark's, and the first test of a process also starts its JVM.
    """
    train, test = frame.where("id < 30"), frame.where("id >= 30")
    evaluator = MulticlassClassificationEvaluator()
    model = LogisticRegression(maxIter=1).fit(train)
    predictions = model.transform(test)
    found = {
        "f1_test": evaluator.evaluate(predictions),
        "accuracy_test": evaluator.evaluate(predictions, {evaluator.metricName: "accuracy"}),
        "hammingLoss_test": MulticlassClassificationEvaluator(metricName="hammingLoss").evaluate(
            dataset=predictions.select("label", "prediction").where("prediction >= 0").repartition(1).cache()
        ),
        "areaUnderROC_train": BinaryClassificationEvaluator().evaluate(model.transform(train)),
    }
    assert measured(seen.run, last) == found
    assert [(one["context"], one["columns"]) for one in seen.run.datasets] == [("train", 3), ("test", 3)]


def test_metrics_of_several_models_go_to_their_own_runs(seen: Recorded, frame: Any, last: Last) -> None:
    """Complete: also where one frame has the predictions of two, and where the model itself is not kept."""
    first = LogisticRegression(maxIter=1, regParam=0.1).fit(frame)
    both = LogisticRegression(
        maxIter=1, regParam=0.9, predictionCol="second", rawPredictionCol="raw", probabilityCol="p"
    )
    both = both.fit(frame).transform(first.transform(frame))
    gc.collect()
    MulticlassClassificationEvaluator(metricName="accuracy").evaluate(both)
    MulticlassClassificationEvaluator(predictionCol="second").evaluate(both)
    runs = {run.params["regParam"]: set(measured(run, last)) for run in seen.runs}
    assert runs == {0.1: {"accuracy_train"}, 0.9: {"f1"}}


class Share(Evaluator, HasPredictionCol):
    """A user's own evaluator."""

    def _evaluate(self, dataset: Any) -> float:
        return 0.25


def test_metrics_of_unknown_predictions_belong_to_the_explicit_run_around_them(
    seen: Recorded, frame: Any, last: Last
) -> None:
    """Complete, and nothing is invented: a class is a metric's name too; what no known model has predicted is of no run, but of
    the block's that it is measured in.
    """
    model = LogisticRegression(maxIter=1).fit(frame)
    Share().evaluate(model.transform(frame))
    strange = frame.selectExpr("label", "label as prediction")
    Share().evaluate(strange)
    assert measured(seen.run, last) == {"Share_train": 0.25}
    with autolog.run("mine"):
        Share().evaluate(strange)
    assert measured(seen.runs[-1], last) == {"Share": 0.25}


def test_a_summary_is_a_metric_when_it_is_read(
    seen: Recorded, frame: Any, last: Last, jobs: Callable[[], int]
) -> None:
    """Complete: what Spark computes of the training data and of other data because the script asks; not a job more."""
    test = frame.where("id >= 20")
    with autolog.suspended():
        model = LogisticRegression(maxIter=1).fit(frame)
        before = jobs()
        assert model.summary.accuracy + model.evaluate(test).weightedPrecision > 0
        plain = jobs() - before
    model = LogisticRegression(maxIter=1).fit(frame)
    before = jobs()
    summary = model.summary
    found = {"accuracy": summary.accuracy, "weightedPrecision_test": model.evaluate(test).weightedPrecision}
    assert jobs() - before == plain
    assert measured(seen.run, last) == found


def test_a_number_of_a_summary_that_is_a_param_is_no_metric(seen: Recorded, frame: Any, last: Last) -> None:
    summary = KMeans(k=2, seed=1).fit(frame).summary
    assert (summary.k, seen.run.params["k"]) == (2, 2)
    assert last(seen.run) == {"numIter": summary.numIter, "trainingCost": summary.trainingCost}


def test_a_measure_that_a_model_computes_of_data_is_a_metric(seen: Recorded, frame: Any, last: Last) -> None:
    model = LDA(k=2, maxIter=1, seed=1).fit(frame)
    test = frame.where("id >= 20")
    found = {
        "logLikelihood_test": model.logLikelihood(test),
        "logPerplexity_train": model.logPerplexity(frame),
    }
    assert measured(seen.run, last) == found
    assert [dataset["context"] for dataset in seen.run.datasets] == ["train", "test"]


def test_model_predictions_and_summary_are_not_kept_alive(seen: Recorded, frame: Any) -> None:
    model = LogisticRegression(maxIter=1).fit(frame)
    predictions = model.transform(frame)
    summary = model.evaluate(frame)
    MulticlassClassificationEvaluator().evaluate(predictions)
    assert summary.accuracy >= 0
    kept = [weakref.ref(one) for one in (model, predictions, summary)]
    del model, predictions, summary
    gc.collect()
    assert [one() for one in kept] == [None] * 3
