"""Records metrics of scikit-learn's functions in the run of the model that made the prediction, which may be of any framework.

A metric's name consists of the function, its non-default settings, the data and the part of the prediction:
`accuracy_score_X_test`, `f1_score_macro_X_test`, `fbeta_score_beta_2_X_test`, `r2_score_train_column_1`.
"""

from __future__ import annotations

from collections.abc import Container, Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from autolog.integration import Call, Run, current_run, lineage, plain, suppress_warnings
from autolog_sklearn import directions, formulas
from autolog_sklearn.about import chain, rows_of

if TYPE_CHECKING:
    from autolog_sklearn.options import SklearnOptions

MAX_CLASSES = 100
MAX_ROWS_FOR_LABELS = 100_000

_FORM = (
    "target_names",
    "digits",
    "output_dict",
    "warn_for",
    "raise_warning",
    "copy",
    "n_jobs",
    "drop_intermediate",
)
"""Arguments that change how a metric is computed or returned, but not which metric it is."""
_NO_SETTING = {"zero_division": ("warn", 0), "pos_label": (1,)}
"""Values that mean the same as the default."""
_TRUTH = ("y_true", "labels_true")
_CURVES = {
    "roc_curve": ("fpr", "tpr", "thresholds"),
    "precision_recall_curve": ("precision", "recall", "thresholds"),
}


class MetricObserver:
    def __init__(self, options: SklearnOptions) -> None:
        self.options = options

    def remember_model(self, estimator: Any, run: Run, X: Any = None) -> None:
        """Remember that this estimator, and those it delegates to, were fitted in this run, on X if that is known."""
        learnt = chain(estimator)
        run.trained(*learnt, data=X, describe=self.options.log_datasets)
        labels = getattr(learnt[-1], "__dict__", {}).get("labels_")
        if labels is not None:
            lineage().predicted(labels, run, X)

    def observe_metric(self, call: Call) -> Generator[None, Any, None]:
        result = yield
        known = lineage()
        arguments = call.arguments
        # Look for the prediction before the truth: pseudo-labels are a prediction, too, but of another model.
        names = [name for name in list(call.parameters or arguments)[:2] if name in arguments]
        measured = {name: arguments[name] for name in sorted(names, key=lambda name: name in _TRUTH)}
        prediction = known.find(measured.values())
        # Inside an explicit run, a measurement without a known prediction belongs to that run.
        run = current_run() if prediction is None else prediction.model.run
        if run is None:
            return
        made = known.named(run, call.name, measured, _settings(call, arguments, measured))
        if isinstance(result, (tuple, dict, str)) or getattr(result, "ndim", 0):
            with suppress_warnings():
                data = _as_data(call, result)
            if data is not None:
                run.log_json(f"{made.name}.json", data)
        else:
            run.log_metrics({made.name: result})
            run.describe_metrics(
                {made.name: directions.of_function(call.wrapped)}, about={made.name: made.about}
            )
        if prediction is None:
            return
        for part in (
            result if isinstance(result, tuple) else ()
        ):  # so that `auc(fpr, tpr)` finds this prediction
            known.belongs(part, prediction._replace(whole=None))
        known.describe(prediction, arguments.get("y_true"), made.data)


def _settings(call: Call, arguments: dict[str, Any], measured: Container[str]) -> dict[str, Any]:
    """Return the given settings that differ from the function's defaults."""
    defaults = call.defaults
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in measured or name in _FORM or value is None:
            continue
        value = value.item() if isinstance(value, np.generic) else value
        usual = (defaults.get(name), *_NO_SETTING.get(name, ()))
        if type(value) in (str, bool, int, float) and value in usual:
            continue
        found[name] = value
    return found


def _as_data(call: Call, result: Any) -> Any:
    """Return a result that is not one number as data for a JSON artifact."""
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
    """Return the labels of a confusion matrix's rows: the given ones, or all that occur. None if the rows are too many."""
    if arguments.get("labels") is not None:
        return plain(list(arguments["labels"]))
    truth, predicted = arguments.get("y_true"), arguments.get("y_pred")
    if (rows_of(truth) or MAX_ROWS_FOR_LABELS) >= MAX_ROWS_FOR_LABELS:
        return None
    from sklearn.utils.multiclass import unique_labels

    return plain(unique_labels(truth, predicted).tolist())
