"""Which way Spark's metrics are better, by the names that its evaluators and summaries have for them."""

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
    """None where Spark does not say, as of what an evaluator of the user's measures."""
    return "lower" if metric in _LOWER else "higher" if metric in _HIGHER else None
