"""Training metrics from one prediction on at most 10,000 rows of the training data, and only when that is cheap.

The formulas are scikit-learn's own (weighted averages, one-against-one AUC), computed here from the prediction directly:
scikit-learn's functions check their input anew each time, which costs more than the sums. Tests hold the two equal.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from autolog import Run
from autolog.instrument.quiet import quiet
from autolog_sklearn.about import is_from_sklearn

MAX_ROWS = 10_000
PROBE_ROWS = 200
CURVE_POINTS = 200
MAX_CLASSES = 100
MAX_CLASSES_FOR_AUC = 10


def log(
    run: Run, estimator: Any, params: dict[str, Any], X: Any, y: Any, weights: Any, fit_seconds: float
) -> Any:
    """Log what a prediction on the training data shows, if that may be asked for and is cheap enough. Returns the
    prediction, or None.

    Allowed are at most 20 ms or a tenth of the fit. Never asked: models with code of the user's in them, which would run
    again.
    """
    import numpy as np

    if not is_from_sklearn(params, estimator):
        return None
    base = __import__("sklearn.base", fromlist=["is_classifier"])
    y = _target(y)
    rows = _rows(X)
    if y is None or rows is None or len(y) != rows or not rows or not hasattr(estimator, "predict"):
        return None
    classifier = bool(base.is_classifier(estimator))
    if not classifier and not base.is_regressor(estimator):
        return None
    budget = max(0.020, 0.1 * fit_seconds)
    state = np.random.get_state()
    try:
        with quiet(), np.errstate(all="ignore"):
            step = max(1, -(-rows // MAX_ROWS))
            if rows > 1_000:
                seconds, _ = _timed(estimator.predict, _every(X, -(-rows // PROBE_ROWS)))
                passes = 2 if classifier else 1
                if seconds * passes * rows / step / PROBE_ROWS > budget:
                    run.note(
                        "Training metrics were left out: they would have cost more than a tenth of the fit."
                    )
                    return None
            part = X if step == 1 else _every(X, step)
            seconds, predicted = _timed(estimator.predict, part)
            probabilities = None
            if classifier and seconds < budget / 2 and hasattr(estimator, "predict_proba"):
                probabilities = estimator.predict_proba(part)
        truth, weight = y[::step], _weights(weights, step, rows)
        if classifier:
            _log_classifier(run, estimator, truth, np.asarray(predicted), probabilities, weight)
        else:
            _log_regressor(run, truth, np.asarray(predicted), weight)
        return predicted
    except Exception as error:
        # The model could not predict its own training data: the user has not asked it to.
        run.note(f"Training metrics were left out: predicting raised {type(error).__name__}.")
        return None
    finally:
        np.random.set_state(state)


def _timed(function: Any, X: Any) -> tuple[float, Any]:
    began = perf_counter()
    result = function(X)
    return perf_counter() - began, result


def _rows(X: Any) -> int | None:
    shape = getattr(X, "shape", None)
    if shape:
        return int(shape[0])
    return len(X) if type(X) is list else None


def _every(X: Any, step: int) -> Any:
    """Each `step`-th row: a view of an array, without a copy."""
    return X.iloc[::step] if hasattr(X, "iloc") else X[::step]


def _target(y: Any) -> Any:
    """y as a one-dimensional array of plain numbers or texts, or None."""
    import numpy as np

    if type(y) is list and len(y) <= 100_000:
        y = np.asarray(y)
    elif hasattr(y, "to_numpy"):
        y = y.to_numpy()
    if type(y) is not np.ndarray or y.dtype.kind not in "biufUO":
        return None
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y if y.ndim == 1 else None


def _weights(weights: Any, step: int, rows: int) -> Any:
    import numpy as np

    if weights is None:
        return None
    weights = np.asarray(weights)
    return weights[::step].astype(float) if weights.shape == (rows,) else None


# -- classifiers


def _log_classifier(
    run: Run, estimator: Any, truth: Any, predicted: Any, probabilities: Any, weight: Any
) -> None:
    import numpy as np

    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    if predicted.shape != truth.shape:
        return
    labels, codes = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
    count = len(labels)
    actual, guessed = codes[: len(truth)], codes[len(truth) :]
    if count > 1_000:
        return
    matrix = np.bincount(actual * count + guessed, weights=weight, minlength=count * count).reshape(
        count, count
    )
    metrics = confusion_scores(matrix)
    metrics["score"] = metrics["accuracy_score"]
    if count <= MAX_CLASSES:
        run.log_json("training_confusion_matrix.json", {"labels": _plain(labels), "matrix": matrix.tolist()})
    classes = getattr(estimator, "classes_", None)
    if (
        probabilities is not None and getattr(probabilities, "ndim", 0) == 2 and classes is not None
        and len(classes) == probabilities.shape[1] and np.isfinite(probabilities).all()
    ):  # fmt: skip
        places = np.searchsorted(classes, truth)
        if (places < len(classes)).all() and (np.asarray(classes)[places] == truth).all():
            metrics["log_loss"] = log_loss(places, probabilities, weight)
            if len(classes) == 2:
                fps, tps, thresholds = curve(places == 1, probabilities[:, 1], weight)
                if fps[-1] and tps[-1]:
                    metrics["roc_auc"] = area(fps, tps)
                    _log_curves(run, fps, tps, thresholds)
            elif len(classes) <= MAX_CLASSES_FOR_AUC and weight is None:
                value = auc_one_vs_one(places, probabilities)
                if value is not None:
                    metrics["roc_auc"] = value
    run.log_metrics({f"training_{name}": value for name, value in metrics.items()}, step=0)


def confusion_scores(matrix: Any) -> dict[str, float]:
    """Accuracy, and precision, recall and F1 averaged by the classes' true weight, from a confusion matrix (true × predicted);
    0 where a class has nothing to divide by, as scikit-learn's `zero_division` does.
    """
    import numpy as np

    hits, actual, guessed = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    total = actual.sum()
    precision = np.divide(hits, guessed, out=np.zeros(len(hits)), where=guessed > 0)
    recall = np.divide(hits, actual, out=np.zeros(len(hits)), where=actual > 0)
    f1 = np.divide(2 * hits, guessed + actual, out=np.zeros(len(hits)), where=guessed + actual > 0)
    share = actual / total
    return {
        "accuracy_score": float(hits.sum() / total),
        "precision_score": float((precision * share).sum()),
        "recall_score": float((recall * share).sum()),
        "f1_score": float((f1 * share).sum()),
    }


def log_loss(places: Any, probabilities: Any, weight: Any) -> float:
    """The mean negative log of the probability of the true class (column `places`), rows scaled to sum to one."""
    import numpy as np

    tiny = np.finfo(probabilities.dtype).eps if probabilities.dtype.kind == "f" else 1e-15
    clipped = np.clip(probabilities, tiny, 1 - tiny)
    chosen = clipped[np.arange(len(places)), places] / clipped.sum(axis=1)
    return float(np.average(-np.log(chosen), weights=weight))


def curve(positive: Any, score: Any, weight: Any = None) -> tuple[Any, Any, Any]:
    """False and true positives at each threshold, from the highest score down (as scikit-learn's `_binary_clf_curve`)."""
    import numpy as np

    order = np.argsort(score, kind="mergesort")[::-1]
    score, positive = score[order], positive[order]
    scale = 1.0 if weight is None else weight[order]
    last = np.r_[np.nonzero(np.diff(score))[0], len(score) - 1]
    tps = np.cumsum(positive * scale, dtype=float)[last]
    all_ = np.cumsum(scale, dtype=float)[last] if weight is not None else last + 1.0
    return all_ - tps, tps, score[last]


def area(fps: Any, tps: Any) -> float:
    """The area under the ROC curve by trapezoids."""
    import numpy as np

    x, y = np.r_[0, fps] / fps[-1], np.r_[0, tps] / tps[-1]
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum())


def auc_one_vs_one(places: Any, probabilities: Any) -> float | None:
    """`roc_auc_score(multi_class="ovo", average="weighted")` (Hand and Till, 2001): pairs weighted by their share."""
    import numpy as np

    rows = [places == c for c in range(probabilities.shape[1])]
    sizes = [int(row.sum()) for row in rows]
    if min(sizes) == 0:
        return None
    total = weight = 0.0
    for a in range(len(rows)):
        for b in range(a + 1, len(rows)):
            pair = rows[a] | rows[b]
            value = (
                area(*curve(rows[a][pair], probabilities[pair, a])[:2])
                + area(*curve(rows[b][pair], probabilities[pair, b])[:2])
            ) / 2
            share = float(np.count_nonzero(pair))
            total, weight = total + value * share, weight + share
    return total / weight


def _log_curves(run: Run, fps: Any, tps: Any, thresholds: Any) -> None:
    import numpy as np

    chosen = np.unique(np.linspace(0, len(fps) - 1, min(len(fps), CURVE_POINTS)).astype(int))
    fps_, tps_, at = fps[chosen], tps[chosen], thresholds[chosen].tolist()
    run.log_json(
        "training_roc_curve.json",
        {"fpr": (fps_ / fps[-1]).tolist(), "tpr": (tps_ / tps[-1]).tolist(), "thresholds": at},
    )
    run.log_json(
        "training_precision_recall_curve.json",
        {"precision": (tps_ / (tps_ + fps_)).tolist(), "recall": (tps_ / tps[-1]).tolist(), "thresholds": at},
    )


def _plain(labels: Any) -> list[Any]:
    from autolog.tracking.values import plain

    return [plain(label) for label in labels.tolist()]


# -- regressors


def _log_regressor(run: Run, truth: Any, predicted: Any, weight: Any) -> None:
    import numpy as np

    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    if predicted.shape != truth.shape or truth.dtype.kind not in "biuf":
        return
    error = truth.astype(float) - predicted
    squared = float(np.average(error**2, weights=weight))
    spread = float(np.average((truth - np.average(truth, weights=weight)) ** 2, weights=weight))
    r2 = 1 - squared / spread if spread else (1.0 if squared == 0 else 0.0)
    run.log_metrics(
        {
            "training_r2_score": r2, "training_score": r2,
            "training_mean_absolute_error": float(np.average(np.abs(error), weights=weight)),
            "training_mean_squared_error": squared, "training_root_mean_squared_error": squared**0.5,
        },
        step=0,
    )  # fmt: skip
