"""The promise: which models are kept is what was asked for, and the run says why one is not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolog.instrument.timer import OverheadTimer
from autolog.models import errors, flavors
from autolog.models.example import NoExample, example_of
from autolog.models.types import Captured
from autolog.recording.models import ModelSaver
from autolog.store.layout import Layout
from autolog.tracking.events import Event, ModelLogged, NoteLogged
from autolog.tracking.metrics import guess, primary_metric
from autolog.tracking.run import Run


class Here:
    """What saving asks of a client: one integration with these options; the work is done at once."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.layout = Layout(root)
        self.timer = OverheadTimer()
        self.active = True
        self.options = SimpleNamespace(
            **{
                "log_models": True,
                "log_signatures": True,
                "log_input_examples": False,
                "max_model_bytes": None,
                **options,
            }
        )
        self.events: list[Event] = []
        self.save_model = ModelSaver(self, self.options_of).save  # pyright: ignore[reportArgumentType]

    def options_of(self, name: str | None) -> Any:
        return self.options if name == "toy" else None

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def defer(self, work: Any) -> None:
        self.events.extend(work())

    def train(
        self, name: str, experiment: str = "default", directions: Any = (), kept: Any = (), **metrics: float
    ) -> Run:
        """A run with these metrics, and its model saved at its end."""
        run = Run(self, name, experiment)  # pyright: ignore[reportArgumentType]
        run.framework, run.estimator = "toy", "toy.Slope"
        run.log_metrics(metrics)
        run.describe_metrics(dict(directions), values=dict(kept))
        run.save_model(name.encode(), "toy")
        return run

    def kept(self) -> list[str]:
        """The names of the runs whose models were saved."""
        folders = [self.layout.artifacts_of(event.run) for event in self.events if type(event) is ModelLogged]
        return [(folder / "model" / "model.bin").read_text() for folder in folders]

    def notes(self) -> list[str]:
        return [event.text for event in self.events if type(event) is NoteLogged]


def capture(model: bytes, staging: Any, model_format: str | None) -> Captured:
    staging.open("model.bin").write(model)
    return Captured({}, None, frozenset())


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flavor that saves bytes."""
    found = flavors.find
    monkeypatch.setattr(
        "autolog.models.capture.find", lambda name: SimpleNamespace(capture=capture) if name == "toy" else found(name)
    )  # fmt: skip


def test_the_best_model_so_far_is_kept(tmp_path: Path) -> None:
    """By the validation loss, whichever other metrics there are; the others say which run was better."""
    here = Here(tmp_path, log_models="best")
    for number, (loss, accuracy) in enumerate([(0.5, 0.1), (0.7, 0.9), (0.4, 0.2), (0.4, 0.3), (0.3, 0.0)]):
        here.train(f"r{number}", loss=1.0, val_accuracy=accuracy, val_loss=loss)
    assert here.kept() == ["r0", "r2", "r4"]
    assert here.notes() == [
        "The model was not saved: r0 has a better val_loss, 0.5 beside 0.7",
        "The model was not saved: r2 has a better val_loss, 0.4 beside 0.4",
    ]


def test_the_name_of_a_metric_says_which_value_is_better(tmp_path: Path) -> None:
    here = Here(tmp_path, log_models="best")
    for name, auc in (("low", 0.6), ("high", 0.8), ("lower", 0.5)):
        here.train(name, **{"valid_0-auc": auc})
    assert here.kept() == ["low", "high"]


def test_a_stated_direction_wins_over_the_metrics_name(tmp_path: Path) -> None:
    """Where it is stated to be unknown, every model is kept."""
    here = Here(tmp_path, log_models="best")
    for name, value in (("good", 0.6), ("bad", 0.8)):
        here.train(name, directions={"val_accuracy": "lower"}, val_accuracy=value)
    for name, value in (("one", 0.6), ("two", 0.8)):
        here.train(name, "another", directions={"val_loss": None}, val_loss=value)
    assert here.kept() == ["good", "one", "two"]


def test_a_model_is_judged_by_its_own_value(tmp_path: Path) -> None:
    """With early stopping, that of the best round: the last one is another model's."""
    here = Here(tmp_path, log_models="best")
    here.train("good", kept={"val_loss": 0.2}, val_loss=0.9)
    here.train("bad", kept={"val_loss": 0.3}, val_loss=0.4)
    assert here.kept() == ["good"]
    assert here.notes() == ["The model was not saved: good has a better val_loss, 0.2 beside 0.3"]


def test_models_are_compared_within_an_experiment(tmp_path: Path) -> None:
    here = Here(tmp_path, log_models="best")
    here.train("a", val_loss=0.1)
    here.train("b", "another", val_loss=0.2)
    assert here.kept() == ["a", "b"]


@pytest.mark.parametrize(
    "metrics", [{}, {"loss": 0.5, "training_score": 0.5}, {"val_loss": float("nan")}, {"val_x": 1.0}]
)
def test_without_a_validation_metric_every_model_is_kept(tmp_path: Path, metrics: dict[str, float]) -> None:
    here = Here(tmp_path, log_models="best")
    for name in "ab":
        here.train(name, **metrics)
    assert (here.kept(), here.notes()) == (["a", "b"], [])


def test_a_model_that_is_logged_by_hand_is_kept(tmp_path: Path) -> None:
    here = Here(tmp_path, log_models="best")
    here.train("good", val_loss=0.1)
    here.train("bad", val_loss=0.2).log_model(b"by hand", flavor="toy")
    assert here.kept() == ["good", "by hand"]


def test_a_run_that_goes_on_replaces_its_own_best_model(tmp_path: Path) -> None:
    here = Here(tmp_path, log_models="best")
    run = here.train("one", val_loss=0.1)
    run.log_metrics({"val_loss": 0.2})
    run.save_model(b"later", "toy")
    assert here.notes() == []
    assert here.kept() == ["later", "later"]  # one folder, saved twice


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        (["loss", "val_acc", "val_loss"], "val_loss"),
        (["train-auc", "eval-auc", "eval-error"], "eval-auc"),
        (["training_score", "best_cv_score"], "best_cv_score"),
        (["validation_0-logloss"], "validation_0-logloss"),
        (["valid/loss"], "valid/loss"),
        (["interval_loss", "latest_loss", "training_log_loss"], None),
        (["val_time", "val_mean", "mean_score_time_test"], None),
        ([], None),
    ],
)
def test_models_are_compared_by_data_that_they_were_not_trained_on(
    metrics: list[str], chosen: str | None
) -> None:
    assert primary_metric(metrics) == chosen


@given(st.lists(st.text(max_size=10)))
def test_metrics_of_any_names_can_be_compared(names: list[str]) -> None:
    chosen = primary_metric(names)
    assert chosen is None or (chosen in names and guess(chosen) is not None)


# -- examples of the input


def test_an_example_of_a_frame_is_its_first_rows() -> None:
    """In the words of the serving tools, with nothing where values are missing."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "n": [1, 2, 3, 4, 5, 6],
            "x": [0.5, float("nan"), float("inf"), 1.5, 2.5, 3.5],
            "nullable": pd.array([1, None, 3, 4, 5, 6], dtype="Int64"),
            "city": pd.Categorical(["Rome", None, "Oslo", "Oslo", "Oslo", "Oslo"]),
            "when": pd.to_datetime(["2026-01-01", None] + ["2026-01-02"] * 4),
            "raw": [b"a"] * 6,
        }
    )
    info, files = example_of(frame)
    content = json.loads(files["input_example.json"])
    assert info == {
        "artifact_path": "input_example.json", "serving_input_path": "serving_input_example.json", "type": "dataframe",
        "pandas_orient": "split",
    }  # fmt: skip
    assert content["columns"] == list(frame.columns)
    assert content["data"][:2] == [
        [1, 0.5, 1, "Rome", "2026-01-01T00:00:00", "YQ=="],
        [2, None, None, None, None, "YQ=="],
    ]
    assert len(content["data"]) == 5
    assert json.loads(files["serving_input_example.json"]) == {"dataframe_split": content}


def test_an_example_of_an_array_is_its_first_rows() -> None:
    np = pytest.importorskip("numpy")
    array = np.arange(12, dtype="float32").reshape(6, 2)
    info, files = example_of(array)
    assert info["type"] == "ndarray"
    assert json.loads(files["input_example.json"]) == array[:5].tolist()
    _, files = example_of({"a": array, "b": array[:, 0]})
    assert json.loads(files["serving_input_example.json"]) == {
        "inputs": {"a": array[:5].tolist(), "b": [0, 2, 4, 6, 8]}
    }


@pytest.mark.parametrize("data", [None, [1, 2], "text", {}, {"a": [1]}, object()])
def test_other_data_has_no_example(data: Any) -> None:
    with pytest.raises(NoExample):
        example_of(data)


def test_an_example_is_saved_on_request_only(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    folders: list[Path] = []
    for wanted in (False, True):
        here = Here(tmp_path / str(wanted), log_input_examples=wanted)
        run = here.train("x")
        run.save_model(b"x", "toy", data=np.ones((9, 2)))
        folders.append(here.layout.artifacts_of(run.id) / "model")
    names = [{path.name for path in folder.iterdir()} for folder in folders]
    assert names[1] - names[0] == {"input_example.json", "serving_input_example.json"}
    assert json.loads((folders[1] / "input_example.json").read_text()) == [[1.0, 1.0]] * 5


def test_an_unknown_flavor_is_an_error_of_log_model(tmp_path: Path) -> None:
    with pytest.raises(errors.ModelError, match="there is no model flavor 'nonsense'"):
        Here(tmp_path).train("x").log_model(b"", flavor="nonsense")
