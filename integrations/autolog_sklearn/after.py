"""What is measured after a fit goes to the run of the model that made the prediction, whatever framework that is of.

A metric's name is its function's, the settings that are not the defaults, the name of the data that was predicted, and the part
of the prediction: `accuracy_score_X_test`, `f1_score_macro_X_test`, `fbeta_score_beta_2_X_test`, `r2_score_train_column_1`.
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
"""Arguments that say how it is computed or told, not what."""
_NO_SETTING = {"zero_division": ("warn", 0), "pos_label": (1,)}
"""Values that say what the default says."""
_TRUTH = ("y_true", "labels_true")
_CURVES = {
    "roc_curve": ("fpr", "tpr", "thresholds"),
    "precision_recall_curve": ("precision", "recall", "thresholds"),
}


class MetricObserver:
    def __init__(self, options: SklearnOptions) -> None:
        self.options = options

    def remember_model(self, estimator: Any, run: Run, X: Any = None) -> None:
        """This estimator, and those it delegates to, were fitted in this run, on X where all of it is known."""
        learnt = chain(estimator)
        run.trained(*learnt, data=X, describe=self.options.log_datasets)
        labels = getattr(learnt[-1], "__dict__", {}).get("labels_")
        if labels is not None:
            lineage().predicted(labels, run, X)

    def observe_metric(self, call: Call) -> Generator[None, Any, None]:
        result = yield
        known = lineage()
        arguments = call.arguments
        # What is measured before what it is measured by: pseudo-labels are a prediction, too, of another model.
        names = [name for name in list(call.parameters or arguments)[:2] if name in arguments]
        measured = {name: arguments[name] for name in sorted(names, key=lambda name: name in _TRUTH)}
        prediction = known.find(measured.values())
        # Inside an explicit run, what the user measures belongs to it, whatever model it is of.
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
        for part in result if isinstance(result, tuple) else ():  # `auc(fpr, tpr)` is this prediction's
            known.belongs(part, prediction._replace(whole=None))
        known.describe(prediction, arguments.get("y_true"), made.data)


def _settings(call: Call, arguments: dict[str, Any], measured: Container[str]) -> dict[str, Any]:
    """The settings given that are not the function's defaults."""
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
