"""The promise: what is said of the data is of the moment at which it is looked at, and keeps nothing of the data alive."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from autolog.models.example import UNREAD
from autolog.models.given import ModelInput, look_at
from autolog.models.signature import ArraySpec, infer_signature

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")


UNTYPED = "the values of column 'b' have no type that it could name"
NAMES = "the columns' names are not distinct texts or whole numbers"


def options(**more: bool) -> Any:
    return SimpleNamespace(**{"log_models": True, "log_signatures": True, "log_input_examples": True, **more})


def test_what_is_recorded_of_data_stays_when_the_data_changes() -> None:
    frame, array = pd.DataFrame({"a": [1.0, 2.0]}), np.zeros((3, 2))
    seen, of_array = look_at(frame, options()), look_at(array, options())
    frame["b"] = 1
    array += 1
    assert seen == look_at(pd.DataFrame({"a": [1.0, 2.0]}), options())
    assert of_array == look_at(np.zeros((3, 2)), options())


def test_neither_data_nor_a_view_of_it_is_kept() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    kept: list[ModelInput] = []
    for make in (
        lambda: np.zeros((9, 2)),
        lambda: pd.DataFrame(np.zeros((9, 2))),
        lambda: sparse.csr_matrix(np.eye(9)),
    ):
        data: Any = make()
        alive = weakref.ref(data)
        kept.append(look_at(data, options()))
        del data
        gc.collect()
        assert alive() is None
    assert all(seen.example for seen in kept)


@pytest.mark.parametrize(
    ("data", "said", "reasons"),
    [
        (np.zeros((2, 2)), options(), ("", "")),
        (np.zeros((2, 2)), options(log_signatures=False, log_input_examples=False), ("", "")),
        (None, options(), ("", UNREAD)),
        (ArraySpec("float32", (None, 2)), options(), ("", UNREAD)),
        ([1], options(), ("there is none for data of type list", "there is none for data of type list")),
        ([1], options(log_models=False), ("", "")),
        ([1], None, ("there is none for data of type list", "")),
        (np.zeros(2, "c16"), None, ("there is none for an array of type complex128 and shape (2,)", "")),
        (pd.DataFrame({"a": [1], "b": pd.Categorical(["x"])}), None, (UNTYPED, "")),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), None, (NAMES, "")),
        (pd.DataFrame([[1]], columns=pd.Index(["\ud800"], dtype=object)), None, (NAMES, "")),
        (pd.DataFrame(), None, (NAMES, "")),
    ],
)  # fmt: skip
def test_a_missing_signature_or_example_has_a_reason(data: Any, said: Any, reasons: tuple[str, str]) -> None:
    seen = look_at(data, said)
    assert (seen.unsigned, seen.unexampled) == reasons


def test_an_array_may_be_described_without_being_there() -> None:
    """By type and shape, of any number of rows, and in other dimensions that are not fixed; several by name."""
    found = infer_signature(
        ArraySpec("float32", (None, None, 3)), {"a": ArraySpec("int64", (7,)), "b": ArraySpec("bool", (7, 2))}
    )
    expected: list[tuple[Any, str, list[int]]] = [
        ("float32", "", [-1, -1, 3]),
        ("int64", "a", [-1]),
        ("bool", "b", [-1, 2]),
    ]
    import json

    assert found is not None
    parts = json.loads(found["inputs"]) + json.loads(found["outputs"])
    assert [
        (one["tensor-spec"]["dtype"], one.get("name", ""), one["tensor-spec"]["shape"]) for one in parts
    ] == expected
