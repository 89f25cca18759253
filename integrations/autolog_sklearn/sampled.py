"""Standard errors of metrics that are computed on a sample of the rows.

Each is a linear approximation, the delta method or infinitesimal jackknife (Efron, "Nonparametric estimates of standard error",
Biometrika 68, 1981): it adds up how much each row moves the metric. For the area under the ROC curve, see DeLong, DeLong and
Clarke-Pearson, Biometrics 44, 1988. The sample is drawn without replacement, so all errors are scaled by `sqrt(1 - rows / of)`
(Cochran, Sampling Techniques, 1977, section 2.6).

A sample without errors does not mean that there are none. So the standard error of a share is at least that of two rows outside
the sample (Agresti and Coull, The American Statistician 52, 1998). This module knows numpy, but not runs and estimators.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autolog_sklearn import formulas


class Errors:
    """Standard errors of metrics that are computed on `rows` of `of` rows. `weight` holds the rows' weights, or None."""

    def __init__(self, rows: int, of: int, weight: Any = None) -> None:
        self.rows, self.of = rows, of
        self._weight = np.ones(rows) if weight is None else np.asarray(weight, dtype=float)
        self._scale = (1 - rows / of) ** 0.5

    def described(self, error: float) -> dict[str, Any]:
        """Return an error in the form that `Run.describe_metrics` takes."""
        known = {"error": float(error)} if np.isfinite(error) else {}
        return {"sample": {"rows": self.rows, "of": self.of, **known}}

    def _of(self, moves: Any, weight: Any = None) -> float:
        """Return the error from each row's move: what the row adds to the metric per share of all weights."""
        weight = self._weight if weight is None else weight
        total, count = weight.sum(), len(weight)
        if count < 2 or not total:
            return float("nan")
        return float(self._scale * np.sqrt(((weight * moves) ** 2).sum() * count / (count - 1)) / total)

    def _of_share(self, error: float, rows: int | None = None) -> float:
        return max(error, self._scale * 2**0.5 / (rows or self.rows))

    def of_mean(self, values: Any) -> float:
        """Return the error of the weighted mean of a value per row."""
        return self._of(values - np.average(values, weights=self._weight))

    def of_regression(self, truth: Any, predicted: Any) -> dict[str, float]:
        """Return the errors of `formulas.regression_scores`."""
        error = truth.astype(float) - predicted
        squared = error**2
        mean = np.average(squared, weights=self._weight)
        away = (truth - np.average(truth, weights=self._weight)) ** 2
        spread = np.average(away, weights=self._weight)
        of_mean = self.of_mean(squared)
        return {
            "r2_score": self._of((mean / spread * away - squared) / spread) if spread else float("nan"),
            "mean_absolute_error": self.of_mean(np.abs(error)),
            "mean_squared_error": of_mean,
            "root_mean_squared_error": of_mean / (2 * mean**0.5) if mean else 0.0,
        }

    def of_confusion(self, actual: Any, guessed: Any, classes: int) -> dict[str, float]:
        """Return the errors of `formulas.confusion_scores`, given the numbers of the true and the predicted classes."""
        matrix = formulas.confusion(actual, guessed, classes, self._weight)
        hits, true, said = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
        total = true.sum()
        hit = actual == guessed
        right = hits.sum() / total

        def divided(a: Any, b: Any) -> Any:
            return np.divide(a, b, out=np.zeros(len(b)), where=b > 0)

        precision, f1 = divided(hits, said), divided(2 * hits, said + true)
        # The derivatives of sum(true * hits / said) / total and of sum(true * 2 * hits / (said + true)) / total.
        of_precision = (
            precision[actual]
            - divided(true * precision, said)[guessed]
            + hit * divided(true, said)[actual]
            - (true @ precision) / total
        )
        both = divided(true * f1, said + true)
        of_f1 = (
            f1[actual]
            - both[actual]
            - both[guessed]
            + 2 * hit * divided(true, said + true)[actual]
            - (true @ f1) / total
        )
        of_right = self._of_share(self._of(hit - right))
        return {
            "accuracy_score": of_right,
            "precision_score": self._of_share(self._of(of_precision)),
            "recall_score": of_right,
            "f1_score": self._of_share(self._of(of_f1)),
        }

    def of_log_loss(self, places: Any, probabilities: Any) -> float:
        """Return the error of `formulas.log_loss`."""
        return self.of_mean(formulas.log_losses(places, probabilities))

    def of_area(self, positive: Any, score: Any) -> float:
        """Return the error of the area under the ROC curve of two classes."""
        moves = _moves_of_area(positive, score, self._weight)
        # The moves are shares of their class's total.
        error = self._scale * float(np.sqrt((moves**2).sum()))
        return self._of_share(error, int(min(positive.sum(), (~positive).sum())))

    def of_areas(self, places: Any, probabilities: Any) -> float:
        """Return the error of `formulas.auc_one_vs_one`, which has no weights."""
        classes = probabilities.shape[1]
        members = [np.flatnonzero(places == c) for c in range(classes)]
        counts = np.array([len(one) for one in members])
        pairs = [(a, b) for a in range(classes) for b in range(a + 1, classes)]
        total = sum(counts[a] + counts[b] for a, b in pairs)
        moves, values = np.zeros(len(places)), {}
        for a, b in pairs:
            rows = np.concatenate([members[a], members[b]])
            first = np.arange(len(rows)) < counts[a]
            of_pair = np.zeros(len(rows))
            value = 0.0
            for positive, column in ((first, a), (~first, b)):
                score = probabilities[rows, column]
                of_pair += _moves_of_area(positive, score, np.ones(len(rows))) / 2
                value += formulas.area(*formulas.ranking(positive, score)[:2]) / 2
            values[a, b] = value
            moves[rows] += of_pair * len(rows) / total
        mean = sum(value * (counts[a] + counts[b]) for (a, b), value in values.items()) / total
        for (a, b), value in values.items():  # an additional row raises the weight of its class's pairs
            for rows in (members[a], members[b]):
                moves[rows] += (value - mean) / total
        return self._of_share(self._scale * float(np.sqrt((moves**2).sum())), int(counts.min()))


def _moves_of_area(positive: Any, score: Any, weight: Any) -> Any:
    """Return how much each row moves the area under the ROC curve. A row's share is the part of the other class that it is
    ranked correctly against. The move is the share minus the area, divided by the weight of the row's class.
    """
    moves = np.zeros(len(score))
    for own, sign in ((positive, 1), (~positive, -1)):
        other = np.sort(score[~own])
        order = np.argsort(score[~own], kind="stable")
        below = np.concatenate([[0.0], np.cumsum(weight[~own][order])])
        # Equal scores count half.
        ranked = (
            below[np.searchsorted(other, score[own], "left")]
            + below[np.searchsorted(other, score[own], "right")]
        ) / (2 * below[-1])
        placed = ranked if sign > 0 else 1 - ranked
        total = weight[own].sum()
        moves[own] = weight[own] * (placed - np.average(placed, weights=weight[own])) / total
    return moves
