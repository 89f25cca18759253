"""The promise: a search is one run with every param map that it tried as a child, and the best model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator, RegressionEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

Last = Callable[[RunRecord], dict[str, Any]]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_cross_validation_is_a_run_with_its_param_maps_as_children(
    seen: Recorded, frame: Any, last: Last, threads: int
) -> None:
    """Complete: the average and deviation of each over the folds, the best one marked and its params the run's own; the fits
    inside, in threads too, are no runs.
    """
    lr = LogisticRegression(maxIter=1)
    grid = ParamGridBuilder().addGrid(lr.regParam, [0.0, 9.0]).addGrid(lr.elasticNetParam, [0.0, 1.0]).build()
    search = CrossValidator(
        estimator=lr, estimatorParamMaps=grid, evaluator=BinaryClassificationEvaluator(), numFolds=2, seed=3,
        parallelism=threads,
    )  # fmt: skip
    model = search.fit(frame)
    (run,) = [run for run in seen.runs if run.parent is None]
    best = max(range(4), key=lambda number: model.avgMetrics[number])
    tried = [{f"LogisticRegression.{param.name}": value for param, value in one.items()} for one in grid]
    assert (run.kind, run.estimator, run.status) == ("search", "pyspark.ml.tuning.CrossValidator", "finished")
    assert [(child.kind, child.params, last(child), child.tags) for child in run.children] == [
        (
            "candidate", tried[number],
            {"avg_areaUnderROC": model.avgMetrics[number], "std_areaUnderROC": model.stdMetrics[number]},
            {"best": "true"} if number == best else {},
        )
        for number in range(4)
    ]  # fmt: skip
    own = {name: value for name, value in run.params.items() if "." not in name}
    assert own == {
        "estimator": "LogisticRegression", "evaluator": "BinaryClassificationEvaluator", "numFolds": 2, "seed": 3,
        "parallelism": threads, "collectSubModels": False, "foldCol": "",
    }  # fmt: skip
    assert run.params["LogisticRegression.maxIter"] == 1
    assert run.params["BinaryClassificationEvaluator.metricName"] == "areaUnderROC"
    assert {f"best_{name}": value for name, value in tried[best].items()}.items() <= run.params.items()
    assert {
        "best_avg_areaUnderROC": model.avgMetrics[best],
        "best_std_areaUnderROC": model.stdMetrics[best],
    }.items() <= last(run).items()
    with autolog.suspended():
        features = [row.prediction for row in model.transform(frame).collect()]
        assert [row.prediction for row in run.model().transform(frame).collect()] == features


def test_a_train_validation_split_has_the_measure_of_each_candidate(
    seen: Recorded, spark: Any, last: Last
) -> None:
    """Complete: TrainValidationSplit, of a pipeline inside, where less is better."""
    from pyspark.ml.regression import LinearRegression

    data = spark.range(40).selectExpr("cast(id as double) as x", "cast(id % 5 as double) as label")
    assembler, regression = (
        VectorAssembler(inputCols=["x"], outputCol="features"),
        LinearRegression(maxIter=1),
    )
    grid = ParamGridBuilder().addGrid(regression.regParam, [0.0, 99.0]).build()
    search = TrainValidationSplit(
        estimator=Pipeline(stages=[assembler, regression]), estimatorParamMaps=grid,
        evaluator=RegressionEvaluator(metricName="mae"), seed=1,
    )  # fmt: skip
    model = search.fit(data, {regression.maxIter: 2})
    (run,) = [run for run in seen.runs if run.parent is None]
    assert [last(child) for child in run.children] == [{"mae": value} for value in model.validationMetrics]
    best = min(range(2), key=lambda number: model.validationMetrics[number])
    assert [child.tags for child in run.children][best] == {"best": "true"}
    assert last(run)["best_mae"] == model.validationMetrics[best]
    assert run.params["stages" if "stages" in run.params else "Pipeline.stages"] == [
        "VectorAssembler",
        "LinearRegression",
    ]
    assert run.params["LinearRegression.maxIter"] == 2
    assert run.params["best_LinearRegression.regParam"] == grid[best][regression.regParam]


@pytest.mark.parametrize("count", [1, 2])
def test_searches_in_a_pipeline_have_their_candidates_too(
    seen: Recorded, frame: Any, last: Last, count: int
) -> None:
    """Complete: where a pipeline ends in a search, so that its first stages are fitted once, the run has the search's
    candidates as children and what was best; of several searches each under its own name.
    """
    searches = []
    for number in range(count):
        lr = LogisticRegression(
            maxIter=1, predictionCol=f"p{number}", rawPredictionCol=f"r{number}", probabilityCol=f"b{number}"
        )
        grid = ParamGridBuilder().addGrid(lr.regParam, [0.0, 9.0]).build()
        evaluator = BinaryClassificationEvaluator(rawPredictionCol=f"r{number}")
        searches.append(
            TrainValidationSplit(estimator=lr, estimatorParamMaps=grid, evaluator=evaluator, seed=1)
        )
    inner = Pipeline(stages=[StandardScaler(inputCol="features", outputCol="scaled"), *searches])
    fitted = Pipeline(stages=[inner]).fit(frame).stages[0].stages[1:]
    (run,) = [run for run in seen.runs if run.parent is None]
    assert (run.kind, run.status, run.errors) == ("fit", "finished", [])
    own = ["" if count == 1 else f"TrainValidationSplit_{number + 1}." for number in range(count)]
    names = ["LogisticRegression" if count == 1 else f"LogisticRegression_{n + 1}" for n in range(count)]
    assert [(child.name.rpartition("/")[2], child.params, last(child)) for child in run.children] == [
        (f"{own[n]}{number}", {f"{names[n]}.regParam": value}, {"areaUnderROC": fitted[n].validationMetrics[number]})
        for n in range(count)
        for number, value in enumerate((0.0, 9.0))
    ]  # fmt: skip
    for n in range(count):
        best = max(range(2), key=lambda number: fitted[n].validationMetrics[number])
        assert last(run)[f"{own[n]}best_areaUnderROC"] == fitted[n].validationMetrics[best]
        assert run.params[f"{own[n]}best_{names[n]}.regParam"] == (0.0, 9.0)[best]
