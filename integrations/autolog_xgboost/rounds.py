"""Metrics of each round, through XGBoost's own callback interface, or from a training's history when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autolog import Run

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
        values: dict[str, float] = {}
        for data, metrics in history.items():
            for metric, points in metrics.items():
                value = points[place]
                if type(value) is tuple:
                    values[f"{data}-{metric}-mean"], values[f"{data}-{metric}-std"] = value
                else:
                    values[f"{self.prefix}{data}-{metric}"] = value
        if values:
            self.run.log_metrics(values, step=self.first + number)

    def log_rest(self) -> None:
        """Log the rounds that are in the history and that we were not told of: XGBoost before 2.1 has no order among
        callbacks, so that another one may have ended the training before ours was asked.
        """
        history = self.history
        most = max((len(points) for metrics in history.values() for points in metrics.values()), default=0)
        for number in range(self.ran, most):
            self.log(number, history, number)


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
