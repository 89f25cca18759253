"""The promise: whatever data scikit-learn takes is described, and left alone; and each option does what it says, no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

pd = pytest.importorskip("pandas")

X, Y = make_classification(80, 3, n_informative=2, n_redundant=0, random_state=0)

DATA: dict[str, tuple[Callable[[], tuple[Any, Any]], dict[str, Any]]] = {
    "numpy": (
        lambda: (X.astype(np.float32), Y),
        {"kind": "numpy.ndarray", "rows": 80, "columns": 3, "dtype": "float32", "target": ("numpy.ndarray", 80)},
    ),
    "pandas": (
        lambda: (pd.DataFrame(X, columns=["a", "b", "c"]), pd.Series(Y)),
        {"kind": "pandas.DataFrame", "rows": 80, "columns": 3, "schema": {"a": "float64", "b": "float64", "c": "float64"},
         "target": ("pandas.Series", 80)},
    ),
    "sparse matrix": (
        lambda: (sparse.csc_matrix(X), Y),
        {"kind": "scipy.csc_matrix", "rows": 80, "columns": 3, "sparse": "csc", "stored": 240, "dtype": "float64",
         "target": ("numpy.ndarray", 80)},
    ),
    "lists": (
        lambda: (X.tolist(), Y.tolist()),
        {"kind": "list", "rows": 80, "columns": 3, "target": ("list", 80)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_the_data_is_described_and_left_as_it_was(seen: Recorded, name: str) -> None:
    """Complete and transparent: kind, shape, columns, types, and a digest that the same data has again."""
    make, expected = DATA[name]
    data, target = make()
    before = joblib.hash((data, target))
    LogisticRegression().fit(data, target)
    LogisticRegression().fit(*make())
    LogisticRegression().fit(data, target[::-1])
    assert joblib.hash((data, target)) == before
    first, again, other = (run.datasets[0] for run in seen.runs)
    assert first["digest"] == again["digest"] != other["digest"]
    said = {key: value for key, value in first.items() if key not in ("digest", "context")}
    said["target"] = said["target"]["kind"], said["target"]["rows"]
    assert said == expected


def test_polars_frames_are_described(seen: Recorded) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(X, schema=["a", "b", "c"])
    GaussianNB().fit(frame, Y)
    described = seen.run.datasets[0]
    assert (described["kind"], described["rows"], described["columns"]) == ("polars.DataFrame", 80, 3)
    assert described["schema"] == {"a": "Float64", "b": "Float64", "c": "Float64"}
    assert seen.run.metrics["training_score"]["count"] == 1


def test_lists_of_texts_are_described_without_their_words(seen: Recorded) -> None:
    texts = ["Muncaster prefers", "nothing at all"] * 10
    make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, [0, 1] * 10)
    described = {key: value for key, value in seen.run.datasets[0].items() if key != "digest"}
    assert described == {
        "context": "train",
        "kind": "list",
        "rows": 20,
        "target": {"kind": "list", "rows": 20},
    }


validation = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7), reason="X_val came with scikit-learn 1.7"
)


@validation
def test_validation_data_is_described(seen: Recorded) -> None:
    HistGradientBoostingClassifier(max_iter=3, early_stopping=True).fit(X, Y, X_val=X[:20], y_val=Y[:20])
    assert [(d["context"], d["rows"], d["target"]["rows"]) for d in seen.run.datasets] == [
        ("train", 80, 80), ("validation", 20, 20),
    ]  # fmt: skip
    assert [name for name in seen.run.params if name.startswith("fit.")] == []


# -- options


def contents(record: RunRecord) -> set[str]:
    """What kinds of things a record has."""
    found = {
        "datasets": record.datasets,
        "models": record.models,
        "params": record.params,
        "metrics": record.metrics,
    }
    return {name for name, value in found.items() if value}


@pytest.mark.parametrize(
    ("option", "missing"),
    [("log_models", "models"), ("log_datasets", "datasets"), ("log_training_metrics", "metrics")],
)
def test_what_is_switched_off_is_not_recorded(seen: Recorded, option: str, missing: str) -> None:
    """Each option takes away its own part, for fits, searches and online trainings; the rest stays."""
    autolog.enable("sklearn", **{option: False})
    model = GaussianNB().fit(X, Y)
    if missing == "datasets":
        model.score(X[:40], Y[:40])
    GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9]}, cv=2).fit(X, Y)
    SGDClassifier().partial_fit(X, Y, classes=[0, 1])
    cross_val_score(GaussianNB(), X, Y, cv=2)
    everything = {"datasets", "models", "params", "metrics"}
    fit, search, online, validated = (contents(run) for run in seen.runs)
    assert fit == everything - {missing}
    assert search == online == everything - ({missing} - {"metrics"})
    assert validated == everything - {"models", missing} | {"metrics"}
    if missing == "models":
        assert [run.notes for run in seen.runs] == [[]] * 4


@pytest.mark.parametrize("wanted", [True, False])
def test_log_signatures_false_leaves_signatures_out(seen: Recorded, wanted: bool) -> None:
    autolog.enable("sklearn", log_signatures=wanted)
    GaussianNB().fit(X, Y)
    said = json.loads((seen.run.folder / "model" / "MLmodel").read_text())
    assert bool(said.get("signature")) == wanted


def test_models_can_be_saved_as_skops(seen: Recorded) -> None:
    pytest.importorskip("skops")
    autolog.enable("sklearn", model_format="skops")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    assert "model/model.skops" in [artifact["path"] for artifact in seen.run.artifacts]
    assert (autolog.load_model(seen.run).predict(X) == model.predict(X)).all()


def test_a_model_that_is_too_large_is_not_saved_and_the_run_says_so(seen: Recorded) -> None:
    autolog.enable("sklearn", max_model_bytes=100)
    GaussianNB().fit(X, Y)
    assert (seen.run.models, seen.run.status, seen.run.errors) == ([], "finished", [])
    assert len(seen.run.notes) == 1
    assert seen.run.notes[0].startswith("The model was not saved:")


def test_a_model_that_cannot_be_pickled_is_not_saved_and_the_run_says_so(seen: Recorded) -> None:
    import threading

    model = GaussianNB()
    model.lock = threading.Lock()
    model.fit(X, Y)
    assert (seen.run.models, seen.run.status, seen.run.errors) == ([], "finished", [])
    assert "lock" in seen.run.notes[0]


def test_a_wrong_option_is_an_error_that_suggests_the_nearest_one() -> None:
    from autolog.testing import recorded

    with recorded("sklearn"):
        with pytest.raises(ValueError, match="Did you mean 'log_training_metrics'"):
            autolog.enable("sklearn", log_training_metric=True)
        with pytest.raises(ValueError, match="model_format"):
            autolog.enable("sklearn", model_format="onnx")
        with pytest.raises(ValueError, match="log_training_metrics"):
            autolog.enable("sklearn", log_training_metrics="sometimes")


@pytest.mark.parametrize(("text", "scored"), [("always", True), ("1", True), ("false", False), ("0", False)])
def test_options_can_come_from_the_environment(tmp_path: Any, text: str, scored: bool) -> None:
    from autolog.manager import make_options
    from autolog_sklearn import SklearnOptions

    options = make_options(SklearnOptions, {"log_training_metrics": text})
    assert bool(options.log_training_metrics) == scored
    assert (options.log_training_metrics == "always") == (text == "always")
