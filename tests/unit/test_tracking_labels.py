"""The promise: labels that a script makes of a prediction are recognized, and what only looks like them is not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

np = pytest.importorskip("numpy")

from autolog.tracking.labels import digest_of, following  # noqa: E402

P = np.random.default_rng(0).random(200)
LOGITS = np.random.default_rng(1).normal(size=(200, 4))

MADE: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "above a half": (P, lambda p: p > 0.5),
    "as whole numbers": (P, lambda p: (p > 0.5).astype(int)),
    "as small whole numbers": (P, lambda p: (p > 0.5).astype("uint8")),
    "rounded": (P, lambda p: np.round(p)),
    "rounded to whole numbers": (P, lambda p: np.rint(p).astype(int)),
    "in a list": (P, lambda p: [int(one > 0.5) for one in p]),
    "a list of NumPy's": (P, lambda p: list(p > 0.5)),
    "where": (P, lambda p: np.where(p > 0.5, 1, 0)),
    "of one column": (P[:, None], lambda p: p > 0.5),
    "of one column, flat": (P[:, None], lambda p: (p > 0.5).ravel()),
    "of one column, the first": (P[:, None].astype("float32"), lambda p: (p[:, 0] > 0.5).astype("int32")),
    "of raw scores": (LOGITS[:, 0], lambda p: p > 0),
    "counts": (P * 300, lambda p: np.round(p)),
    "the largest": (LOGITS, lambda p: p.argmax(1)),
    "the largest of many": (np.random.default_rng(2).random((200, 300)), lambda p: np.argmax(p, axis=-1)),
}


@pytest.mark.parametrize("how", MADE)
def test_labels_that_follow_from_a_prediction_are_recognized(how: str) -> None:
    prediction, make = MADE[how]
    assert digest_of(make(prediction)) in following(prediction)


class Hostile(int):
    """A number that runs code when it is read."""

    def __index__(self) -> int:
        raise RuntimeError("read")

    __int__ = __float__ = __array__ = __index__


OTHERS: dict[str, Any] = {
    "another threshold": P > 0.4,
    "another one's": np.random.default_rng(5).random(200) > 0.5,
    "fewer": (P > 0.5)[:-1],
    "in another order": (P > 0.5)[::-1],
    "the prediction itself": P,
    "texts": np.array(["a", "b"] * 100),
    "objects": (P > 0.5).astype(object),
    "a list of lists": [[1]] * 200,
    "a list of different lengths": [1, [2, 3]] * 100,
    "huge numbers": np.full(200, 2**40),
    "huge numbers in a list": [2**80] * 200,
    "a text": "x" * 200,
    "a scalar": np.array(1),
    "all zeros": np.zeros(200),
    "nearly all zeros": np.arange(200) < 5,
    "of the user's own kind": [Hostile()] * 200,
    "nothing": None,
    "an empty list": [],
}


@pytest.mark.parametrize("which", OTHERS)
def test_values_that_do_not_follow_from_a_prediction_are_not_recognized(which: str) -> None:
    assert digest_of(OTHERS[which]) not in following(P)


@pytest.mark.parametrize(
    "prediction",
    [
        P[:31], P / 2, np.array([]), np.array(0.5), LOGITS.reshape(10, 20, 4), P > 0.5, np.arange(200), list(P), None, "p" * 20,
        np.broadcast_to(0.5, 2_000_000),
    ],
    ids=[
        "few", "all on one side", "none", "a scalar", "three axes", "labels", "whole numbers", "a list", "None", "a text",
        "too many",
    ],
)  # fmt: skip
def test_no_labels_follow_from_such_predictions(prediction: Any) -> None:
    assert following(prediction) == set()


def test_nan_in_a_prediction_gives_no_warning() -> None:
    """Also where the user has NumPy raise for it."""
    hostile = [
        np.array([np.nan] * 9),
        np.array([np.inf, -np.inf] * 9),
        np.array([[np.nan, 1.0]] * 9),
        np.full(9, 1e300),
    ]
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        for values in hostile:
            following(values)
            digest_of(values)
