"""The promise: data is described at once and at a bounded cost; nothing is iterated, copied whole, changed or kept."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hostile import CALLED, hostile_objects

from autolog.testing import filter_changes
from autolog.tracking.datasets import describe

pytestmark = pytest.mark.filterwarnings("error")


def described(data: Any, target: Any = None) -> dict[str, Any]:
    """A description, of which the digest is only known to be one."""
    said = describe(data, target)
    msgspec.json.encode(said)
    if "digest" in said:
        assert len(said["digest"]) == 32
        said["digest"] = "…"
    return said


def memory(data: Any) -> int:
    """Bytes at the peak of describing it."""
    describe(data)
    tracemalloc.start()
    try:
        describe(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# -- plain data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1, 2, 3], {"kind": "list", "rows": 3, "digest": "…"}),
        ([[1, 2], [3, 4]], {"kind": "list", "rows": 2, "columns": 2, "digest": "…"}),
        ((("a", None),), {"kind": "tuple", "rows": 1, "columns": 2, "digest": "…"}),
        ([], {"kind": "list", "rows": 0, "digest": "…"}),
        ([object()], {"kind": "list", "rows": 1, "digest": "…"}),
        (None, {"kind": "NoneType"}),
        ("text", {"kind": "str"}),
        ({"a": [1]}, {"kind": "dict"}),
        (5, {"kind": "int"}),
        (range(3), {"kind": "range"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_data_is_described_by_length_and_kind(data: Any, expected: dict[str, Any]) -> None:
    assert described(data) == expected


def test_data_that_can_be_read_only_once_is_not_read() -> None:
    taken: list[int] = []

    def generate() -> Any:
        for number in range(3):
            taken.append(number)
            yield number

    class Loader:
        def __iter__(self) -> Any:
            raise AssertionError("was iterated")

        def __len__(self) -> int:
            raise AssertionError("was measured")

        def __getitem__(self, place: Any) -> Any:
            raise AssertionError("was read")

    assert described(generate()) == {"kind": "generator"}
    assert described(Loader()) == {"kind": f"{__name__}.Loader"}
    assert taken == []


@pytest.mark.parametrize("kind", [kind for kind in hostile_objects() if kind != "with metaclass"])
def test_nothing_is_asked_of_an_unknown_object(kind: str) -> None:
    """As data, as a target, and inside of a list."""
    value = hostile_objects()[kind]
    CALLED.clear()
    described(value, value)
    described([value, [value]])
    assert CALLED == []


def test_nothing_is_asked_of_an_unknown_class() -> None:
    value = hostile_objects()["with metaclass"]
    CALLED.clear()
    described(value, [value])
    assert CALLED == []


def test_a_long_list_is_sampled() -> None:
    assert memory([0.5] * 3_000_000) < 200_000
    assert memory(["x" * 1_000_000] * 1000) < 2_000_000
    assert memory([[0.5] * 1_000_000] * 10) < 200_000
    assert described([10**5000, 1])["rows"] == 2


def test_a_digest_tells_data_apart() -> None:
    """By value, type and order; equal data has the same."""
    different: list[Any] = [[1, 2], [2, 1], [1.0, 2.0], [1, 2, 3], [[1, 2]], [[1], [2]], [], [None], [True]]
    digests = [describe(data)["digest"] for data in different]
    assert len(set(digests)) == len(digests)
    assert describe([1, 2])["digest"] == digests[0]
    assert describe([1, 2], [0])["digest"] != describe([1, 2], [1])["digest"] != digests[0]


def test_a_digest_tells_texts_from_numbers() -> None:
    assert describe([1, 2])["digest"] != describe(["1", "2"])["digest"]


# -- arrays


def test_arrays_are_described_by_shape_and_type() -> None:
    np = pytest.importorskip("numpy")
    floats = {"kind": "numpy.ndarray", "dtype": "float64", "digest": "…"}
    for shape, more in (
        ((3, 2), {"rows": 3, "columns": 2}), ((3,), {"rows": 3}), ((), {}), ((0, 4), {"rows": 0, "columns": 4}),
        ((2, 3, 4), {"rows": 2, "shape": [2, 3, 4]}),
    ):  # fmt: skip
        assert described(np.zeros(shape)) == {**floats, **more}
    assert described(np.zeros((2, 2)), np.array([0, 1])) == {
        **floats, "rows": 2, "columns": 2,
        "target": {"kind": "numpy.ndarray", "rows": 2, "dtype": "int64"},
    }  # fmt: skip
    for data in (
        np.array([["a", None]], dtype=object), np.array(["a"]), np.array([b"a"]), np.zeros(2, dtype=[("a", "f8"), ("b", "O")]),
        np.array(["2026-11-22"], dtype="M8[D]"), np.zeros(3, dtype=bool), np.zeros((2, 2), dtype=complex), np.float64(1),
    ):  # fmt: skip
        assert "note" not in described(data), data


def test_a_digest_is_of_the_values_and_not_of_their_layout() -> None:
    np = pytest.importorskip("numpy")
    data = np.arange(600.0).reshape(200, 3)
    digest = describe(data)["digest"]
    assert describe(np.asfortranarray(data))["digest"] == digest
    assert describe(np.repeat(data, 2, axis=1)[:, ::2])["digest"] == digest
    changed = data.copy()
    changed[100, 1] += 1
    others = [changed, data.astype("f4"), data.reshape(100, 6), data[::-1], data[:, :2]]
    assert digest not in {describe(other)["digest"] for other in others}


@pytest.mark.parametrize(
    "shape", [(2_000_000, 3), (3, 2_000_000), (6_000_000,), (100, 100, 600), (1, 6_000_000)]
)
def test_a_large_array_is_sampled(shape: tuple[int, ...]) -> None:
    np = pytest.importorskip("numpy")
    data = np.zeros(shape)
    assert memory(data) < 400_000
    assert memory(data[::2]) < 400_000
    assert memory(np.zeros(shape[::-1]).T) < 400_000 or len(shape) > 2


def test_a_deep_view_is_sampled_too() -> None:
    np = pytest.importorskip("numpy")
    assert memory(np.zeros((1_000, 1_000, 3)).T) < 400_000


def test_a_memory_mapped_file_is_read_at_its_start_only(tmp_path: Path) -> None:
    """Evenly spaced rows would bring in a page each."""
    np = pytest.importorskip("numpy")
    data = np.memmap(tmp_path / "x.bin", dtype="f8", mode="w+", shape=(100_000, 2))
    assert described(data) == {
        "kind": "numpy.memmap",
        "rows": 100_000,
        "columns": 2,
        "dtype": "float64",
        "digest": "…",
    }
    before = describe(data)["digest"]
    data[50_000:] = 1
    assert describe(data)["digest"] == before
    data[0] = 1
    assert describe(data)["digest"] != before


def test_data_is_neither_changed_nor_kept() -> None:
    np = pytest.importorskip("numpy")
    data = np.arange(10.0)
    data.setflags(write=False)
    describe(data, data)
    dead = weakref.ref(data)
    del data
    gc.collect()
    assert dead() is None


def test_objects_in_an_array_are_described_by_their_class() -> None:
    np = pytest.importorskip("numpy")
    made = [value for kind, value in hostile_objects().items() if kind not in ("with metaclass", "class")]
    data = np.empty(len(made), dtype=object)
    for place, value in enumerate(made):
        data[place] = value
    CALLED.clear()
    assert described(data)["rows"] == len(made)
    assert CALLED == []


# -- tables


def test_a_table_is_described_by_its_columns() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "x": [1.5, 2.5], 7: [1, 2], "s": pd.Series(["a", "b"], dtype=object), "c": pd.Categorical(["u", "v"]),
            "t": pd.to_datetime(["2026-11-22", "2026-11-23"], utc=True), "b": [True, False],
            "n": pd.array([1, None], dtype="Int64"),
        }
    )  # fmt: skip
    said = described(frame, frame["c"])
    assert {key: said[key] for key in ("kind", "rows", "columns", "digest", "target")} == {
        "kind": "pandas.DataFrame", "rows": 2, "columns": 7, "digest": "…",
        "target": {"kind": "pandas.Series", "rows": 2, "dtype": "category"},
    }  # fmt: skip
    assert list(said["schema"]) == ["x", "7", "s", "c", "t", "b", "n"]
    assert (said["schema"]["x"], said["schema"]["7"], said["schema"]["c"]) == ("float64", "int64", "category")
    wide = pd.DataFrame([[0] * 300])
    assert (described(wide)["columns"], len(described(wide)["schema"])) == (300, 200)
    for odd in (
        pd.DataFrame(), pd.DataFrame(index=[1, 2]), pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])), pd.Series([], dtype=float),
        pd.Series(["a"], name=("x", 1)), pd.DataFrame({"o": [[1], {"a": 2}]}),
    ):  # fmt: skip
        assert "note" not in described(odd), odd


@pytest.mark.parametrize("column", ["x", "s", "c", "t"])
def test_a_changed_value_in_any_column_is_another_table(column: str) -> None:
    pd = pytest.importorskip("pandas")

    def frame() -> Any:
        return pd.DataFrame(
            {
                "x": [1.0, 2.0], "s": pd.Series(["a", "b"], dtype=object), "c": ["u", "v"],
                "t": pd.to_datetime(["2026-11-22", "2026-11-23"]),
            }
        )  # fmt: skip

    other = frame()
    other[column] = other[column].to_numpy()[::-1]
    assert describe(frame())["digest"] == describe(frame())["digest"] != describe(other)["digest"]


def test_numbers_are_sampled_alike_wherever_the_texts_stand() -> None:
    """A column of texts before them does not make their sample coarser."""
    pd = pytest.importorskip("pandas")
    for order in (["x", "s"], ["s", "x"]):
        frame = pd.DataFrame({"x": range(1000), "s": pd.Series(["a"] * 1000, dtype=object)})[order]
        other = frame.copy()
        other.loc[1, "x"] = -1
        assert describe(frame)["digest"] != describe(other)["digest"], order


def test_a_large_table_is_sampled() -> None:
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.zeros((500_000, 4)), columns=list("abcd"))
    frame["s"] = pd.Series(["text"] * len(frame), dtype=object)
    assert memory(frame["s"]) < 400_000
    assert memory(frame) < 1_000_000


def test_an_index_is_described() -> None:
    pd = pytest.importorskip("pandas")
    assert "note" not in described(pd.Index([1, 2, 3]))


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr"])
def test_a_sparse_matrix_is_described_without_making_it_dense(form: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    data = sparse.random(2_000, 300, density=0.01, format=form, random_state=0)
    said = described(data)
    assert {key: said[key] for key in ("rows", "columns", "sparse", "dtype", "stored", "digest")} == {
        "rows": 2_000, "columns": 300, "sparse": form, "dtype": "float64", "stored": 6_000, "digest": "…",
    }  # fmt: skip
    assert "note" not in said
    assert memory(data) < 1_000_000
    assert "note" not in described(sparse.eye(3, format="dia"))


def test_polars_tables_are_described_and_lazy_ones_left_alone() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1, 2], "s": ["x", None]})
    assert described(frame) == {
        "kind": "polars.DataFrame", "rows": 2, "columns": 2, "schema": {"a": "Int64", "s": "String"}, "digest": "…",
    }  # fmt: skip
    assert described(frame["a"]) == {"kind": "polars.Series", "rows": 2, "digest": "…"}
    assert described(frame.lazy()) == {"kind": "polars.LazyFrame"}


# -- other libraries'


class Tensor:
    """As other array libraries have them: shape and dtype cost nothing."""

    dtype = "float32"
    shape = (3, 2)

    def __array__(self) -> Any:
        raise AssertionError("was brought over from the device")


class Undecided:
    """Its shape is not known before it is computed."""

    @property
    def shape(self) -> Any:
        raise RuntimeError("not computed yet")


def test_other_arrays_are_described_by_shape_and_type_only() -> None:
    assert described(Tensor()) == {"kind": f"{__name__}.Tensor", "rows": 3, "columns": 2, "dtype": "float32"}
    assert described(Undecided()) == {
        "kind": f"{__name__}.Undecided", "note": "not fully described: RuntimeError",
    }  # fmt: skip


def test_a_table_on_a_cluster_is_not_counted() -> None:
    """`pyspark.pandas` counts its rows when it is asked for its shape."""
    asked: list[str] = []
    shape = property(lambda self: asked.append("shape"))
    frame = type("DataFrame", (), {"__module__": "pyspark.pandas.frame", "shape": shape})
    described(frame())
    assert asked == []


class Later:
    """A number that is computed when it is made one."""

    def __int__(self) -> int:
        raise AssertionError("computed")

    __index__ = __float__ = __int__


def test_a_lazy_table_is_not_counted() -> None:
    shape = property(lambda self: (Later(), 4))
    frame = type("DataFrame", (), {"__module__": "dask.dataframe.core", "shape": shape, "dtype": "float64"})
    assert described(frame()) == {"kind": "dask.DataFrame", "columns": 4, "dtype": "float64"}
    shape = property(lambda self: (float("nan"), 3, 2))
    array = type("Array", (), {"__module__": "dask.array.core", "shape": shape, "dtype": "float64"})
    assert described(array()) == {"kind": "dask.Array", "shape": [None, 3, 2], "dtype": "float64"}


def test_a_look_at_a_frame_makes_python_forget_no_warnings() -> None:
    """Transparent: pandas changes the filters of warnings where a frame is asked for its dtypes; we do not ask."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"], "c": [1, 2]})
    said: dict[str, Any] = {}
    target = frame["c"]
    assert filter_changes(lambda: said.update(describe(frame, target))) == 0
    assert said["schema"] == {name: str(dtype) for name, dtype in frame.dtypes.items()}
