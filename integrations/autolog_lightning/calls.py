"""Records a call of `fit`, `validate` or `test` as a run, with what happens inside it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from autolog.integration import Call, IdentityMap, Run, plain
from autolog_lightning import about
from autolog_lightning.watch import Measured, Watch

if TYPE_CHECKING:
    from autolog_lightning.options import LightningOptions


class _Fitted(NamedTuple):
    """A module's run, its last epoch, and the metrics measured after the fit."""

    run: Run
    epoch: int
    measured: Measured


class Calls:
    def __init__(self, options: LightningOptions) -> None:
        self.options = options
        self._arguments: IdentityMap[dict[str, Any]] = IdentityMap()
        self._watches: IdentityMap[Watch] = IdentityMap()
        self._fitted: IdentityMap[_Fitted] = IdentityMap()

    def observe_arguments(self, call: Call) -> Generator[None, Any, None]:
        # Before the call, because Lightning adds its own callbacks to the user's list. As plain data, because callbacks and
        # loggers may hold the trainer and would keep it alive.
        given = {f"trainer.{name}": plain(value, name) for name, value in call.arguments.items()}
        yield
        self._arguments.set(call.instance, given)

    def observe_fit(self, call: Call) -> Generator[None, Any, None]:
        call.suppress_nested()  # the inner loop belongs to Lightning
        trainer, module = call.instance, about.module_of(call.arguments.get("model"))
        self._fitted.pop(module)
        run: Run = call.start_run(kind="fit", estimator=module)
        watch = self._begin(call, run, trainer, module)
        before = about.last_metrics(trainer)
        try:
            yield
            if not watch.started:  # there was nothing to train, or other processes trained
                watch.start(trainer, self.options.log_datasets)
                if watch.log_what_is_left(trainer, before):
                    run.note(
                        "Other processes did the training. Only their last metrics are recorded, and no epochs."
                    )
            if not trainer.fast_dev_run:
                run.save_model(about.without_compiler(module), "pytorch")
            self._fitted.set(module, _Fitted(run, watch.epoch, Measured()))
        finally:
            self._watches.pop(trainer)
            call.error = about.cause(call.error, trainer)
            watch.fit_ends(trainer, self.options)

    def observe_evaluation(self, call: Call) -> Generator[None, Any, None]:
        call.suppress_nested()
        trainer = call.instance
        given = call.arguments.get("model")
        module = about.module_of(trainer.lightning_module if given is None else given)
        known = self._fitted.get(module)
        if known is None:
            kind = call.name.rpartition(".")[2]
            self._begin(call, call.start_run(kind=kind, estimator=module), trainer, module)
        else:
            call.run = known.run  # so that failures are noted in it; the run stays ended
            watch = Watch(known.run, epoch=known.epoch, muted=bool(trainer.fast_dev_run))
            watch.measured, watch.checkpoint = known.measured, call.arguments.get("ckpt_path")
            self._watches.set(trainer, watch)
        watch = self._watches.get(trainer)
        before = about.last_metrics(trainer)
        try:
            yield
            if watch is not None:
                watch.describe_evaluated(trainer, self.options.log_datasets)
                if not watch.evaluated:  # other processes evaluated, or there was nothing to evaluate
                    watch.log_what_is_left(trainer, before)
        finally:
            self._watches.pop(trainer)
            call.error = about.cause(call.error, trainer)

    def _begin(self, call: Call, run: Run, trainer: Any, module: Any) -> Watch:
        watch = Watch(run, muted=bool(trainer.fast_dev_run))
        self._watches.set(trainer, watch)
        hparams = about.hparams_of(module) | about.hparams_of(about.data_module_of(call.arguments))
        arguments = self._arguments.get(trainer) or about.settings_of(trainer)
        path = call.arguments.get("ckpt_path")
        run.log_params({**arguments, **({} if path is None else {"fit.ckpt_path": path}), **hparams})
        watch.hparams = frozenset(hparams)
        if trainer.fast_dev_run:
            run.set_tags({"fast_dev_run": "true"})
        return watch

    # -- inside a call

    def training_starts(self, loop: Any) -> None:
        watch = self._watches.get(loop.trainer)
        if watch is not None and not watch.trials:
            watch.start(loop.trainer, self.options.log_datasets)

    def metrics_are_there(self, connector: Any, metrics: Any, step: int | None = None) -> None:
        trainer = connector.trainer
        watch = self._watches.get(trainer)
        if watch is None or watch.trials or trainer.sanity_checking:
            return
        watch.describe_validation(trainer)
        if watch.muted:
            return
        if connector._first_loop_iter is not None:
            if metrics:  # most batches of an evaluation have none
                watch.batch(trainer, metrics, step)
        elif trainer._results.training:
            watch.epoch_ends(trainer)
        else:
            watch.evaluation_ends(trainer)

    def observe_tuner(self, call: Call) -> Generator[None, Any, None]:
        call.suppress_nested()
        yield

    def trials_begin(self, _finder: Any, trainer: Any, *_args: Any) -> None:
        if (watch := self._watches.get(trainer)) is not None:
            watch.trials += 1

    def trials_end(self, _noted: None, _result: Any, _finder: Any, trainer: Any, *_args: Any) -> None:
        if (watch := self._watches.get(trainer)) is not None:
            watch.trials -= 1
