"""An estimator as users write one in Python. It learns from anything that has columns: no JVM is needed for it."""

from __future__ import annotations

from typing import Any

from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasInputCol, HasPredictionCol


class Mean(Estimator, HasInputCol, HasPredictionCol):
    """Predicts a column's mean."""

    def __init__(self, column: str = "x") -> None:
        super().__init__()
        self._set(inputCol=column)

    def _fit(self, dataset: Any) -> Any:
        return self._copyValues(MeanModel(float(dataset[self.getInputCol()].mean())))


class MeanModel(Model, HasInputCol, HasPredictionCol):
    def __init__(self, mean: float = 0.0) -> None:
        super().__init__()
        self.mean = mean

    def _transform(self, dataset: Any) -> Any:
        return dataset.assign(**{self.getPredictionCol(): self.mean})
