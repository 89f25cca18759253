"""Describes an estimator without making it compute anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from autolog.integration import ArraySpec, Run, reraise_if_signal, suppress_warnings

# Methods of estimators that only prepare data: transformers, imbalanced-learn's samplers, indexes of neighbours.
_PREPARES = ("transform", "fit_transform", "fit_resample", "kneighbors")


def trains(estimator: Any) -> bool:
    """Return whether fitting this estimator is a training. Fitting a transformer is not, unless it predicts, too."""
    try:
        with suppress_warnings():
            one = chain(estimator)[-1]
            if is_search(estimator) or hasattr(one, "predict") or hasattr(one, "fit_predict"):
                return True
            # Some estimators have `predict` only once they are fitted. A pipeline's depends on its last step.
            if hasattr(type(one), "predict") and not steps_of(one):
                return True
            return not any(hasattr(one, name) for name in _PREPARES)
    except Exception as error:  # from a property of the user's class
        reraise_if_signal(error)
        return False


_CONTRIBUTING = ("Pipeline", "TransformedTargetRegressor")
_OTHERS = ("estimator", "base_estimator", "estimators", "final_estimator")


def trains_others(estimator: Any) -> bool:
    """Return whether the estimator fits copies of another one, as searches, ensembles and one-vs-rest do. The copies' rounds do
    not belong to the run. Those of a pipeline's steps do.
    """
    cls = type(estimator)
    if any(base.__name__ in _CONTRIBUTING for base in cls.__mro__):
        return False
    held = getattr(estimator, "__dict__", {})
    if any(name in held and not isinstance(held[name], (str, int, float)) for name in _OTHERS):
        return True
    return hasattr(cls, "transform") and not hasattr(cls, "predict")


def is_search(estimator: Any) -> bool:
    """Return whether the estimator is a search, with its candidates' results in `cv_results_`."""
    cls = type(estimator)
    return hasattr(cls, "_run_search") or (
        "Search" in cls.__name__ and "estimator" in getattr(estimator, "__dict__", {})
    )


def steps_of(estimator: Any) -> list[tuple[str, Any]]:
    """Return a pipeline's steps; an empty list for other estimators."""
    steps = getattr(estimator, "__dict__", {}).get("steps")
    if type(steps) is list and all(type(step) in (tuple, list) and len(step) == 2 for step in steps):
        return steps
    return []


def chain(estimator: Any) -> list[Any]:
    """Return the estimator and those that it delegates to: a search's best estimator, a pipeline's last step, a target
    transformer's regressor. The last one is the one that learns.
    """
    found = [estimator]
    for _ in range(10):
        held = getattr(found[-1], "__dict__", {})
        inner = held.get("best_estimator_", held.get("regressor_"))
        if inner is None and (steps := steps_of(found[-1])):
            inner = steps[-1][1]
        if inner is None or isinstance(inner, str):
            break
        found.append(inner)
    return found


def params_of(estimator: Any, run: Run) -> dict[str, Any]:
    """Return `get_params(deep=True)`. If that fails, note it and return {}. Restores random generators, because get_params() of
    some estimators, such as XGBoost's, draws from `random_state`.
    """
    stood = [(held, _state_of(held)) for held in _generators(estimator)]
    try:
        with suppress_warnings():
            return dict(estimator.get_params(deep=True))
    except Exception as error:
        reraise_if_signal(error)
        run.note(f"get_params() failed: {type(error).__name__}")
        return {}
    finally:
        for held, state in stood:
            if hasattr(held, "bit_generator"):
                held.bit_generator.state = state
            else:
                held.set_state(state)


def _state_of(generator: Any) -> Any:
    if hasattr(generator, "bit_generator"):
        return generator.bit_generator.state
    return generator.get_state()


def _generators(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield NumPy's random generators that an estimator and its parts hold."""
    kind = type(value)
    if kind.__name__ in ("RandomState", "Generator") and kind.__module__.startswith("numpy.random"):
        yield value
    elif depth < 8:
        parts: Any = ()
        if kind in (list, tuple):
            parts = value
        elif kind is dict or hasattr(kind, "get_params"):
            parts = (value if kind is dict else getattr(value, "__dict__", {})).values()
        for part in islice(parts, 100):
            yield from _generators(part, depth + 1)


def rows_of(data: Any) -> int | None:
    """Return the number of rows if it is known without a computation, else None."""
    shape = getattr(data, "shape", None)
    if isinstance(shape, tuple):
        return int(shape[0]) if shape else None
    return len(data) if type(data) in (list, tuple) else None


def is_column(y: Any) -> bool:
    """Return whether the targets, if there are any, are one value per row."""
    if type(y) in (list, tuple):
        return not y or not hasattr(y[0], "__len__") or type(y[0]) is str
    return y is None or getattr(y, "ndim", None) == 1


def doubles_like(X: Any, y: Any) -> ArraySpec | None:
    """Return the targets' shape and type if these and the data are arrays of float64, else None."""
    if all(type(one).__name__ == "ndarray" and one.dtype == "float64" for one in (X, y)):
        return ArraySpec("float64", y.shape)
    return None


def is_own_regressor(estimator: Any) -> bool:
    """Return whether this is scikit-learn's own regressor, which predicts float64 if it was fitted on float64."""
    kinds = {cls.__name__ for cls in type(estimator).__mro__}
    return "RegressorMixin" in kinds and type(estimator).__module__.startswith("sklearn.")


def split(arguments: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return X, y and the other arguments of `fit`. If no argument is named X, the first one is X."""
    rest = dict(arguments)
    X = rest.pop("X" if "X" in rest else next(iter(rest), "X"), None)
    y = rest.pop("y" if "y" in rest else "Y", None)
    return X, y, rest


def fit_params(rest: dict[str, Any], X: Any) -> dict[str, Any]:
    """Return arguments of `fit` other than the data as `fit.<name>`. Values per row become the text "given"."""
    rows = rows_of(X) or -1
    return {
        f"fit.{name}": "given" if name.endswith("sample_weight") or rows_of(value) == rows else value
        for name, value in rest.items()
        if value is not None
    }


def works_in_place(params: dict[str, Any]) -> bool:
    """Return whether a part of the model changes the caller's array or consumes its input. Such a model cannot predict its
    training data again.
    """
    for name, value in params.items():
        part, kind = name.rpartition("__")[2], type(value).__name__
        # Check the type first: the truth value of an array, or of a user's object, may raise.
        if part.startswith("copy") and kind in ("bool", "bool_", "int") and not value:
            return True
        if part == "input" and kind == "str" and value == "file":
            return True
    return False


def harm_of_predicting(model: Any, params: dict[str, Any]) -> str:
    """Return why an additional prediction may be harmful, else "". It may run code that is not scikit-learn's, draw random
    numbers, print, or change the model's state in a way that `scores` cannot avoid.
    """
    last = model
    while steps := steps_of(last):
        last = steps[-1][1]
    # If the params could not be read, look at the model's attributes.
    for value in (model, *(params or getattr(model, "__dict__", {})).values()):
        if foreign := _foreign(value) or _replaced(value):
            return f"{foreign} is not scikit-learn's"
        if _draws(value):
            return f"{type(value).__name__} draws random numbers"
        if value is not last and _leaves_traces(value):
            return f"{type(value).__name__} keeps state of its predictions"
        if value is not last and hasattr(value, "get_params") and _talks(value):
            return f"{type(value).__name__} prints"
    return ""


def _replaced(value: Any) -> str:
    """Return the name of a method that the object itself replaces, such as by a mock of a test; "" if there is none."""
    cls = type(value)
    if cls.__module__.partition(".")[0] != "sklearn":
        return ""
    held: dict[str, Any] = getattr(value, "__dict__", {})
    return next((name for name in held if callable(getattr(cls, name, None))), "")


def _talks(estimator: Any) -> bool:
    """Return whether it may print while it predicts. A verbose pipeline prints only during the fit."""
    return bool(getattr(estimator, "verbose", False)) and not steps_of(estimator)


_DRAWING = ("NMF", "MiniBatchNMF", "DictionaryLearning", "MiniBatchDictionaryLearning", "BernoulliRBM")
"""Estimators that may draw random numbers when they transform."""


def _draws(value: Any) -> bool:
    name = type(value).__name__
    return (
        name in _DRAWING
        or (name == "DummyClassifier" and value.strategy in ("stratified", "uniform"))
        or (name == "IterativeImputer" and value.sample_posterior)
    )


_TRACES = ("Isomap", "LocallyLinearEmbedding", "SplineTransformer")


def _leaves_traces(value: Any) -> bool:
    """Return whether predictions change its state, such as the counters in trees of neighbours."""
    if type(value).__module__.startswith("sklearn.neighbors."):
        return getattr(value, "algorithm", "brute") != "brute"
    return type(value).__name__ in _TRACES or getattr(value, "kernel", None) == "knn"


def _foreign(value: Any, depth: int = 0) -> str:
    """Return the name of code in a param's value that is the user's or a third party's; "" for plain data and parts of
    scikit-learn.
    """
    kind = type(value)
    if kind in (list, tuple, dict) and depth < 5:
        items = value.values() if kind is dict else value
        return next(filter(None, (_foreign(item, depth + 1) for item in islice(items, 1_000))), "")
    named = kind in (FunctionType, BuiltinFunctionType, MethodType) or isinstance(value, type)
    name = str(getattr(value if named else kind, "__name__", kind.__name__))
    module = str((value if named else kind).__module__).split(".")
    if "tests" in module or "_mocking" in module:  # scikit-learn's mocks count as users' classes
        return name
    if module[0] == "numpy" and not named and callable(value):
        # Results of `vectorize` and `frompyfunc` run the user's function. NumPy and SciPy hold their own under their names.
        homes = (sys.modules.get("numpy"), sys.modules.get("scipy.special"))
        given = getattr(value, "__name__", "")
        return "" if any(getattr(home, given, None) is value for home in homes) else str(given or name)
    return "" if module[0] in ("builtins", "sklearn", "numpy", "scipy", "joblib") else name
