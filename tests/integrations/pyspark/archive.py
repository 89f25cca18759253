"""Makes an archive of the classes that Spark's JVMs load, in this environment: half of their start is to load them. `helpers`
uses it where it is there. Run once, before the tests: they start some twenty JVMs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import helpers


def main() -> None:
    """Train, predict, save and search a little in a JVM that writes down what it has loaded when it ends."""
    helpers.ARCHIVE.unlink(missing_ok=True)
    spark = helpers.spark_session(f"-XX:ArchiveClassesAtExit={helpers.ARCHIVE} -Xlog:disable")
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression, RandomForestClassifier
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

    frame = spark.createDataFrame(
        [(i / 40, i % 7 / 7, float(i % 3 == 0)) for i in range(40)], ["a", "b", "label"]
    )
    linear = LogisticRegression(maxIter=2)
    grid = ParamGridBuilder().addGrid(linear.regParam, [0.0, 0.1]).build()
    search = CrossValidator(
        estimator=linear, estimatorParamMaps=grid, evaluator=BinaryClassificationEvaluator(), numFolds=2
    )
    for last in (search, RandomForestClassifier(numTrees=2)):
        model = Pipeline(stages=[VectorAssembler(inputCols=["a", "b"], outputCol="features"), last]).fit(
            frame
        )
        model.transform(frame).toPandas()
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model")
    spark.stop()
    gateway = spark.sparkContext._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()  # then the JVM ends
    gateway.proc.wait(120)
    print(f"{helpers.ARCHIVE}: {helpers.ARCHIVE.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
