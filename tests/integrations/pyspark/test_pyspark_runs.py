"""The promise: every training of PySpark ML's is one complete run, in the words of Spark; nothing is invented."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml import Estimator, Model, Pipeline
from pyspark.ml.classification import LinearSVC, LogisticRegression, OneVsRest, RandomForestClassifier
from pyspark.ml.clustering import GaussianMixture, KMeans
from pyspark.ml.feature import SQLTransformer, StringIndexer, VectorAssembler
from pyspark.ml.param.shared import HasLabelCol, HasOutputCol
from pyspark.ml.regression import GeneralizedLinearRegression, LinearRegression

import autolog
from autolog import RunRecord
from autolog.testing import Recorded, recorded

Visible = Callable[[RunRecord], dict[str, Any]]
Series = Callable[[RunRecord, str], list[tuple[int, float]]]
LOGISTIC = {
    "aggregationDepth": 2, "elasticNetParam": 0.0, "family": "auto", "featuresCol": "features", "fitIntercept": True,
    "labelCol": "label", "maxBlockSizeInMB": 0.0, "maxIter": 3, "predictionCol": "prediction",
    "probabilityCol": "probability", "rawPredictionCol": "rawPrediction", "regParam": 0.1, "standardization": True,
    "threshold": 0.5, "tol": 1e-06,
}  # fmt: skip
MODEL = ["model/MLmodel", "model/conda.yaml", "model/python_env.yaml", "model/requirements.txt"]


def test_a_fit_is_one_complete_run(seen: Recorded, frame: Any, visible: Visible, series: Series) -> None:
    """Complete: params with their defaults, the objective of every iteration, data, model; nothing else."""
    model = LogisticRegression(maxIter=3, regParam=0.1).fit(frame)
    history = model.summary.objectiveHistory
    shown = visible(seen.run)
    files = [path for path in shown.pop("artifacts") if not path.startswith("model/sparkml/")]
    assert files == MODEL
    assert shown == {
        "experiment": "default", "status": "finished", "framework": "pyspark", "kind": "fit",
        "estimator": "pyspark.ml.classification.LogisticRegression", "params": LOGISTIC,
        "metrics": {"objectiveHistory": history[-1], "totalIterations": 3},
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [{"context": "train", "kind": "pyspark.DataFrame", "columns": 3,
                      "schema": {"features": "vector", "label": "double", "id": "long"}}],
        "models": [("model", "spark")],
    }  # fmt: skip
    assert series(seen.run, "objectiveHistory") == list(enumerate(history))


def test_a_pipeline_is_one_run_with_the_params_of_its_stages(
    seen: Recorded, spark: Any, tmp_path: Path
) -> None:
    """Complete: the stages' params under their classes, the file that the data is read from; what the stages fit is no run."""
    rows = [(float(i % 5), float(i % 7), "ab"[i % 2]) for i in range(30)]
    spark.createDataFrame(rows, ["x", "y", "color"]).write.parquet(f"{tmp_path}/colors")
    data = spark.read.parquet(f"{tmp_path}/colors").cache()
    pipeline = Pipeline(
        stages=[
            StringIndexer(inputCol="color", outputCol="label"),
            StringIndexer(inputCol="x", outputCol="nth"),
            VectorAssembler(inputCols=["x", "y", "nth"], outputCol="features"),
            LogisticRegression(maxIter=3, regParam=0.1),
        ]
    )
    pipeline.fit(dataset=data)
    run = seen.run
    assert run.estimator == "pyspark.ml.pipeline.Pipeline"
    assert run.params == {
        "stages": ["StringIndexer_1", "StringIndexer_2", "VectorAssembler", "LogisticRegression"],
        **{f"StringIndexer_{n}.{name}": value for n, (i, o) in {1: ("color", "label"), 2: ("x", "nth")}.items()
           for name, value in {"inputCol": i, "outputCol": o, "handleInvalid": "error",
                               "stringOrderType": "frequencyDesc"}.items()},
        "VectorAssembler.inputCols": ["x", "y", "nth"], "VectorAssembler.outputCol": "features",
        "VectorAssembler.handleInvalid": "error",
        **{f"LogisticRegression.{name}": value for name, value in LOGISTIC.items()},
    }  # fmt: skip
    assert run.metrics["totalIterations"]["last"] == 3
    assert [{k: v for k, v in one.items() if k != "kind"} for one in run.datasets] == [
        {
            "context": "train",
            "columns": 3,
            "schema": {"x": "double", "y": "double", "color": "string"},
            "storage_level": data.storageLevel.__str__(),
            "sources": [f"file:{tmp_path}/colors"],
        }
    ]
    data.unpersist()


def test_a_table_is_described_by_its_name(seen: Recorded, spark: Any, frame: Any) -> None:
    frame.write.mode("overwrite").saveAsTable("measured")
    try:
        LogisticRegression(maxIter=1).fit(spark.table("measured").where("id > 3").select("features", "label"))
        assert seen.run.datasets[0]["sources"] == ["spark_catalog.default.measured"]
    finally:
        spark.sql("drop table measured")


def test_a_param_map_counts_and_is_left_as_it_is(seen: Recorded, frame: Any) -> None:
    """Complete: what one fit was given is in its run, and not in the estimator."""
    estimator = LogisticRegression(maxIter=1)
    given = {estimator.maxIter: 2, estimator.regParam: 0.5}
    estimator.fit(frame, given)
    assert (seen.run.params["maxIter"], seen.run.params["regParam"]) == (2, 0.5)
    assert given == {estimator.maxIter: 2, estimator.regParam: 0.5}
    assert estimator.getMaxIter() == 1


@pytest.mark.parametrize("how", ["list", "tuple", "fitMultiple"])
def test_each_of_a_list_of_param_maps_is_a_run(seen: Recorded, frame: Any, how: str) -> None:
    """Complete: so many models, so many trainings, as if they were fitted one by one."""
    estimator = LogisticRegression(maxIter=1)
    maps = [{estimator.regParam: 0.1}, {estimator.regParam: 0.2}]
    if how == "fitMultiple":
        assert sorted(number for number, _ in estimator.fitMultiple(frame, maps)) == [0, 1]
    else:
        assert len(estimator.fit(frame, maps if how == "list" else tuple(maps))) == 2
    assert sorted(run.params["regParam"] for run in seen.runs) == [0.1, 0.2]
    assert [(run.status, run.parent, len(run.models)) for run in seen.runs] == [("finished", None, 1)] * 2


def test_fits_of_several_param_maps_inside_an_explicit_run_are_its_children(
    seen: Recorded, frame: Any
) -> None:
    estimator = KMeans(k=2, seed=1)
    with autolog.run("ks", children=True):
        estimator.fit(frame, [{estimator.k: 2}, {estimator.k: 3}])
    (run,) = [run for run in seen.runs if run.parent is None]
    assert [child.params["k"] for child in run.children] == [2, 3]


@pytest.mark.parametrize(
    "stages",
    [
        [StringIndexer],
        [lambda **_: SQLTransformer(statement="select * from __THIS__")],
        [lambda **names: Pipeline(stages=[StringIndexer(**names)])],
    ],
)
def test_a_fit_of_a_transformer_makes_no_run(seen: Recorded, frame: Any, stages: list[Any]) -> None:
    made = [stage(inputCol="id", outputCol="index") for stage in stages]
    for stage in made:
        if isinstance(stage, Estimator):
            stage.fit(frame)
    Pipeline(stages=made).fit(frame)
    assert not seen.runs


class Scaled(Estimator, HasOutputCol):
    """A user's own estimator that prepares a column."""

    def _fit(self, dataset: Any) -> Any:
        return ScaledModel()


class ScaledModel(Model, HasOutputCol):
    def _transform(self, dataset: Any) -> Any:
        return dataset


class Majority(Estimator, HasLabelCol):
    """A user's own estimator that learns, and trains another one to do so."""

    def _fit(self, dataset: Any) -> Any:
        LogisticRegression(maxIter=1, labelCol=self.getLabelCol()).fit(dataset)
        return MajorityModel()


class MajorityModel(Model):
    def _transform(self, dataset: Any) -> Any:
        return dataset


def test_estimators_of_the_users_own_are_recorded(seen: Recorded, frame: Any) -> None:
    """Complete: classes made after switching on too; what one trains inside is its own affair, what only prepares is not a run.
    A model that nobody can write is a note.
    """
    Scaled().fit(frame)
    Majority().fit(frame)
    run = seen.run
    assert run.estimator == f"{__name__}.Majority"
    assert run.params == {"labelCol": "label"}
    assert len(run.notes) == 1
    assert run.notes[0].startswith("The model was not saved: ")


class Bare(Estimator):
    """A user's own estimator that does not call the base's constructor: Spark fits it all the same."""

    def __init__(self) -> None:
        pass

    def _fit(self, dataset: Any) -> Any:
        return MajorityModel()


def test_an_estimator_without_params_is_recorded(seen: Recorded, frame: Any) -> None:
    Bare().fit(frame)
    assert (seen.run.estimator, seen.run.params, seen.run.errors) == (f"{__name__}.Bare", {}, [])


def test_estimators_of_third_parties_are_recorded(
    frame: Any, own_key: None, last: Callable[[RunRecord], dict[str, Any]], series: Series
) -> None:
    """Complete: XGBoost's for Spark, which are this integration's with XGBoost's own beside: each round by the names that it
    has there, where it stopped; their model loads.
    """
    spark_of_xgboost = pytest.importorskip("xgboost.spark")
    with recorded("pyspark", "xgboost", "sklearn") as seen:
        model = spark_of_xgboost.SparkXGBClassifier(
            n_estimators=9, num_workers=1, validation_indicator_col="held", early_stopping_rounds=1, eval_metric="logloss",
            learning_rate=1.5,
        ).fit(frame.withColumn("held", frame["id"] % 4 == 0))  # fmt: skip
    run = seen.run
    assert (run.framework, run.estimator) == ("pyspark", "xgboost.spark.estimator.SparkXGBClassifier")
    assert (run.params["n_estimators"], run.params["featuresCol"]) == (9, "features")
    if hasattr(model, "training_summary"):  # since 3.0
        for data in ("train", "validation"):
            rounds = getattr(model.training_summary, f"{data}_objective_history")["logloss"]
            name = "training" if data == "train" else data
            assert series(run, f"{name}-logloss") == list(enumerate(rounds))
        best = model.get_booster().best_iteration
        assert {name: value for name, value in last(run).items() if name.startswith(("best", "stopped"))} == {
            "best_iteration": best, "best_score": rounds[best], "stopped_iteration": best + 1,
        }  # fmt: skip
    expected = [row.prediction for row in model.transform(frame).collect()]
    assert [row.prediction for row in run.model().transform(frame).collect()] == expected


def test_one_vs_rest_is_one_run(seen: Recorded, frame: Any) -> None:
    """Complete: the classifier that it fits again and again is among its params and makes no runs."""
    OneVsRest(classifier=LinearSVC(maxIter=1)).fit(frame)
    assert seen.run.params["classifier"] == "LinearSVC"
    assert seen.run.params["LinearSVC.maxIter"] == 1


@pytest.mark.parametrize(
    ("estimator", "names"),
    [
        (lambda: LinearSVC(maxIter=2), {"objectiveHistory", "totalIterations"}),
        (lambda: RandomForestClassifier(numTrees=2, seed=1), set()),
        (lambda: KMeans(k=2, seed=1), {"numIter", "trainingCost"}),
        (lambda: GaussianMixture(k=2, maxIter=2, seed=1), {"numIter", "logLikelihood"}),
        (lambda: GeneralizedLinearRegression(maxIter=2), {"numIterations"}),
        (
            lambda: LinearRegression(maxIter=2, solver="l-bfgs"),
            {"objectiveHistory", "totalIterations", "r2", "r2adj", "explainedVariance", "meanAbsoluteError",
             "meanSquaredError", "rootMeanSquaredError"},
        ),
    ],
)  # fmt: skip
def test_numbers_of_a_summary_are_recorded_without_a_job(
    seen: Recorded, frame: Any, jobs: Callable[[], int], estimator: Callable[[], Any], names: set[str]
) -> None:
    with autolog.suspended():
        before = jobs()
        estimator().fit(frame)
        plain = jobs() - before
    autolog.enable("pyspark", log_models=False)
    before = jobs()
    estimator().fit(frame)
    assert jobs() - before == plain
    assert set(seen.run.metrics) == names


def test_a_fit_that_raises_is_a_failed_run(seen: Recorded, frame: Any) -> None:
    """Transparent: Spark's own exception, and a run that says so; also for a column of a type that nothing learns from."""
    for column in ("missing", "label"):
        with pytest.raises(Exception, match=column) as raised:
            LogisticRegression(featuresCol=column).fit(frame)
        run = seen.runs[-1]
        assert run.status == "failed"
        assert str(run.error).startswith(type(raised.value).__name__)
        assert not run.models
    assert len(seen.runs) == 2


def test_columns_of_any_type_are_described(seen: Recorded, spark: Any) -> None:
    """Complete: nested, exotic and many columns do not keep a training from being recorded."""
    sql = """
        select array(1.0, id) as numbers, map('a', id) as named, struct(id, 'x' as y) as record,
        cast(id as decimal(9, 2)) as price, timestamp_seconds(id) as at, date_from_unix_date(id) as day,
        cast('x' as binary) as raw, interval 1 day as pause,
        cast(id as double) as label, cast(id as double) as `odd, name#7` from range(9)
    """
    data = VectorAssembler(inputCols=["label"], outputCol="features").transform(spark.sql(sql))
    LinearRegression(maxIter=1).fit(data)
    schema = seen.run.datasets[0]["schema"]
    assert schema["odd, name#7"] == "double"
    assert (schema["numbers"], schema["record"], schema["price"]) == ("array", "struct", "decimal(9,2)")
    assert schema["features"] == "vector[1]"
    many = spark.range(5).selectExpr("cast(id as double) as label", *(f"id as c{i}" for i in range(300)))
    LinearRegression(maxIter=1).fit(VectorAssembler(inputCols=["c1"], outputCol="features").transform(many))
    assert seen.runs[-1].datasets[0]["columns"] == 302
    assert "schema" not in seen.runs[-1].datasets[0]


def test_the_common_options_hold(seen: Recorded, frame: Any) -> None:
    autolog.enable("pyspark", log_models=False, log_datasets=False)
    LogisticRegression(maxIter=1).fit(frame)
    assert not seen.run.models
    assert not seen.run.datasets
