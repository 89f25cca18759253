"""The promise: what a model's folder says of input and output is what the model takes and what it predicts, of data as it was
before the training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from helpers import columns_of, example_of, signature_of
from small import X, Y, model

import autolog
from autolog.testing import Recorded, recorded

pd = pytest.importorskip("pandas")


def tensor_of(array: Any) -> Any:
    return keras.ops.convert_to_tensor(array)


def dataset() -> Any:
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)


MODELS = [("float32", [-1, 3])]
KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "array": (lambda: X, MODELS),
    "float64": (lambda: X.astype("float64"), MODELS),
    "integers": (lambda: (X * 10).astype("int64"), MODELS),
    "tensor": (lambda: tensor_of(X), MODELS),
    "frame": (lambda: pd.DataFrame(X, columns=list("abc")), columns_of("float", "abc")),
    "frame with integer columns": (lambda: pd.DataFrame(X), columns_of("float", range(3))),
    "dataset": (dataset, MODELS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_predictor_takes_what_fit_was_given(kind: str) -> None:
    """Complete: of every kind of data; the types are the model's, which Keras casts to. Of what gives batches no example."""
    make, inputs = KINDS[kind]
    one = model()
    with recorded("keras", log_input_examples=True) as seen:
        one.fit(make(), *(() if kind == "dataset" else (Y,)), verbose=0)
    assert (signature_of(seen.run, "inputs"), signature_of(seen.run, "outputs")) == (
        inputs,
        [("float32", [-1, 1])],
    )
    if kind == "dataset":
        [note] = seen.run.notes
        assert note.startswith("No example of the input was saved: the first 5 rows are not known")
    else:
        found = example_of(seen.run)
        few = np.asarray(make())[:5].tolist()
        assert (found["data"] if "frame" in kind else found, seen.run.notes) == (few, [])
    predictor = autolog.load_model(seen.run, as_predictor=True)
    assert (predictor.predict(make()) == one.predict(make(), verbose=0)).all()


def batches() -> Any:
    for at in range(0, 48, 16):
        yield X[at : at + 16], Y[at : at + 16]


def test_a_generator_has_the_models_signature_and_is_not_read_for_it(seen: Recorded) -> None:
    one = model()
    one.fit(batches(), verbose=0)
    assert signature_of(seen.run, "inputs") == MODELS
    predictor = autolog.load_model(seen.run, as_predictor=True)
    # In batches of another size, whose sums are rounded otherwise.
    np.testing.assert_allclose(predictor.predict(batches()), one.predict(X, verbose=0), rtol=1e-5)


class Careless(keras.Sequential):
    """A model of the user's, which works in the caller's array and frame."""

    def fit(self, x: Any, y: Any, **more: Any) -> Any:
        if isinstance(x, np.ndarray):
            x[:] = 0
        else:
            x["sum"] = 1.0
            x = x[["a", "b", "c"]]
        return super().fit(x, y, **more)


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_the_record_is_of_the_data_before_the_fit_changed_it(kind: str) -> None:
    given = X.copy() if kind == "array" else pd.DataFrame(X, columns=list("abc"))
    one = Careless([keras.Input((3,)), keras.layers.Dense(1)])
    one.compile("sgd", "mse", run_eagerly=True)
    with recorded("keras", log_input_examples=True) as seen:
        one.fit(given, Y, verbose=0)
    assert signature_of(seen.run, "inputs") == KINDS[kind][1]
    found = example_of(seen.run)
    assert (found["data"] if kind == "frame" else found) == X[:5].tolist()
    assert seen.run.datasets[0]["columns"] == 3


def test_dimensions_that_the_model_leaves_open_are_open_in_the_signature(seen: Recorded) -> None:
    one = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(5, 2),
            keras.layers.GlobalAveragePooling1D(),
        ]
    )
    flat = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    for made, x, y in ((one, np.ones((8, 4), "int64"), np.ones((8, 2))), (flat, X[:, 0], Y)):
        made.compile("sgd", "mse", run_eagerly=True)
        made.fit(x, y, verbose=0)
    assert [signature_of(run, "inputs") for run in seen.runs] == [[("int32", [-1, -1])], [("float32", [-1])]]
    assert autolog.load_model(seen.runs[0], as_predictor=True).predict(np.ones((2, 9), "int64")).shape == (
        2,
        2,
    )
    assert autolog.load_model(seen.runs[1], as_predictor=True).predict(X[:, 0]).shape == (48, 1)


def test_several_inputs_and_outputs_have_their_names(seen: Recorded) -> None:
    """Complete: given by name; given as a list they have none, and the predictor takes that list."""
    left, right = keras.Input((3,), name="left"), keras.Input((1,), name="right")
    outputs = [keras.layers.Dense(1, name="low")(left), keras.layers.Dense(2, name="high")(right)]
    one = keras.Model([left, right], outputs)
    one.compile("sgd", ["mse", "mse"], run_eagerly=True)
    named, listed = {"left": X, "right": Y.astype("float64")}, [X, Y]
    one.fit(named, [Y, X[:, :2]], verbose=0)
    one.fit(listed, [Y, X[:, :2]], verbose=0)
    by_name, by_place = seen.runs
    assert signature_of(by_name, "inputs") == [("left", "float32", [-1, 3]), ("right", "float32", [-1, 1])]
    assert signature_of(by_name, "outputs") == [("low", "float32", [-1, 1]), ("high", "float32", [-1, 2])]
    assert (signature_of(by_place, "inputs"), by_place.notes) == (
        None, ["The model has no signature: there is none for data of type list."],
    )  # fmt: skip
    for run, data in ((by_name, named), (by_place, listed)):
        assert [out.shape for out in autolog.load_model(run, as_predictor=True).predict(data)] == [
            (48, 1),
            (48, 2),
        ]


def test_the_example_of_a_loop_is_from_its_first_batch() -> None:
    one = model()
    with recorded("keras", log_input_examples=True) as seen, autolog.run():
        for at in range(0, 48, 16):
            one.train_on_batch(X[at : at + 16].astype("float64"), Y[at : at + 16])
    assert (signature_of(seen.run, "inputs"), example_of(seen.run), seen.run.notes) == (
        MODELS,
        X[:5].tolist(),
        [],
    )


def test_an_example_does_not_need_a_signature() -> None:
    with recorded("keras", log_input_examples=True, log_signatures=False) as seen:
        model().fit(X, Y, verbose=0)
    assert (signature_of(seen.run, "inputs"), example_of(seen.run), seen.run.notes) == (
        None,
        X[:5].tolist(),
        [],
    )
