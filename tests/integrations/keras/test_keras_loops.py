"""The promise: a loop of `train_on_batch` is one run, complete, and ends when the next training begins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))  # where `tensorflow_alone` is

from helpers import script
from small import X, Y, model

import autolog
from autolog import RunRecord
from autolog.store.records import Store
from autolog.testing import Recorded, recorded

Points = Callable[[RunRecord, str], list[tuple[int, float]]]


def looped(one: Any, batches: int = 3, **how: Any) -> list[Any]:
    return [one.train_on_batch(X[i * 8 : i * 8 + 8], Y[i * 8 : i * 8 + 8], **how) for i in range(batches)]


def test_a_loop_of_train_on_batch_is_one_run_with_a_value_for_each_batch(points: Points) -> None:
    """Complete: whichever way the results come back; what is evaluated meanwhile belongs to it; the model is its last."""
    with recorded("keras") as seen:
        with autolog.run("loop"):
            one = model(metrics=["mae"])
            told = looped(one)
            told += [list(values.values()) for values in looped(one, return_dict=True)]
            one.evaluate(X, Y, verbose=0)
        expected = one.predict(X, verbose=0)
        run = seen.run
        assert (autolog.load_model(run).predict(X, verbose=0) == expected).all()
    assert (run.name, run.kind, run.status, run.errors) == ("loop", "train_on_batch", "finished", [])
    assert points(run, "loss") == [(step, round(float(loss), 6)) for step, (loss, _) in enumerate(told)]
    assert sorted(run.metrics) == [
        "evaluate_loss_X",
        "evaluate_mae_X",
        "learning_rate",
        "loss",
        "mae",
    ]
    assert points(run, "learning_rate") == [(0, 0.01)]
    names = ("optimizer", "loss", "batch_size", "model.parameters")
    assert [run.params[name] for name in names] == ["SGD", "mse", 8, 21]


def test_models_that_are_trained_in_turn_are_one_run_and_a_new_model_is_another(points: Points) -> None:
    """Complete: of a GAN's two models each value by the model's name; a sweep is a run each."""
    with recorded("keras") as seen:
        judge, gan = model(), model()
        for _ in range(2):
            looped(judge, 1)
            looped(gan, 1)
        looped(model(), 1)
    both, later = seen.runs
    assert sorted(both.metrics) == ["learning_rate", "loss", "small_learning_rate", "small_loss"]
    assert [step for step, _ in points(both, "small_loss")] == [0, 1]
    assert sorted(one["path"] for one in both.models) == ["model", "small_model"]
    assert [step for step, _ in points(later, "loss")] == [0]
    assert [run.status for run in seen.runs] == ["finished", "finished"]


def test_a_loop_inside_a_fit_makes_no_run(seen: Recorded) -> None:
    other = model()

    class Trains(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            other.train_on_batch(X, Y)

    model().fit(X, Y, verbose=0, callbacks=[Trains()])
    assert [run.kind for run in seen.all_runs] == ["fit"]


def test_a_loop_trains_the_same_bits() -> None:
    def results() -> Any:
        keras.utils.set_random_seed(5)
        one = model(metrics=["mae"])
        told = looped(one)
        return [list(map(float, values)) for values in told], [w.tobytes() for w in one.get_weights()]

    plain = results()
    with recorded("keras") as seen:
        assert results() == plain
    assert len(seen.runs) == 1


def test_a_trainable_layer_that_is_no_model_is_recorded(points: Points) -> None:
    """Complete: as Keras's own tests make one of a trainer and a layer."""
    trainer = pytest.importorskip("keras.src.backend.tensorflow.trainer").TensorFlowTrainer

    class Trains(trainer, keras.layers.Dense):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            keras.layers.Dense.__init__(self, 1)
            trainer.__init__(self)

    with recorded("keras") as seen:
        one = Trains()
        one.compile("sgd", "mse", run_eagerly=True)
        told = looped(one)
    run = seen.run
    assert points(run, "loss") == [(step, round(float(loss), 6)) for step, loss in enumerate(told)]
    assert (run.status, run.errors, run.params["model.parameters"]) == ("finished", [], 4)
    assert [one["path"] for one in run.models] == ["model"]


def test_a_loop_that_ends_with_its_process_has_its_model(tmp_path: Path) -> None:
    """Nothing lost: in the README's order, a loop whose run ends with the process has its last model, which loads."""
    code = """
        import autolog
        autolog.autolog(silent=True)
        import keras, numpy as np
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=True)
        x = np.ones((8, 3), "float32")
        for _ in range(3):
            model.train_on_batch(x, x[:, :1])
        np.save("expected.npy", model.predict(x, verbose=0))
    """
    done = script(code, tmp_path, timeout=120, beneath=("tensorflow_alone",))
    assert done.returncode == 0, done.stderr
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.errors, run.notes) == ("finished", [], [])
    assert (
        run.model(trust=True).predict(np.ones((8, 3), "float32"), verbose=0)
        == np.load(tmp_path / "expected.npy")
    ).all()
