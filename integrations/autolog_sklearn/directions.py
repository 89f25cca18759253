"""Which way scikit-learn's metrics are better, according to its documentation.

For scorers and `score`, greater is always better (https://scikit-learn.org/stable/modules/model_evaluation.html).
"""

from __future__ import annotations

from typing import Any, Literal

Better = Literal["higher", "lower"] | None

_LOWER_SUFFIXES = ("_error", "_loss", "_deviance")
_EXCEPTIONS: dict[str, Better] = {
    "davies_bouldin_score": "lower",
    "auc": "higher",
    "positive_likelihood_ratio": "higher",
    "negative_likelihood_ratio": "lower",
    "matthews_corrcoef": "higher",
    "cohen_kappa_score": "higher",
}
_HELD: dict[str, Better] = {
    "best_loss": "lower",
    "best_score": "higher",
    "best_validation_score": "higher",
    "dual_gap": "lower",
    "estimator_error": "lower",
    "inertia": "lower",
    "log_marginal_likelihood_value": "higher",
    "loss": "lower",
    "lower_bound": "higher",
    "oob_improvement": "higher",
    "validation_score": "higher",
}


def of_function(function: Any) -> Better:
    """Return the direction of a function of `sklearn.metrics`: higher for names that end in `_score`, lower for `_error`,
    `_loss` and `_deviance`, with a few exceptions. None for other functions.
    """
    if not str(getattr(function, "__module__", "")).startswith("sklearn.metrics"):
        return None
    name = function.__name__
    if name in _EXCEPTIONS:
        return _EXCEPTIONS[name]
    return "higher" if name.endswith("_score") else "lower" if name.endswith(_LOWER_SUFFIXES) else None


def of_held(name: str, learnt: Any) -> Better:
    """Return the direction of a fitted estimator's attribute. Gradient boosting holds losses where others hold scores."""
    if name == "oob_score" and callable(getattr(learnt, "__dict__", {}).get("oob_score")):
        return None  # the user's function measures it
    if name in ("train_score", "oob_score"):
        return "lower" if type(learnt).__module__ == "sklearn.ensemble._gb" else "higher"
    return _HELD.get(name)


def of_column(name: str) -> Better:
    """Return the direction of a column of `cv_results_` or of the result of `cross_validate`."""
    if name.startswith("std_"):
        return None
    if name.startswith("rank_") or name.endswith("_time"):
        return "lower"
    return "higher"
