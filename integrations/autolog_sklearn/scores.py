"""Training metrics: one prediction on at most 10,000 rows of the training data, when that is cheap."""

from __future__ import annotations

from copy import copy
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from autolog import Run, let_through, plain, quiet
from autolog_sklearn import formulas
from autolog_sklearn.about import chain, is_search, rows_of, steps_of, works_in_place

MAX_ROWS = 10_000
PROBE_FROM = 1_000
PROBES = (200, 2_000)
LIKELIEST = frozenset(
    {
        "BaggingClassifier",
        "CalibratedClassifierCV",
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "LabelPropagation",
        "LabelSpreading",
        "RandomForestClassifier",
    }
)
"""Classifiers whose `predict` is the class of the greatest `predict_proba`."""
MAX_CLASSES = 100
"""With more, the confusion matrix is not kept."""
MAX_CLASSES_FOR_AUC = 10
"""With more, too many pairs of classes would have to be ranked."""


def log(
    run: Run,
    model: Any,
    params: dict[str, Any],
    X: Any,
    y: Any,
    weights: Any,
    fit_seconds: float,
    with_score: bool,
) -> Any:
    """Log what a prediction of the training data shows. Returns the prediction, or None. `with_score`: accuracy or R² is what
    the user's `score` would say.

    It may take 20 ms or a tenth of the fit, whichever is more, and no more than `overhead_budget` allows; what would
    take longer, or fails, becomes a note. The caller sees to it that predicting runs nobody's code but scikit-learn's.
    """
    rows = rows_of(X)
    if not rows:
        return None
    if works_in_place(params):
        run.note(
            "Training metrics were left out: the model has changed the data itself or used it up, as copy=False lets it."
        )
        return None
    budget = _Budget(min(max(0.020, 0.1 * fit_seconds), run.allowance), params)
    try:
        with quiet(), np.errstate(all="ignore"):
            return _log(run, _apart(model), X, y, weights, rows, budget, with_score)
    except Exception as error:
        let_through(error)
        run.note(f"Training metrics were left out: computing them raised {type(error).__name__}.")
        return None


class _Budget:
    """What the predictions may take."""

    def __init__(self, seconds: float, params: dict[str, Any]) -> None:
        self.seconds = seconds
        # The time of this thread, so that a busy machine does not decide what is recorded; all time where others work.
        several = any(name.endswith("n_jobs") and jobs not in (None, 1) for name, jobs in params.items())
        self._clock = perf_counter if several else thread_time

    def spend(self, function: Any, X: Any) -> Any:
        began = self._clock()
        result = function(X)
        self.spent = self._clock() - began
        return result

    def allows(self, function: Any, X: Any, rows: int, times: int, run: Run) -> bool:
        """Whether `times` passes over at most 10,000 rows will do. It is judged from 200 rows, and where those do not tell,
        because the call itself costs most, from 2,000.
        """
        if rows <= PROBE_FROM and self.seconds > 0:
            return True
        if getattr(X, "format", "csr") != "csr":
            run.note(
                "Training metrics were left out: taking rows of a sparse matrix that is not CSR is slow."
            )
            return False
        for probe in PROBES if self.seconds > 0 else ():
            self.spend(function, _every(X, -(-rows // probe)))
            if times * self.spent * min(rows, MAX_ROWS) / probe <= self.seconds:
                return True
            if self.spent * PROBES[-1] / PROBES[0] > self.seconds / 2:
                break
        run.note(
            "Training metrics were left out: they would have cost more than a tenth of the fit or overhead_budget allows."
        )
        return False


SCORE_OF = {"ClassifierMixin": (None, "accuracy"), "RegressorMixin": (None, "r2")}
"""The classes whose `score` is the accuracy or R², and what a search around them may say of its scoring to be the same."""
SAME_SCORE = ("sklearn.dummy", "sklearn.neighbors._classification")
"""Modules whose classes have a `score` of their own that ends in the mixin's."""


def is_accuracy_or_r2(estimator: Any) -> bool:
    """Whether its `score` is that of scikit-learn's mixins for classifiers and regressors: many estimators and searches have
    their own.
    """
    scoring: Any = None
    for one in chain(estimator):
        owners = [cls for cls in type(one).__mro__ if "score" in vars(cls)]
        while owners and owners[0].__module__ in SAME_SCORE:
            del owners[0]
        if not owners:
            return False
        if owners[0].__module__ == "sklearn.base":
            return scoring in SCORE_OF.get(owners[0].__name__, ())
        if is_search(one) and owners[0].__module__.startswith("sklearn.model_selection."):
            scoring = vars(one).get("scoring") if scoring is None else scoring
        elif owners[0].__module__ != "sklearn.pipeline":
            return False
        if scoring is not None and type(scoring) is not str:
            return False
    return False


def _log(
    run: Run, model: Any, X: Any, y: Any, weights: Any, rows: int, budget: _Budget, with_score: bool
) -> Any:
    from sklearn.base import is_classifier, is_regressor

    step = -(-rows // MAX_ROWS)
    classifier = is_classifier(model)
    if not classifier and not is_regressor(model):
        if step == 1 and hasattr(model, "score") and budget.allows(model.score, X, rows, 1, run):
            run.log_metrics({"training_score": model.score(X)}, step=0)
            run.describe_metrics({"training_score": "higher"})
        return None
    truth = _column(y, rows, step)
    last = _last_of(model)
    likeliest = classifier and _predicts_the_likeliest(last)
    passes = 2 if classifier and not likeliest else 1
    if truth is None or not budget.allows(model.predict, X, rows, passes, run):
        return None
    part, weight = _every(X, step), _column(weights, rows, step)
    if last is not model:
        part = _before_last(model, part)
    probabilities = None
    if likeliest:
        probabilities = budget.spend(last.predict_proba, part)
        predicted = last.classes_.take(probabilities.argmax(axis=1))
    else:
        predicted = budget.spend(last.predict, part)
        if classifier and budget.spent < budget.seconds / 2 and hasattr(last, "predict_proba"):
            probabilities = last.predict_proba(part)
    if classifier:
        _log_classifier(
            run, model, truth, _column(predicted, len(truth), 1), probabilities, weight, with_score
        )
    else:
        _log_regressor(run, truth, _column(predicted, len(truth), 1), weight, with_score)
    return predicted


def _predicts_the_likeliest(model: Any) -> bool:
    """Whether it predicts the likeliest class of its `predict_proba`, as scikit-learn's source has it, so that one pass tells
    both. Of neighbours with equal weights the most frequent class is the likeliest.
    """
    if not type(model).__module__.startswith("sklearn."):
        return False
    name = type(model).__name__
    return name in LIKELIEST or (name == "KNeighborsClassifier" and model.weights == "uniform")


def _last_of(model: Any) -> Any:
    """A pipeline's last step; anything else is its own."""
    steps = steps_of(model)
    return steps[-1][1] if steps and type(model).__module__ == "sklearn.pipeline" else model


def _before_last(model: Any, X: Any) -> Any:
    """What a pipeline's last step is given for X: so the transformers, which cost more than the model on a small frame, see X
    once for two predictions.
    """
    for _, transformer in steps_of(model)[:-1]:
        if transformer not in (None, "passthrough"):
            X = transformer.transform(X)
    return X


def _apart(model: Any) -> Any:
    """The model; or where it would count what it is asked, as trees of neighbours do, or say what it does, a shallow copy that
    has a tree of its own and is silent.
    """
    if steps := steps_of(model):
        name, last = steps[-1]
        other = _apart(last)
        if other is not last:
            model = copy(model)
            model.steps = [*steps[:-1], (name, other)]
        return model
    held = getattr(model, "__dict__", {})
    own: dict[str, Any] = {
        name: copy(held[name])
        for name in ("_tree", "tree_")
        if type(held.get(name)).__name__.startswith(("KDTree", "BallTree"))
    }
    if "nn_fit" in held:  # the neighbours of a label propagation
        own["nn_fit"] = _apart(held["nn_fit"])
    if held.get("verbose"):
        own["verbose"] = 0
    if own:
        model = copy(model)
        vars(model).update(own)
    return model


def _every(data: Any, step: int) -> Any:
    """Each `step`-th row: a view of an array, without a copy."""
    if step == 1:
        return data
    return data.iloc[::step] if hasattr(data, "iloc") else data[::step]


def _column(values: Any, rows: int, step: int) -> Any:
    """One number or text a row as a one-dimensional array, each `step`-th of them; None for anything else."""
    if values is None or rows_of(values) != rows:
        return None
    values = _every(values, step)
    values = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return values if values.ndim == 1 and values.dtype.kind in "biufUO" else None


def _log_classifier(
    run: Run, model: Any, truth: Any, predicted: Any, probabilities: Any, weight: Any, with_score: bool
) -> None:
    if predicted is None:
        return
    classes = np.asarray(model.classes_)
    actual, guessed = _places(truth, classes), _places(predicted, classes)
    known = actual is not None and guessed is not None
    if not known:  # a label that is no class, as the -1 of what is unlabelled
        classes, codes = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
        actual, guessed = codes[: len(truth)], codes[len(truth) :]
    count = len(classes)
    if count > 1_000:
        return
    matrix = formulas.confusion(actual, guessed, count, weight)
    metrics = formulas.confusion_scores(matrix)
    if with_score:
        metrics["score"] = metrics["accuracy_score"]
    if count <= MAX_CLASSES:
        labels = [plain(label) for label in classes.tolist()]
        run.log_json("training_confusion_matrix.json", {"labels": labels, "matrix": matrix.tolist()})
    if (
        known
        and getattr(probabilities, "shape", None) == (len(truth), count)
        and np.isfinite(probabilities).all()
    ):
        metrics["log_loss"] = formulas.log_loss(actual, probabilities, weight)
        if count == 2:
            fps, tps, thresholds = formulas.ranking(actual == 1, probabilities[:, 1], weight)
            if fps[-1] and tps[-1]:
                metrics["roc_auc"] = formulas.area(fps, tps)
                _log_curves(run, fps, tps, thresholds)
        elif 2 < count <= MAX_CLASSES_FOR_AUC and weight is None:
            auc = formulas.auc_one_vs_one(actual, probabilities)
            if auc is not None:
                metrics["roc_auc"] = auc
    _log_all(run, metrics)


def _log_all(run: Run, metrics: dict[str, float]) -> None:
    run.log_metrics({f"training_{name}": value for name, value in metrics.items()}, step=0)
    lower = ("_loss", "_error")
    run.describe_metrics(
        {f"training_{name}": "lower" if name.endswith(lower) else "higher" for name in metrics}
    )


def _places(labels: Any, classes: Any) -> Any:
    """The number of each label's class; None if one is no class."""
    places = np.searchsorted(classes, labels)
    places[places == len(classes)] = 0
    return places if (classes[places] == labels).all() else None


def _log_curves(run: Run, fps: Any, tps: Any, thresholds: Any) -> None:
    fpr, tpr, precision = fps / fps[-1], tps / tps[-1], tps / (tps + fps)
    run.log_json("training_roc_curve.json", formulas.curve(fpr=fpr, tpr=tpr, thresholds=thresholds))
    run.log_json(
        "training_precision_recall_curve.json",
        formulas.curve(precision=precision, recall=tpr, thresholds=thresholds),
    )


def _log_regressor(run: Run, truth: Any, predicted: Any, weight: Any, with_score: bool) -> None:
    if predicted is None or truth.dtype.kind not in "biuf":
        return
    metrics = formulas.regression_scores(truth, predicted, weight)
    if with_score:
        metrics["score"] = metrics["r2_score"]
    _log_all(run, metrics)
