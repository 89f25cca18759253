"""The promise holds where Spark's work is done in other processes: workers beside the driver, and a server of Spark Connect."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyspark
import pytest
from helpers import environment

# JVMs for the driver, its executors or its server: seconds where there is room for them, minutes where there is not.
pytestmark = pytest.mark.timeout(900)

CLUSTER = """
    import autolog
    autolog.autolog(include=["pyspark"], silent=True)
    from pyspark.sql import SparkSession
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.linalg import Vectors
    from pyspark.ml.evaluation import BinaryClassificationEvaluator

    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.driver.host": "127.0.0.1"}
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    rows = [(Vectors.dense(i / 40, (i * 7 % 40) / 40), float(i % 3 == 0)) for i in range(40)]
    frame = spark.createDataFrame(rows, ["features", "label"])
    model = LogisticRegression(maxIter=1).fit(frame)
    BinaryClassificationEvaluator().evaluate(model.transform(frame))
"""

CONNECT = """
    import autolog
    autolog.autolog(include=["pyspark"], silent=True)
    from pyspark.sql import SparkSession
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.feature import StringIndexer, VectorAssembler

    builder = SparkSession.builder.remote("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    rows = [(float(i % 5), float(i % 7), "ab"[i % 3 == 0]) for i in range(40)]
    data = spark.createDataFrame(rows, ["x", "y", "color"])
    stages = [StringIndexer(inputCol="color", outputCol="label"), VectorAssembler(inputCols=["x", "y"], outputCol="features")]
    frame = Pipeline(stages=stages).fit(data).transform(data)
    lr, evaluator = LogisticRegression(maxIter=1), MulticlassClassificationEvaluator()
    model = Pipeline(stages=[*stages, lr]).fit(data)
    evaluator.evaluate(model.transform(data).select("prediction", "label"))
    bare = lr.fit(frame)
    bare.summary.accuracy
    bare.evaluate(frame).weightedRecall
"""

REPORT = """
    autolog.flush()
    import json
    for run in reversed(autolog.runs()):
        if run.parent is None:
            said = {
                "estimator": run.estimator.rpartition(".")[2], "status": run.status, "metrics": sorted(run.metrics),
                "children": [sorted(child.metrics) for child in run.children], "errors": run.errors, "notes": run.notes,
                "datasets": [[one["context"], sorted(one.get("schema", ()))] for one in run.datasets],
                "predicts": len(run.model().transform(data if "Pipeline" in run.estimator else frame).collect()),
            }
            print("RUN", json.dumps(said), flush=True)
    # With a model left, Spark Connect's client waits for ever when Python exits, without us too: it begins a thread there.
    spark.stop()
    import os
    os._exit(0)
"""


UNSIGNED = (
    "The model has no signature: Spark does not tell which columns the model needs, or a signature has "
    "no names for their types."
)


def runs(script: str, folder: Path) -> list[dict[str, Any]]:
    """What a script in a process of its own has recorded."""
    home = {"SPARK_HOME": str(Path(pyspark.__file__).parent), "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script) + textwrap.dedent(REPORT)], cwd=folder, capture_output=True,
        text=True, timeout=840, env=environment(folder, AUTOLOG_STRICT="1", **home),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    return [json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("RUN ")]


def test_on_a_cluster_only_the_driver_records(tmp_path: Path) -> None:
    """Complete: with executors in processes of their own, the same run, and a model that loads.

    Slow: a driver and two executors are JVMs, each of which starts in seconds.
    """
    (fit,) = runs(CLUSTER, tmp_path)
    iterations = ["objectiveHistory", "totalIterations"]
    assert fit == {
        "estimator": "LogisticRegression", "status": "finished", "errors": [], "notes": [], "predicts": 40,
        "metrics": ["areaUnderROC_train", *iterations], "children": [], "datasets": [["train", ["features", "label"]]],
    }  # fmt: skip
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.skipif(
    pyspark.__version__.startswith("3.") or not find_spec("grpc_status"),
    reason="Spark Connect trains since 4.0, and needs grpcio-status",
)
def test_over_spark_connect_the_runs_are_the_same(tmp_path: Path) -> None:
    """Complete: what the server has trained, with its summary, its measures and its model.

    Slow: the server is a JVM of its own, to which a client connects that starts anew.
    """
    pipeline, bare = runs(CONNECT, tmp_path)
    iterations = ["objectiveHistory", "totalIterations"]
    raw, made = ["color", "x", "y"], ["color", "features", "label", "x", "y"]
    assert pipeline == {
        "estimator": "Pipeline", "status": "finished", "errors": [], "predicts": 40,
        "notes": [UNSIGNED], "metrics": ["f1_train", *iterations], "children": [], "datasets": [["train", raw]],
    }  # fmt: skip
    assert bare == {
        "estimator": "LogisticRegression", "status": "finished", "errors": [], "notes": [UNSIGNED], "predicts": 40,
        "metrics": sorted(["accuracy", "weightedRecall_train", *iterations]), "children": [], "datasets": [["train", made]],
    }  # fmt: skip
