"""The promise: a model's folder loads where it should: in Spark, in MLflow, and as a predictor of pandas frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import SQLTransformer, StringIndexer, VectorAssembler
from pyspark.ml.recommendation import ALS

import autolog
from autolog import ModelError
from autolog.models.errors import DamagedModel, InputMismatch, UntrustedModel
from autolog.models.load import load_model
from autolog.testing import Recorded


@pytest.fixture
def colors(spark: Any) -> Any:
    rows = [(float(i % 5), i % 7, ("red" if i % 5 > 2 else "blue"), i) for i in range(30)]
    return spark.createDataFrame(rows, "x double, y int, color string, id long")


def pipeline() -> Any:
    return Pipeline(
        stages=[
            StringIndexer(inputCol="color", outputCol="label"),
            VectorAssembler(inputCols=["x", "y"], outputCol="features"),
            LogisticRegression(maxIter=3),
        ]
    )


def signature_of(run: Any) -> Any:
    said = json.loads((run.folder / "model" / "MLmodel").read_text()).get("signature")
    return said and {key: json.loads(said[key]) for key in ("inputs", "outputs")}


def test_a_pipeline_loads_everywhere(seen: Recorded, colors: Any) -> None:
    """Complete: natively, as a predictor, by MLflow natively and as pyfunc: the same predictions. The signature has what a
    prediction needs, and neither label nor what nobody reads.
    """
    mlflow = pytest.importorskip("mlflow")
    mlflow_spark = pytest.importorskip("mlflow.spark")
    model = pipeline().fit(colors)
    expected = [row.prediction for row in model.transform(colors).collect()]
    run, rows = seen.run, colors.select("x", "y").toPandas()
    rows["y"] = rows["y"].astype("int32")
    assert signature_of(run) == {
        "inputs": [{"type": "double", "name": "x"}, {"type": "integer", "name": "y"}],
        "outputs": [{"type": "double", "name": "prediction"}],
    }
    native = autolog.load_model(run)
    assert type(native) is PipelineModel
    assert [row.prediction for row in native.transform(colors).collect()] == expected
    predictor = autolog.load_model(run, as_predictor=True)
    assert predictor.predict(rows).tolist() == expected
    assert predictor.predict(rows[["y", "x"]].iloc[::-1]).tolist() == expected[::-1]
    assert predictor.predict(colors).tolist() == expected  # what it was fitted on
    with pytest.raises(InputMismatch, match="lacks column 'y'"):
        predictor.predict(rows[["x"]])
    folder = str(run.folder / "model")
    there = mlflow_spark.load_model(folder)
    assert [row.prediction for row in there.transform(colors).collect()] == expected
    assert list(mlflow.pyfunc.load_model(folder).predict(rows)) == expected


def test_a_bare_model_takes_its_vector_as_lists(seen: Recorded, frame: Any) -> None:
    """Complete: a model that is no pipeline is wrapped in one, and learns from vectors."""
    mlflow = pytest.importorskip("mlflow")
    model = LogisticRegression(maxIter=3).fit(frame)
    expected = [row.prediction for row in model.transform(frame).collect()]
    rows = pandas.DataFrame({"features": [row.features.toArray().tolist() for row in frame.collect()]})
    assert signature_of(seen.run)["inputs"] == [{"type": "sparkml_vector", "name": "features"}]
    native = autolog.load_model(seen.run)
    assert [type(stage).__name__ for stage in native.stages] == ["LogisticRegressionModel"]
    assert autolog.load_model(seen.run, as_predictor=True).predict(rows).tolist() == expected
    if not hasattr(mlflow.types.schema, "SparkMLVector"):
        pytest.skip("older mlflows know no vectors of Spark's")
    assert list(mlflow.pyfunc.load_model(str(seen.run.folder / "model")).predict(rows)) == expected


def test_rows_keep_their_order_and_dropped_ones_their_place(seen: Recorded, spark: Any) -> None:
    """Complete: a model that joins and drops rows."""
    ratings = [(i % 4, i % 5, float(i % 3)) for i in range(20)]
    data = spark.createDataFrame(ratings, "user int, item int, rating double")
    als = ALS(userCol="user", itemCol="item", ratingCol="rating", maxIter=1, rank=2, coldStartStrategy="drop")
    model = als.fit(data)
    expected = {(row.user, row.item): row.prediction for row in model.transform(data).collect()}
    asked = pandas.DataFrame({"user": [3, 99, 0], "item": [4, 1, 0]}, dtype="int32")
    found = autolog.load_model(seen.run, as_predictor=True).predict(asked)
    assert [found[0], found[2]] == pytest.approx([expected[3, 4], expected[0, 0]])
    assert found[1] is None
    assert {one["name"] for one in signature_of(seen.run)["inputs"]} == {"user", "item"}


def test_a_model_with_unknown_columns_has_no_signature(seen: Recorded, colors: Any) -> None:
    sql = SQLTransformer(statement="select *, x * 2 as z from __THIS__ where y > 0")
    assembler = VectorAssembler(inputCols=["z"], outputCol="features")
    stages = [
        StringIndexer(inputCol="color", outputCol="label"),
        sql,
        assembler,
        LogisticRegression(maxIter=1),
    ]
    Pipeline(stages=stages).fit(colors)
    assert signature_of(seen.run) is None
    [note] = seen.run.notes
    assert note.startswith("The model has no signature: Spark does not tell")
    autolog.enable("pyspark", log_signatures=False)
    pipeline().fit(colors)
    assert (signature_of(seen.runs[-1]), seen.runs[-1].notes) == (None, [])
    autolog.enable("pyspark", log_input_examples=True)
    pipeline().fit(colors)
    [note] = seen.runs[-1].notes
    assert note.startswith("No example of the input was saved")


def test_a_folder_that_was_changed_is_refused(seen: Recorded, frame: Any) -> None:
    """Safe: files are checked before Spark reads them; stages of classes that are not Spark's need trust."""
    LogisticRegression(maxIter=1).fit(frame)
    folder = seen.run.folder / "model"
    part = next((folder / "sparkml" / "metadata").glob("part-*"))
    text = part.read_text()
    part.write_text(text + "\n")
    with pytest.raises(DamagedModel, match="checksum"):
        autolog.load_model(seen.run)
    part.write_text(text)
    extra = folder / "sparkml" / "metadata" / "part-extra"
    extra.write_text(text)
    with pytest.raises(UntrustedModel, match="was not there"):
        autolog.load_model(seen.run)
    extra.unlink()
    # As from elsewhere: without our notes, and with a class of nobody we know.
    mlmodel = json.loads((folder / "MLmodel").read_text())
    del mlmodel["metadata"]
    (folder / "MLmodel").write_text(json.dumps(mlmodel))
    assert type(load_model(folder)) is PipelineModel
    mlmodel["flavors"]["spark"]["model_data"] = "../model/sparkml"
    (folder / "MLmodel").write_text(json.dumps(mlmodel))
    with pytest.raises(ModelError, match="outside of its folder"):
        load_model(folder)
    mlmodel["flavors"]["spark"]["model_data"] = "sparkml"
    (folder / "MLmodel").write_text(json.dumps(mlmodel))
    part.write_text(text.replace("org.apache.spark.ml.PipelineModel", "os.path.Join"))
    with pytest.raises(UntrustedModel, match="not Spark's"):
        load_model(folder)


def test_a_model_that_cannot_be_saved_is_a_note(
    seen: Recorded, frame: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Harmless: too large, or a file system that Spark cannot write to: training goes on, nothing is left behind."""
    autolog.enable("pyspark", max_model_bytes=10)
    LogisticRegression(maxIter=1).fit(frame)
    run = seen.run
    assert not run.models
    assert "larger than the limit" in run.notes[0]
    assert not list(Path(run.folder).rglob("*.tmp"))


def test_a_pipeline_that_predicts_nothing_is_no_predictor(seen: Recorded, colors: Any) -> None:
    with autolog.run("features") as run:
        run.log_model(StringIndexer(inputCol="color", outputCol="i").fit(colors), flavor="spark")
    with pytest.raises(ModelError, match="cannot predict"):
        autolog.load_model(seen.run, as_predictor=True)
    assert type(autolog.load_model(seen.run)) is PipelineModel
