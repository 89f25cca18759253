"""Models of LightGBM: a Booster as LightGBM's own text, which loads without running code; estimators of its scikit-learn API as
scikit-learn's are saved, for there is no text that holds all of one.

Folder: `model.lgb`, up to the best iteration; or `model.pkl`, or `model.skops` when asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autolog.integration import Captured, pickled

if TYPE_CHECKING:
    from autolog.integration import Source, Staging

predictor = pickled.predictor

DISTRIBUTIONS = {"sklearn": ("scikit-learn",)}
BOOSTER = "lightgbm.basic.Booster"

# What skops meets in an estimator. To make one runs no code of the file's choosing: a Booster's state is its text.
_HARMLESS = (
    *("sklearn.", "scipy.sparse.", "scipy.interpolate.", "numpy.dtype"),
    BOOSTER,
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMModel",
    "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMRegressor",
    "collections.OrderedDict",
)
_ALWAYS = frozenset(("lightgbm", "numpy", "scipy"))


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """`model_format` is one of `pickled.FORMATS`, and does not matter for a Booster."""
    lightgbm = import_module("lightgbm")
    entry: dict[str, Any] = {}
    modules: set[str] = set()
    if isinstance(model, lightgbm.Booster):
        name, model_class = "model.lgb", BOOSTER  # a subclass of the user's loads as what its text holds
        staging.open(name).write(model.model_to_string().encode())
    else:
        name, entry, modules = pickled.dump(model, staging, model_format)
        modules.add("sklearn")
        model_class = f"{type(model).__module__}.{type(model).__qualname__}"
    entry |= {"data": name, "model_class": model_class, "lgb_version": lightgbm.__version__, "code": None}
    python_function = {"loader_module": "mlflow.lightgbm", "data": name}
    return Captured(entry=entry, python_function=python_function, modules=_ALWAYS | modules)


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """The Booster or the estimator. Of a skops file with the types that skops trusts, scikit-learn's and LightGBM's classes,
    all its types if the folder is trusted; a pickle only if it is.
    """
    name = str(entry.get("data"))
    if entry.get("model_class", BOOSTER) == BOOSTER:
        with source.open(name) as file:
            return import_module("lightgbm").Booster(model_str=file.read().decode())
    return pickled.load(source, name, entry.get("serialization_format"), _HARMLESS)
