"""Which way Spark's metrics are better, by their names in evaluators and summaries."""

from __future__ import annotations

from typing import Any

_LOWER = frozenset((
    "falsePositiveRateByLabel", "hammingLoss", "logLoss", "logPerplexity", "mae", "meanAbsoluteError", "meanSquaredError",
    "mse", "objectiveHistory", "rmse", "rootMeanSquaredError", "trainingCost", "weightedFalsePositiveRate",
))  # fmt: skip
_HIGHER = frozenset((
    "accuracy", "areaUnderPR", "areaUnderROC", "explainedVariance", "f1", "f1Measure", "f1MeasureByLabel", "fMeasureByLabel",
    "logLikelihood", "meanAveragePrecision", "meanAveragePrecisionAtK", "microF1Measure", "microPrecision",
    "microRecall", "ndcgAtK", "precision", "precisionAtK", "precisionByLabel", "r2", "r2adj", "recall", "recallAtK",
    "recallByLabel", "silhouette", "subsetAccuracy", "truePositiveRateByLabel", "var", "weightedFMeasure",
    "weightedPrecision", "weightedRecall", "weightedTruePositiveRate",
))  # fmt: skip


def of(metric: str) -> Any:
    """Return a metric's direction; None if Spark does not define it, such as for the user's evaluators."""
    return "lower" if metric in _LOWER else "higher" if metric in _HIGHER else None
