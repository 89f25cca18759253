"""The flavor for a Booster or one of XGBoost's scikit-learn estimators, in XGBoost's own format.

The folder holds `model.ubj`, with the trees and the settings that prediction needs. It does not hold `missing` and the
additions of a user's subclass. The scikit-learn flavor pickles such estimators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autolog.integration import Captured, ModelNotLoaded, ModelNotSaved

if TYPE_CHECKING:
    from autolog.integration import Source, Staging

FILE = "model.ubj"
DISTRIBUTIONS = {"sklearn": ("scikit-learn",), "xgboost": ("xgboost-cpu",)}
BOOSTER = "xgboost.core.Booster"
ESTIMATORS = (
    "XGBModel", "XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor",
)  # fmt: skip


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """Write the model to staging. A Dask estimator is saved as the equivalent estimator that needs no cluster."""
    xgboost: Any = import_module("xgboost")
    if model_format not in (None, "ubj"):
        raise ModelNotSaved(f"model_format {model_format!r} is not ubj, the only format")
    modules = {"xgboost", "numpy", "scipy"}
    if isinstance(model, xgboost.Booster):
        booster, model_class = model, BOOSTER
    elif reads_back(model):
        booster, model_class = model.get_booster(), f"xgboost.sklearn.{_kind(model)}"
        modules.add("sklearn")
    else:
        raise ModelNotSaved(
            f"XGBoost's format cannot hold all of this {type(model).__name__}. Save it with the flavor sklearn"
        )
    # Not by `save_model`: it needs a file, and temporarily writes an attribute into the user's booster.
    staging.open(FILE).write(booster.save_raw("ubj"))
    return Captured(
        entry={
            "data": FILE,
            "model_class": model_class,
            "model_format": "ubj",
            "xgb_version": xgboost.__version__,
            "code": None,
        },
        python_function={"loader_module": "mlflow.xgboost", "data": FILE},
        modules=frozenset(modules),
    )


def reads_back(estimator: Any) -> bool:
    """Return whether XGBoost's format keeps everything that the estimator's predictions depend on."""
    module, missing = type(estimator).__module__, getattr(estimator, "missing", None)
    return module.partition(".")[0] == "xgboost" and _kind(estimator) in ESTIMATORS and missing != missing


def _kind(estimator: Any) -> str:
    return type(estimator).__name__.removeprefix("Dask")


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """Return the Booster or the estimator. The format holds only data, so it needs no trust."""
    xgboost: Any = import_module("xgboost")
    module, _, name = str(entry.get("model_class") or BOOSTER).rpartition(".")
    with source.open(str(entry.get("data"))) as file:
        data = bytearray(file.read())
    if (module, name) == ("xgboost.core", "Booster"):
        return xgboost.Booster(model_file=data)
    # Only XGBoost's own classes: a folder must not choose what is imported.
    if module != "xgboost.sklearn" or name not in ESTIMATORS:
        raise ModelNotLoaded(f"{module}.{name} is not a class of XGBoost that autolog can load")
    model = getattr(import_module("xgboost.sklearn"), name)()
    model.load_model(data)
    return model


def predictor(model: Any) -> Callable[[Any], Any]:
    """Return the estimator's `predict`; for a Booster, one that first makes a DMatrix of the data."""
    xgboost: Any = import_module("xgboost")
    if not isinstance(model, xgboost.Booster):
        predict: Callable[[Any], Any] = model.predict
        return predict

    def predict_matrix(data: Any) -> Any:
        if not isinstance(data, xgboost.DMatrix):
            # The model may have been trained on an array with separate names. Then it needs them again.
            named = hasattr(data, "columns")
            names = (
                {} if named else {"feature_names": model.feature_names, "feature_types": model.feature_types}
            )
            data = xgboost.DMatrix(data, enable_categorical=True, **names)
        return model.predict(data)

    return predict_matrix
