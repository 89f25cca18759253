# needs: pyspark; in CI: helpers, autolog, framework; masked: times
"""A pipeline and its evaluation; the session is left open. Spark's own bars depend on times: they are off."""

import atexit

from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

import autolog

autolog.autolog()

spark = SparkSession.builder.master("local[1]").config("spark.ui.showConsoleProgress", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
rows = spark.createDataFrame(
    [(float(i % 7), float(i % 3), float(i % 2)) for i in range(40)], ["a", "b", "label"]
)
stages = [VectorAssembler(inputCols=["a", "b"], outputCol="features"), LogisticRegression(maxIter=3)]
model = Pipeline(stages=stages).fit(rows)
print(model.stages[1].coefficients, BinaryClassificationEvaluator().evaluate(model.transform(rows)))
atexit.register(lambda: print("at exit", spark.sparkContext.appName))
