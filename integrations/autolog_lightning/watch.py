"""Turns what a Trainer computes during a call into metrics. It computes nothing itself."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog.integration import BY_MODE, Run, weakly
from autolog_lightning import about, outcome

if TYPE_CHECKING:
    from autolog_lightning.options import LightningOptions


class Measured:
    """Names the metrics measured after a fit, so that a name is always the same quantity. `validate` gives `validate_<name>`,
    because `<name>` is the fit's own validation. Other data or another checkpoint gives `<name>_2` and so on.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[str, Any, str]] = []

    def named(self, function: str, data: Any, checkpoint: Any, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with these names."""
        same = [(held, of) for name, held, of in self._seen if name == function]
        known = [
            number for number, (held, of) in enumerate(same, 1) if held() is data and of == str(checkpoint)
        ]
        if not known:
            self._seen.append((function, weakly(data), str(checkpoint)))
        number = known[0] if known else len(same) + 1
        before = "validate_" if function == "validate" else ""
        after = f"_{number}" if number > 1 else ""
        return {f"{before}{name}{after}": value for name, value in values.items()}


class Watch:
    """One call in progress. `epoch` is the last completed epoch; in an evaluation after a fit, the fit's. `trials` counts the
    tuner's searches around it. `hparams` and `logged` are the user's names of params and metrics, which autolog must not take.
    """

    def __init__(self, run: Run, *, epoch: int = 0, muted: bool = False) -> None:
        self.run = run
        self.epoch = epoch
        self.muted = muted
        self.started = self.evaluated = False
        self.trials = 0
        self._undescribed = False
        self.hparams: frozenset[str] = frozenset()
        self.logged: set[str] = set()
        self.measured: Measured | None = None
        self.checkpoint: Any = None
        """The checkpoint whose weights `measured` belongs to."""
        self.best: dict[int, tuple[Any, int | None]] = {}
        self._rates: dict[str, float] = {}
        self._began = 0.0

    def start(self, trainer: Any, log_datasets: bool) -> None:
        """Log what is known once the Trainer has set up everything."""
        params = about.setup_of(trainer) | outcome.settings(trainer)
        self.run.log_params({name: value for name, value in params.items() if name not in self.hparams})
        if log_datasets:
            about.log_data(self.run, trainer.train_dataloader, "train")
        self._undescribed = log_datasets
        self.describe_validation(trainer)
        self.started = True
        self.best = {id(one): (outcome.score_of(one), None) for one in outcome.keepers(trainer)}
        self._rates = about.learning_rates(trainer)
        self._began = perf_counter()

    def describe_validation(self, trainer: Any) -> None:
        """Describe the validation data once it is there. Without a sanity check, Lightning loads it later."""
        if self._undescribed and trainer.val_dataloaders is not None:
            self._undescribed = False
            about.log_data(self.run, trainer.val_dataloaders, "validation")

    def batch(self, trainer: Any, metrics: dict[str, Any], step: int | None) -> None:
        """Log a batch's values as `<name>_step`, Lightning's name for values that it also reduces over the epoch, because
        epochs count other steps. If the user has such a name, the batch's values get another `_step`.
        """
        if step is None:
            step = trainer.fit_loop.epoch_loop._batches_that_stepped
        forked = names_of_forks(trainer._results)
        named = {name if name in forked else f"{name}_step": value for name, value in metrics.items()}
        self.run.log_metrics(self._after_fit(trainer, named), step=step, epoch=self._now(trainer))

    def epoch_ends(self, trainer: Any) -> None:
        """Log an epoch's training, with its learning rates from the start: schedulers have changed them by now."""
        ended = perf_counter()
        self.epoch = trainer.current_epoch
        values = computed(trainer._results)
        self.logged |= values.keys()
        ours = {**self._rates, "epoch_time": ended - self._began}
        self.run.log_metrics({**self.without_logged(ours), **values}, step=self.epoch, epoch=self.epoch)
        self.run.describe_metrics(
            {**dict.fromkeys(self.without_logged(ours)), **outcome.directions(trainer, self.logged)}
        )
        for one in outcome.keepers(trainer):
            if self.best.get(id(one), (None,))[0] is not (score := outcome.score_of(one)):
                self.best[id(one)] = score, self.epoch
        self._rates, self._began = about.learning_rates(trainer), ended

    def without_logged(self, ours: dict[str, Any]) -> dict[str, Any]:
        """Return autolog's own metrics without those whose names the user has taken."""
        return {name: value for name, value in ours.items() if name not in self.logged}

    def evaluation_ends(self, trainer: Any) -> None:
        """Log an evaluation: within a fit at the epoch, or at the step if there are several; else at the last epoch."""
        self.evaluated = True
        epoch = self._now(trainer)
        several = trainer.state.fn == "fit" and about.evaluates_within_epochs(trainer)
        step = trainer.fit_loop.epoch_loop._batches_that_stepped if several else epoch
        values = self._after_fit(trainer, computed(trainer._results))
        self.logged |= values.keys()
        self.run.log_metrics(values, step=step, epoch=epoch)
        if self.measured is not None:
            data = "test" if trainer.state.fn == "test" else "validation"
            settings = {} if self.checkpoint is None else {"settings": {"ckpt_path": str(self.checkpoint)}}
            self.run.describe_metrics({}, about={name: {"data": data, **settings} for name in values})

    def _after_fit(self, trainer: Any, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with the names for metrics after a fit, if this is one."""
        if self.measured is None:
            return values
        function = str(trainer.state.fn.value)
        data = about.first_data(about.evaluated(trainer))
        return self.measured.named(function, data, self.checkpoint, values)

    def _now(self, trainer: Any) -> int:
        return trainer.current_epoch if trainer.state.fn == "fit" else self.epoch

    def log_what_is_left(self, trainer: Any, before: dict[str, Any]) -> bool:
        """Log the last metrics of other processes, without an epoch, because the Trainer does not know it. Return whether there
        are any.
        """
        metrics = {name: v for name, v in about.last_metrics(trainer).items() if before.get(name) is not v}
        if metrics and not self.muted:
            self.run.log_metrics(metrics)
        return bool(metrics)

    def describe_evaluated(self, trainer: Any, log_datasets: bool) -> None:
        """Describe the data of `validate` or `test`."""
        if log_datasets:
            testing = trainer.state.fn == "test"
            about.log_data(self.run, about.evaluated(trainer), "test" if testing else "validation")

    def fit_ends(self, trainer: Any, options: LightningOptions) -> None:
        """Log the best epoch, the epoch of stopping, and the checkpoints by path. Copy checkpoints as the options say."""
        metrics: dict[str, Any] = {}
        better: dict[str, Any] = {}
        for one in outcome.keepers(trainer):
            score, epoch = self.best.get(id(one), (None, None))
            if epoch is not None and "best_epoch" not in metrics:
                metrics |= {"best_epoch": epoch, "best_score": score}
                better["best_score"] = BY_MODE.get(one.mode)
            if outcome.is_early_stopping(one):
                if trainer.should_stop and one.stopped_epoch == self.epoch:
                    metrics["stopped_epoch"] = one.stopped_epoch
            elif epoch is not None:
                metrics["best_model_score"] = score
                better["best_model_score"] = BY_MODE.get(one.mode)
        metrics = self.without_logged(metrics)
        self.run.log_metrics(metrics)
        self.run.describe_metrics({name: better.get(name) for name in metrics})
        kept = outcome.checkpoints(trainer)
        if not kept:
            return
        self.run.log_json("checkpoints.json", kept)
        best = [one["path"] for one in kept if one["best"]]
        if best:
            self.run.set_tags({"best_model_path": best[0]})
        if options.log_checkpoints is not False:
            wanted = best[:1] if options.log_checkpoints == "best" else [one["path"] for one in kept]
            for path in wanted:
                outcome.copy(self.run, path, options.max_model_bytes)


def computed(results: Any) -> dict[str, Any]:
    """Return the values in `callback_metrics` of this epoch or evaluation. Reads Lightning's cache: the public property may
    compute a metric again, and in a distributed job it is a collective call.
    """
    values: dict[str, Any] = {}
    for item in results.values():
        if item.has_reset or not (item.meta.on_epoch or results.training):
            continue
        value = item._computed if item.meta.on_epoch else item._forward_cache
        if value is not None:
            values.update(dict.fromkeys(results._forked_name(item, on_step=False), value))
    return values


def names_of_forks(results: Any) -> set[str]:
    """Return Lightning's names for batch values of metrics that it also reduces over the epoch."""
    both = (item for item in results.values() if item.meta.on_step and item.meta.on_epoch)
    return {results._forked_name(item, on_step=True)[1] for item in both}
