"""The promise: one name for one quantity, whatever is measured in whatever order; and names that say what it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolog.recording.metric_names import MOST_NAMES, WHOLE, Keys, Names, Part, layout_of, named, part_of


class Data:
    """Data whose content cannot be looked at."""


def gone() -> None:
    return None


def test_equal_quantities_share_a_name_and_others_do_not() -> None:
    names, keys = Names(), Keys()
    X, other = Data(), Data()

    def name(metric: str, data: Any, called: str, part: Part = WHOLE, by: Any = None, **settings: Any) -> str:
        reach = None if data is None else (called, keys.of(data), lambda: data)
        return named(names, keys, metric, data=reach, part=part, settings=settings, by=by).name

    column = Part("[:, 0]", "column_0")
    for _ in range(2):
        assert [
            name("r2", X, "X"), name("r2", other, "X"), name("r2", X, "anything"), name("r2", X, "X", column),
            name("r2", X, "X", by="another truth"), name("f1", X, "X", average="macro"),
            name("f1", X, "X", average="macro", labels=[0, 1]), name("f1", X, "X", labels=list(range(9))),
            name("f1", X, "X", labels=list(range(8))), name("f1", X, "X", beta=2, sample_weight=Data),
            name("r2", None, ""), name("r2", None, "", by="another"),
        ] == [
            "r2_X", "r2_X_2", "r2_X", "r2_X_column_0", "r2_X_3", "f1_macro_X", "f1_macro_labels_0_1_X", "f1_labels_X",
            "f1_labels_X_2", "f1_beta_2_sample_weight_X", "r2", "r2_2",
        ]  # fmt: skip


def test_a_metric_says_its_settings() -> None:
    names, keys = Names(), Keys()
    made = named(
        names, keys, "f1", data=("X", 1, gone), part=Part("[:, 1]", "column_1"),
        settings={"average": "macro", "labels": [1, 2], "sample_weight": [0.5] * 9},
    )  # fmt: skip
    assert made.name == "f1_macro_labels_1_2_sample_weight_X_column_1"
    assert made.about == {
        "data": "X", "part": "[:, 1]",
        "settings": {"average": "macro", "labels": [1, 2], "sample_weight": "given"},
    }  # fmt: skip


def test_batches_of_a_learning_model_are_one_series() -> None:
    """A batch takes the name of the one before it, which is gone; not of one that is alive, or while nothing is learnt."""
    names = Names()
    here = Data()
    assert names.of_data("batch", 1, gone) == "batch"
    assert names.of_data("batch", 2, gone) == "batch_2"
    names.trainings += 1
    assert names.of_data("batch", 3, lambda: here) == "batch"
    names.trainings += 1
    assert names.of_data("batch", 4, gone) == "batch_2"
    assert names.of_data("batch", 3, lambda: here) == "batch"


@given(
    st.lists(st.tuples(st.sampled_from(["X", "X_2", ""]), st.integers(0, 8), st.integers(0, 3)), max_size=60)
)
def test_no_two_quantities_share_a_name(asked: list[tuple[str, int, int]]) -> None:
    """Whatever the script calls its data: also by names that we would make."""
    names, given_names = Names(), dict[str, Any]()
    for called, data, by in asked:
        made = named(names, Keys(), "r2", data=(called, data, gone), by=by)
        assert given_names.setdefault(made.name, (data, by)) == (data, by)


def test_very_many_quantities_are_one_series() -> None:
    names = Names()
    found = [named(names, Keys(), "r2", data=("X", number, gone)).name for number in range(MOST_NAMES + 5)]
    assert found[:3] == ["r2_X", "r2_X_2", "r2_X_3"]
    assert found[-6:] == [f"r2_X_{MOST_NAMES}", *["r2_X_others"] * 5]


def test_a_part_of_a_prediction_is_named_by_its_place() -> None:
    """Columns and slices by name; a reshaped whole is the whole; of two classes the second's probabilities are."""
    np = pytest.importorskip("numpy")
    whole = np.arange(12.0).reshape(6, 2)
    layout = layout_of(whole)
    views = [
        whole, whole.ravel(), whole[:, 1], whole[:, 0], whole[:3], whole[2:], whole[2:4, 1], whole[::2], whole[::-1],
    ]  # fmt: skip
    assert [part_of(view, layout, False).name for view in views] == [
        "", "", "column_1", "column_0", "rows_0_3", "rows_2_6", "part", "part", "part",
    ]  # fmt: skip
    assert [part_of(view, layout, True).name for view in views[2:4]] == ["", "column_0"]
    assert part_of(whole[:, 1], layout, False).text == "[:, 1]"
    assert part_of([1.0], layout, False) == part_of(whole, None, False) == WHOLE


def test_keys_are_equal_for_equal_content() -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    keys = Keys()
    X = np.random.default_rng(0).normal(size=(500, 4))
    frame = pd.DataFrame(X, columns=list("abcd")).assign(e=["x", "y"] * 250, f=pd.Categorical(["u"] * 500))
    changed = X.copy()
    changed[:, 2] = changed[::-1, 2]
    different = [
        X, X[:250], changed, X.astype(np.float32), X.tolist(), frame, frame.rename(columns={"a": "z"}),
        frame.assign(e=["y", "x"] * 250), frame.assign(a=1.0), frame["a"], frame["b"], frame["e"], [X, X], [X, changed],
        {"one": X}, {"two": X}, Data(), Data(), object, None, 1, "1",
    ]  # fmt: skip
    assert len({keys.of(one) for one in different}) == len(different)
    copies = [
        (X, X.copy(order="F")), (frame[["a"]], frame[["a"]].copy()), ([X], [X.copy()]), (X[::2], X[::2].copy()),
    ]  # fmt: skip
    assert all(keys.of(one) == keys.of(other) for one, other in copies)
    data = Data()
    assert keys.of(data) == keys.of(data)


def test_what_only_looks_alike_is_different_while_both_are_there() -> None:
    """Right: of much data a few cells are looked at. What was made anew, as in each epoch, is the same again."""
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    keys = Keys()
    for make in (
        lambda: np.arange(50_000.0),
        lambda: pd.DataFrame({"a": np.arange(50_000.0)}),
        lambda: ["x"] * 9_000,
    ):
        one = make()
        other = make()
        if isinstance(one, list):  # it cannot be held
            assert keys.of(one) == keys.of(other)
            continue
        first, second = keys.of(one), keys.of(other)
        assert (keys.of(one), keys.of(other)) == (first, second)
        assert first != second
        del other
        assert keys.of(make()) == second
        assert keys.of(make()) == second
