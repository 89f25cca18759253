"""Records Keras: `Model.fit` of Keras 3 on any backend and of Keras 2, `evaluate` after it, and loops that users write.

A run holds, with Keras's own names:

    kind        fit; train_on_batch for a loop of it; train for a loop that applies gradients itself
    params      fit's arguments with their defaults, except data; optimizer, optimizer_<setting>, or for optimizers that the
                model itself holds <attribute>, <attribute>_<setting>; loss, metrics;
                run_eagerly, jit_compile, steps_per_execution; backend, dtype_policy; distribution_strategy, replicas;
                EarlyStopping.<setting>, ModelCheckpoint.<setting>, ReduceLROnPlateau.<setting>;
                model.layers, model.parameters, model.trainable_parameters
    metrics     History's values, learning_rate at the end of the epoch, epoch_time in seconds          a step per epoch
                <name>_step                                             every log_every_n_steps batches, if set
                of a loop: each batch's result, the differentiated loss, the result of the `tf.function`, and the user's
                metrics when they are read, a step per batch; <model>_<name> of further models and optimizers
                best_epoch, best_score, stopped_epoch, restored_epoch, best_model_score
                evaluate_<name>, evaluate_<name>_<the data's variable>  results of `evaluate` after the fit
    artifacts   model; model_summary.txt; checkpoints.json: the files that ModelCheckpoint has written
    datasets    train, validation, test; loaders and generators only by name, because reading them would consume data

autolog adds nothing to the user's callbacks: scripts may compare or count them, and their types decide whether JAX waits for
each batch. It reads the same values where Keras calls its own History.

Loops of JAX's stateless functions are not recorded: once `jax.jit` has compiled them, no call can be observed.

The integration imports nothing of Keras and TensorFlow before the user does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from autolog.integration import FastPatch, Integration, Patch, SubclassPatch, observe_prediction
from autolog_keras.options import KerasOptions

if TYPE_CHECKING:
    from autolog_keras.loops import Loops

PACKAGES = ("keras", "tf_keras")
"""`tf.keras` is one of them."""
# Methods that compute the values of users' metrics, and classes that apply gradients in Keras 2.
_RESULTS = ("confusion_metrics:Precision", "confusion_metrics:Recall", "confusion_metrics:AUC")
RESULTS = (
    *_RESULTS, "reduction_metrics:Sum", "reduction_metrics:Mean", "f_score_metrics:FBetaScore", "iou_metrics:IoU",
    "regression_metrics:R2Score",
)  # fmt: skip
RESULTS_2 = (*_RESULTS, "base_metric:Reduce")
OPTIMIZERS_2 = ("optimizer:_BaseOptimizer", "legacy.optimizer_v2:OptimizerV2")


class KerasIntegration(Integration):
    """See the module."""

    name = "keras"
    supports = "keras>=2.12"
    tested = "3.1.1 to 3.15.1"
    claims = ("keras.src.models", "keras.src.engine", "keras.engine", "tf_keras.src.engine")
    Options = KerasOptions

    def patches(self) -> Iterable[Patch | SubclassPatch | FastPatch]:
        from autolog_keras.calls import Calls
        from autolog_keras.loops import Loops

        loops = Loops(self)
        calls = Calls(self.options, loops)
        for package in PACKAGES if find_spec("tf_keras") else PACKAGES[:1]:
            model = f"{package}:Model"
            yield SubclassPatch(base=model, methods=("fit",), observer=calls.observe_fit, nested=True)
            yield SubclassPatch(base=model, methods=("evaluate",), observer=calls.observe_evaluate)
            yield SubclassPatch(base=model, methods=("predict",), observer=observe_prediction)
            callbacks = f"{package}:callbacks"
            told = f"{callbacks}.CallbackList"
            yield FastPatch(target=f"{told}.on_train_begin", before=calls.training_begins)
            yield FastPatch(target=f"{told}.on_epoch_begin", before=calls.epoch_begins)
            yield FastPatch(
                target=f"{told}.on_epoch_end", before=calls.epoch_is_over, after=calls.epoch_is_told
            )
            yield FastPatch(target=f"{told}.on_test_end", before=calls.evaluation_ends)
            # History gets the logs after the other callbacks have changed them.
            yield FastPatch(target=f"{callbacks}.History.on_epoch_end", after=calls.history_is_told)
            checkpoint = f"{callbacks}.ModelCheckpoint._get_file_path"
            yield FastPatch(target=checkpoint, after=calls.checkpoint_is_named, optional=True)
            if self.options.log_every_n_steps > 0:
                yield FastPatch(target=f"{told}.on_train_batch_end", after=calls.batch_is_over)
        yield from self._of_loops(loops)

    def _of_loops(self, loops: Loops) -> Iterator[FastPatch]:
        """Patch each method where it is defined: Keras compares inherited methods with the base's, and pickles them by name."""
        from autolog_keras.applied import Applied

        applied = Applied(loops)

        keras = sys.modules.get("keras")
        version = "" if keras is None else str(keras.__version__)
        backend = "" if keras is None else keras.backend.backend()
        # torch.compile must see only Keras's code in a step: a wrapper would split it into two graphs.
        reading = sys.modules["torch"].compiler.is_dynamo_compiling if backend == "torch" else None

        def batches(target: str) -> Iterator[FastPatch]:
            yield FastPatch(
                target=f"{target}.train_on_batch", before=loops.batch_begins, after=loops.batch_is_trained,
                raised=loops.batch_is_over, unless=reading,
            )  # fmt: skip
            yield FastPatch(
                target=f"{target}.test_on_batch", before=loops.batch_begins, after=loops.batch_is_over,
                raised=loops.batch_is_over, unless=reading,
            )  # fmt: skip

        def applying(target: str) -> FastPatch:
            return FastPatch(
                target=target, before=applied.is_applied, after=applied.was_applied, unless=reading
            )

        def result(target: str) -> FastPatch:
            return FastPatch(
                target=f"{target}.result", after=applied.metric_is_read, unless=reading, optional=True
            )

        if not version.startswith("2."):
            trainer = "keras.src.trainers.trainer:Trainer"
            yield FastPatch(target=f"{trainer}.__init__", before=loops.model_is_made, unless=reading)
            yield FastPatch(
                target=f"{trainer}._flatten_metrics_in_order", before=loops.result_is_named, unless=reading,
                optional=True,
            )  # fmt: skip
            for package, name in (("tensorflow", "TensorFlow"), ("torch", "Torch"), ("jax", "JAX")):
                yield from batches(f"keras.src.backend.{package}.trainer:{name}Trainer")
        if not version.startswith("2.") and backend != "jax":
            optimizer = "keras.src.optimizers.base_optimizer:BaseOptimizer"
            yield FastPatch(target=f"{optimizer}.__init__", before=loops.optimizer_is_made, unless=reading)
            yield applying(f"{optimizer}.apply")
            for metric in RESULTS:
                yield result(f"keras.src.metrics.{metric}")
        if backend == "torch":
            yield FastPatch(target="torch.autograd:backward", before=applied.goes_backward, unless=reading)
        older = ["tf_keras.src"] if find_spec("tf_keras") else []
        # 2.13 and newer; 2.12.
        older += ["keras.src", "keras"] if version.startswith("2.") or keras is None else []
        for package in older:
            model = f"{package}.engine.training:Model"
            yield FastPatch(target=f"{model}.__init__", before=loops.model_is_made)
            yield from batches(model)
            for optimizer in OPTIMIZERS_2:
                target = f"{package}.optimizers.{optimizer}"
                yield FastPatch(target=f"{target}.__init__", before=loops.optimizer_is_made)
                yield applying(f"{target}.apply_gradients")
            for metric in RESULTS_2:
                yield result(f"{package}.metrics.{metric}")
        # For TensorFlow, once the user imports it.
        yield FastPatch(
            target="tensorflow.python.eager.backprop:GradientTape.gradient", before=applied.differentiated,
            optional=True,
        )  # fmt: skip
        yield FastPatch(
            target="tensorflow.python.eager.polymorphic_function.polymorphic_function:Function.__call__",
            before=applied.function_begins, after=applied.function_ends, raised=applied.function_failed, optional=True,
        )  # fmt: skip
        yield FastPatch(
            target="tensorflow.python.data.ops.dataset_ops:DatasetV2.__iter__", before=applied.is_iterated,
            optional=True,
        )  # fmt: skip
