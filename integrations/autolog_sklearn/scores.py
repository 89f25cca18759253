"""Training metrics, from one prediction of the training data or of a sample of its rows."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from autolog.integration import Run, plain, reraise_if_signal, suppress_warnings
from autolog_sklearn import formulas, sampling
from autolog_sklearn.about import chain, is_search, rows_of, steps_of, works_in_place
from autolog_sklearn.sampled import Errors

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
"""The confusion matrix of more classes is not kept."""
MAX_CLASSES_FOR_AUC = 10
"""More classes have too many pairs to rank."""


def log(
    run: Run,
    model: Any,
    params: dict[str, Any],
    X: Any,
    y: Any,
    weights: Any,
    with_score: bool,
) -> Any:
    """Log metrics of a prediction of the training data. Return the prediction, or None. `with_score` says that accuracy or R²
    equals the user's `score`.

    `sampling` decides how many rows are predicted, and each metric of a sample says so. Failures become notes. The caller makes
    sure that the prediction runs only scikit-learn's code.
    """
    rows = rows_of(X)
    if not rows:
        return None
    if works_in_place(params):
        run.note(
            "Training metrics were left out: the fit may have changed or consumed the data, as with copy=False."
        )
        return None
    try:
        with suppress_warnings(), np.errstate(all="ignore"):
            return _log(run, _apart(model), X, y, weights, rows, with_score)
    except Exception as error:
        reraise_if_signal(error)
        run.note(f"Training metrics were left out: computing them raised {type(error).__name__}.")
        return None


SCORE_OF = {"ClassifierMixin": (None, "accuracy"), "RegressorMixin": (None, "r2")}
"""The classes whose `score` is the accuracy or R², and the values of a search's `scoring` that mean the same."""
SAME_SCORE = ("sklearn.dummy", "sklearn.neighbors._classification")
"""Modules whose classes override `score` and call the mixin's."""


def is_accuracy_or_r2(estimator: Any) -> bool:
    """Return whether its `score` is that of scikit-learn's mixins for classifiers and regressors. Many estimators and searches
    have other scores.
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


def _log(run: Run, model: Any, X: Any, y: Any, weights: Any, rows: int, with_score: bool) -> Any:
    from sklearn.base import is_classifier, is_regressor

    classifier = is_classifier(model)
    last = _last_of(model)
    likeliest = classifier and _predicts_the_likeliest(last)
    twice = classifier and not likeliest and hasattr(last, "predict_proba")
    places = sampling.draw(rows, sampling.most_rows(model, X, 2 if twice else 1))
    if not classifier and not is_regressor(model):
        if hasattr(model, "score"):
            _log_score(run, model, X, places)
        return None
    truth = _column(y, rows, places)
    if truth is None:
        if y is not None:
            run.note("Training metrics were left out: the target is not one class or number per row.")
        return None
    if places is not None and not sampling.can_take(X):
        run.note(
            f"Training metrics were left out: a sparse matrix of format {X.format} gives no single rows. Use CSR."
        )
        return None
    part, weight = sampling.take(X, places), _column(weights, rows, places)
    if last is not model:
        part = _before_last(model, part)
    predicted = None if likeliest else last.predict(part)
    probabilities = last.predict_proba(part) if likeliest or twice else None
    if likeliest:
        predicted = last.classes_.take(probabilities.argmax(axis=1))
    errors = None
    if places is not None:
        errors = Errors(len(places), rows, weight)
        run.note(
            f"The training metrics are computed on {len(places):,} of the {rows:,} rows, drawn at random."
        )
    column = _column(predicted, len(truth))
    if classifier:
        _log_classifier(run, model, truth, column, probabilities, weight, with_score, errors)
    else:
        _log_regressor(run, truth, column, weight, with_score, errors)
    return predicted


def _log_score(run: Run, model: Any, X: Any, places: Any) -> None:
    """Log the score of clusterings and densities on all rows. For some it is a sum, so a sample cannot estimate it."""
    if places is not None:
        run.note(f"training_score was left out: it is computed only on data of at most {len(places):,} rows.")
        return
    run.log_metrics({"training_score": model.score(X)}, step=0)
    run.describe_metrics({"training_score": "higher"}, about={"training_score": {"data": "train"}})


def _predicts_the_likeliest(model: Any) -> bool:
    """Return whether `predict` is the likeliest class of `predict_proba`, according to scikit-learn's source, so that one pass
    gives both. For neighbours with equal weights, the most frequent class is the likeliest.
    """
    if not type(model).__module__.startswith("sklearn."):
        return False
    name = type(model).__name__
    return name in LIKELIEST or (name == "KNeighborsClassifier" and model.weights == "uniform")


def _last_of(model: Any) -> Any:
    """Return a pipeline's last step; any other model itself."""
    steps = steps_of(model)
    return steps[-1][1] if steps and type(model).__module__ == "sklearn.pipeline" else model


def _before_last(model: Any, X: Any) -> Any:
    """Return the input of a pipeline's last step for X. So the transformers run once for two predictions: on a small frame,
    they cost more than the model.
    """
    for _, transformer in steps_of(model)[:-1]:
        if transformer not in (None, "passthrough"):
            X = transformer.transform(X)
    return X


def _apart(model: Any) -> Any:
    """Return the model. If its predictions count calls, as trees of neighbours do, or print, return a silent shallow copy with
    its own tree.
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


def _column(values: Any, rows: int, places: Any = None) -> Any:
    """Return one number or text per row as a one-dimensional array, only those at `places` if given; None for other data."""
    if values is None or rows_of(values) != rows:
        return None
    values = sampling.take(values, places)
    values = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return values if values.ndim == 1 and values.dtype.kind in "biufUO" else None


def _log_classifier(
    run: Run, model: Any, truth: Any, predicted: Any, probabilities: Any, weight: Any, with_score: bool, errors: Errors | None,
) -> None:  # fmt: skip
    if predicted is None:
        return
    classes = np.asarray(model.classes_)
    actual, guessed = _places(truth, classes), _places(predicted, classes)
    known = actual is not None and guessed is not None
    if not known:  # a label is no class, such as -1 for unlabelled rows
        classes, codes = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
        actual, guessed = codes[: len(truth)], codes[len(truth) :]
    count = len(classes)
    if count > 1_000:
        return
    matrix = formulas.confusion(actual, guessed, count, weight)
    metrics = formulas.confusion_scores(matrix)
    of = errors.of_confusion(actual, guessed, count) if errors else {}
    if with_score:
        metrics["score"] = metrics["accuracy_score"]
    if count <= MAX_CLASSES:
        labels = [plain(label) for label in classes.tolist()]
        of_rows = {"rows": errors.rows, "of": errors.of} if errors else {}
        run.log_json(
            "training_confusion_matrix.json", {"labels": labels, "matrix": matrix.tolist(), **of_rows}
        )
    if (
        known
        and getattr(probabilities, "shape", None) == (len(truth), count)
        and np.isfinite(probabilities).all()
    ):
        metrics["log_loss"] = formulas.log_loss(actual, probabilities, weight)
        if errors:
            of["log_loss"] = errors.of_log_loss(actual, probabilities)
        if count == 2:
            fps, tps, thresholds = formulas.ranking(actual == 1, probabilities[:, 1], weight)
            if fps[-1] and tps[-1]:
                metrics["roc_auc"] = formulas.area(fps, tps)
                if errors:
                    of["roc_auc"] = errors.of_area(actual == 1, probabilities[:, 1])
                _log_curves(run, fps, tps, thresholds)
        elif 2 < count <= MAX_CLASSES_FOR_AUC and weight is None:
            auc = formulas.auc_one_vs_one(actual, probabilities)
            if auc is not None:
                metrics["roc_auc"] = auc
                if errors:
                    of["roc_auc"] = errors.of_areas(actual, probabilities)
    _log_all(run, metrics, errors, of)


def _log_all(run: Run, metrics: dict[str, float], errors: Errors | None, of: dict[str, float]) -> None:
    """Log metrics with their directions. `of` holds their standard errors if they are of a sample."""
    run.log_metrics({f"training_{name}": value for name, value in metrics.items()}, step=0)
    lower = ("_loss", "_error")
    if errors and "score" in metrics:
        of["score"] = of["accuracy_score" if "accuracy_score" in metrics else "r2_score"]
    run.describe_metrics(
        {f"training_{name}": "lower" if name.endswith(lower) else "higher" for name in metrics},
        about={
            f"training_{name}": {"data": "train", **(errors.described(of[name]) if errors else {})}
            for name in metrics
        },
    )


def _places(labels: Any, classes: Any) -> Any:
    """Return the number of each label's class; None if a label is no class."""
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


def _log_regressor(
    run: Run, truth: Any, predicted: Any, weight: Any, with_score: bool, errors: Errors | None
) -> None:
    if predicted is None or truth.dtype.kind not in "biuf":
        return
    metrics = formulas.regression_scores(truth, predicted, weight)
    if with_score:
        metrics["score"] = metrics["r2_score"]
    _log_all(run, metrics, errors, errors.of_regression(truth, predicted) if errors else {})
