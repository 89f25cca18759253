"""Records the metrics of each round through XGBoost's callback interface, or from a completed training's history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autolog.integration import Run

History = Mapping[str, Mapping[str, Any]]
"""By eval set and metric: a value per round; in a cross-validation, a pair of mean and standard deviation."""


class Rounds:
    """Logs rounds as they come. `first` is the model's round at which this training begins, `ran` the number of rounds."""

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
        if self.continued:  # only then, because the call makes XGBoost configure the model
            self.first = model.num_boosted_rounds()

    def hear(self, history: History) -> None:
        self.history = history

    def log(self, number: int, history: History, place: int = -1) -> None:
        """Log the values at `place` of the history as round `number`, counted from the beginning of this training."""
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
        """Describe the metrics' directions by XGBoost's names. For the `chosen` metric, `said` is the user's direction."""
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
        """Make the values of round `number` of this training those of the kept model."""
        lengths = {len(points) for metrics in self.history.values() for points in metrics.values()}
        if lengths and 0 <= number < min(lengths):
            self.run.describe_metrics(values=self._at(self.history, number))

    def judged_by(self) -> str | None:
        """Return the metric that early stopping uses: the last one of the last data set."""
        metrics = [metric for metrics in self.history.values() for metric in metrics]
        return metrics[-1] if metrics else None

    def log_rest(self) -> None:
        """Log the rounds of the history for which our callback was not called. XGBoost before 2.1 calls callbacks in no fixed
        order, so another one may have ended the training first.
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
    """Return the direction of XGBoost's own metric (https://xgboost.readthedocs.io/en/stable/parameter.html, `eval_metric`);
    None for others.
    """
    name = metric.partition("@")[0].removesuffix("-")
    return "higher" if name in HIGHER else "lower" if name in LOWER else None


def callback_class() -> Any:
    """Return the class of our callback. XGBoost requires a subclass of its own class."""
    from xgboost.callback import TrainingCallback

    class RoundsCallback(TrainingCallback):  # type: ignore[misc]
        """Passes XGBoost's calls to `rounds`, which is guarded, so that XGBoost always gets its model back."""

        def __init__(self, rounds: Any) -> None:
            self.begin = rounds.begin
            self.hear = rounds.hear
            self.log = rounds.log

        def before_training(self, model: Any) -> Any:
            self.begin(model)
            return model

        def before_iteration(self, model: Any, epoch: int, evals_log: History) -> bool:
            if epoch == 0:  # every round has the same object
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
