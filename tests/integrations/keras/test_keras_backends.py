"""The promise: on PyTorch and JAX as on TensorFlow, which is not imported there; one run each, of Keras only."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from helpers import script

from autolog.store.records import Store

BENEATH = {
    name: (*modules, "mlflow.pyfunc", "sklearn", "matplotlib.pyplot", "rich.console")
    for name, modules in {"torch": ("torch._dynamo",), "jax": ("jax",)}.items()
}
"""What the scripts find imported."""

SCRIPT = """
import json, random, sys
from importlib.util import find_spec
import numpy as np
import keras
import autolog
from autolog.registry import installed
from autolog.testing import recorded

X = np.random.RandomState(0).normal(size=(48, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def trained():
    # Not by Keras's function, which looks whether there is TensorFlow.
    random.seed(1)
    np.random.seed(1)
    if keras.backend.backend() == "torch":
        sys.modules["torch"].manual_seed(1)
    layers = [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.2), keras.layers.Dense(1)]
    one = keras.Sequential(layers)
    rate = keras.optimizers.schedules.InverseTimeDecay(0.5, decay_steps=2, decay_rate=1.0)
    one.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    stopping = keras.callbacks.EarlyStopping(monitor="loss", patience=1, restore_best_weights=True)
    history = one.fit(X, Y, 16, 2, 0, [stopping], 0.25).history
    told = [one.evaluate(X, Y, verbose=0)]
    for _ in range(20):  # enough for a loop beneath to be taken for one of the user's
        told.append(one.train_on_batch(X[:8], Y[:8]))
    by_hand = looped[keras.backend.backend()]()
    weights = [weight.tobytes() for weight in (*one.get_weights(), *by_hand.get_weights())]
    streams = random.getstate(), np.random.get_state(), keras.random.uniform((2,), seed=1)
    if keras.backend.backend() == "torch":
        streams += (sys.modules["torch"].get_rng_state().tolist(),)
    return repr((history, told, weights, streams))


def net():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")


def by_torch():
    import torch
    one, optimizer, mean = net(), keras.optimizers.SGD(0.01), keras.metrics.Mean(name="mean_loss")
    for _ in range(20):
        one.zero_grad()
        loss = ((one(torch.tensor(X)) - torch.tensor(Y)) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            optimizer.apply([v.value.grad for v in one.trainable_weights], one.trainable_weights)
        mean.update_state(loss)
    mean.result()
    return one


def by_jax():
    import jax
    one, optimizer = net(), keras.optimizers.SGD(0.01)
    optimizer.build(one.trainable_variables)

    def loss_of(trained, other):
        said, _ = one.stateless_call(trained, other, X)
        return ((said - Y) ** 2).mean()

    @jax.jit
    def step(trained, other, state):
        loss, grads = jax.value_and_grad(loss_of)(trained, other)
        return loss, *optimizer.stateless_apply(state, grads, trained)

    trained, other, state = ([v.value for v in held.variables] for held in (one, one, optimizer))
    other = []
    for _ in range(3):
        _, trained, state = step(trained, other, state)
    for variable, value in zip(one.trainable_variables, trained):
        variable.assign(value)
    return one


looped = {"torch": by_torch, "jax": by_jax}
plain = trained()
with recorded(*[name for name in ("keras", "torch") if name in installed()]) as seen:
    same = trained() == plain
runs = [
    {
        "framework": run.framework, "kind": run.kind, "status": run.status, "errors": run.errors, "notes": run.notes,
        "backend": run.params["backend"], "steps": {name: len(run.history(name)) for name in run.metrics},
        "models": [one["flavor"] for one in run.models],
    }
    for run in seen.all_runs
]
imported = "tensorflow" in sys.modules
loaded = []
for run in seen.runs:
    model = autolog.load_model(run)
    loaded.append(type(model).__name__)
    readers = [model, autolog.load_model(run, as_predictor=True)]
    if find_spec("mlflow"):
        import mlflow

        place = str(run.folder / "model")
        readers += [mlflow.keras.load_model(place), mlflow.pyfunc.load_model(place)]
    said = {np.asarray(one.predict(X, **({"verbose": 0} if hasattr(one, "layers") else {}))).tobytes() for one in readers}
    assert len(said) == 1, (run, [type(one) for one in readers])
print(json.dumps({"same": same, "runs": runs, "tensorflow": imported, "loaded": loaded}))
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_fit_and_a_loop_are_recorded_on_other_backends(tmp_path: Path, backend: str) -> None:
    """Transparent and complete: the same bits; nothing beside Keras's own runs. A loop that JAX has compiled cannot be seen.

    Slow: a process of its own, in which the backend compiles.
    """
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # Not Keras, which asks for its backend as it is imported.
    done = script(
        SCRIPT, tmp_path, timeout=250, beneath=BENEATH[backend], KERAS_BACKEND=backend,
        AUTOLOG_CONFIG_DIR=str(tmp_path / "config"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    fit, loop, *by_hand = said.pop("runs")
    assert said == {"same": True, "tensorflow": False, "loaded": ["Sequential"] * (2 + len(by_hand))}
    of_both = {
        "framework": "keras",
        "status": "finished",
        "errors": [],
        "notes": [],
        "backend": backend,
        "models": ["keras"],
    }
    epochs = fit.pop("steps")
    assert fit == {"kind": "fit", **of_both}
    assert [
        epochs.pop(name) for name in ("loss", "mae", "val_loss", "val_mae", "learning_rate", "epoch_time")
    ] == [2] * 6
    assert {"best_epoch", "best_score", "restored_epoch", "evaluate_loss_train"} <= set(epochs)
    assert loop == {"kind": "train_on_batch", "steps": {"learning_rate": 1, "loss": 20, "mae": 20}, **of_both}
    steps = {"learning_rate": 1, "loss": 20, "mean_loss": 1}
    assert by_hand == ([{"kind": "train", "steps": steps, **of_both}] if backend == "torch" else [])


BY_TORCH = """
import json, sys
import numpy as np
import torch
import keras
import autolog
from autolog.testing import recorded

X = np.random.RandomState(0).normal(size=(48, 3)).astype("float32")


def looped(made, parameters):
    optimizer = torch.optim.SGD(parameters, lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        (made(torch.tensor(X)) ** 2).mean().backward()
        optimizer.step()
    return made


class Around(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        self.last = torch.nn.Linear(1, 1)

    def forward(self, x):
        return self.last(self.inner(x))


with recorded("keras", "torch") as seen:
    own = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="own")
    looped(own, own.parameters())
    around = Around()
    looped(around, around.parameters())
runs = [(run.framework, run.status, run.errors, run.notes, [one["flavor"] for one in run.models]) for run in seen.all_runs]
imported = "tensorflow" in sys.modules
first = autolog.load_model(seen.runs[0])
same = first.predict(X, verbose=0).tobytes() == own.predict(X, verbose=0).tobytes()
print(json.dumps({"runs": runs, "tensorflow": imported, "loaded": type(first).__name__, "same": same}))
"""


def test_a_model_that_an_optimizer_of_torch_trains_is_saved_without_tensorflow(tmp_path: Path) -> None:
    """Transparent: Keras would import TensorFlow when a model of its own, or one with such a part, is saved or pickled."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed")
    done = script(
        BY_TORCH, tmp_path, timeout=250, beneath=BENEATH["torch"], KERAS_BACKEND="torch",
        AUTOLOG_CONFIG_DIR=str(tmp_path / "config"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    of_torch = ["torch", "finished", [], []]
    assert said == {
        "runs": [[*of_torch, ["keras"]], [*of_torch, ["pytorch"]]], "tensorflow": False, "loaded": "Sequential", "same": True,
    }  # fmt: skip


COMPILED = """
import functools, sys
import torch
import autolog
if sys.argv[1:] == ["with"]:
    autolog.autolog(silent=True)
import numpy as np
import keras
from torch._dynamo.utils import counters

# What is made of the graphs takes a minute and is not asked for here.
torch.compile = functools.partial(torch.compile, backend="eager")
X = np.random.RandomState(0).normal(size=(48, 3)).astype("float32")
one = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
one.compile("sgd", "mse", jit_compile=True)
one.fit(X, X.sum(axis=1, keepdims=True), 16, 1, 0)
print(sum(counters["graph_break"].values()), dict(counters["stats"]))
"""


def test_torch_compiles_a_step_as_without_autolog(tmp_path: Path) -> None:
    """Invisible: as many graphs, with as many calls in them, and no breaks that are ours; and the fit is recorded.

    Slow: torch traces Keras's step, call by call, once with autolog and once without.
    """
    if find_spec("torch") is None:  # nor imported: this process is TensorFlow's
        pytest.skip("torch is not installed")
    printed: list[Any] = []
    for name in ("without", "with"):
        (tmp_path / name).mkdir()
        quiet = {"KERAS_BACKEND": "torch", "PYTHONWARNINGS": "ignore"}
        printed.append(
            script(COMPILED, tmp_path / name, name, timeout=250, beneath=BENEATH["torch"], **quiet)
        )
    plain, ours = printed
    assert (ours.returncode, ours.stdout) == (0, plain.stdout), ours.stderr
    [run] = Store(tmp_path / "with" / ".autolog").runs()
    assert (run.status, run.errors, run.params["jit_compile"]) == ("finished", [], True)
