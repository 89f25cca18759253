"""The promise: what autolog infers of the data that a model was fitted on, MLflow's own enforcement lets through unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autolog.models.signature import infer_signature
from autolog.testing import recorded

np = pytest.importorskip("numpy")
pytest.importorskip("mlflow")

scalars = {
    "bool": st.booleans(),
    "int8": st.integers(-128, 127),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint16": st.integers(0, 2**16 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "Int64": st.none() | st.integers(-(2**53), 2**53),
    "Int8": st.none() | st.integers(-128, 127),
    "UInt32": st.none() | st.integers(0, 2**32 - 1),
    "UInt64": st.none() | st.integers(0, 2**64 - 1),
    "Float64": st.none() | st.floats(allow_nan=False),
    "boolean": st.none() | st.booleans(),
    "string": st.none() | st.text(max_size=5),
    "object": st.none() | st.text(max_size=5) | st.floats(),
    "text object": st.none() | st.text(max_size=5),
    "category": st.sampled_from("abc"),
}


@st.composite
def columns(draw: st.DrawFn) -> dict[str, tuple[str, list[Any]]]:
    rows = draw(st.integers(1, 4))
    names = draw(st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True))
    drawn: dict[str, tuple[str, list[Any]]] = {}
    for name in names:
        dtype = draw(st.sampled_from(sorted(scalars)))
        values = draw(st.lists(scalars[dtype], min_size=rows, max_size=rows))
        drawn[name] = (dtype.removeprefix("text "), values)
    return drawn


@given(columns())
@example({"a": ("int64", [1]), "b": ("float64", [float("nan")]), "é\x85😀": ("object", ["x"])})
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_mlflow_accepts_any_frame_that_has_a_signature(drawn: Any) -> None:
    """Whenever a frame has a signature, mlflow's enforcement of it accepts that frame and changes no value."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("mlflow", minversion="3")  # earlier ones refuse some types that they write themselves
    from mlflow.models.utils import _enforce_schema
    from mlflow.types.schema import Schema

    frame = pd.DataFrame({name: pd.Series(values, dtype=dtype) for name, (dtype, values) in drawn.items()})
    found = infer_signature(frame)
    if found is not None:
        passed = _enforce_schema(frame, Schema.from_json(found["inputs"]))
        extension = [name for name, dtype in frame.dtypes.items() if str(dtype)[0] in "FIU"]
        plain = frame.astype({name: passed[name].dtype for name in extension})
        pd.testing.assert_frame_equal(passed, plain, check_dtype=False, check_exact=True)


@given(
    dtype=st.sampled_from(
        ["bool", "int8", "int64", "float32", "float64", "U5", "S5", "object", "datetime64[ns]", ">f4"]
    ),
    shape=st.lists(st.integers(0, 3), max_size=4),
)
@settings(deadline=None)
def test_mlflow_accepts_any_array_that_has_a_signature(dtype: str, shape: list[int]) -> None:
    from mlflow.models.utils import _enforce_schema
    from mlflow.types.schema import Schema

    array = np.zeros(shape, dtype)
    found = infer_signature(array, array)
    if found is not None:
        assert _enforce_schema(array, Schema.from_json(found["inputs"])) is array


@pytest.mark.usefixtures("own_key")
def test_mlflow_reads_the_example_that_is_saved_on_request() -> None:
    pytest.importorskip("mlflow", minversion="3")  # 2.11 reads no array's example of this form
    from mlflow.models import Model

    linear = pytest.importorskip("sklearn.linear_model")
    with recorded("sklearn", log_input_examples=True) as seen:
        linear.Ridge().fit(np.arange(18.0).reshape(9, 2), np.arange(9.0))
    folder = str(seen.run.folder / "model")
    assert Model.load(folder).load_input_example(folder).tolist() == np.arange(10.0).reshape(5, 2).tolist()
