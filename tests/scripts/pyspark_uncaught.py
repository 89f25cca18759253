# needs: pyspark; in CI: none; masked: times
"""A column that is not there: Spark's exception is nobody's."""

from pyspark.ml.clustering import KMeans
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

import autolog

autolog.autolog()

spark = SparkSession.builder.master("local[1]").config("spark.ui.showConsoleProgress", "false").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
rows = spark.createDataFrame([(Vectors.dense(float(i), float(i % 2)),) for i in range(12)], ["features"])
model = KMeans(k=2, seed=1, maxIter=3).fit(rows)
print(sorted(center.tolist() for center in model.clusterCenters()))
KMeans(k=2, featuresCol="nowhere").fit(rows)
