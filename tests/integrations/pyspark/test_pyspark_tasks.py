"""A training of any framework inside Spark's tasks is under the driver's run when the user asks for it, by the run's token: on
a cluster whose workers are processes of their own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from helpers import script

from autolog.store.records import Store

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyspark")
pytest.importorskip("sklearn")

GROUPS = """
    import numpy as np, pandas as pd
    from pyspark.sql import SparkSession
    import autolog

    autolog.autolog(experiment="shops", silent=True)
    builder = SparkSession.builder.master("local-cluster[2,1,512]").config("spark.executor.memory", "512m")
    for key, value in {"ui.enabled": "false", "sql.shuffle.partitions": "4", "sql.adaptive.enabled": "false"}.items():
        builder = builder.config("spark." + key, value)
    spark = builder.getOrCreate()
    days = np.arange(20.0)
    sales = pd.concat([pd.DataFrame({"shop": shop, "day": days, "sold": shop * days + 1}) for shop in range(50)])
    schema = "shop long, weight double, executor string"

    with autolog.run("a model per shop", tags={"team": "blue"}) as run:
        token = run.token

        def train(shop: pd.DataFrame) -> pd.DataFrame:
            import os
            import autolog
            from sklearn.linear_model import Ridge

            number = shop["shop"].iloc[0]
            Ridge(alpha=7).fit(shop[["day"]], shop["sold"])          # beside the block: nobody asked for it
            with autolog.run(f"shop {number:02}", parent=token):
                model = Ridge(alpha=0).fit(shop[["day"]], shop["sold"])
            # The working directory of a worker is its executor's.
            return pd.DataFrame({"shop": [number], "weight": [model.coef_[0]], "executor": [os.getcwd()]})

        got = spark.createDataFrame(sales).groupBy("shop").applyInPandas(train, schema).toPandas()
    print(np.allclose(got["weight"], got["shop"]), len(got), got["executor"].nunique())
    spark.stop()
"""


def test_a_model_per_group_is_fifty_children_of_one_run_from_two_workers(
    tmp_path: Path, own_key: None
) -> None:
    """Each group's training is a whole run: its params, scores, data and model, which the driver loads. The workers write
    journals of their own into the driver's store, and nothing else that they train is recorded.

    Slow: a cluster of two workers, each of which imports scikit-learn for its Pythons.
    """
    done = script(
        GROUPS, tmp_path, timeout=280, PYTHONWARNINGS="ignore", PYSPARK_PYTHON=sys.executable,
        SPARK_WORKER_DIR=str(tmp_path / "work"), AUTOLOG_CONFIG_DIR=os.environ["AUTOLOG_CONFIG_DIR"],
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("True 50 2\n", 0), done.stderr[-3000:]
    store = Store(tmp_path / ".autolog")
    [run] = store.runs()
    assert (run.name, run.status, run.experiment, run.tags) == (
        "a model per shop", "finished", "shops", {"team": "blue"},
    )  # fmt: skip
    children = sorted(run.children, key=lambda child: child.name)
    assert [(child.name, child.status, child.params["alpha"]) for child in children] == [
        (f"shop {number:02}", "finished", 0) for number in range(50)
    ]
    child = children[7]
    assert (child.kind, child.experiment, child.estimator) == (
        "fit",
        "shops",
        "sklearn.linear_model._ridge.Ridge",
    )
    assert child.metrics["training_r2_score"]["last"] == pytest.approx(1)
    assert [(dataset["context"], dataset["rows"]) for dataset in child.datasets] == [("train", 20)]
    assert child.model().predict(pandas.DataFrame({"day": [2.0]})) == pytest.approx([15.0])
    # The driver's, and one of each worker process at least.
    assert len(list((tmp_path / ".autolog" / "journal").iterdir())) >= 3
