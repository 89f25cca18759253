"""What is measured after a fit goes to the run of the model that made the prediction.

Models, predictions and data are known by identity and held weakly. A prediction is also known through its views, as
`probabilities[:, 1]` is one of `probabilities`; what is computed from it, as `probabilities > 0.5`, is not.

A metric's name is its function's, the settings that are not the defaults, and the name of the data that was predicted:
`accuracy_score_X_test`, `f1_score_macro_X_test`, `fbeta_score_beta_2_X_test`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from autolog import Call, Run, current_run
from autolog.instrument.identity import IdentityMap
from autolog.instrument.quiet import quiet
from autolog.tracking.values import plain
from autolog_sklearn import formulas, names
from autolog_sklearn.about import chain, rows_of

if TYPE_CHECKING:
    from autolog_sklearn import SklearnOptions

MAX_CLASSES = 100
MAX_ROWS_FOR_LABELS = 100_000

# Arguments that say on what or how it is measured, not what.
_NOT_SETTINGS = (
    "sample_weight", "labels", "target_names", "zero_division", "warn_for", "digits", "output_dict", "force_finite", "copy",
    "drop_intermediate", "raise_warning", "random_state", "n_jobs",
)  # fmt: skip
_CURVES = {
    "roc_curve": ("fpr", "tpr", "thresholds"),
    "precision_recall_curve": ("precision", "recall", "thresholds"),
}


class _Model:
    """A run's model: what it was fitted on, and which test data has been described."""

    def __init__(self, run: Run, data: Callable[[], Any]) -> None:
        self.run = run
        self.data = data
        self.described: set[str] = set()


class _Prediction(NamedTuple):
    """Of which model, on which data, and what the user called it."""

    model: _Model
    data: Callable[[], Any]
    name: str


class After:
    def __init__(self, options: SklearnOptions) -> None:
        self.options = options
        self._models: IdentityMap[_Model] = IdentityMap()
        self._predictions: IdentityMap[_Prediction] = IdentityMap()

    def remember_model(self, estimator: Any, run: Run, X: Any) -> None:
        """This estimator, and those it delegates to, were fitted in this run."""
        known = self._models.get(estimator)
        if known is None or known.run is not run:
            known = _Model(run, _weakly(X))
        learnt = None
        for learnt in chain(estimator):
            self._models.set(learnt, known)
        labels = getattr(learnt, "__dict__", {}).get("labels_")
        self._remember(labels, _Prediction(known, known.data, ""))

    def remember_prediction(self, prediction: Any, run: Run, X: Any) -> None:
        """What a fit or a cross-validation has predicted for its own data."""
        data = _weakly(X)
        self._remember(prediction, _Prediction(_Model(run, data), data, ""))

    def _remember(self, prediction: Any, about: _Prediction) -> None:
        if not getattr(prediction, "shape", None):
            return
        self._predictions.set(prediction, about)
        base = getattr(prediction, "base", None)  # the views of a view have its base as theirs
        if base is not None and base is not about.data():
            self._predictions.set(base, about)

    def _find(self, values: tuple[Any, ...]) -> _Prediction | None:
        for value in values:
            for _ in range(4):
                found = self._predictions.get(value)
                if found is not None:
                    return found
                value = getattr(value, "base", None)
                if value is None:
                    break
        return None

    # -- observers

    def observe_prediction(self, call: Call) -> Generator[None, Any, None]:
        model = self._models.get(call.instance)
        if model is None:
            return
        name = names.of_first_argument()
        result = yield
        self._remember(result, _Prediction(model, _weakly(_first(call)), name))

    def observe_score(self, call: Call) -> Generator[None, Any, None]:
        model = self._models.get(call.instance)
        run = current_run() if model is None else model.run
        if run is None:
            return
        name = names.of_first_argument()
        result = yield
        run.log_metrics({_joined("score", name): result})
        if model is not None:
            self._describe(_Prediction(model, _weakly(_first(call)), name), call.arguments.get("y"))

    def observe_metric(self, call: Call) -> Generator[None, Any, None]:
        result = yield
        prediction = self._find((*call.args, *call.kwargs.values()))
        # Inside an explicit run, what the user measures belongs to it, whatever model it is of.
        run = current_run() if prediction is None else prediction.model.run
        if run is None:
            return
        name = _joined(call.name, *_settings(call), "" if prediction is None else prediction.name)
        if isinstance(result, (tuple, dict, str)) or getattr(result, "ndim", 0):
            with quiet():
                data = _as_data(call, result)
            if data is not None:
                run.log_json(f"{name}.json", data)
        else:
            run.log_metrics({name: result})
        if prediction is None:
            return
        for part in result if isinstance(result, tuple) else ():  # `auc(fpr, tpr)` is this prediction's
            self._remember(part, prediction)
        self._describe(prediction, call.arguments.get("y_true"))

    def _describe(self, prediction: _Prediction, y: Any) -> None:
        """The data that the user measures on, once for each name, is a test set, unless it is what the model has learnt."""
        model, X = prediction.model, prediction.data()
        if not self.options.log_datasets or X is None or X is model.data():
            return
        if prediction.name not in model.described:
            model.described.add(prediction.name)
            model.run.log_dataset(X, y, context="test")


def _weakly(value: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(value)
    except TypeError:  # a list
        return _nothing


def _nothing() -> None:
    return None


def _first(call: Call) -> Any:
    return call.args[0] if call.args else call.kwargs.get("X")


def _joined(*parts: str) -> str:
    return "_".join(part for part in parts if part)


def _settings(call: Call) -> list[str]:
    """The settings given that are not the function's defaults: a text is its own name, a number gets one."""
    found: list[str] = []
    for name in sorted(call.kwargs):
        value = call.kwargs[name]
        if type(value) not in (str, bool, int, float) or name in _NOT_SETTINGS:
            continue
        if value != _defaults(call.wrapped).get(name):
            found.append(value if type(value) is str else f"{name}_{value}")
    return found


@lru_cache(maxsize=256)
def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    from inspect import signature

    try:
        return {name: parameter.default for name, parameter in signature(function).parameters.items()}
    except (TypeError, ValueError):
        return {}


def _as_data(call: Call, result: Any) -> Any:
    """A result that is not one number, for a JSON artifact."""
    if call.name in _CURVES:
        return formulas.curve(**dict(zip(_CURVES[call.name], result, strict=True)))
    if call.name == "confusion_matrix":
        if len(result) > MAX_CLASSES:
            return None
        return {"labels": _labels(call.arguments), "matrix": result.tolist()}
    if isinstance(result, str):
        return {"text": result}
    return plain(result)


def _labels(arguments: dict[str, Any]) -> Any:
    """The labels of a confusion matrix's rows: those given, or all that occur."""
    if arguments.get("labels") is not None:
        return plain(list(arguments["labels"]))
    truth, predicted = arguments.get("y_true"), arguments.get("y_pred")
    if (rows_of(truth) or MAX_ROWS_FOR_LABELS) >= MAX_ROWS_FOR_LABELS:
        return None
    from sklearn.utils.multiclass import unique_labels

    return plain(unique_labels(truth, predicted).tolist())
