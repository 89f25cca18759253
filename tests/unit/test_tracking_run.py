"""The promise: a run takes whatever it is given, from any thread and after its end, and says what it could not keep."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers import in_threads
from hostile import CALLED, hostile_objects
from hypothesis import given
from hypothesis import strategies as st

from autolog.instrument.timer import OverheadTimer
from autolog.tracking import events as e
from autolog.tracking.run import Run, artifact_name, sizes, tags_of

pytestmark = pytest.mark.usefixtures("own_folder")


class Kept:
    """An outlet that keeps the events and does the work at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.timer = OverheadTimer()
        self.overhead_budget = 0.01
        self.events: list[e.Event] = []
        self.saved: list[tuple[Any, ...]] = []
        self.shared: list[str] = []

    def emit(self, event: e.Event) -> None:
        self.events.append(event)

    def defer(self, work: Any) -> None:
        self.events.extend(work())

    def folder_of(self, run: str) -> str:
        return str(self.root / "artifacts" / run)

    def deduplicate(self) -> Any:
        return self.shared.append

    def described(self, run: Run) -> None:
        pass

    def save_model(self, run: Run, model: Any, flavor: str | None, **how: Any) -> None:
        self.saved.append((run, model, flavor, how))

    def values(self, kind: type[e.Event]) -> list[Any]:
        return [getattr(event, "values", event) for event in self.events if type(event) is kind]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "store")


@pytest.fixture
def run(kept: Kept) -> Run:
    return Run(kept, "brave-otter", "default")


def points(kept: Kept) -> list[tuple[int, dict[str, float], float | None]]:
    return [(event.step, event.v, event.epoch) for event in kept.events if isinstance(event, e.MetricsLogged)]


# -- params


def test_params_are_logged_flat_and_later_ones_replace_earlier(run: Run, kept: Kept) -> None:
    run.log_params({"depth": 3, "opt": {"lr": 0.1}})
    run.log_params({"depth": 4})
    run.log_params({})
    assert kept.events == [
        e.ParamsLogged(run.id, {"depth": 3, "opt.lr": 0.1}),
        e.ParamsLogged(run.id, {"depth": 4}),
    ]
    assert run.param_count == 2


def test_a_run_keeps_two_thousand_params_and_says_so_once(run: Run, kept: Kept) -> None:
    """The same names again are not more params, and further ones are left out."""
    for _ in range(3):
        run.log_params({f"p{i}": i for i in range(1500)})
    run.log_params({f"q{i}": i for i in range(1500)})
    run.log_params({"p0": "again", "late": 1})
    assert [len(values) for values in kept.values(e.ParamsLogged)] == [1500, 1500, 1500, 500, 1]
    assert kept.values(e.ParamsLogged)[-1] == {"p0": "again"}
    assert [event.text for event in kept.events if isinstance(event, e.NoteLogged)] == [
        "Only 2000 params are kept."
    ]
    assert run.param_count == 2000


def test_the_run_remembers_secrets_to_look_for_them_in_models(run: Run, kept: Kept) -> None:
    run.log_params({"password": "hunter2!"})
    run.set_tags({"api_key": "k-123456"})
    run.record_child(
        "c", kind="candidate", params={"token": "t-123456"}, metrics={}, tags={"secret": "s-123456"}
    )
    assert run.secrets == {"hunter2!", "k-123456", "t-123456", "s-123456"}
    text = msgspec.json.encode(kept.events).decode()
    assert not [secret for secret in run.secrets if secret in text]


# -- metrics


class Scalar:
    """As an array library has them."""

    ndim = 0

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


class OneElement(Scalar):
    ndim = 2
    size = 1


class ManyElements(OneElement):
    size = 3


class Floats:
    def __float__(self) -> float:
        return 2.5


class Fails(Scalar):
    def item(self) -> Any:
        raise RuntimeError("no item")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1), (0.5, 0.5), (True, 1), (False, 0), (10**400, 10**400), (math.inf, math.inf), (Scalar(3), 3), (Scalar(0.5), 0.5),
        (Scalar(True), 1), (OneElement(0.5), 0.5), (Floats(), 2.5), (Decimal("0.5"), 0.5), (Fraction(1, 2), 0.5),
        (ManyElements(1), None), (Fails(1), None), (Scalar("x"), None), ("0.5", None), (b"1", None), (None, None), ([1], None),
        ({}, None), (1j, None), (object(), None), (Run, None), (lambda: 1, None),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_that_is_no_number_costs_no_other_metric(
    run: Run, kept: Kept, value: Any, expected: Any
) -> None:
    run.log_metrics({"x": value, "loss": 0.25})
    expected_values = {"loss": 0.25} if expected is None else {"x": expected, "loss": 0.25}
    assert points(kept) == [(0, expected_values, None)]
    assert type(points(kept)[0][1].get("x", 0.0)) in (int, float)


def test_a_value_that_is_no_number_is_noted_once(run: Run, kept: Kept) -> None:
    for _ in range(3):
        run.log_metrics({"loss": "0.5", "acc": None, "fine": 1})
    assert [event.text for event in kept.events if isinstance(event, e.NoteLogged)] == [
        "The metric loss was left out: a value of type str is no number.",
        "The metric acc was left out: a value of type NoneType is no number.",
    ]
    assert [values for _, values, _ in points(kept)] == [{"fine": 1}] * 3


def test_nan_is_a_metric(run: Run, kept: Kept) -> None:
    run.log_metrics({"loss": math.nan})
    assert math.isnan(points(kept)[0][1]["loss"])


def test_numpys_scalars_are_metrics(run: Run, kept: Kept) -> None:
    np = pytest.importorskip("numpy")
    run.log_metrics(
        {"a": np.float32(0.5), "b": np.int64(3), "c": np.array(2.0), "d": np.array([[1.5]]), "e": np.zeros(2)}
    )
    run.log_metrics({"f": np.float64(1), "g": np.bool_(True), "h": np.longdouble(2)})
    assert points(kept) == [
        (0, {"a": 0.5, "b": 3, "c": 2.0, "d": 1.5}, None),
        (0, {"f": 1.0, "g": 1, "h": 2.0}, None),
    ]
    assert {type(value) for _, values, _ in points(kept) for value in values.values()} == {float, int}


def test_a_step_that_is_not_given_follows_the_last(run: Run, kept: Kept) -> None:
    """Of the first metric's name; a given step is taken as it is, out of order too."""
    run.log_metrics({"loss": 1})
    run.log_metrics({"loss": 1, "acc": 1})
    run.log_metrics({"acc": 1})
    run.log_metrics({"loss": 1}, step=10)
    run.log_metrics({"loss": 1})
    run.log_metrics({"loss": 1}, step=3, epoch=0.5)
    run.log_metrics({"loss": 1})
    assert [(step, epoch) for step, _, epoch in points(kept)] == [
        (0, None), (1, None), (2, None), (10, None), (11, None), (3, 0.5), (4, None),
    ]  # fmt: skip
    assert run.metric_names == ("loss", "acc")


@pytest.mark.parametrize(
    "step",
    ["x", math.nan, math.inf, 2**70, -(2**70), [], object(), 10**5000],
    ids=lambda step: type(step).__name__,
)
def test_an_invalid_step_counts_as_not_given(run: Run, kept: Kept, step: Any) -> None:
    run.log_metrics({"loss": 1}, step=5)
    run.log_metrics({"loss": 2}, step=step)
    assert points(kept) == [(5, {"loss": 1}, None), (6, {"loss": 2}, None)]


@pytest.mark.parametrize(("step", "taken"), [(3.0, 3), (True, 1), (Scalar(4), 4), ("7", 7), (-1, -1)])
def test_a_step_may_be_any_whole_number(run: Run, kept: Kept, step: Any, taken: int) -> None:
    run.log_metrics({"loss": 1}, step=step)
    assert points(kept) == [(taken, {"loss": 1}, None)]
    assert type(points(kept)[0][0]) is int


@pytest.mark.parametrize(
    ("epoch", "taken"), [(2, 2), (0.5, 0.5), (Scalar(1), 1), ("x", None), (object(), None), (math.nan, None)]
)
def test_an_epoch_is_a_number_or_left_out(run: Run, kept: Kept, epoch: Any, taken: float | None) -> None:
    run.log_metrics({"loss": 1}, epoch=epoch)
    assert points(kept) == [(0, {"loss": 1}, taken)]


@pytest.mark.parametrize("metrics", [None, 5, [1], "loss"])
def test_metrics_and_tags_that_are_no_mapping_raise_nothing(run: Run, kept: Kept, metrics: Any) -> None:
    run.log_metrics(metrics)
    run.log_params(metrics)
    run.set_tags(metrics)
    run.record_child("c", kind="candidate", params=metrics, metrics=metrics, tags=metrics)
    assert points(kept) == []


def test_names_of_metrics_are_text_of_limited_length(run: Run, kept: Kept) -> None:
    run.log_metrics({1: 1, None: 2, "x" * 1000: 3, ("a", 1): 4, "a\udc80": 5})  # type: ignore[dict-item]
    [(_, values, _)] = points(kept)
    assert list(values) == ["1", "None", "x" * 250 + "… [cut: 1000 characters]", "(a, 1)", "a\\udc80"]


@pytest.mark.parametrize("kind", list(hostile_objects()))
def test_nothing_that_a_run_is_given_can_make_it_raise(run: Run, kept: Kept, kind: str) -> None:
    """Objects whose every method raises, wherever they are put: only what may be a scalar is asked for its number."""
    value = hostile_objects()[kind]
    CALLED.clear()
    run.log_params({"x": value})
    run.set_tags({"x": value})
    run.note(value)
    assert CALLED == []
    run.log_metrics({"x": value, "y": 1.0}, step=value, epoch=value)
    run.record_child("c", kind="candidate", params={"x": value}, metrics={"x": value}, tags={"x": value})
    assert not {"__repr__", "__str__", "__eq__", "__iter__", "__len__", "__getitem__", "__call__"} & set(
        CALLED
    )
    msgspec.json.encode(kept.events)


@given(st.dictionaries(st.text() | st.integers(), st.floats() | st.integers() | st.text() | st.none()), st.none() | st.integers() | st.floats())  # fmt: skip # noqa: E501
def test_any_metrics_become_events_of_numbers(metrics: dict[Any, Any], step: Any) -> None:
    kept = Kept(Path("."))
    Run(kept, "n", "e").log_metrics(metrics, step=step)
    for step, values, _ in points(kept):
        assert -(2**63) <= step < 2**63
        assert {type(name) for name in values} == {str}
        assert {type(value) for value in values.values()} <= {int, float}


# -- tags, notes, children


def test_tags_are_text(run: Run, kept: Kept) -> None:
    run.set_tags({"team": "blue", "n": 3, "on": True, "none": None, 5: 0.5, "list": [1, "a"]})  # type: ignore[dict-item]
    assert kept.events == [
        e.TagsSet(
            run.id, {"team": "blue", "n": "3", "on": "True", "none": "None", "5": "0.5", "list": "[1, 'a']"}
        )
    ]
    assert tags_of({}) == {}


def test_notes_are_bounded_in_length_and_number(run: Run, kept: Kept) -> None:
    run.note("x" * 10_000)
    for _ in range(500):
        run.note("password=hunter2!", error=True)
    notes = [event for event in kept.events if isinstance(event, e.NoteLogged)]
    assert (len(notes), len(notes[0].text) < 7000, notes[0].error, notes[1].error) == (100, True, False, True)
    assert not [note for note in notes if "hunter2!" in note.text]


def test_a_child_is_one_event(run: Run, kept: Kept) -> None:
    run.framework, run.version, run.estimator = "toy", "1.0", "toy.Model"
    child = run.record_child(
        "3", kind="candidate", params={"depth": 3}, metrics={"score": 0.5, "text": "x", 1: 2}, tags={"rank": 1}, started=10,
        ended=20, status="failed",
    )  # fmt: skip
    assert kept.events == [
        e.RunRecorded(
            child, run.id, "brave-otter/3", "default", 10, 20, "candidate", "toy", "1.0", "toy.Model", "failed", {"depth": 3},
            {"score": 0.5, "1": 2}, {"rank": "1"},
        )
    ]  # fmt: skip
    assert child > run.id


def test_a_run_is_shown_by_name_id_and_status(run: Run) -> None:
    assert repr(run) == f"<Run brave-otter {run.id} running>"


# -- files


def test_a_file_and_a_folder_are_copied_into_the_run(run: Run, kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "a.png").write_bytes(b"123")
    (tmp_path / "plots" / "deep" / "b.png").write_bytes(b"45")
    run.log_artifact(tmp_path / "plots" / "a.png")
    run.log_artifact("plots", "figures/all")
    assert kept.events == [
        e.ArtifactLogged(run.id, "a.png", 3),
        e.ArtifactLogged(run.id, "figures/all/a.png", 3),
        e.ArtifactLogged(run.id, "figures/all/deep/b.png", 2),
    ]
    assert sizes(kept.folder_of(run.id)) == [
        ("/a.png", 3),
        ("/figures/all/a.png", 3),
        ("/figures/all/deep/b.png", 2),
    ]


def test_a_folder_that_holds_the_store_is_copied_without_it(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "project" / ".autolog")
    run = Run(kept, "n", "e")
    (tmp_path / "project" / ".autolog" / "artifacts" / "other").mkdir(parents=True)
    (tmp_path / "project" / ".autolog" / "artifacts" / "other" / "model.bin").write_bytes(b"1")
    (tmp_path / "project" / "train.py").write_bytes(b"12")
    run.log_artifact(tmp_path / "project", "code")
    assert kept.events == [e.ArtifactLogged(run.id, "code/train.py", 2)]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "", ".", "C:\\x", "c:/x", "nul\0"])
def test_an_artifact_name_that_leads_out_of_the_runs_folder_is_refused(
    run: Run, kept: Kept, tmp_path: Path, name: str
) -> None:
    (tmp_path / "x").write_bytes(b"1")
    with pytest.raises(ValueError, match="not a path inside"):
        run.log_artifact(tmp_path / "x", name or "./")
    with pytest.raises(ValueError, match="not a path inside"):
        run.log_json(name, {})
    assert kept.events == []


def test_a_missing_file_is_an_error_at_once(run: Run) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
        run.log_artifact("nothing.png")


def test_plain_data_is_written_as_json(run: Run, kept: Kept) -> None:
    run.log_json("curves/roc.json", {"fpr": [0, 0.5, 1]})
    file = os.path.join(kept.folder_of(run.id), "curves", "roc.json")
    assert kept.events == [e.ArtifactLogged(run.id, "curves/roc.json", os.path.getsize(file))]
    assert msgspec.json.decode(Path(file).read_bytes()) == {"fpr": [0, 0.5, 1]}


def test_text_is_written_in_utf_8(run: Run, kept: Kept) -> None:
    run.log_text("summary.txt", "21 parameters · \udc80\n")
    file = os.path.join(kept.folder_of(run.id), "summary.txt")
    assert kept.events == [e.ArtifactLogged(run.id, "summary.txt", os.path.getsize(file))]
    assert Path(file).read_text("utf-8") == "21 parameters · \\udc80\n"


def test_log_model_passes_the_model_on(run: Run, kept: Kept) -> None:
    run.log_model("model", flavor="toy", path="final/best", data=[1])
    assert kept.saved == [(run, "model", "toy", {"path": "final/best", "data": [1], "by_hand": True})]
    with pytest.raises(ValueError, match="not a path inside"):
        run.log_model("model", path="../best")


def test_an_impossible_artifact_name_is_an_error_at_once(run: Run, kept: Kept) -> None:
    """An empty path, as of a variable that is not set, is not the working directory; and what no file can be called would fail
    only later, where nobody sees it.
    """
    with pytest.raises(FileNotFoundError, match="no file or folder ''"):
        run.log_artifact("")
    with pytest.raises(ValueError, match=r"longer than a file's name can be \(255 bytes\)"):
        run.log_text(f"notes/{'é' * 128}.txt", "")
    run.log_text("x" * 255, "the longest")
    assert kept.events == [e.ArtifactLogged(run.id, "x" * 255, 11)]


@given(st.text(max_size=30))
def test_a_name_of_an_artifact_stays_below_its_folder(name: str) -> None:
    try:
        found = artifact_name(name)
    except ValueError:
        return
    root = os.path.abspath("/runs/1")
    assert os.path.normpath(os.path.join(root, found)).startswith(root + os.sep)


# -- threads


def test_threads_that_log_at_once_lose_nothing(run: Run, kept: Kept) -> None:
    ready = threading.Barrier(4)

    def work(number: int) -> None:
        ready.wait()
        for step in range(500):
            run.log_metrics({f"m{number}": step}, step=step)
            run.log_params({f"p{number}": step})

    in_threads(*(partial(work, number) for number in range(4)))
    assert len(points(kept)) == 2000
    for number in range(4):
        assert [step for step, values, _ in points(kept) if f"m{number}" in values] == list(range(500))
    assert (run.param_count, sorted(run.metric_names)) == (4, ["m0", "m1", "m2", "m3"])


def test_events_cannot_be_changed(run: Run) -> None:
    with pytest.raises(AttributeError):
        e.ParamsLogged(run.id, {}).run = "other"  # type: ignore[misc]


EVENTS: Iterable[type] = [
    kind for kind in vars(e).values() if isinstance(kind, type) and issubclass(kind, e.Event)
]


def test_every_kind_of_event_has_a_tag_that_the_reader_knows() -> None:
    kinds = set(EVENTS) - {e.Event}
    assert set(e.AnyEvent.__args__) == kinds
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)


def test_a_caller_may_add_to_the_description_of_data(kept: Kept, run: Run) -> None:
    class Matrix:
        pass

    run.log_dataset(
        Matrix(), context="validation", known={"rows": 7, "schema": {"a": "float"}, "password": "hunter2!"}
    )
    [described] = kept.values(e.DatasetLogged)
    assert described.pop("password").startswith("<redacted")
    assert described == {"kind": f"{__name__}.Matrix", "rows": 7, "schema": {"a": "float"}}
