"""The promise: whatever is logged becomes plain data of limited size, and none of the user's own code runs for it."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import math
import operator
import pathlib
import re
import sys
import types
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hostile import CALLED, Items, Names, Planted, Trap, hostile_objects, planted
from hypothesis import given
from hypothesis import strategies as st

from autolog.tracking import values
from autolog.tracking.values import key_of, number_of, plain, plain_params, text_of


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


Pair = collections.namedtuple("Pair", "x y")


@dataclasses.dataclass
class Settings:
    depth: int = 3


class Plain:
    pass


def function() -> None:
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (-(2**63), -(2**63)),
        (2**63, "9223372036854775808"),
        (10**5000, "<int of 16610 bits>"),
        (0.1, 0.1),
        (-0.0, -0.0),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ("", ""),
        ("naïve \U0001f600", "naïve \U0001f600"),
        ("a\udc80b", "a\\udc80b"),
        (b"abc", "<bytes of 3>"),
        (bytearray(5), "<bytearray of 5>"),
        (1 + 2j, "(1+2j)"),
        (range(0, 10, 2), "range(0, 10, 2)"),
        (slice(1, None), "slice(1, None, None)"),
        ([1, (2, "a"), None], [1, [2, "a"], None]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({2, 1}), [1, 2]),
        ({"a": {"b": [1]}, 2: 3}, {"a": {"b": [1]}, "2": 3}),
        (Color.RED, "Color.RED"),
        (Level.HIGH, "Level.HIGH"),
        (Access.READ, "Access.READ"),
        (Text("abc"), "abc"),
        (Number(5), 5),
        (Real(0.5), 0.5),
        (Real("nan"), "NaN"),
        (Names(a=1), {"a": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (Items([1]), [1]),
        (Pair(1, 2), [1, 2]),
        (Settings(), "Settings"),
        (Plain(), "Plain"),
        (Plain, "Plain"),
        (int, "int"),
        (function, f"{__name__}.function"),
        (len, "builtins.len"),
        ([].append, "list.append"),
        (Plain().__init__, "method-wrapper"),
        (functools.partial(function, 1), f"partial({__name__}.function)"),
        (functools.partial(Plain), "partial(Plain)"),
        (operator.itemgetter(1), "itemgetter"),
        (pathlib.PurePosixPath("/data/x.csv"), "/data/x.csv"),
        (datetime.date(2026, 11, 22), "2026-11-22"),
        (datetime.datetime(2026, 11, 22, 18, 30), "2026-11-22T18:30:00"),
        (datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc), "2026-11-22T00:00:00+00:00"),
        (datetime.timedelta(seconds=90), "0:01:30"),
        (decimal.Decimal("1.10"), "1.10"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (re.compile("a"), "Pattern"),
        (types.SimpleNamespace(a=1), "SimpleNamespace"),
        ((i for i in ()), "generator"),
        (..., "ellipsis"),
        (sys, "module"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_becomes_plain_data(value: Any, expected: Any) -> None:
    found = plain(value)
    assert (found, type(found)) == (expected, type(expected))
    assert plain_params({"x": value}) == ({"x": expected} if not isinstance(value, dict) else {
        f"x.{key}": item for key, item in plain_params(expected).items()
    })  # fmt: skip


def test_a_bound_method_is_its_functions_name() -> None:
    assert plain(Settings().__eq__).endswith("Settings.__eq__")
    assert plain(types.MethodType(Settings, 1)) == "Settings"
    assert plain(types.MethodType(operator.itemgetter(1), [1])) == "itemgetter"


def test_numpys_values_become_plain_ones() -> None:
    np = pytest.importorskip("numpy")
    assert plain(
        {
            "f4": np.float32(0.5), "f8": np.float64(0.25), "i8": np.int64(7), "bool": np.bool_(True), "str": np.str_("a"),
            "nan": np.float64("nan"), "inf": np.float32("-inf"), "long": np.longdouble(2), "c": np.complex64(1j),
            "time": np.datetime64("2026-11-22"), "array": np.array([[1, 2], [3, 4]]), "texts": np.array(["a", "b"]),
            "large": np.zeros((1000, 3)), "objects": np.array([Plain()], dtype=object), "empty": np.zeros((0, 4)),
            "dtype": np.dtype("float32"), "class": np.float64, "ufunc": np.log1p, "state": np.random.RandomState(0),
        }
    ) == {
        "f4": 0.5, "f8": 0.25, "i8": 7, "bool": True, "str": "a", "nan": "NaN", "inf": "-Infinity", "long": 2.0, "c": "1j",
        "time": "2026-11-22", "array": [[1, 2], [3, 4]], "texts": ["a", "b"], "large": "<ndarray float64 1000x3>",
        "objects": "<ndarray object 1>", "empty": [], "dtype": "float32", "class": "float64", "ufunc": "numpy.log1p",
        "state": "RandomState",
    }  # fmt: skip


def test_a_class_that_only_claims_to_be_of_numpy_is_not_called() -> None:
    pytest.importorskip("numpy")

    class ndarray:
        __module__ = "numpy"
        size = ndim = property(lambda self: pytest.fail("was looked into"))

    ndarray.__qualname__ = "ndarray"
    assert plain(ndarray()) == "ndarray"


def test_pandas_values_become_plain_ones() -> None:
    pd = pytest.importorskip("pandas")
    assert plain(
        {
            "na": pd.NA, "nat": pd.NaT, "time": pd.Timestamp("2026-11-22", tz="UTC"), "delta": pd.Timedelta("1h"),
            "period": pd.Period("2026-11"), "frame": pd.DataFrame({"a": [1, 2]}), "series": pd.Series([1, 2, 3]),
            "index": pd.Index(["a"]), "offset": pd.DateOffset(days=1), "dtype": pd.CategoricalDtype(),
        }
    ) == {
        "na": None, "nat": None, "time": "2026-11-22 00:00:00+00:00", "delta": "0 days 01:00:00", "period": "2026-11",
        "frame": "<DataFrame 2x1>", "series": "<Series 3>", "index": "<Index 1>", "offset": "DateOffset",
        "dtype": "CategoricalDtype",
    }  # fmt: skip


# -- size


def size_of(found: Any) -> tuple[int, int]:
    """Nodes and characters of plain data."""
    if isinstance(found, dict):
        parts = [size_of(item) for item in found.values()]
        return 1 + sum(n for n, _ in parts), sum(len(key) for key in found) + sum(c for _, c in parts)
    if isinstance(found, list):
        parts = [size_of(item) for item in found]
        return 1 + sum(n for n, _ in parts), sum(c for _, c in parts)
    return 1, len(found) if isinstance(found, str) else 24


def assert_bounded(found: Any) -> None:
    nodes, characters = size_of(found)
    assert nodes <= values.MAX_NODES + 2 * values.MAX_ITEMS * values.MAX_DEPTH
    assert (
        characters
        <= values.MAX_VALUE_TEXT + values.MAX_TEXT + 60 * nodes + 2 * values.MAX_KEY * values.MAX_ITEMS
    )
    msgspec.json.encode(found)


def test_long_things_are_cut_and_say_so() -> None:
    """Text at 6,000 characters, sequences and mappings at 100 items, nesting at depth 6."""
    assert plain("x" * 7000) == "x" * 6000 + "… [cut: 7000 characters]"
    assert plain("x" * 20_000) == "x" * 6000 + "… [cut: 20000 characters]"
    assert plain(list(range(150)))[99:] == [99, "… 50 more"]
    assert list(plain(dict.fromkeys(range(150), 0)).items())[99:] == [("99", 0), ("…", "50 more")]
    assert plain([[[[[[[1]]]]]]]) == [[[[[["<list of 1>"]]]]]]
    assert plain({"k" * 300: 1}) == {"k" * 250 + "… [cut: 300 characters]": 1}


def wide(leaf: Any = "x" * 5000) -> Any:
    value = leaf
    for _ in range(6):
        value = [value] * 100
    return value


def tangled() -> Any:
    value: dict[Any, Any] = {}
    value.update({Plain(): value for _ in range(50)}, x=[value, value], y={"z": value})
    return value


def same_names() -> Any:
    value: Any = 1
    for _ in range(6):
        value = {Plain(): value for _ in range(200)}
    return value


def deep_key() -> Any:
    key: Any = ()
    for _ in range(16):  # hashing it takes 2 ** 16 steps
        key = (key, key)
    return {key: 1, (1, (2, 3)): 2}


def deep() -> Any:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


HUGE: dict[str, Any] = {
    "wide": wide,
    "wide and of numbers": lambda: wide(1),
    "wide and of long names": lambda: {f"{i:0249}": {f"{j:0249}": 1 for j in range(100)} for i in range(100)},
    "tangled": tangled,
    "same names": same_names,
    "deep key": deep_key,
    "deep": deep,
    "long texts": lambda: ["x" * 6000] * 100,
    "long params": lambda: {f"{i:0250}": ["y" * 6000] * 100 for i in range(3000)},
    "huge keys": lambda: {10**5000: 1, "z": 10**5000, b"b" * 10_000_000: 2},
    "huge texts": lambda: ["a" * 10_000_000] * 3,
}


@pytest.mark.parametrize("kind", HUGE)
def test_huge_tangled_and_deep_values_come_out_small(kind: str) -> None:
    """Wide, cyclic, deep, or with enormous keys: a bounded number of nodes and characters, and a bounded time."""
    value = HUGE[kind]()
    assert_bounded(plain(value))
    params = plain_params(value if isinstance(value, dict) else {"x": value})
    assert len(params) <= values.MAX_PARAMS
    nodes, _ = size_of(params)
    assert nodes <= values.MAX_ALL_NODES + 1000
    msgspec.json.encode(params)


def test_a_cycle_is_named() -> None:
    items: list[Any] = [1]
    items.append(items)
    names: dict[str, Any] = {"a": 1}
    names["self"] = names
    assert plain(items) == [1, "<cycle>"]
    assert plain(names) == {"a": 1, "self": "<cycle>"}
    assert plain_params(names) == {"a": 1, "self": "<cycle>"}


def test_a_long_list_is_not_copied() -> None:
    import tracemalloc

    value = [0] * 5_000_000
    tracemalloc.start()
    try:
        plain({"x": value, "y": dict.fromkeys(range(1)), "z": tuple(value)})
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        plain({"x": value})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1_000_000


# -- params


def test_nested_params_become_dotted_names() -> None:
    """Dicts of any kind, of any depth up to six; an empty one stays to be seen."""
    assert plain_params(
        {"model": {"depth": 3, "opt": collections.OrderedDict(lr=0.1)}, "none": {}, 5: None, (1, "a"): [1]}
    ) == {"model.depth": 3, "model.opt.lr": 0.1, "none": {}, "5": None, "(1, a)": [1]}


def test_only_two_thousand_params_are_kept() -> None:
    many = {f"p{i}": i for i in range(5000)}
    assert list(plain_params(many)) == list(many)[:2000]
    assert len(plain_params({"a": many, "b": many})) == 2000


@pytest.mark.parametrize("params", [None, 3, [1, 2], ["ab"], types.SimpleNamespace(items=lambda: [1])])
def test_what_is_no_mapping_has_no_params(params: Any) -> None:
    assert plain_params(params) == {}


def test_secrets_in_params_are_replaced_and_returned() -> None:
    """By name, also of what is around, and by shape, wherever they stand; short ones are not told."""
    found: set[str] = set()
    params = {
        "password": "hunter2!", "auth": {"api_key": "k-123456", "pin_password": 123456, "user": "ada"}, "pwd": "abc",
        "url": "postgres://ada:s3cret!!@db/x", "keys": ["AKIA" + "IOSFODNN7EXAMPLE"], "credentials": {"id": "my-name"},
        "listed": [{"token": {"value": "v-777777"}}], Text("secret"): Text("subclassed"), "hub_token": None, "api_key": "",
        "use_auth_token": True, "token": "auto", "eos_token": "</s>", "max_tokens": 512,
        "sk-proj-" + "a1" * 20: 1, "path": pathlib.PurePosixPath("/x/ghp_" + "a1" * 18),
        "long": "x" * 11_990 + "ghp_" + "b2" * 18,
    }  # fmt: skip
    marked = {
        key: re.sub("<redacted:....>", "S", str(value)) for key, value in plain_params(params, found).items()
    }
    long = marked.pop("long")
    assert marked == {
        "password": "S", "auth.api_key": "S", "auth.pin_password": "S", "auth.user": "ada", "pwd": "S",
        "url": "postgres://S@db/x", "keys": "['S']", "credentials.id": "S", "listed": "[{'token': {'value': 'S'}}]",
        "secret": "S", "hub_token": "None", "api_key": "", "use_auth_token": "True", "token": "auto", "eos_token": "</s>",
        "max_tokens": "512", plain_key("sk-proj-" + "a1" * 20): "1", "path": "/x/S",
    }  # fmt: skip
    assert long == "x" * 6000 + "… [cut: 12030 characters]"
    assert found == {
        "hunter2!", "k-123456", "123456", "ada:s3cret!!", "AKIA" + "IOSFODNN7EXAMPLE", "my-name", "v-777777", "subclassed",
        "ghp_" + "a1" * 18,
    }  # fmt: skip


def plain_key(secret: str) -> str:
    from autolog.tracking.redact import mark

    return mark(secret)


def test_no_half_of_a_secret_is_shown_where_a_long_text_is_cut() -> None:
    """A text of many secrets shrinks; what comes after the part that was searched is not moved up."""
    jwt = "eyJ" + "a" * 300 + "." + "b" * 900 + "." + "c" * 80
    assert re.sub("<redacted:....>", "S", str(plain(" ".join([jwt] * 50)))).startswith("S S S S S S S S")
    for text in (" ".join([jwt] * 50), " ".join(["x" * 5000, *[jwt] * 50])):
        # A mark has four digits of a digest, which may be "aaaa".
        shown = re.sub("<redacted:....>", "S", str(plain(text)))
        assert not {"aaa", "bbb", "ccc"} & {shown[i : i + 3] for i in range(len(shown))}


# -- keys


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("a", "a"), ("", ""), ("\udc80", "\\udc80"), (None, "None"), (True, "True"), (1, "1"), (0.5, "0.5"), (math.nan, "nan"),
        (b"x", "b'x'"), ((1, "b"), "(1, b)"), ((1, (2, 3)), "(1, tuple of 2)"), (Color.RED, "Color.RED"), (Text("t"), "t"),
        (Plain(), "Plain"), (Plain, "Plain"), (10**5000, "<int of 16610 bits>"), (frozenset({1}), "frozenset"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_any_key_becomes_text(key: Any, text: str) -> None:
    assert key_of(key) == text


@given(st.text(), st.integers(0, 50))
def test_text_is_cut_and_encodable(text: str, limit: int) -> None:
    text_of(text, limit).encode()


@given(st.floats())
def test_a_number_stays_and_nan_and_infinity_become_text(value: float) -> None:
    found = number_of(value)
    assert (found == value) if math.isfinite(value) else (math.isnan(value) or float(found) == value)
    msgspec.json.encode(found)


# -- hostile objects


@pytest.mark.parametrize("kind", list(hostile_objects()))
@pytest.mark.parametrize(
    "place", ["value", "in a list", "in a dict", "in a set", "key", "in a key", "param", "tag"]
)
def test_no_method_of_an_unknown_object_is_called(kind: str, place: str) -> None:
    """Not to print it, compare it, hash it, measure it, iterate it, nor to ask for its class."""
    from autolog.tracking.run import tags_of

    value = hostile_objects()[kind]
    try:
        put: dict[str, Any] = {
            "value": lambda: value, "in a list": lambda: [value, (value,)], "in a dict": lambda: {"x": value},
            "in a set": lambda: {value}, "key": lambda: {value: 1}, "in a key": lambda: {(1, value): 1},
            "param": lambda: value, "tag": lambda: value,
        }  # fmt: skip
        whole = put[place]()
    except (Trap, TypeError):
        pytest.skip("cannot be put there")
    CALLED.clear()
    if place == "param":
        msgspec.json.encode(plain_params({"x": whole, "y": {"z": whole}}))
    elif place == "tag":
        assert all(type(text) is str for text in tags_of({"x": whole}).values())
    else:
        assert_bounded(plain(whole))
    assert CALLED == []


def test_a_hostile_objects_own_content_is_read_by_the_built_in_type() -> None:
    """A subclass of dict, list, str or int says what it holds, whatever its methods would say."""
    made = hostile_objects()
    kinds = ("dict", "list", "tuple", "set", "frozenset", "str", "int", "float")
    assert [plain(made[kind]) for kind in kinds] == [{"a": 1}, [1], [1], [1], [1], "abc", 5, 0.5]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.binary()
    | st.text(st.characters(codec=None)) | st.datetimes(timezones=st.timezones()) | st.decimals() | st.fractions() | st.uuids()
    | st.timedeltas() | st.sampled_from([Color.RED, Level.HIGH, Access.READ | Access.WRITE, Settings(), Plain, function])
    | st.sampled_from([Planted(kind) for kind in hostile_objects()]) | st.functions() | st.builds(slice, st.integers()),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text() | st.integers() | st.floats() | st.binary(), inner, max_size=5)
        | st.tuples(inner, inner) | st.builds(Items, st.lists(inner, max_size=3))
        | st.builds(Names, st.dictionaries(st.text(), inner, max_size=3))
    ),
    max_leaves=25,
)  # fmt: skip


@given(ANYTHING, st.text(max_size=20))
def test_anything_becomes_bounded_plain_data(value: Any, key: str) -> None:
    value = planted(value)
    CALLED.clear()
    found = plain(value, key)
    assert_bounded(found)
    assert CALLED == []
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


@given(st.dictionaries(st.text() | st.integers() | st.none() | st.tuples(st.text()), ANYTHING, max_size=8))
def test_any_mapping_becomes_flat_params(params: Mapping[Any, Any]) -> None:
    params = planted(params)
    CALLED.clear()
    found = plain_params(params)
    assert all(type(name) is str for name in found)
    for value in found.values():
        assert_bounded(value)
    assert CALLED == []


def test_a_mapping_that_raises_or_changes_while_it_is_read_has_no_params() -> None:
    class Broken(Mapping):
        def __getitem__(self, key: str) -> Any:
            raise RuntimeError

        def __iter__(self) -> Any:
            return iter("ab")

        def __len__(self) -> int:
            return 2

    assert plain_params(Broken()) == {}
