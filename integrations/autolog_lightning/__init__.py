"""Records PyTorch Lightning: `fit`, `validate` and `test` of the Trainers of `lightning.pytorch` and of `pytorch_lightning`.

What a run holds, by Lightning's own words where it has them:

    kind        fit; validate or test where the model was not fitted under autolog: else they go to the fit's run
    params      the module's and data module's hparams, by their names; trainer.<argument> as given; fit.ckpt_path;
                optimizer, optimizer.<setting>, optimizer.group1.<what differs>, optimizer2 and so on; scheduler, scheduler.…;
                EarlyStopping.<setting>, ModelCheckpoint.<setting>; accelerator, strategy, devices, num_nodes, world_size,
                precision; model.parameters, model.trainable_parameters; data.batch_size, data.batches
    metrics     all of callback_metrics, lr-<optimizer>, epoch_time           a step an epoch
                <name>_step, every log_every_n_steps; in evaluations each      a step a batch, as Lightning's loggers count
                best_epoch, best_score, stopped_epoch, best_model_score
    tags        best_model_path; fast_dev_run
    artifacts   model; checkpoints.json: their paths and scores; checkpoints/<the best one>
    datasets    train, validation, test, where a loader's data set holds tensors

Nothing is attached to a Trainer: its list of callbacks is the user's, and Lightning's own tests compare it and the order of all
hook calls. What a callback would see is seen where the Trainer hands its metrics to its loggers, whether it has any or not.

Nothing of Lightning is imported before the user has imported it.
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
            # Everything is set up: optimizers, loaders, what a checkpoint has restored.
            start = f"{package}.loops.fit_loop:_FitLoop.on_run_start"
            yield FastPatch(target=start, before=calls.training_starts)
            # Called every log_every_n_steps, after each batch of an evaluation, and at the end of every epoch and evaluation.
            connector = f"{package}.trainer.connectors.logger_connector.logger_connector:_LoggerConnector"
            yield FastPatch(target=f"{connector}.log_metrics", before=calls.metrics_are_there)
            # Trials of the tuner are no trainings, whether it is called or works as a callback inside a fit.
            for finder, name in (
                ("lr_finder:LearningRateFinder", "lr_find"),
                ("batch_size_finder:BatchSizeFinder", "scale_batch_size"),
            ):
                yield Patch(target=f"{package}.tuner.tuning:Tuner.{name}", observer=calls.observe_tuner)
                yield FastPatch(
                    target=f"{package}.callbacks.{finder}.{name}", before=calls.trials_begin, after=calls.trials_end,
                    raised=calls.trials_end,
                )  # fmt: skip
