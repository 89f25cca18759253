"""Computes scikit-learn's metrics directly from a prediction, and curves as data.

scikit-learn's own functions check their input at each call, which costs more than the sums. Tests check that both give the
same. This module knows numpy, but not runs and estimators.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autolog.integration import number_of

POINTS = 200


def confusion(actual: Any, guessed: Any, classes: int, weight: Any) -> Any:
    """Return the confusion matrix (true × predicted) of two arrays of class numbers."""
    cells = np.bincount(actual * classes + guessed, weights=weight, minlength=classes * classes)
    return cells.reshape(classes, classes)


def confusion_scores(matrix: Any) -> dict[str, float]:
    """Return accuracy, and precision, recall and F1 averaged by the classes' true weight, from a confusion matrix. A division
    by zero gives 0, as with scikit-learn's default `zero_division`.
    """
    # Python's numbers: for a few classes they are faster than numpy.
    hits, actual, guessed = (
        matrix.diagonal().tolist(),
        matrix.sum(axis=1).tolist(),
        matrix.sum(axis=0).tolist(),
    )
    precision = f1 = 0.0
    for hit, true, said in zip(hits, actual, guessed, strict=True):
        if true:
            precision += hit / said * true if said else 0.0
            f1 += 2 * hit / (said + true) * true
    total = sum(actual)
    right = sum(hits) / total
    return {
        "accuracy_score": right,
        "precision_score": precision / total,
        "recall_score": right,  # each class's recall times its share adds up to the accuracy
        "f1_score": f1 / total,
    }


def log_loss(places: Any, probabilities: Any, weight: Any) -> float:
    """Return the mean negative log of the true class's probability (column `places`), with rows scaled to sum to one."""
    return float(np.average(log_losses(places, probabilities), weights=weight))


def log_losses(places: Any, probabilities: Any) -> Any:
    """Return each row's log loss; `log_loss` is their mean."""
    tiny = np.finfo(probabilities.dtype).eps
    clipped = np.clip(probabilities, tiny, 1 - tiny)
    return -np.log(clipped[np.arange(len(places)), places] / clipped.sum(axis=1))


def ranking(positive: Any, score: Any, weight: Any = None) -> tuple[Any, Any, Any]:
    """Return false positives, true positives and thresholds, from the highest score down, like `_binary_clf_curve`."""
    order = np.argsort(score, kind="mergesort")[::-1]
    score, positive = score[order], positive[order]
    scale = 1.0 if weight is None else weight[order]
    last = np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1)
    tps = np.cumsum(positive * scale, dtype=float)[last]
    all_ = np.cumsum(scale, dtype=float)[last] if weight is not None else last + 1.0
    return all_ - tps, tps, score[last]


def area(fps: Any, tps: Any) -> float:
    """Return the area under the ROC curve by the trapezoidal rule."""
    first = fps[0] * tps[0]  # from the origin
    rest = (fps[1:] - fps[:-1]) @ (tps[1:] + tps[:-1])
    return float((first + rest) / (2 * fps[-1] * tps[-1]))


def auc_one_vs_one(places: Any, probabilities: Any) -> float | None:
    """Return `roc_auc_score(multi_class="ovo", average="weighted")` (Hand and Till, 2001), with pairs weighted by their share.
    None if a class does not occur.
    """
    rows = [places == c for c in range(probabilities.shape[1])]
    if not all(row.any() for row in rows):
        return None
    total = weight = 0.0
    for a in range(len(rows)):
        for b in range(a + 1, len(rows)):
            pair = rows[a] | rows[b]
            value = (
                area(*ranking(rows[a][pair], probabilities[pair, a])[:2])
                + area(*ranking(rows[b][pair], probabilities[pair, b])[:2])
            ) / 2
            share = float(np.count_nonzero(pair))
            total, weight = total + value * share, weight + share
    return total / weight


def regression_scores(truth: Any, predicted: Any, weight: Any) -> dict[str, float]:
    """Return R², and the mean absolute, mean squared and root mean squared error."""
    error = truth.astype(float) - predicted
    squared = float(np.average(error**2, weights=weight))
    spread = float(np.average((truth - np.average(truth, weights=weight)) ** 2, weights=weight))
    return {
        "r2_score": 1 - squared / spread if spread else float(squared == 0),
        "mean_absolute_error": float(np.average(np.abs(error), weights=weight)),
        "mean_squared_error": squared,
        "root_mean_squared_error": squared**0.5,
    }


def curve(**columns: Any) -> dict[str, list[float | str]]:
    """Return at most 200 evenly spaced points of a curve, including its ends. A column may be shorter than the others, such as
    the thresholds of scikit-learn's precision-recall curve.
    """
    length = max(len(values) for values in columns.values())
    chosen = np.arange(length) if length <= POINTS else np.linspace(0, length - 1, POINTS).astype(int)
    points: dict[str, list[float | str]] = {}
    for name, values in columns.items():
        some = values[chosen[chosen < len(values)]]
        plain = some.tolist()
        points[name] = plain if np.isfinite(some).all() else [number_of(float(value)) for value in plain]
    return points
