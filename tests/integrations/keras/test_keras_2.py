"""The promise: Keras 2 is recorded as Keras 3 is: `tf_keras` beside it, or `tf.keras` where TensorFlow is older than 2.16."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolog
from autolog import RunRecord, UntrustedModel
from autolog.testing import Recorded, recorded

tf = pytest.importorskip("tensorflow")
PACKAGE = "tf_keras" if find_spec("tf_keras") else "keras"
keras: Any = import_module(PACKAGE)
if not keras.__version__.startswith("2."):
    pytest.skip("there is no Keras 2", allow_module_level=True)

Points = Callable[[RunRecord, str], list[tuple[int, float]]]
Visible = Callable[[RunRecord], dict[str, Any]]

X = np.random.RandomState(0).normal(size=(48, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
ARRAY = {"kind": "numpy.ndarray", "rows": 48, "dtype": "float32"}
MODEL = [
    f"model/{name}" for name in
    ("MLmodel", "conda.yaml", "data/keras_module.txt", "data/model.keras", "data/save_format.txt", "python_env.yaml",
     "requirements.txt")
]  # fmt: skip


def model(**compiled: Any) -> Any:
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="small")
    made.compile(**{"optimizer": "sgd", "loss": "mse", "run_eagerly": True, **compiled})
    return made


def test_a_fit_and_an_evaluation_are_one_complete_run(
    seen: Recorded, visible: Visible, points: Points, tmp_path: Path
) -> None:
    """Complete: as of Keras 3, by position too; nothing else is recorded."""
    one = model(metrics=["mae"])
    callbacks = [
        keras.callbacks.EarlyStopping(patience=2, min_delta=100.0, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"), save_best_only=True),
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=100.0),
    ]
    history = one.fit(X, Y, 32, 9, 0, callbacks, 0.0, (X[:8], Y[:8])).history
    x_test, y_test = X[8:20], Y[8:20]
    loss, _ = one.evaluate(x_test, y_test, verbose=0)
    run = seen.run
    shown = visible(run)
    # What a version has more of than another.
    params = {
        name: value for name, value in shown.pop("params").items()
        if not name.startswith(("optimizer_", "EarlyStopping.", "ModelCheckpoint.", "ReduceLROnPlateau."))
        and name not in ("jit_compile", "steps_per_execution")
    }  # fmt: skip
    assert params == {
        "epochs": 9, "batch_size": 32, "verbose": 0, "validation_split": 0.0, "shuffle": True, "initial_epoch": 0,
        "validation_freq": 1, "max_queue_size": 10, "workers": 1, "use_multiprocessing": False, "steps_per_epoch": 2,
        "callbacks": ["EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau"],
        "loss": "mse", "metrics": ["mae"], "run_eagerly": True, "backend": "tensorflow", "dtype_policy": "float32",
        "optimizer": "SGD", "model.layers": 1, "model.parameters": 4, "model.trainable_parameters": 4,
    }  # fmt: skip
    # Keras 2's ReduceLROnPlateau writes the rate into the logs, as `lr`.
    epochs = [0, 1, 2]
    assert shown == {
        "experiment": "default", "status": "finished", "framework": "keras", "kind": "fit",
        "estimator": f"{type(one).__module__}.Sequential",
        "metrics": {
            **dict.fromkeys(("loss", "mae", "val_loss", "val_mae", "lr", "learning_rate", "epoch_time"), epochs),
            "best_epoch": [2], "best_score": [2], "stopped_epoch": [2], "restored_epoch": [2], "best_model_score": [2],
            "evaluate_loss_x_test": [0], "evaluate_mae_x_test": [0],
        },
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": "train", "columns": 3, **ARRAY, "target": {**ARRAY, "columns": 1}},
            {"context": "validation", "columns": 3, **ARRAY, "rows": 8, "target": {**ARRAY, "columns": 1, "rows": 8}},
            {"context": "test", "name": "x_test", "columns": 3, **ARRAY, "rows": 12,
             "target": {**ARRAY, "columns": 1, "rows": 12}},
        ],
        "artifacts": ["checkpoints.json", *MODEL, "model_summary.txt"], "models": [("model", "tensorflow")],
    }  # fmt: skip
    assert run.params["EarlyStopping.patience"] == 2
    assert run.metrics["evaluate_loss_x_test"]["last"] == pytest.approx(loss)
    for name in ("loss", "val_mae"):
        assert points(run, name) == [(step, round(value, 6)) for step, value in enumerate(history[name])]


def test_loops_are_a_run_each(points: Points) -> None:
    """Complete: of train_on_batch, and of a tape with each kind of optimizer, traced and not."""
    with recorded("keras") as seen:
        one = model(metrics=["mae"])
        told = [one.train_on_batch(X[:8], Y[:8]) for _ in range(3)]
        legacy = keras.optimizers.legacy if PACKAGE == "tf_keras" else tf.keras.optimizers.legacy
        kinds = (keras.optimizers.Adam, legacy.SGD)
        losses = [taped(kind(0.01), traced) for kind in kinds for traced in (False, True)]
    batches, *tapes = seen.runs
    assert (batches.kind, [run.kind for run in tapes]) == ("train_on_batch", ["train"] * 4)
    assert points(batches, "mae") == [(step, round(float(mae), 6)) for step, (_, mae) in enumerate(told)]
    for run, own in zip(tapes, losses, strict=True):
        assert points(run, "loss") == [(step, round(loss, 6)) for step, loss in enumerate(own)]
        # Keras sums up in single precision.
        assert points(run, "mean_loss") == [(2, pytest.approx(sum(own) / 3, rel=1e-6))]
        assert (run.status, run.errors, [one["flavor"] for one in run.models]) == (
            "finished",
            [],
            ["tensorflow"],
        )


def taped(optimizer: Any, traced: bool) -> list[float]:
    """The losses of three steps."""
    own = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    mean = keras.metrics.Mean(name="mean_loss")

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((own(x, training=True) - y) ** 2)
        variables = own.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))  # noqa: B905
        mean.update_state(loss)
        return loss

    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    losses = [float(one(x, y)) for one in [tf.function(step) if traced else step] for x, y in data]
    float(mean.result())
    return losses


def test_a_model_loads_back_and_predicts_the_same(seen: Recorded) -> None:
    """As Keras 2's own object, compiled, by mlflow natively, and as a predictor of either's."""
    one = model()
    one.fit(X, Y, verbose=0)
    expected = one.predict(X, verbose=0)
    place = Path(seen.run.folder, "model")
    loaded = autolog.load_model(place)
    assert type(loaded) is type(one)
    assert (loaded.predict(X, verbose=0) == expected).all()
    assert loaded.optimizer is not None
    assert (autolog.load_model(place, as_predictor=True).predict(X) == expected).all()
    if find_spec("mlflow") and find_spec("pandas"):
        import mlflow

        assert (mlflow.tensorflow.load_model(str(place)).predict(X, verbose=0) == expected).all()
        assert (np.asarray(mlflow.pyfunc.load_model(str(place)).predict(X)) == expected).all()


def test_a_lambda_of_another_user_is_loaded_only_with_trust(
    seen: Recorded, monkeypatch: Any, tmp_path: Path
) -> None:
    one = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(1)])
    one.compile("sgd", "mse", run_eagerly=True)
    one.fit(X, Y, verbose=0)
    place = Path(seen.run.folder, "model")
    assert (autolog.load_model(place).predict(X, verbose=0) == one.predict(X, verbose=0)).all()
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "another"))
    with pytest.raises(UntrustedModel, match="lambda"):
        autolog.load_model(place)


class Doubled(keras.layers.Layer):
    """A layer of the user's, registered nowhere."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2


class NoConfig(keras.layers.Layer):
    """One that cannot say what it was made with."""

    def __init__(self, factor: Any) -> None:
        super().__init__()
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor.value


class _Factor:
    value = 2.0


def test_layers_of_the_users_are_saved_or_the_run_says_why_not(seen: Recorded) -> None:
    """Clear: what can be imported loads; one without a configuration is not saved, with the reason."""
    for layer in (Doubled(), NoConfig(_Factor())):
        one = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
        one.compile("sgd", "mse", run_eagerly=True)
        one.fit(X, Y, verbose=0)
        if isinstance(layer, Doubled):
            expected = one.predict(X, verbose=0)
    saved, refused = seen.runs
    loaded = autolog.load_model(Path(saved.folder, "model"))
    assert type(loaded.layers[0]) is Doubled
    assert (loaded.predict(X, verbose=0) == expected).all()
    assert not refused.models
    [note] = refused.notes
    assert "get_config" in note
    assert (refused.status, refused.errors) == ("finished", [])


def test_saving_a_model_does_not_change_the_names_that_keras_gives() -> None:
    """Transparent: to save a model, Keras makes objects of its base classes, which are named and so counted."""

    def names() -> list[str]:
        keras.backend.clear_session()
        model().fit(X, Y, verbose=0)
        made = (keras.layers.Layer(), keras.metrics.Mean(), keras.Sequential(), keras.Model())
        return [one.name for one in made]

    plain = names()
    with recorded("keras") as seen:
        assert names() == plain
    assert seen.run.models


def test_weights_are_the_same_bits() -> None:
    """Transparent: traced as users do, with dropout, from seeds that are drawn from Python's stream."""

    def weights() -> list[bytes]:
        keras.utils.set_random_seed(7)
        one = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
        one.compile("adam", "mse")
        one.fit(X, Y, verbose=0, epochs=2)
        return [one.tobytes() for one in one.get_weights()]

    plain = weights()
    with recorded("keras") as seen:
        assert weights() == plain
    assert len(seen.runs) == 1
