"""Records the rounds of a training from LightGBM's callbacks, and the result of early stopping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autolog.integration import Run

# The attributes of an `early_stopping()` callback, and the equivalent params.
SETTINGS = {
    "stopping_rounds": "early_stopping_round",
    "first_metric_only": "first_metric_only",
    "min_delta": "early_stopping_min_delta",
}


class Rounds:
    """A callback that logs the metrics of every round, including custom ones. Without a validation set there are none."""

    order = float("-inf")
    """Runs before all other callbacks, because they may end the training."""
    before_iteration = False

    def __init__(self, run: Run, resolves: bool) -> None:
        """`resolves` says whether to log params as LightGBM resolved them."""
        self.run = run
        self.resolves = resolves
        self.ran = self.planned = 0
        self.model: Any = None

    def __call__(self, env: Any) -> None:
        step = env.iteration
        self.ran = step + 1
        if step == env.begin_iteration:
            self.planned, self.model = env.end_iteration, env.model
            if self.resolves:
                self.run.log_params({"num_boost_round": env.end_iteration - env.begin_iteration})
        results = env.evaluation_result_list
        if results:
            self.run.log_metrics(self.metrics(results), step=step)
            if step == env.begin_iteration:
                self.run.describe_metrics(self.directions(results), about=self.about(results))

    def metrics(self, results: Iterable[Any]) -> dict[str, Any]:
        # By index: since LightGBM 4.7 these are tuples that are slow to unpack.
        return {f"{one[0]}-{one[1]}": one[2] for one in results}

    def directions(self, results: Iterable[Any]) -> dict[str, Any]:
        """Return the directions: each result says whether a greater value is better."""
        return {f"{one[0]}-{one[1]}": _BETTER[bool(one[3])] for one in results}

    def about(self, results: Iterable[Any]) -> dict[str, Any]:
        """Return the data of each result, by the script's name for it."""
        return {
            f"{one[0]}-{one[1]}": {"data": "train" if one[0] == "training" else one[0]} for one in results
        }

    def log_outcome(self, scores: dict[str, Any]) -> None:
        """If early stopping was on, log where training stopped and the best iteration's `scores`. LightGBM counts from 1."""
        best = getattr(self.model, "best_iteration", 0)
        if best > 0:
            found = {
                "best_iteration": best,
                **{f"best_score_{name}": score for name, score in scores.items()},
            }
            if self.ran < self.planned:
                found["stopped_iteration"] = self.ran
            self.run.log_metrics(found, step=0)
            known = self.run.directions
            directions = {f"best_score_{name}": known.get(name) for name in scores}
            # The booster predicts with its best round, and is saved up to it.
            self.run.describe_metrics({**dict.fromkeys(found), **directions}, values=scores)


class FoldRounds(Rounds):
    """Like `Rounds`, for cross-validation: mean and standard deviation over the folds."""

    def metrics(self, results: Iterable[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in results:
            found[f"{_fold_name(one)}-mean"], found[f"{_fold_name(one)}-stdv"] = one[2], one[4]
        return found

    def directions(self, results: Iterable[Any]) -> dict[str, Any]:
        """Return the directions. Standard deviations have none."""
        found: dict[str, Any] = {}
        for one in results:
            found[f"{_fold_name(one)}-mean"], found[f"{_fold_name(one)}-stdv"] = _BETTER[bool(one[3])], None
        return found

    def about(self, results: Iterable[Any]) -> dict[str, Any]:
        """Return {}: the names of the metrics contain the data."""
        return {}


_BETTER = {True: "higher", False: "lower"}


def _fold_name(one: Any) -> str:
    """Return the name of a fold result: ("cv_agg", "valid l2", …) before LightGBM 4.7, ("valid", "l2", …) since."""
    return joined(one[1]) if one[0] == "cv_agg" else f"{one[0]}-{one[1]}"


def joined(name: str) -> str:
    """Return `valid l2-mean` of a cv's results as the metric `valid-l2-mean`."""
    return name.replace(" ", "-", 1)


def scores_of(model: Any) -> dict[str, Any]:
    """Return a booster's best scores by metric."""
    return {
        f"{name}-{metric}": score
        for name, scores in model.best_score.items()
        for metric, score in scores.items()
    }


def early_stopping(callbacks: Iterable[Any]) -> dict[str, Any]:
    """Return the settings of an `early_stopping()` among the user's callbacks as params."""
    for callback in callbacks:
        held = getattr(callback, "__dict__", {})
        if "stopping_rounds" in held:
            return {name: held[attribute] for attribute, name in SETTINGS.items() if attribute in held}
    return {}


HIGHER = ("auc", "auc_mu", "average_precision", "map", "ndcg", "r2")
LOWER = (
    "binary_error", "binary_logloss", "cross_entropy", "cross_entropy_lambda", "fair", "gamma", "gamma_deviance", "huber",
    "kullback_leibler", "l1", "l2", "mape", "multi_error", "multi_logloss", "poisson", "quantile", "rmse", "tweedie",
)  # fmt: skip


def direction_of(metric: str) -> Any:
    """Return the direction of LightGBM's own metric (see its parameter `metric`); None for others. Use this only where LightGBM
    gives no direction itself.
    """
    name = metric.partition("@")[0]
    return "higher" if name in HIGHER else "lower" if name in LOWER else None


def log_history(run: Run, history: dict[str, dict[str, list[Any]]]) -> None:
    """Log rounds that ran in other processes, from their `evals_result_`."""
    series = {
        f"{name}-{metric}": values for name, metrics in history.items() for metric, values in metrics.items()
    }
    for step in range(max(map(len, series.values()), default=0)):
        run.log_metrics(
            {name: values[step] for name, values in series.items() if step < len(values)}, step=step
        )
    run.describe_metrics(
        {f"{name}-{metric}": direction_of(metric) for name, metrics in history.items() for metric in metrics}
    )
