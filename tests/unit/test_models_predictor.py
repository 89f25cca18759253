"""The promise: one way to ask any model, and a clear word when the data is not what it was trained on."""

from __future__ import annotations

from typing import Any

import pytest

from autolog.models.errors import InputMismatch, ModelError
from autolog.models.predictor import Predictor
from autolog.models.signature import LOOKED_AT, columns

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

COLUMNS = {"age": [30, 40], "income": [1.5, 2.5], "city": ["Bern", "Rome"]}


def asked(data: Any, inputs: Any) -> Any:
    """What reaches the model."""
    return Predictor("native", lambda given: given, {"inputs": inputs, "outputs": None}).predict(data)


def on_columns(data: Any) -> Any:
    return asked(data, columns(pd.DataFrame(COLUMNS)))


def on_array(data: Any, dtype: str = "float64", *shape: int) -> Any:
    return asked(data, [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *(shape or (2,))]}}])


ROWS = [list(row) for row in zip(*COLUMNS.values(), strict=True)]


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS)[["city", "age", "income"]],
        COLUMNS,
        {name: COLUMNS[name] for name in reversed(COLUMNS)},
        {name: np.array(values) for name, values in COLUMNS.items()},
        ROWS,
        [dict(zip(reversed(COLUMNS), reversed(row), strict=True)) for row in ROWS],
    ],
    ids=["frame", "frame in another order", "dict", "dict in another order", "arrays", "rows", "dicts"],
)
def test_columns_may_come_in_any_form_and_order(data: Any) -> None:
    """What reaches the model is a frame with the columns of its training, in their order."""
    pd.testing.assert_frame_equal(on_columns(data), pd.DataFrame(COLUMNS))


def test_one_row_may_be_a_dict_of_values() -> None:
    row = {name: values[0] for name, values in COLUMNS.items()}
    pd.testing.assert_frame_equal(on_columns(row), pd.DataFrame(COLUMNS).iloc[:1])


def test_an_array_may_stand_for_columns_of_one_kind() -> None:
    inputs = columns(pd.DataFrame({"a": [1.0], "b": [2.0]}))
    pd.testing.assert_frame_equal(asked(np.eye(2), inputs), pd.DataFrame(np.eye(2), columns=["a", "b"]))


def test_a_polars_frame_is_checked_and_stays_one() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(COLUMNS)
    passed = on_columns(frame.select("city", "income", "age"))
    assert passed.equals(frame)
    with pytest.raises(InputMismatch, match="Column 'age' holds string values"):
        on_columns(frame.with_columns(pl.lit("x").alias("age")))


def test_the_data_given_is_not_changed() -> None:
    frame = pd.DataFrame(COLUMNS)[["city", "age", "income"]]
    before = frame.copy(deep=True)
    on_columns(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"age": [1]},
            "The data lacks columns 'income', 'city'; the model was trained on columns 'age', 'income', 'city'",
        ),
        ({**COLUMNS, "zip": [1, 2]}, "The data has column 'zip' too many; the model was trained on columns"),
        (
            {"age": [1], "income": [2], "town": ["Bern"]},
            "The data lacks column 'city' and has column 'town' too many",
        ),
        (
            {**COLUMNS, "age": ["30", "40"]},
            "Column 'age' holds string values; the model was trained on long ones",
        ),
        (
            {**COLUMNS, "age": [30.5, None]},
            "Column 'age' holds double values; the model was trained on long ones",
        ),
        (
            {**COLUMNS, "city": [1, 2]},
            "Column 'city' holds long values; the model was trained on string ones",
        ),
        ([[1, 2]], "The data has 2 columns; the model was trained on columns 'age', 'income', 'city'"),
        (np.zeros((2, 4)), "The data has 4 columns; the model was trained on"),
        ([1, 2, 3], "The data has no rows of values; the model was trained on"),
        (3, "The data has no rows of values; the model was trained on"),
    ],
)
def test_an_error_names_the_column_that_does_not_fit(data: Any, message: str) -> None:
    """Missing, unknown or of another type: an InputMismatch, which is a ValueError too."""
    with pytest.raises(InputMismatch) as caught:
        on_columns(data)
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, ValueError)


def test_numbers_fit_where_wider_numbers_were_seen() -> None:
    """Integers for floats; a type that cannot be told is left to the model."""
    data = pd.DataFrame({**COLUMNS, "income": [1, 2], "city": pd.Categorical(["Bern", "Rome"])})
    pd.testing.assert_frame_equal(on_columns(data), data)


def test_an_optional_column_may_be_missing() -> None:
    inputs = [
        {"type": "long", "name": "a", "required": True},
        {"type": "long", "name": "b", "required": False},
    ]
    assert list(asked({"a": [1]}, inputs)) == ["a"]


def test_an_array_is_passed_on_as_it_is() -> None:
    array = np.eye(2)
    assert on_array(array) is array
    for data in ([[1.0, 0.0], [0.0, 1.0]], pd.DataFrame(array, columns=["a", "b"])):
        np.testing.assert_array_equal(on_array(data), array)


def test_all_named_arrays_are_passed_on_by_name() -> None:
    inputs = [
        {"name": "a", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}},
        {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}},
    ]
    data = {"b": np.eye(2), "a": np.zeros(2)}
    passed = asked(data, inputs)
    assert (list(passed), passed["a"] is data["a"], passed["b"] is data["b"]) == (["a", "b"], True, True)
    with pytest.raises(
        InputMismatch, match="The data has column 'a'; the model was trained on columns 'a', 'b'"
    ):
        asked({"a": np.zeros(2)}, inputs)
    with pytest.raises(InputMismatch, match="The shape of 'b' is 2; the model was trained on any×2"):
        asked({"a": np.zeros(2), "b": np.zeros(2)}, inputs)
    with pytest.raises(InputMismatch, match="takes a dict of arrays"):
        asked(np.zeros(2), inputs)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((3, 5)), "The shape of the data is 3×5; the model was trained on any×2"),
        (np.zeros(2), "The shape of the data is 2; the model was trained on any×2"),
        (np.array([["a", "b"]]), "The type of the data is <U1; the model was trained on float64"),
        ({"a": [1.0], "b": [2.0]}, "The model was trained on an array without column names"),
    ],
)
def test_an_array_of_another_shape_or_type_is_an_error(data: Any, message: str) -> None:
    with pytest.raises(InputMismatch) as caught:
        on_array(data)
    assert str(caught.value).startswith(message)


def test_integers_fit_an_array_of_floats() -> None:
    array = np.array([[1, 2]])
    assert on_array(array) is array


class Loader:
    """Gives batches."""

    def __iter__(self) -> Any:
        raise AssertionError("asked")


def test_data_of_a_framework_is_passed_on_as_it_is() -> None:
    for data in (Loader(), iter([1])):
        assert on_columns(data) is data
        assert on_array(data) is data


def test_whole_numbers_may_name_columns() -> None:
    """In any order, as text too, as they stand in a file; or as rows."""
    inputs = columns(pd.DataFrame(np.eye(2)))
    expected = pd.DataFrame(np.eye(2))
    texts = expected.set_axis(["0", "1"], axis=1)
    for data in (expected[[1, 0]], texts[["1", "0"]], np.eye(2), {"0": [1.0, 0.0], "1": [0.0, 1.0]}):
        pd.testing.assert_frame_equal(asked(data, inputs), expected, check_column_type=False)
    with pytest.raises(InputMismatch, match="lacks column 1"):
        asked(texts[["0"]], inputs)


def test_without_a_signature_data_is_passed_on_as_it_is() -> None:
    """A dict as the frame that it describes."""
    data = ["one text", "another"]
    assert asked(data, None) is data
    pd.testing.assert_frame_equal(asked(COLUMNS, None), pd.DataFrame(COLUMNS))


def test_named_columns_need_pandas_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    inputs = columns(pd.DataFrame(COLUMNS))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModelError, match="pip install pandas"):
        asked(COLUMNS, inputs)


def test_a_long_list_of_columns_is_cut() -> None:
    wide = pd.DataFrame({f"c{n}": [1.0] for n in range(LOOKED_AT)})
    with pytest.raises(InputMismatch) as caught:
        asked(pd.DataFrame({"x": [1.0]}), columns(wide))
    assert "'c9' and 990 more" in str(caught.value)
    assert len(str(caught.value)) < 300
