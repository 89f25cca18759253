"""The promise: the name of the variable that the user passed is found, on every Python, and never a wrong one."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import pytest

from autolog.instrument import names


class Model:
    """Stands for a patched estimator: its methods tell what they were called with."""

    @staticmethod
    def predict(X: Any = None, flag: Any = None, other: Any = None) -> str:
        return _as_autolog()


def _as_autolog() -> str:
    """Ask from a frame that is autolog's own, below one that is too."""
    frame = sys._getframe(2)
    return names.first_argument(frame.f_code, frame.f_lasti)


model = Model()
X_global = [1]


def test_the_name_of_a_variable_is_found_in_any_scope() -> None:
    """Local, global, of an enclosing function, an argument; by position or by name; with others after it."""
    X_test, y_test = [1], [2]

    def inner(X_given: Any) -> list[str]:
        return [model.predict(X_test), model.predict(X_given), model.predict(X_global)]

    # Called outside of `assert`: pytest would give the arguments names of its own.
    found = [
        model.predict(X_test),
        model.predict(X_test, y_test),
        model.predict(X_test, True),
        model.predict(X_test, flag=1, other=None),
        model.predict(X=X_test),
        model.predict(flag=y_test, X=X_test),
        model.predict(
            X_test,
            other=y_test,
        ),
        str(model.predict(X_test)),
    ]
    assert found == ["X_test"] * 8
    one_by_one = [model.predict(one) for one in X_test]
    assert one_by_one == ["one"]
    assert inner([3]) == ["X_test", "X_given", "X_global"]
    predict = model.predict
    name = predict(X_test)
    assert name == "X_test"


def test_an_argument_that_is_no_variable_has_no_name() -> None:
    X_test = [1, 2, 3]

    class Data:
        X = X_test

    arguments = (X_test,)
    # Called outside of `assert`: pytest would give the arguments names of its own.
    found = [
        model.predict(X_test[:2]),
        model.predict(Data.X),
        model.predict(list(X_test)),
        model.predict(X_test + X_test),
        model.predict([1]),
        model.predict(None),
        model.predict("X"),
        model.predict(),
        model.predict(*arguments),
        model.predict(**dict(X=X_test)),  # noqa: C408
        next(map(model.predict, [X_test])),
    ]
    for flag in (True, False):
        found.append(model.predict(X_test if flag else arguments))
        found.append(model.predict(flag and X_test))
        found.append(model.predict(flag or X_test))
        found.append(model.predict(arguments if flag else None, X_test))
    assert found == [""] * 19


def test_a_call_in_a_long_function_is_found() -> None:
    """Also behind more variables, constants and instructions than one byte can number."""
    lines = [f"    v{i} = {i}.5" for i in range(600)]
    code = [
        "def long(model, X_late):",
        *lines,
        "    return model.predict(X_late), model.predict(v599), model.predict(v1)",
    ]
    scope: dict[str, Any] = {}
    exec("\n".join(code), scope)
    assert scope["long"](model, [1]) == ("X_late", "v599", "v1")


def test_looking_does_not_keep_the_users_variables_alive() -> None:
    """Harmless: a frame whose variables were read would hold them for as long as its function runs."""

    class Big:
        pass

    def train() -> bool:
        X_train, X_big = [1], Big()
        reference = weakref.ref(X_big)
        name = model.predict(X_train)
        assert name == "X_train"
        del X_big
        gc.collect()
        return reference() is None

    assert train()


def test_variables_of_a_framework_give_no_name() -> None:
    scope: dict[str, Any] = {
        "__name__": "toy.metrics",
        "of_first_argument": names.of_first_argument,
    }
    exec("def f(X): return of_first_argument({'toy'})\ndef g(X): return f(X)", scope)
    assert scope["g"]([1]) == ""


@pytest.mark.parametrize("text", ["model.predict(X_test)", "(lambda X_test: model.predict(X_test))([1])"])
def test_expressions_and_lambdas_are_understood(text: str) -> None:
    assert eval(text, {"model": model, "X_test": [1]}) == "X_test"
