"""The promise: every training of LightGBM's is one complete run, in the words of LightGBM; nothing is invented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from lightgbm_small import API, BINARY, QUIET, V, W, X, Y

import autolog
from autolog import RunRecord
from autolog.testing import Recorded, recorded

Series = Callable[[RunRecord, str], list[tuple[int, float]]]
Last = Callable[[RunRecord], dict[str, Any]]
MODEL = ["model/MLmodel", "model/conda.yaml", "model/python_env.yaml", "model/requirements.txt"]


def test_a_training_is_one_complete_run(
    seen: Recorded, visible: Callable[[RunRecord], dict[str, Any]], series: Series
) -> None:
    """Complete: params, resolved rounds, every round of every set, early stopping, importances, data, model; nothing else."""
    evaluated: dict[str, Any] = {}
    train = lgb.Dataset(X, Y, feature_name=["a", "b", "c", "d"])
    valid = lgb.Dataset(V, W, reference=train)
    booster = lgb.train(
        {**BINARY, "n_iter": 40, "early_stopping_round": 3, "metric": ["auc", "binary_logloss"]}, train,
        valid_sets=[train, valid], valid_names=["seen", "held out"], callbacks=[lgb.record_evaluation(evaluated)],
    )  # fmt: skip
    ran = len(evaluated["seen"]["auc"])
    best = {f"best_score_{s}-{m}": v for s, metrics in booster.best_score.items() for m, v in metrics.items()}
    assert ran < 40
    assert visible(seen.run) == {
        "experiment": "default", "status": "finished", "framework": "lightgbm", "kind": "train",
        "estimator": "lightgbm.basic.Booster",
        "params": {**BINARY, "n_iter": 40, "num_boost_round": 40, "early_stopping_round": 3,
                   "metric": ["auc", "binary_logloss"]},
        "metrics": {
            **{f"{s}-{m}": v[-1] for s, metrics in evaluated.items() for m, v in metrics.items()}, **best,
            "best_iteration": booster.best_iteration, "stopped_iteration": ran,
        },
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": "train", "kind": "numpy.ndarray", "rows": 120, "columns": 4, "dtype": "float64",
             "target": {"kind": "numpy.ndarray", "rows": 120, "dtype": "int64"}},
            {"context": "validation", "name": "held out", "kind": "numpy.ndarray", "rows": 60, "columns": 4,
             "dtype": "float64", "target": {"kind": "numpy.ndarray", "rows": 60, "dtype": "int64"}},
        ],
        "artifacts": sorted(["feature_importances.json", *MODEL, "model/model.lgb"]),
        "models": [("model", "lightgbm")],
    }  # fmt: skip
    for name, metrics in evaluated.items():
        for metric, values in metrics.items():
            assert series(seen.run, f"{name}-{metric}") == list(enumerate(values))


def test_importances_are_kept_by_feature(seen: Recorded, artifact: Callable[[RunRecord, str], Any]) -> None:
    booster = lgb.train(
        {**BINARY, "num_boost_round": 3}, lgb.Dataset(X, Y, feature_name=["a", "b", "c", "d"])
    )
    assert artifact(seen.run, "feature_importances") == {
        "features": ["a", "b", "c", "d"], "of": 4,
        "gain": booster.feature_importance("gain").tolist(), "split": booster.feature_importance("split").tolist(),
    }  # fmt: skip


def test_without_a_validation_set_there_are_no_metrics(seen: Recorded) -> None:
    lgb.train(BINARY, lgb.Dataset(X, Y), num_boost_round=2)
    lgb.LGBMClassifier(n_estimators=2, **API).fit(X, Y)
    assert [run.metrics for run in seen.runs] == [{}, {}]
    assert seen.runs[0].params == {**BINARY, "num_boost_round": 2}


@pytest.mark.parametrize("alias", ["num_iterations", "n_iter", "num_trees", "n_estimators", "nrounds", None])
def test_the_number_of_rounds_is_known_under_every_alias(seen: Recorded, alias: str | None) -> None:
    given = {} if alias is None else {alias: 3}
    lgb.train({**BINARY, **given}, lgb.Dataset(X, Y), *([] if alias else [3]))
    assert seen.run.params == {**BINARY, **given, "num_boost_round": 3}


def test_every_name_of_train_and_cv_is_recorded(seen: Recorded) -> None:
    for train in (lgb.train, lgb.engine.train, lgb.sklearn.train):
        train(BINARY, lgb.Dataset(X, Y), 1)
    for cv in (lgb.cv, lgb.engine.cv):
        cv(BINARY, lgb.Dataset(X, Y), 1, nfold=2)
    assert [run.kind for run in seen.runs] == ["train"] * 3 + ["cv"] * 2


# -- early stopping in every form


def stopped(seen: Recorded, last: Last, booster: lgb.Booster, ran: int) -> None:
    """The run says when it stopped, and which round was best, with its scores."""
    shown = last(seen.run)
    assert shown["best_iteration"] == booster.best_iteration
    assert shown["stopped_iteration"] == ran == len(seen.run.history("valid_0-binary_logloss"))
    assert shown["best_score_valid_0-binary_logloss"] == booster.best_score["valid_0"]["binary_logloss"]


FORMS = {
    "a param": ({"early_stopping_round": 3}, []),
    "an alias": ({"n_iter_no_change": 3}, []),
    "a callback": ({}, [lambda: lgb.early_stopping(3, verbose=False)]),
    "a callback beside others": (
        {},
        [lambda: lgb.record_evaluation({}), lambda: lgb.early_stopping(3, verbose=False)],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_early_stopping_is_recorded_in_every_form(seen: Recorded, last: Last, form: str) -> None:
    """Complete: the last round that was run is there too, although LightGBM ends the training from a callback."""
    params, callbacks = FORMS[form]
    booster = lgb.train(
        {**BINARY, **params},
        lgb.Dataset(X, Y),
        50,
        valid_sets=[lgb.Dataset(V, W)],
        callbacks=[c() for c in callbacks],
    )
    stopped(seen, last, booster, booster.best_iteration + 3)
    assert seen.run.params[next(iter(params), "early_stopping_round")] == 3


@pytest.mark.parametrize("form", FORMS)
def test_early_stopping_of_an_estimator_is_recorded_in_every_form(
    seen: Recorded, last: Last, form: str
) -> None:
    params, callbacks = FORMS[form]
    model = lgb.LGBMClassifier(n_estimators=50, **API, **params).fit(
        X, Y, eval_set=[(V, W)], callbacks=[c() for c in callbacks]
    )
    stopped(seen, last, model.booster_, model.best_iteration_ + 3)


def test_a_training_that_a_callback_stops_has_finished(seen: Recorded, last: Last) -> None:
    """Complete: whoever raises LightGBM's EarlyStopException, and however early it is called."""

    def stop(env: Any) -> None:
        if env.iteration == 4:
            raise lgb.callback.EarlyStopException(2, env.evaluation_result_list)

    stop.order = -1_000  # type: ignore[attr-defined]
    lgb.train(BINARY, lgb.Dataset(X, Y), 50, valid_sets=[lgb.Dataset(V, W)], callbacks=[stop])
    shown = last(seen.run)
    assert (shown["best_iteration"], shown["stopped_iteration"]) == (3, 5)
    assert len(seen.run.history("valid_0-binary_logloss")) == 5


def test_there_is_no_stopped_iteration_if_all_rounds_were_run(seen: Recorded, last: Last) -> None:
    lgb.train({**BINARY, "early_stopping_round": 5}, lgb.Dataset(X, Y), 6, valid_sets=[lgb.Dataset(X, Y)])
    shown = last(seen.run)
    assert shown["best_iteration"] == 6
    assert "stopped_iteration" not in shown


def test_a_continued_training_goes_on_counting_rounds(seen: Recorded, series: Series) -> None:
    first = lgb.train(BINARY, lgb.Dataset(X, Y), 3)
    lgb.train(BINARY, lgb.Dataset(X, Y), 2, valid_sets=[lgb.Dataset(V, W)], init_model=first)
    assert [step for step, _ in series(seen.runs[1], "valid_0-binary_logloss")] == [3, 4]
    assert seen.runs[1].params["num_boost_round"] == 2


# -- custom objectives and metrics


def squares(predicted: Any, data: Any) -> tuple[Any, Any]:
    return predicted - data.get_label(), np.ones_like(predicted)


def spread(predicted: Any, data: Any) -> tuple[str, float, bool]:
    return "spread", float(np.ptp(predicted)), True


def test_custom_metrics_and_objectives_are_recorded(seen: Recorded, series: Series) -> None:
    """Complete: a metric of the user's is one of the round's, and functions are params by their names."""
    evaluated: dict[str, Any] = {}
    lgb.train(
        {**QUIET, "objective": squares, "metric": "l2"}, lgb.Dataset(X, Y), 3, valid_sets=[lgb.Dataset(V, W)],
        feval=[spread], callbacks=[lgb.record_evaluation(evaluated)],
    )  # fmt: skip
    for metric in ("l2", "spread"):
        assert series(seen.run, f"valid_0-{metric}") == list(enumerate(evaluated["valid_0"][metric]))
    assert "squares" in seen.run.params["objective"]
    assert "spread" in str(seen.run.params["feval"])


# -- cross-validation


def test_a_cross_validation_is_one_run_with_mean_and_spread_of_each_round(
    seen: Recorded, visible: Callable[[RunRecord], dict[str, Any]], series: Series
) -> None:
    """Complete: as LightGBM returns them, also those after the best round, which it cuts off."""
    results = lgb.cv(
        {**BINARY, "metric": "binary_logloss", "early_stopping_round": 2, "learning_rate": 1.0}, lgb.Dataset(X, Y), 30,
        nfold=3, eval_train_metric=True, seed=1,
    )  # fmt: skip
    shown = visible(seen.run)
    assert shown["params"] == {
        **BINARY, "metric": "binary_logloss", "early_stopping_round": 2, "learning_rate": 1.0, "num_boost_round": 30,
        "nfold": 3, "eval_train_metric": True, "seed": 1,
    }  # fmt: skip
    best = len(results["valid binary_logloss-mean"])
    names = {name.replace(" ", "-"): values for name, values in results.items()}
    for name, values in names.items():
        assert series(seen.run, name)[:best] == list(enumerate(values))
        assert len(series(seen.run, name)) == best + 2
        assert shown["metrics"].pop(f"best_score_{name}") == values[-1]
    assert shown["metrics"].pop("best_iteration") == best
    assert shown["metrics"].pop("stopped_iteration") == best + 2
    assert set(shown["metrics"]) == set(names)
    assert (shown["kind"], shown["models"], len(seen.all_runs)) == ("cv", [], 1)


# -- the scikit-learn API


class Own(lgb.LGBMRegressor):
    """A user's subclass, with a `fit` of its own."""

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        return super().fit(*args, **kwargs)


def test_every_estimator_is_one_run(seen: Recorded) -> None:
    """Complete, once: the training inside is part of the run; users' subclasses too."""
    groups = {"group": [60, 60]}
    for model, more in (
        (lgb.LGBMClassifier(n_estimators=1, **API), {}), (lgb.LGBMRegressor(n_estimators=1, **API), {}),
        (lgb.LGBMRanker(n_estimators=1, **API), groups), (lgb.LGBMModel(n_estimators=1, objective="l2", **API), {}),
        (Own(n_estimators=1, **API), {}),
    ):  # fmt: skip
        assert model.fit(X, Y, **more) is model
    assert [(run.framework, run.kind, run.estimator) for run in seen.all_runs] == [
        ("lightgbm", "fit", f"lightgbm.sklearn.LGBM{kind}")
        for kind in ("Classifier", "Regressor", "Ranker", "Model")
    ] + [("lightgbm", "fit", f"{__name__}.Own")]
    assert seen.runs[2].params["fit.group"] == "given"


def test_a_fit_of_an_estimator_is_one_complete_run(
    seen: Recorded, visible: Callable[[RunRecord], dict[str, Any]]
) -> None:
    model = lgb.LGBMClassifier(n_estimators=4, metric="auc", **API)
    model.fit(X, Y, sample_weight=np.ones(120), eval_set=[(X, Y), (V, W)], eval_names=["same", "other"])
    shown = visible(seen.run)
    assert shown["params"] == {
        **model.get_params(), "num_boost_round": 4, "fit.sample_weight": "given", "fit.eval_names": ["same", "other"],
    }  # fmt: skip
    assert shown["metrics"] == {f"{s}-auc": model.evals_result_[s]["auc"][-1] for s in ("same", "other")}
    assert [(one["context"], one.get("name")) for one in shown["datasets"]] == [
        ("train", None),
        ("validation", "other"),
    ]
    assert shown["artifacts"] == sorted(["feature_importances.json", *MODEL, "model/model.pkl"])


# -- what is measured afterwards


def test_labels_made_of_a_prediction_are_that_prediction(seen_both: Recorded, last: Last) -> None:
    """Complete: a threshold, in whichever form, is one quantity; what differs from it has another name. In a block, too."""
    from sklearn.metrics import accuracy_score, f1_score, mean_squared_error, r2_score

    booster = lgb.train(BINARY, lgb.Dataset(X, Y), 3)
    p = booster.predict(V)
    accuracy = {
        accuracy_score(W, labels)
        for labels in (p > 0.5, (p > 0.5).astype(int), np.round(p), booster.predict(V) > 0.5)
    }
    f1, of_labels, of_p = f1_score(W, p > 0.5), mean_squared_error(W, np.round(p)), mean_squared_error(W, p)
    accuracy_score(W, p > 0.123)  # nobody knows of which prediction
    with autolog.run("block"):
        lgb.train(BINARY, lgb.Dataset(X, Y), 4)
        multi = lgb.LGBMClassifier(n_estimators=3, **API).fit(X, Y + (X[:, 0] > 1))
        r2 = r2_score(W, multi.predict_proba(V).argmax(1))
    first, block = seen_both.runs
    assert last(first) == {
        "accuracy_score_V": accuracy.pop(), "f1_score_V": f1, "mean_squared_error_V": of_labels,
        "mean_squared_error_V_2": of_p,
    }  # fmt: skip
    assert (accuracy, first.metrics["accuracy_score_V"]["part"]) == (set(), "labels")
    assert last(block.children[0])["r2_score_V"] == r2


def test_equal_labels_of_different_data_belong_to_neither(seen_both: Recorded, last: Last) -> None:
    """Nothing wrong: a number of one data set is not recorded as another's. A cell that is run again has its number again."""
    from sklearn.metrics import accuracy_score

    accuracies: list[dict[str, float]] = []
    for _ in range(2):
        booster = lgb.train(BINARY, lgb.Dataset(X, Y), 3)
        accuracies.append({"accuracy_score_V": accuracy_score(W, booster.predict(V) > 0.5)})
    p, same_labels = booster.predict(V), booster.predict(V + 1e-12)
    assert ((p > 0.5) == (same_labels > 0.5)).all()
    accuracy_score(W[::-1], p > 0.5)
    accuracy_score(W[::-1], same_labels > 0.5)
    assert [last(run) for run in seen_both.runs] == accuracies


def test_scikit_learns_metrics_of_predictions_belong_to_the_run(seen_both: Recorded, last: Last) -> None:
    from sklearn.metrics import accuracy_score, roc_auc_score

    booster = lgb.train(BINARY, lgb.Dataset(X, Y), 3)
    auc = roc_auc_score(W, booster.predict(V))
    model = lgb.LGBMClassifier(n_estimators=3, **API).fit(X, Y)
    accuracy = accuracy_score(W, model.predict(V))
    score = model.score(V, W)
    proba = roc_auc_score(W, model.predict_proba(V)[:, 1])
    first, second = seen_both.runs
    assert last(first) == {"roc_auc_score_V": auc}
    assert last(second) == {"accuracy_score_V": accuracy, "score_V": score, "roc_auc_score_V": proba}
    assert [one["context"] for one in first.datasets] == ["train", "test"]
    assert [one["context"] for one in second.datasets] == ["train", "test"]


def test_the_training_data_is_no_test_set(seen_both: Recorded) -> None:
    from sklearn.metrics import roc_auc_score

    booster = lgb.train(BINARY, lgb.Dataset(X, Y), 3)
    roc_auc_score(Y, booster.predict(X))
    assert [one["context"] for one in seen_both.run.datasets] == ["train"]


# -- options


def test_models_and_data_are_left_out_where_they_are_not_wanted_or_too_large(own_key: None) -> None:
    with recorded("lightgbm", log_models=False, log_datasets=False) as seen:
        lgb.train(BINARY, lgb.Dataset(X, Y), 1, valid_sets=[lgb.Dataset(V, W)])
        lgb.LGBMClassifier(n_estimators=1, **API).fit(X, Y)
        lgb.cv(BINARY, lgb.Dataset(X, Y), 1, nfold=2)
    assert [(run.datasets, run.models) for run in seen.runs] == [([], [])] * 3
    with recorded("lightgbm", max_model_bytes=100) as seen:
        lgb.train(BINARY, lgb.Dataset(X, Y), 1)
    assert seen.run.models == []
    assert "larger than the limit" in seen.run.notes[0]
