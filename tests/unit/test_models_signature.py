"""The promise: a signature is right or absent, and costs no look at the data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import python

from autolog.models.signature import LOOKED_AT, SAMPLE, infer_signature, with_output
from autolog.testing import filter_changes


def inputs(x: Any) -> Any:
    found = infer_signature(x)
    return None if found is None else json.loads(found["inputs"])


def outputs(y: Any) -> Any:
    np = pytest.importorskip("numpy")
    found = infer_signature(np.zeros((1, 1)), y)
    assert found is not None
    return None if found["outputs"] is None else json.loads(found["outputs"])


def types(frame: Any) -> Any:
    found = inputs(frame)
    return None if found is None else {column["name"]: column["type"] for column in found}


def tensor(dtype: str, *shape: int) -> list[dict[str, Any]]:
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}]


# --- arrays


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("float64", (5, 3), tensor("float64", -1, 3)),
        ("float32", (5, 8, 8, 1), tensor("float32", -1, 8, 8, 1)),
        ("int64", (5,), tensor("int64", -1)),
        ("uint8", (0, 2), tensor("uint8", -1, 2)),
        ("bool", (5, 2), tensor("bool", -1, 2)),
        ("U7", (5, 2), tensor("str", -1, 2)),
        ("S7", (5,), tensor("bytes", -1)),
        ("object", (5,), tensor("object", -1)),
        ("datetime64[s]", (5, 1), tensor("datetime64[s]", -1, 1)),
        ("float64", (), None),
        (">f8" if sys.byteorder == "little" else "<f8", (5, 3), None),
        ("complex128", (5, 3), None),
        ("timedelta64[s]", (5,), None),
        ("i4,f8", (5,), None),
    ],
)
def test_an_array_is_one_tensor_of_any_number_of_rows(
    dtype: str, shape: tuple[int, ...], expected: Any
) -> None:
    """Its type and its shape but for the first dimension; None where serving could not hold to it."""
    np = pytest.importorskip("numpy")
    assert inputs(np.zeros(shape, dtype)) == expected


def test_a_sparse_matrix_is_a_tensor() -> None:
    """csr and csc matrices, which serving accepts; the newer sparse arrays it does not."""
    np, sparse = pytest.importorskip("numpy"), pytest.importorskip("scipy.sparse")
    dense = np.eye(4, dtype="float32")
    kinds = (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, sparse.csr_array)
    assert [inputs(kind(dense)) for kind in kinds] == [tensor("float32", -1, 4)] * 2 + [None] * 2


def test_arrays_by_name_are_tensors_by_name() -> None:
    np = pytest.importorskip("numpy")
    arrays = {"image": np.zeros((2, 8, 8)), "age": np.zeros(2, "int32")}
    assert inputs(arrays) == [
        {"name": "image", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 8, 8]}},
        {"name": "age", "type": "tensor", "tensor-spec": {"dtype": "int32", "shape": [-1]}},
    ]
    assert [inputs(x) for x in ({}, {1: arrays["age"]}, {"": arrays["age"]}, {"a": [1]})] == [None] * 4


# --- data frames


def test_a_pandas_frame_gives_its_columns() -> None:
    """Every type that serving can check, with its name, in order."""
    pd, np = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    frame = pd.DataFrame(
        {
            "flag": [True, False],
            "tiny": np.array([1, 2], "int8"),
            "unsigned": np.array([1, 2], "uint32"),
            "long": [1, 2],
            "half": np.array([1, 2], "float16"),
            "single": np.array([1, 2], "float32"),
            "double": [1.0, None],
            "text": ["a", "b"],
            "text object": pd.Series(["a", None], dtype=object),
            "text dtype": pd.array(["a", None], dtype="string"),
            "bytes": np.array([b"a", float("nan")], object),
            "when": pd.to_datetime(["2026-01-01", None]),
            "nullable float": pd.array([1.5, None], dtype="Float64"),
            "nullable single": pd.array([1.5, None], dtype="Float32"),
            "nullable, all there": pd.array([1, 2], dtype="Int64"),
            "nullable flag, all there": pd.array([True, False], dtype="boolean"),
            "nullable, one missing": pd.array([1, None], dtype="UInt32"),
        }
    )
    assert types(frame) == {
        "flag": "boolean",
        "tiny": "integer",
        "unsigned": "long",
        "long": "long",
        "half": "float",
        "single": "float",
        "double": "double",
        "text": "string",
        "text object": "string",
        "text dtype": "string",
        "bytes": "binary",
        "when": "datetime",
        "nullable float": "double",
        "nullable single": "float",
        "nullable, all there": "long",
        "nullable flag, all there": "boolean",
        "nullable, one missing": "double",
    }
    assert inputs(frame[["long"]]) == [{"type": "long", "name": "long"}]


def test_a_pandas_frame_of_arrow_columns_gives_its_columns() -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    kinds = {
        "int8": "integer",
        "int64": "long",
        "uint32": "long",
        "bool": "boolean",
        "float": "float",
        "double": "double",
    }
    frame = pd.DataFrame({kind: pd.array([0, 1], dtype=f"{kind}[pyarrow]") for kind in kinds})
    assert types(frame) == kinds
    frame["int8"] = pd.array([0, None], dtype="int8[pyarrow]")
    assert types(frame) == {**kinds, "int8": "double"}
    frame["int64"] = pd.array([0, None], dtype="int64[pyarrow]")
    assert types(frame) is None


@pytest.mark.parametrize(
    "column",
    [
        "pd.array([1, None], dtype='Int64')",
        "pd.array([1, 2], dtype='UInt64')",
        "pd.array([True, None], dtype='boolean')",
        "pd.Categorical(['a', 'b'])",
        "pd.to_datetime(['2026-01-01', '2026-01-02'], utc=True)",
        "pd.to_timedelta([1, 2], unit='s')",
        "pd.period_range('2026', periods=2, freq='D')",
        "pd.arrays.SparseArray([0.0, 1.0])",
        "np.array([1, 2], 'uint64')",
        "np.array([1, 2], 'complex64')",
        "np.array([1, 2], object)",
        "np.array([None, None], object)",
        "np.array(['a', 1], object)",
        "np.array([True, None], object)",
        "np.array([[1], [2, 3]], object)",
    ],
)
def test_a_column_that_serving_could_not_check_leaves_the_frame_without_a_signature(column: str) -> None:
    """Wide integers of which one is missing would be refused, categories altogether: better none."""
    pd, np = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    assert inputs(pd.DataFrame({"fine": [1, 2], "other": eval(column, {"pd": pd, "np": np})})) is None


@pytest.mark.parametrize(
    "names",
    [
        [True, False],
        [0.0, 1.0],
        [0, 0],
        ["a", 1],
        ["a", "a"],
        ["a", ""],
        [("a", "x"), ("a", "y")],
        ["a", None],
        ["a", "\ud800"],
    ],
    ids=repr,
)
def test_columns_without_distinct_names_have_no_signature(names: list[Any]) -> None:
    """Flags, fractions, duplicates, an empty name, a MultiIndex, half a character."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame([[1, 2]])
    frame.columns = (
        pd.Index(names, dtype=object) if not isinstance(names[0], tuple) else pd.MultiIndex.from_tuples(names)
    )
    assert inputs(frame) is None


def test_columns_may_be_named_by_whole_numbers() -> None:
    pd = pytest.importorskip("pandas")
    for names in (None, [7, -1]):
        frame = pd.DataFrame([[1, 2.5]], columns=names)
        assert inputs(frame) == [
            {"type": "long", "name": (names or [0])[0]},
            {"type": "double", "name": (names or [0, 1])[1]},
        ]


def test_a_polars_frame_gives_its_columns() -> None:
    """The same words as for pandas; a column that has missing values and cannot say so leaves it without."""
    pl = pytest.importorskip("polars")
    from datetime import datetime

    frame = pl.DataFrame(
        {
            "flag": [True, False],
            "long": [1, 2],
            "double": [1.0, None],
            "text": ["a", None],
            "bytes": [b"a", b"b"],
            "when": [datetime(2026, 1, 1), None],
        }
    )
    small = frame.select(
        pl.col("long").cast(pl.Int16).alias("small"), pl.col("double").cast(pl.Float32).alias("single")
    )
    assert types(frame) == {
        "flag": "boolean", "long": "long", "double": "double", "text": "string", "bytes": "binary", "when": "datetime",
    }  # fmt: skip
    assert types(small) == {"small": "integer", "single": "float"}
    for other in (
        pl.Series([1, None]),
        pl.Series([True, None]),
        pl.Series(["a", "b"], dtype=pl.Categorical),
        pl.Series([[1], [2]]),
        pl.Series([1, 2], dtype=pl.UInt64),
        frame["when"].dt.replace_time_zone("UTC"),
    ):
        assert inputs(frame.with_columns(other.alias("other"))) is None


def test_only_the_first_values_of_an_object_column_are_looked_at() -> None:
    """Enough to see text, never the whole column; one that starts with too many missing values is unknown."""
    pd = pytest.importorskip("pandas")

    def frame(values: list[Any]) -> Any:
        return pd.DataFrame({"a": pd.Series(values, dtype=object)})

    assert types(frame(["a"] * SAMPLE + [object()] * 10)) == {"a": "string"}
    assert types(frame([None] * (LOOKED_AT - 1) + ["a"])) == {"a": "string"}
    assert types(frame([None] * LOOKED_AT + ["a"])) is None
    assert types(frame(["a"] * (SAMPLE - 1) + [object()])) is None


# --- everything else


@pytest.mark.parametrize(
    "x",
    [["a text", "another"], [[1.0, 2.0]], [], None, 3, "text", (1, 2), iter([1])],
    ids=lambda x: type(x).__name__,
)
def test_what_serving_would_reshape_has_no_signature(x: Any) -> None:
    """A list of texts would reach the model as a data frame, and its column's name be read as the text."""
    assert infer_signature(x) is None


def test_a_series_has_no_signature_as_input() -> None:
    pd = pytest.importorskip("pandas")
    assert infer_signature(pd.Series(["a", "b"])) is None


class Pretender:
    """Looks like a frame and fails at everything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.mark.parametrize("module", [None, 5, "torch", "pyspark.sql.dataframe", "cudf.core"])
@pytest.mark.parametrize("name", ["DataFrame", "ndarray", "Tensor"])
def test_unknown_objects_are_not_asked_for_anything(module: Any, name: str) -> None:
    stranger = type(name, (Pretender,), {"__module__": module})()
    assert infer_signature(stranger, stranger) is None


def test_outputs_are_what_a_model_predicts() -> None:
    """One array, also for a model that was fitted on a list, a Series or a frame."""
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    cases: list[tuple[Any, Any]] = [
        (None, None),
        (np.zeros(3, "int64"), tensor("int64", -1)),
        (np.zeros((3, 2)), tensor("float64", -1, 2)),
        (np.array(["a", "bc"]), tensor("str", -1)),
        (pd.Series([1, 2]), tensor("int64", -1)),
        (pd.Series(["a", "b"]), tensor("object", -1)),
        (pd.Series(["a", "b"], dtype="category"), None),
        (pd.Series([1, None], dtype="Int64"), None),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}), tensor("float64", -1, 2)),
        (pd.DataFrame({"a": [1.0], "b": [2]}), None),
        ([1, 2], tensor("int64", -1)),
        ([1.5, 2.5], tensor("float64", -1)),
        (["a", "b"], tensor("str", -1)),
        ([1, 2.5], None),
        ([], None),
        ([1] * (LOOKED_AT + 1), None),
    ]
    assert [outputs(y) for y, _ in cases] == [expected for _, expected in cases]


def test_no_data_library_is_imported() -> None:
    code = (
        "import sys; from autolog.models.signature import infer_signature; infer_signature([1]); "
        "print({'numpy', 'pandas'} & {*sys.modules})"
    )
    assert python(code).stdout == "set()\n"


def test_a_column_name_of_any_characters_survives_the_folder(tmp_path: Path) -> None:
    pd, yaml = pytest.importorskip("pandas"), pytest.importorskip("yaml")
    from autolog.models.folder import to_yaml

    name = 'tab\t "quote" \\ \x7f\x85\u2028 é 漢 😀'
    path = tmp_path / "MLmodel"
    path.write_bytes(to_yaml({"signature": infer_signature(pd.DataFrame({name: [1.0]}))}).encode())
    read = yaml.safe_load(path.read_bytes())
    assert json.loads(read["signature"]["inputs"])[0]["name"] == name


def test_outputs_can_be_added_when_the_data_is_gone() -> None:
    """What was inferred before a training, with what the model predicts after it, is what could be inferred of both."""
    np = pytest.importorskip("numpy")
    x, y = np.zeros((5, 3)), np.zeros((0, 2))
    before = infer_signature(x)
    assert before is not None
    assert with_output(before, y) == infer_signature(x, y)
    assert before["outputs"] is None


def test_a_signature_makes_python_forget_no_warnings() -> None:
    """Transparent: pandas changes the filters of warnings where a frame is asked for its dtypes; we do not ask."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    target = frame[["a"]]
    assert filter_changes(lambda: infer_signature(frame, target)) == 0
