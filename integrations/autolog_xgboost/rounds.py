"""Metrics of each round, through XGBoost's own callback interface, or from a training's history when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autolog.integration import Run

History = Mapping[str, Mapping[str, Any]]
"""By eval set and metric: a value a round, in a cross-validation a pair of mean and standard deviation."""


class Rounds:
    """Logs rounds as they come. `first` is the model's round that this training begins with, `ran` how many there were."""

    def __init__(self, run: Run, prefix: str = "", continued: bool = False) -> None:
        self.run = run
        self.prefix = prefix
        self.continued = continued
        self.first = 0
        self.ran = 0
        self.model: Any = None
        self.history: History = {}

    def begin(self, model: Any) -> None:
        self.model = model
        if self.continued:  # asked only then: XGBoost configures a model that is asked
            self.first = model.num_boosted_rounds()

    def hear(self, history: History) -> None:
        self.history = history

    def log(self, number: int, history: History, place: int = -1) -> None:
        """Log round `number`, counted from the beginning of this training: what the history has at `place`."""
        self.ran = number + 1
        values = self._at(history, place)
        if values:
            self.run.log_metrics(values, step=self.first + number)
        if number == 0:
            self.describe()

    def _at(self, history: History, place: int) -> dict[str, float]:
        values: dict[str, float] = {}
        for data, metrics in history.items():
            for metric, points in metrics.items():
                value = points[place]
                if type(value) is tuple:
                    values[f"{data}-{metric}-mean"], values[f"{data}-{metric}-std"] = value
                else:
                    values[f"{self.prefix}{data}-{metric}"] = value
        return values

    def describe(self, chosen: str | None = None, said: str | None = None) -> None:
        """Which way each metric is better, by XGBoost's names; of one `chosen` metric as the user has said."""
        directions: dict[str, Any] = {}
        about: dict[str, Any] = {}
        for data, metrics in self.history.items():
            for metric in metrics:
                better = said if metric == chosen else direction_of(metric)
                directions.update(
                    dict.fromkeys((f"{self.prefix}{data}-{metric}", f"{data}-{metric}-mean"), better)
                )
                directions[f"{data}-{metric}-std"] = None
                about[f"{self.prefix}{data}-{metric}"] = {"data": data}
        known = self.run.metric_names
        self.run.describe_metrics(
            {name: better for name, better in directions.items() if name in known},
            about={name: said for name, said in about.items() if name in known},
        )

    def keep(self, number: int) -> None:
        """The model that is kept is that of round `number` of this training."""
        lengths = {len(points) for metrics in self.history.values() for points in metrics.values()}
        if lengths and 0 <= number < min(lengths):
            self.run.describe_metrics(values=self._at(self.history, number))

    def judged_by(self) -> str | None:
        """The metric that early stopping goes by: the last of the last data set."""
        metrics = [metric for metrics in self.history.values() for metric in metrics]
        return metrics[-1] if metrics else None

    def log_rest(self) -> None:
        """Log the rounds that are in the history and that we were not told of: XGBoost before 2.1 has no order among
        callbacks, so that another one may have ended the training before ours was asked.
        """
        history = self.history
        most = max((len(points) for metrics in history.values() for points in metrics.values()), default=0)
        for number in range(self.ran, most):
            self.log(number, history, number)


HIGHER = ("auc", "aucpr", "pre", "map", "ndcg", "interval-regression-accuracy")
LOWER = (
    "aft-nloglik", "cox-nloglik", "error", "expectile", "gamma-deviance", "gamma-nloglik", "logloss", "mae", "mape", "merror",
    "mlogloss", "mphe", "poisson-nloglik", "quantile", "rmse", "rmsle", "tweedie-nloglik",
)  # fmt: skip


def direction_of(metric: str) -> Any:
    """Which way a metric of XGBoost's own is better (https://xgboost.readthedocs.io/en/stable/parameter.html, `eval_metric`);
    None of others.
    """
    name = metric.partition("@")[0].removesuffix("-")
    return "higher" if name in HIGHER else "lower" if name in LOWER else None


def callback_class() -> Any:
    """The class of our callback: XGBoost asks for one of its own kind."""
    from xgboost.callback import TrainingCallback

    class RoundsCallback(TrainingCallback):  # type: ignore[misc]
        """Hands on what XGBoost tells to `rounds`, which is guarded; the model goes back to XGBoost whatever happens."""

        def __init__(self, rounds: Any) -> None:
            self.begin = rounds.begin
            self.hear = rounds.hear
            self.log = rounds.log

        def before_training(self, model: Any) -> Any:
            self.begin(model)
            return model

        def before_iteration(self, model: Any, epoch: int, evals_log: History) -> bool:
            if epoch == 0:  # it is the same object in every round
                self.hear(evals_log)
            return False

        def after_iteration(self, model: Any, epoch: int, evals_log: History) -> bool:
            self.log(epoch, evals_log)
            return False

    return RoundsCallback


def log_history(run: Run, history: History) -> Rounds:
    """Log all rounds of a training that is over."""
    rounds = Rounds(run)
    rounds.hear(history)
    rounds.log_rest()
    return rounds
