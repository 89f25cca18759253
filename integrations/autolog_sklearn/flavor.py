"""Models of scikit-learn, and of everything that follows its conventions: pickle, or skops when asked for.

Folder: `model.pkl` (pickle protocol 5; cloudpickle where a class or function stands in no importable module) or
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

# Trees, kernels, distance metrics, sparse matrices: what fitted estimators are made of.
HARMLESS = ("sklearn.", "scipy.sparse.", "scipy.interpolate.", "numpy.dtype")
DISTRIBUTIONS = {"sklearn": ("scikit-learn",)}
ALWAYS = frozenset(("sklearn", "numpy", "scipy", "joblib"))


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """Pickle turns into cloudpickle where it has to. The first use of skops imports nearly all of scikit-learn: about half a
    second.
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
    """The estimator. A skops file is loaded with the types that skops trusts and scikit-learn's own classes, all its types if
    the folder is trusted; a pickle only if it is.
    """
    return pickled.load(source, str(entry.get("pickled_model")), entry.get("serialization_format"), HARMLESS)
