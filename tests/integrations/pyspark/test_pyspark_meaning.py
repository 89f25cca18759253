"""The promise: which way a metric is better is what Spark says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.ml import evaluation
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import ParamGridBuilder, TrainValidationSplit

from autolog.testing import Recorded
from autolog_pyspark import directions

EVALUATORS: dict[Callable[[], Any], str] = {
    evaluation.BinaryClassificationEvaluator: "areaUnderROC areaUnderPR",
    evaluation.RegressionEvaluator: "rmse mse r2 mae var",
    evaluation.MulticlassClassificationEvaluator: (
        "f1 accuracy weightedPrecision weightedRecall weightedTruePositiveRate weightedFalsePositiveRate weightedFMeasure "
        "truePositiveRateByLabel falsePositiveRateByLabel precisionByLabel recallByLabel fMeasureByLabel logLoss hammingLoss"
    ),
    evaluation.MultilabelClassificationEvaluator: (
        "subsetAccuracy accuracy hammingLoss precision recall f1Measure precisionByLabel recallByLabel f1MeasureByLabel "
        "microPrecision microRecall microF1Measure"
    ),
    evaluation.ClusteringEvaluator: "silhouette",
    evaluation.RankingEvaluator: "meanAveragePrecision meanAveragePrecisionAtK precisionAtK ndcgAtK recallAtK",
}


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=lambda one: one.__name__)
def test_directions_are_those_of_the_evaluators(frame: Any, evaluator: Any) -> None:
    """By which searches choose."""
    names = EVALUATORS[evaluator].split()
    larger = {name: evaluator(metricName=name).isLargerBetter() for name in names}
    assert {name: directions.of(name) == "higher" for name in names} == larger


def test_metrics_of_summaries_evaluators_and_searches_have_a_direction(seen: Recorded, frame: Any) -> None:
    model = LogisticRegression(maxIter=2).fit(frame)
    evaluation.MulticlassClassificationEvaluator(metricName="logLoss").evaluate(model.transform(frame))
    lr = LinearRegression(maxIter=1)
    grid = ParamGridBuilder().addGrid(lr.regParam, [0.0, 9.0]).build()
    TrainValidationSplit(
        estimator=lr, estimatorParamMaps=grid, evaluator=RegressionEvaluator(metricName="mae"), seed=3
    ).fit(frame)
    fit, search = (run for run in seen.runs if run.parent is None)
    runs = [fit, search, *search.children]
    said = [{name: one["direction"] for name, one in run.metrics.items()} for run in runs]
    assert said[0]["objectiveHistory"] == "lower"
    assert said[0]["totalIterations"] is None
    assert [better for name, better in said[0].items() if name.startswith("logLoss")] == ["lower"]
    assert said[1]["best_mae"] == "lower"
    assert said[2:] == [{"mae": "lower"}, {"mae": "lower"}]
    assert not any(one.get("guess") for run in runs for one in run.metrics.values())
