"""Records Keras: `Model.fit` of Keras 3 on any backend, `evaluate` after it, and loops of `train_on_batch`.

What a run holds, by Keras's own words:

    kind        fit; train_on_batch for a loop of it
    params      fit's arguments but the data, those left out by their defaults; optimizer, optimizer_<setting>; loss, metrics;
                run_eagerly, jit_compile, steps_per_execution; backend, dtype_policy; distribution_strategy, replicas;
                EarlyStopping.<setting>, ModelCheckpoint.<setting>, ReduceLROnPlateau.<setting>;
                model.layers, model.parameters, model.trainable_parameters
    metrics     what History holds of each epoch, learning_rate as the epoch ended, epoch_time in seconds   a step an epoch
                <name>_step                                             every log_every_n_steps batches, if asked for
                of a loop: what each batch returned, a step a batch; <model>_<name> of a model that joined it
                best_epoch, best_score, stopped_epoch, restored_epoch, best_model_score
                evaluate_<name>, evaluate_<name>_<the data's variable>  what `evaluate` says after the fit
    artifacts   model; model_summary.txt; checkpoints.json: the files that ModelCheckpoint has written
    datasets    train, validation, test; loaders and generators are named, and never asked for data

Nothing is added to the user's callbacks: a list of them may be compared, is counted, and its kinds decide whether JAX waits for
each batch. What a callback would see is seen where Keras tells its own History.

Nothing of Keras or TensorFlow is imported before the user has imported it.
"""

from __future__ import annotations

from collections.abc import Iterable

from autolog import FastPatch, Integration, Options, Patch, SubclassPatch, observe_prediction

TRAINERS = (
    "keras.src.backend.tensorflow.trainer:TensorFlowTrainer",
    "keras.src.backend.torch.trainer:TorchTrainer",
    "keras.src.backend.jax.trainer:JAXTrainer",
)


class KerasOptions(Options, frozen=True, kw_only=True):
    """What can be chosen for Keras, beside what is common to all integrations."""

    log_every_n_steps: int = 0
    """Record the running means of an epoch every so many batches, too; 0: at the end of epochs only. To read them makes an
    accelerator wait."""


class KerasIntegration(Integration):
    """See the module."""

    name = "keras"
    supports = "keras>=3.0"
    claims = ("keras.src.models",)
    Options = KerasOptions

    def patches(self) -> Iterable[Patch | SubclassPatch | FastPatch]:
        from autolog_keras.calls import Calls
        from autolog_keras.loops import Loops

        loops = Loops(self)
        calls = Calls(self.options)
        model = "keras:Model"
        yield SubclassPatch(base=model, methods=("fit",), observer=calls.observe_fit, nested=True)
        yield SubclassPatch(base=model, methods=("evaluate",), observer=calls.observe_evaluate)
        yield SubclassPatch(base=model, methods=("predict",), observer=observe_prediction)
        callbacks = "keras:callbacks"
        told = f"{callbacks}.CallbackList"
        yield FastPatch(target=f"{told}.on_train_begin", before=calls.training_begins)
        yield FastPatch(target=f"{told}.on_epoch_begin", before=calls.epoch_begins)
        yield FastPatch(target=f"{told}.on_epoch_end", before=calls.epoch_is_over, after=calls.epoch_is_told)
        yield FastPatch(target=f"{told}.on_test_end", before=calls.evaluation_ends)
        # What it has been told is what callbacks have made of it.
        yield FastPatch(target=f"{callbacks}.History.on_epoch_end", after=calls.history_is_told)
        checkpoint = f"{callbacks}.ModelCheckpoint._get_file_path"
        yield FastPatch(target=checkpoint, after=calls.checkpoint_is_named, optional=True)
        if self.options.log_every_n_steps > 0:
            yield FastPatch(target=f"{told}.on_train_batch_end", after=calls.batch_is_over)
        # Where they are defined: Keras compares what a class inherits with what its base has, and pickles it by that name.
        trainer = "keras.src.trainers.trainer:Trainer"
        yield FastPatch(target=f"{trainer}.__init__", before=loops.model_is_made)
        yield FastPatch(
            target=f"{trainer}._flatten_metrics_in_order", before=loops.result_is_named, optional=True
        )
        for defined in TRAINERS:
            yield FastPatch(target=f"{defined}.train_on_batch", after=loops.batch_is_trained, optional=True)
