"""The flavor for LightGBM. A Booster is saved as LightGBM's own text, which loads without running code. That text does not hold
all of an estimator of the scikit-learn API, so estimators are saved like scikit-learn's.

The folder holds `model.lgb`, up to the best iteration, or `model.pkl`, or as an option `model.skops`.
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

# The types that skops finds in an estimator. Loading them runs no code that the file chooses: a Booster's state is its text.
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
    """Write the model to staging. `model_format` is one of `pickled.FORMATS`, and has no effect on a Booster."""
    lightgbm = import_module("lightgbm")
    entry: dict[str, Any] = {}
    modules: set[str] = set()
    if isinstance(model, lightgbm.Booster):
        name, model_class = "model.lgb", BOOSTER  # the user's subclass loads as a Booster, from its text
        staging.open(name).write(model.model_to_string().encode())
    else:
        name, entry, modules = pickled.dump(model, staging, model_format)
        modules.add("sklearn")
        model_class = f"{type(model).__module__}.{type(model).__qualname__}"
    entry |= {"data": name, "model_class": model_class, "lgb_version": lightgbm.__version__, "code": None}
    python_function = {"loader_module": "mlflow.lightgbm", "data": name}
    return Captured(entry=entry, python_function=python_function, modules=_ALWAYS | modules)


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """Return the Booster or the estimator. Without trust in the folder, a skops file loads with types that skops trusts,
    scikit-learn's and LightGBM's classes, and a pickle does not load.
    """
    name = str(entry.get("data"))
    if entry.get("model_class", BOOSTER) == BOOSTER:
        with source.open(name) as file:
            return import_module("lightgbm").Booster(model_str=file.read().decode())
    return pickled.load(source, name, entry.get("serialization_format"), _HARMLESS)
