"""Records PyTorch Lightning: `fit`, `validate` and `test` of the Trainers of `lightning.pytorch` and of `pytorch_lightning`.

A run holds, with Lightning's own names where it has them:

    kind        fit; validate or test of a model that was not fitted under autolog (otherwise they go to the fit's run)
    params      the module's and data module's hparams, by their names; given arguments as trainer.<argument>; fit.ckpt_path;
                optimizer, optimizer.<setting>, optimizer.group1.<difference>, optimizer2 and so on; scheduler, scheduler.…;
                EarlyStopping.<setting>, ModelCheckpoint.<setting>; accelerator, strategy, devices, num_nodes, world_size,
                precision; model.parameters, model.trainable_parameters; data.batch_size, data.batches
    metrics     all of callback_metrics, lr-<optimizer>, epoch_time           a step per epoch
                <name>_step, every log_every_n_steps; in evaluations always    a step per batch, as Lightning's loggers count
                best_epoch, best_score, stopped_epoch, best_model_score
    tags        best_model_path; fast_dev_run
    artifacts   model; checkpoints.json: paths and scores; checkpoints/<the best one>
    datasets    train, validation, test, if a loader's data set holds tensors

autolog attaches nothing to a Trainer: the list of callbacks is the user's, and Lightning's own tests compare it and the order
of all hook calls. autolog reads the metrics where the Trainer passes them to its loggers, even if there are none.

The integration imports nothing of Lightning before the user does.
"""

from __future__ import annotations

from collections.abc import Iterable

from autolog.integration import FastPatch, Integration, Patch
from autolog_lightning.options import LightningOptions

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


class LightningIntegration(Integration):
    """See the module."""

    name = "lightning"
    supports = "lightning>=2.1"
    tested = "2.1.4 to 2.6.6"
    claims = PACKAGES
    Options = LightningOptions

    def patches(self) -> Iterable[Patch | FastPatch]:
        from autolog_lightning.calls import Calls

        calls = Calls(self.options)
        for package in PACKAGES:
            trainer = f"{package}:Trainer"
            yield Patch(target=f"{trainer}.__init__", observer=calls.observe_arguments)
            yield Patch(target=f"{trainer}.fit", observer=calls.observe_fit)
            for name in ("validate", "test"):
                yield Patch(target=f"{trainer}.{name}", observer=calls.observe_evaluation)
            # By then, optimizers and loaders are set up, and a checkpoint is restored.
            start = f"{package}.loops.fit_loop:_FitLoop.on_run_start"
            yield FastPatch(target=start, before=calls.training_starts)
            # Called every log_every_n_steps, after each batch of an evaluation, and after every epoch and evaluation.
            connector = f"{package}.trainer.connectors.logger_connector.logger_connector:_LoggerConnector"
            yield FastPatch(target=f"{connector}.log_metrics", before=calls.metrics_are_there)
            # Trials of the tuner are no trainings, in a call and in a callback inside a fit.
            for finder, name in (
                ("lr_finder:LearningRateFinder", "lr_find"),
                ("batch_size_finder:BatchSizeFinder", "scale_batch_size"),
            ):
                yield Patch(target=f"{package}.tuner.tuning:Tuner.{name}", observer=calls.observe_tuner)
                yield FastPatch(
                    target=f"{package}.callbacks.{finder}.{name}", before=calls.trials_begin, after=calls.trials_end,
                    raised=calls.trials_end,
                )  # fmt: skip
