# needs: pyspark; in CI: none; masked: times
"""A regression in a function, the session stopped, and the program left by its status."""

import sys

from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import LinearRegression
from pyspark.sql import SparkSession

import autolog

autolog.autolog()


def main():
    spark = (
        SparkSession.builder.master("local[1]").config("spark.ui.showConsoleProgress", "false").getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    rows = spark.createDataFrame(
        [(Vectors.dense(float(i)), 2.0 * i) for i in range(10)], ["features", "label"]
    )
    model = LinearRegression(maxIter=3).fit(rows)
    print(model.coefficients, model.summary.rootMeanSquaredError < 1e-3)
    spark.stop()
    return 3


if __name__ == "__main__":
    sys.exit(main())
