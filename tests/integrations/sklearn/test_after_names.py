"""The promise: a metric means one thing. Whatever is recorded under a name is what was computed of exactly that: the data, the
part of the prediction, the method that made it, the settings, the truth, the weights, the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, r2_score, roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler

import autolog
from autolog import RunRecord
from autolog.testing import Recorded, recorded

X, Y = make_classification(120, 4, n_informative=3, n_redundant=0, flip_y=0.2, random_state=0)
X_test, y_test = make_classification(80, 4, n_informative=3, n_redundant=0, flip_y=0.4, random_state=1)
X_other, y_other = X_test + np.random.RandomState(0).normal(size=X_test.shape), 1 - y_test
WEIGHT = np.random.RandomState(0).uniform(0.1, 3.0, len(X_test))


def measured(record: RunRecord) -> dict[str, float]:
    """What was measured after the training: the name and the last value."""
    return {
        name: metric["last"]
        for name, metric in record.metrics.items()
        if not name.startswith(("training_", "n_iter", "rows"))
    }


def test_targets_of_one_prediction_do_not_share_a_name(seen: Recorded) -> None:
    data, targets = make_regression(100, 5, n_targets=3, noise=50.0, random_state=0)
    model = LinearRegression().fit(data[:50], targets[:50])
    held_out, truth = data[50:], targets[50:]
    predicted = model.predict(held_out)
    expected = {"r2_score_held_out": r2_score(truth, predicted)}
    for column in range(3):
        expected[f"r2_score_held_out_column_{column}"] = r2_score(truth[:, column], predicted[:, column])
    expected["r2_score_held_out_rows_0_25"] = r2_score(truth[:25], predicted[:25])
    assert measured(seen.run) == expected
    assert [seen.run.metrics[name]["part"] for name in list(expected)[1:]] == [
        "[:, 0]",
        "[:, 1]",
        "[:, 2]",
        "[0:25]",
    ]


def test_metrics_with_other_weights_labels_or_methods_do_not_share_a_name(seen: Recorded) -> None:
    model = GaussianNB().fit(X, Y)
    predicted, probabilities = model.predict(X_test), model.predict_proba(X_test)
    expected = {
        "accuracy_score_sample_weight_X_test": accuracy_score(y_test, predicted, sample_weight=WEIGHT),
        "accuracy_score_X_test": accuracy_score(y_test, predicted),
        "accuracy_score_sample_weight_X_test_2": accuracy_score(y_test, predicted, sample_weight=WEIGHT**2),
        "f1_score_macro_X_test": f1_score(y_test, predicted, average="macro"),
        "f1_score_macro_labels_1_X_test": f1_score(y_test, predicted, average="macro", labels=[1]),
        "roc_auc_score_X_test": roc_auc_score(y_test, probabilities[:, 1]),
        "roc_auc_score_X_test_column_0": roc_auc_score(y_test, probabilities[:, 0]),
        "roc_auc_score_X_test_2": roc_auc_score(y_test, predicted),
        "score_X_test": model.score(X_test, y_test),
        "score_sample_weight_X_test": model.score(X_test, y_test, WEIGHT),
    }
    assert measured(seen.run) == expected
    about = seen.run.metrics
    assert about["f1_score_macro_labels_1_X_test"]["settings"] == {"average": "macro", "labels": [1]}
    assert about["score_sample_weight_X_test"]["settings"] == {"sample_weight": "given"}
    assert about["score_X_test"]["data"] == "X_test"


def test_a_helper_that_is_called_for_several_data_tells_them_apart(seen: Recorded) -> None:
    """Right: what the model has learnt is `train`; other data has a number where the variable is another's; again and again."""

    def evaluate(model: Any, features: Any, target: Any) -> tuple[float, float]:
        return accuracy_score(target, model.predict(features)), model.score(features, target)

    scaler = StandardScaler().fit(X)
    model = GaussianNB().fit(scaler.transform(X), Y)
    expected: dict[str, float] = {}
    for _ in range(2):
        for name, data, target in (
            ("train", X, Y),
            ("features", X_test, y_test),
            ("features_2", X_other, y_other),
        ):
            both = evaluate(model, scaler.transform(data), target)
            expected.update({f"accuracy_score_{name}": both[0], f"score_{name}": both[1]})
    assert measured(seen.run) == expected
    assert {
        metric["count"] for name, metric in seen.run.metrics.items() if "score_" in name and name in expected
    } == {2}
    described = [(one["context"], one.get("name")) for one in seen.run.datasets]
    assert described == [("train", None), ("test", "features"), ("test", "features_2")]


def test_metrics_of_another_truth_do_not_share_a_name(seen: Recorded) -> None:
    teacher, student = GaussianNB().fit(X, Y), LogisticRegression().fit(X, Y)
    of_student = student.predict(X_test)
    expected = {
        "accuracy_score_X_test": accuracy_score(y_test, of_student),
        "accuracy_score_X_test_2": accuracy_score(teacher.predict(X_test), of_student),
    }
    assert [measured(run) for run in seen.runs] == [{}, expected]


def test_a_model_that_learns_on_is_one_series(seen: Recorded) -> None:
    """Right: the same data, step by step; and batches that come and go, each before it is learnt."""
    model = SGDClassifier(loss="log_loss", random_state=0)
    on_batches: list[float] = []
    on_test: list[float] = []
    for start in range(0, 120, 30):
        batch, labels = X[start : start + 30].copy(), Y[start : start + 30]
        if start:
            on_batches.append(model.score(batch, labels))
        model.partial_fit(batch, labels, classes=[0, 1])
        on_test.append(accuracy_score(y_test, model.predict(X_test)))
        del batch
    values = {name: [point.value for point in seen.run.history(name)] for name in measured(seen.run)}
    assert values == {"score_batch": on_batches, "accuracy_score_X_test": on_test}


def test_very_many_data_are_steps_of_one_series(seen: Recorded) -> None:
    model = GaussianNB().fit(X, Y)
    for start in range(60):
        model.score(X_test[start : start + 20], y_test[start : start + 20])
    counts = {name: seen.run.metrics[name]["count"] for name in measured(seen.run)}
    assert counts == {"score": 1, **{f"score_{number}": 1 for number in range(2, 21)}, "score_others": 40}


def test_data_that_was_changed_is_other_data(seen: Recorded) -> None:
    model, noisy = GaussianNB().fit(X, Y), X_test.copy()
    first = model.score(noisy, y_test)
    noisy *= -1
    second = model.score(noisy, y_test)
    assert measured(seen.run) == {"score_noisy": first, "score_noisy_2": second}


def test_data_and_truth_that_differ_in_one_cell_do_not_share_a_name(seen: Recorded) -> None:
    """Right: of much data not all is looked at, and none is taken for another for that."""
    large, labels = np.tile(X_test, (500, 1)), np.tile(y_test, 500)
    changed, wrong = large.copy(), labels.copy()
    changed[12_345, 1], wrong[12_345] = 1e9, 1 - wrong[12_345]
    model = GaussianNB().fit(X, Y)
    predicted = model.predict(large)
    expected = {
        "accuracy_score_large": accuracy_score(labels, predicted),
        "accuracy_score_large_2": accuracy_score(wrong, predicted),
        "score_changed": model.score(changed, labels),
        "score_large": model.score(large, labels),
    }
    model.score(large, labels)
    assert measured(seen.run) == expected
    assert seen.run.metrics["score_large"]["count"] == 2


def test_validation_data_is_known_and_no_test_set(seen: Recorded) -> None:
    pytest.importorskip("sklearn", minversion="1.7")
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=3, early_stopping=True).fit(
        X, Y, X_val=X_test, y_val=y_test
    )
    value = model.score(X_test, y_test)
    assert measured(seen.run)["score_validation"] == value
    assert [one["context"] for one in seen.run.datasets] == ["train", "validation"]


# -- whatever a script does

METRICS = ("accuracy_score", "f1_score", "mean_absolute_error", "log_loss", "roc_auc_score")
DATA = {"X": (X, Y), "X_test": (X_test, y_test), "X_other": (X_other, y_other)}
PARTS: dict[str, Callable[[Any], Any]] = {
    "all": lambda values: values, "head": lambda values: values[:40], "rest": lambda values: values[40:],
    "every": lambda values: values[::2], "back": lambda values: values[::-1],
}  # fmt: skip
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "accuracy_score": [{}, {"normalize": False}],
    "f1_score": [{}, {"average": "macro"}, {"average": "macro", "labels": [0]}, {"pos_label": 0}],
    "mean_absolute_error": [{}],
    "log_loss": [{}, {"labels": [0, 1]}],
    "roc_auc_score": [{}],
}
STEP = st.tuples(
    st.sampled_from(["metric", "helper", "score"]), st.integers(0, 1), st.sampled_from(sorted(DATA)),
    st.sampled_from(METRICS), st.sampled_from(sorted(PARTS)), st.integers(0, 3), st.booleans(), st.booleans(),
    st.booleans(),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, min_size=2, max_size=14))
def test_a_name_is_one_quantity(steps: list[Any]) -> None:
    """Right: of whatever is measured in whatever order, each name holds the values that were computed for one thing.

    Slow: each of up to forty examples records a training and its measurements.
    """

    def helper(model: Any, how: str, data: Any) -> Any:
        return getattr(model, how)(data)

    with recorded("sklearn") as seen:
        models = [GaussianNB().fit(X, Y), LogisticRegression().fit(X, Y)]
        computed: list[dict[Any, list[float]]] = [{}, {}]
        for what, which, data, name, part, setting, weighted, copied, swapped in steps:
            model, (inputs, truth) = models[which], DATA[data]
            truth = 1 - truth if swapped else truth
            rows = PARTS[part]
            weight = rows(np.linspace(0.5, 2.0, len(truth))) if weighted else None
            inputs = inputs.copy() if copied else inputs
            if what == "score":
                value = model.score(rows(inputs), rows(truth), weight)
                key: Any = ("score", data, part, swapped, weighted)
            else:
                how = "predict_proba" if name in ("log_loss", "roc_auc_score") else "predict"
                predicted = helper(model, how, inputs) if what == "helper" else getattr(model, how)(inputs)
                predicted = predicted[:, 1] if name == "roc_auc_score" else predicted
                given_ = SETTINGS[name][setting % len(SETTINGS[name])]
                extra = {**given_, **({"sample_weight": weight} if weighted else {})}
                value = getattr(metrics, name)(rows(truth), rows(predicted), **extra)
                key = (name, data, part, repr(given_), swapped, weighted)
            computed[which].setdefault(key, []).append(value)
        for run, expected in zip(seen.runs, computed, strict=True):
            assert run.errors == []
            recorded_ = sorted([point.value for point in run.history(name)] for name in measured(run))
            assert recorded_ == sorted(expected.values())


def test_metrics_of_two_unknown_models_do_not_share_a_name(seen: Recorded) -> None:
    with autolog.suspended():
        one, two = GaussianNB().fit(X, Y), LogisticRegression().fit(X, Y)
    with autolog.run("evaluation"):
        expected = {"score_X_test": one.score(X_test, y_test), "score_X_test_2": two.score(X_test, y_test)}
    assert measured(seen.run) == expected
