"""Models of XGBoost: a Booster or one of XGBoost's scikit-learn estimators, in XGBoost's own format.

Folder: `model.ubj`. It holds the trees and what prediction needs of an estimator's settings, but not `missing`, nor what a
user's subclass adds: such estimators are better pickled, as the scikit-learn flavor does.
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
    """A Dask estimator is saved as the estimator of the same kind that needs no cluster."""
    xgboost: Any = import_module("xgboost")
    if model_format not in (None, "ubj"):
        raise ModelNotSaved(f"model_format {model_format!r} is not ubj")
    modules = {"xgboost", "numpy", "scipy"}
    if isinstance(model, xgboost.Booster):
        booster, model_class = model, BOOSTER
    elif reads_back(model):
        booster, model_class = model.get_booster(), f"xgboost.sklearn.{_kind(model)}"
        modules.add("sklearn")
    else:
        raise ModelNotSaved(
            f"XGBoost's format cannot hold all of this {type(model).__name__}: save it with the flavor sklearn"
        )
    # Not by `save_model`: it takes a file, and writes an attribute into the user's booster for a while.
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
    """Whether XGBoost's format keeps all that the estimator's predictions depend on."""
    module, missing = type(estimator).__module__, getattr(estimator, "missing", None)
    return module.partition(".")[0] == "xgboost" and _kind(estimator) in ESTIMATORS and missing != missing


def _kind(estimator: Any) -> str:
    return type(estimator).__name__.removeprefix("Dask")


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """The Booster or the estimator. The format holds data only: no trust is needed."""
    xgboost: Any = import_module("xgboost")
    module, _, name = str(entry.get("model_class") or BOOSTER).rpartition(".")
    with source.open(str(entry.get("data"))) as file:
        data = bytearray(file.read())
    if (module, name) == ("xgboost.core", "Booster"):
        return xgboost.Booster(model_file=data)
    # By name among XGBoost's own: a folder may not choose what is imported.
    if module != "xgboost.sklearn" or name not in ESTIMATORS:
        raise ModelNotLoaded(f"{module}.{name} is no class of XGBoost's that can be loaded")
    model = getattr(import_module("xgboost.sklearn"), name)()
    model.load_model(data)
    return model


def predictor(model: Any) -> Callable[[Any], Any]:
    """The estimator's `predict`; of a Booster, that of a DMatrix made of the data unless it is one."""
    xgboost: Any = import_module("xgboost")
    if not isinstance(model, xgboost.Booster):
        predict: Callable[[Any], Any] = model.predict
        return predict

    def predict_matrix(data: Any) -> Any:
        if not isinstance(data, xgboost.DMatrix):
            # An array may have been given names beside it, which the model asks for.
            named = hasattr(data, "columns")
            names = (
                {} if named else {"feature_names": model.feature_names, "feature_types": model.feature_types}
            )
            data = xgboost.DMatrix(data, enable_categorical=True, **names)
        return model.predict(data)

    return predict_matrix
