"""The flavor for models of scikit-learn and its conventions: pickle, or skops as an option.

The folder holds `model.pkl` (pickle protocol 5; cloudpickle if a class or function is in no importable module) or
`model.skops`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autolog.integration import Captured, pickled

if TYPE_CHECKING:
    from autolog.integration import Source, Staging

predictor = pickled.predictor

# Parts of fitted estimators: trees, kernels, distance metrics, sparse matrices.
HARMLESS = ("sklearn.", "scipy.sparse.", "scipy.interpolate.", "numpy.dtype")
DISTRIBUTIONS = {"sklearn": ("scikit-learn",)}
ALWAYS = frozenset(("sklearn", "numpy", "scipy", "joblib"))


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """Write the model to staging. Uses cloudpickle where pickle fails. The first use of skops takes about half a second: it
    imports nearly all of scikit-learn.
    """
    name, entry, modules = pickled.dump(model, staging, model_format)
    entry |= {
        "pickled_model": name,
        "sklearn_version": import_module("sklearn").__version__,
        "code": None,
    }
    python_function = {"loader_module": "mlflow.sklearn", "model_path": name, "predict_fn": "predict"}
    return Captured(
        entry=entry,
        python_function=python_function if pickled.predicts(model) else None,
        modules=ALWAYS | modules,
    )


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """Return the estimator. Without trust in the folder, a skops file loads with types that skops trusts and scikit-learn's
    classes, and a pickle does not load.
    """
    return pickled.load(source, str(entry.get("pickled_model")), entry.get("serialization_format"), HARMLESS)
