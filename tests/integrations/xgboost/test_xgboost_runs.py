"""The promise: every training with XGBoost is one complete run, with each round of each eval set, in the run it belongs to."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from data import TEST_X, TEST_Y, THREE, X, Y
from helpers import in_threads
from packaging.version import Version
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog
from autolog import RunRecord
from autolog.testing import Recorded, recorded

Last = Callable[[RunRecord], dict[str, Any]]
Series = Callable[[RunRecord, str], list[tuple[int, float]]]
Visible = Callable[[RunRecord], dict[str, Any]]
Artifact = Callable[[RunRecord, str], Any]

LOGISTIC = {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"]}
QUIET = {"verbose_eval": False}
MODEL_FILES = [
    f"model/{name}" for name in ("MLmodel", "conda.yaml", "model.ubj", "python_env.yaml", "requirements.txt")
]


def frame(data: Any) -> pd.DataFrame:
    return pd.DataFrame(data, columns=list("abcd"))


def test_a_training_is_one_complete_run(seen: Recorded, visible: Visible, artifact: Artifact) -> None:
    """Complete: params, rounds of every eval set and metric, data, importances, model; and nothing that is not said here."""

    def mine(predicted: Any, data: Any) -> tuple[str, float]:
        return "mine", float(predicted.mean())

    result: dict[str, Any] = {}
    train, test = xgboost.DMatrix(frame(X), Y), xgboost.DMatrix(frame(TEST_X), TEST_Y)
    model = xgboost.train(
        {**LOGISTIC, "max_depth": 2}, train, evals=[(train, "train"), (test, "test")], custom_metric=mine, num_boost_round=3,
        evals_result=result, **QUIET,
    )  # fmt: skip
    schema = dict.fromkeys("abcd", "float")
    assert visible(seen.run) == {
        "experiment": "default", "status": "finished", "framework": "xgboost", "kind": "train",
        "estimator": "xgboost.core.Booster",
        "params": {
            "objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "max_depth": 2, "num_boost_round": 3,
            "custom_metric": seen.run.params["custom_metric"], "verbose_eval": False,
        },
        "metrics": {
            f"{data}-{metric}": values for data, metrics in result.items() for metric, values in metrics.items()
        },
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": "train", "kind": "xgboost.DMatrix", "rows": 80, "columns": 4, "schema": schema},
            {"context": "validation", "kind": "xgboost.DMatrix", "name": "test", "rows": 30, "columns": 4, "schema": schema},
        ],
        "artifacts": ["feature_importances.json", *MODEL_FILES],
        "models": [("model", "xgboost")],
    }  # fmt: skip
    assert sorted(result["test"]) == ["auc", "logloss", "mine"]
    assert "mine" in str(seen.run.params["custom_metric"])
    importances = artifact(seen.run, "feature_importances")
    assert importances.pop("of") == 4
    features = importances.pop("features")
    for kind in ("gain", "weight", "cover"):
        assert dict(zip(features, importances.pop(kind), strict=True)) == model.get_score(
            importance_type=kind
        )
    assert importances == {}


def test_a_fit_of_an_estimator_is_one_complete_run(seen: Recorded, visible: Visible) -> None:
    """Complete: the settings that are set, rounds, data, model; and the same with scikit-learn's integration off."""
    model = xgboost.XGBClassifier(n_estimators=3, max_depth=2, gamma=0.5, eval_metric="error")
    arguments = {"eval_set": [(X, Y), (TEST_X, TEST_Y)], "sample_weight": np.ones(80), "verbose": False}
    model.fit(X, Y, **arguments)
    numbers = {"kind": "numpy.ndarray", "rows": 80, "columns": 4, "dtype": "float64"}
    target = {"kind": "numpy.ndarray", "rows": 80, "dtype": "int64"}
    expected = {
        "experiment": "default", "status": "finished", "framework": "xgboost", "kind": "fit",
        "estimator": "xgboost.sklearn.XGBClassifier",
        "params": {
            "n_estimators": 3, "max_depth": 2, "gamma": 0.5, "eval_metric": "error", "objective": "binary:logistic",
            "enable_categorical": xgboost.XGBClassifier().enable_categorical, "missing": "NaN",
            "num_boost_round": 3, "fit.sample_weight": "given",
            "fit.verbose": False,
        },
        "metrics": {f"{data}-error": metrics["error"] for data, metrics in model.evals_result().items()},
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": "train", **numbers, "target": target},
            {"context": "validation", "name": "validation_1", **numbers, "rows": 30, "target": {**target, "rows": 30}},
        ],
        "artifacts": ["feature_importances.json", *MODEL_FILES],
        "models": [("model", "xgboost")],
    }  # fmt: skip
    assert visible(seen.run) == expected
    assert len(seen.run.datasets[0]["digest"]) == 32
    with recorded("xgboost") as alone:
        model.fit(X, Y, **arguments)
    assert visible(alone.run) == expected


def test_without_an_eval_set_there_are_no_metrics(seen: Recorded) -> None:
    xgboost.train(LOGISTIC, xgboost.DMatrix(X, Y), 2)
    xgboost.XGBClassifier(n_estimators=2).fit(X, Y)
    assert [run.metrics for run in seen.runs] == [{}, {}]


def test_the_number_of_rounds_is_a_param(seen: Recorded) -> None:
    """Complete: XGBoost's default, and a forest's single round of many trees."""
    xgboost.train(LOGISTIC, xgboost.DMatrix(X, Y))
    xgboost.XGBRFClassifier(n_estimators=5).fit(X, Y)
    assert [run.params["num_boost_round"] for run in seen.runs] == [10, 1]


def test_every_name_of_train_is_recorded(seen: Recorded) -> None:
    data = xgboost.DMatrix(X, Y)
    for module in (xgboost, xgboost.training, xgboost.sklearn):
        module.train(LOGISTIC, data, 1)
    pickle.loads(pickle.dumps(xgboost.train))(LOGISTIC, data, 1)
    assert len(seen.runs) == 4


# -- early stopping


def stopped(**how: Any) -> tuple[Any, Any]:
    data, test = xgboost.DMatrix(X, Y), xgboost.DMatrix(TEST_X, 1 - TEST_Y)
    model = xgboost.train(LOGISTIC, data, 30, evals=[(data, "train"), (test, "test")], **QUIET, **how)
    return model, test


def early() -> Any:
    return xgboost.callback.EarlyStopping(rounds=2, metric_name="logloss", data_name="test")


EARLY: dict[str, Callable[[], Any]] = {
    "argument": lambda: stopped(early_stopping_rounds=2)[0],
    "callback": lambda: stopped(callbacks=[early()])[0],
    "callback that keeps the best": lambda: stopped(
        callbacks=(xgboost.callback.EarlyStopping(rounds=2, save_best=True),)
    )[0],
    "estimator": lambda: (
        xgboost.XGBClassifier(n_estimators=30, early_stopping_rounds=2)
        .fit(X, Y, eval_set=[(TEST_X, 1 - TEST_Y)], verbose=False)
        .get_booster()
    ),
    "estimator's callback": lambda: (
        xgboost.XGBClassifier(n_estimators=30, callbacks=[xgboost.callback.EarlyStopping(rounds=2)])
        .fit(X, Y, eval_set=[(TEST_X, 1 - TEST_Y)], verbose=False)
        .get_booster()
    ),
}


@pytest.mark.parametrize("how", EARLY)
def test_early_stopping_is_recorded_in_every_form(seen: Recorded, last: Last, how: str) -> None:
    """Complete: the best round and its score, and the last round, counted as the steps are; all rounds are there."""
    model = EARLY[how]()
    found = last(seen.run)
    assert (found["best_iteration"], found["best_score"]) == (model.best_iteration, model.best_score)
    assert found["stopped_iteration"] == model.best_iteration + 2
    [rounds] = {m["count"] for name, m in seen.run.metrics.items() if "-" in name}
    assert rounds == found["stopped_iteration"] + 1


def test_there_is_no_stopped_iteration_if_all_rounds_were_run(seen: Recorded, last: Last) -> None:
    stopped_not, _ = stopped(early_stopping_rounds=100)
    assert last(seen.run)["best_iteration"] == stopped_not.best_iteration
    assert "stopped_iteration" not in seen.run.metrics


def test_a_continued_training_goes_on_counting_and_keeps_no_stale_best_round(
    seen: Recorded, series: Series
) -> None:
    """Complete and honest: steps are rounds of the model; the best round of the earlier training is not this one's."""
    first, test = stopped(early_stopping_rounds=2)
    trained = first.num_boosted_rounds()
    more = xgboost.train(LOGISTIC, xgboost.DMatrix(X, Y), 3, evals=[(test, "test")], xgb_model=first, **QUIET)
    again = xgboost.train(
        LOGISTIC,
        xgboost.DMatrix(X, Y),
        30,
        evals=[(test, "test")],
        xgb_model=more,
        early_stopping_rounds=2,
        **QUIET,
    )
    _, one, two = seen.runs
    assert [step for step, _ in series(one, "test-auc")] == [trained, trained + 1, trained + 2]
    assert "best_iteration" not in one.metrics
    assert two.metrics["best_iteration"]["last"] == again.best_iteration
    assert two.metrics["test-auc"]["step"] == two.metrics["stopped_iteration"]["last"]


# -- cv


def test_cross_validation_is_one_run_with_mean_and_spread_of_each_round(
    seen: Recorded, visible: Visible
) -> None:
    """Complete: what `cv` returns, and the rounds that early stopping took away from it."""
    data = xgboost.DMatrix(X, Y)
    result = xgboost.cv(
        {"max_depth": 2}, data, 20, nfold=2, metrics=("mae",), early_stopping_rounds=2, as_pandas=False
    )
    shown = visible(seen.run)
    assert (shown["kind"], shown["models"], shown["datasets"][0]["rows"]) == ("cv", [], 80)
    assert shown["params"] == {
        "max_depth": 2, "num_boost_round": 20, "nfold": 2, "metrics": ["mae"], "early_stopping_rounds": 2, "as_pandas": False,
    }  # fmt: skip
    best = int(shown["metrics"].pop("best_iteration")[0])
    assert shown["metrics"].pop("best_score") == [pytest.approx(result["test-mae-mean"][best])]
    if best + 2 < 19:
        assert shown["metrics"].pop("stopped_iteration") == [best + 2]
    kept = {name: values[: best + 1] for name, values in shown["metrics"].items()}
    assert kept == {name: pytest.approx(values) for name, values in result.items()}


# -- whose run it is


def test_a_pipeline_is_one_run_with_its_params_and_the_boosters_rounds(
    seen: Recorded, artifact: Artifact
) -> None:
    """Once: scikit-learn's run holds both, the importances too; its model is the pipeline."""
    pipeline = make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=3, max_depth=2))
    pipeline.fit(X, Y, xgbclassifier__eval_set=[(TEST_X, TEST_Y)], xgbclassifier__verbose=False)
    run = seen.run
    assert (run.framework, run.estimator) == ("sklearn", "sklearn.pipeline.Pipeline")
    assert (run.params["xgbclassifier__max_depth"], run.params["num_boost_round"]) == (2, 3)
    assert [p.value for p in run.history("validation_0-logloss")] == pipeline[-1].evals_result()[
        "validation_0"
    ]["logloss"]
    assert artifact(run, "feature_importances")["of"] == 4
    assert [model["flavor"] for model in run.models] == ["sklearn"]
    assert (run.model(trust=True).predict(X) == pipeline.predict(X)).all()


def test_a_target_transformer_has_its_boosters_rounds(seen: Recorded) -> None:
    model = TransformedTargetRegressor(xgboost.XGBRegressor(n_estimators=2), transformer=StandardScaler())
    model.fit(X, Y.astype(float), eval_set=[(TEST_X, TEST_Y)], verbose=False)
    assert seen.run.metrics["validation_0-rmse"]["count"] == 2


def test_a_search_and_a_cross_validation_hold_their_candidates_only(seen: Recorded) -> None:
    """Once: what is fitted inside is nobody's run and gives no rounds; threads make no difference."""
    search = GridSearchCV(xgboost.XGBClassifier(n_estimators=2), {"max_depth": [1, 2]}, cv=2, n_jobs=1).fit(
        X, Y, eval_set=[(TEST_X, TEST_Y)], verbose=False
    )
    cross_validate(xgboost.XGBClassifier(n_estimators=2), X, Y, cv=2)
    import joblib

    with joblib.parallel_backend("threading", n_jobs=2):
        GridSearchCV(xgboost.XGBClassifier(n_estimators=2), {"max_depth": [1, 2]}, cv=2, n_jobs=2).fit(X, Y)
    assert [(run.framework, run.kind, len(run.children)) for run in seen.runs] == [
        ("sklearn", "search", 2), ("sklearn", "cv", 0), ("sklearn", "search", 2),
    ]  # fmt: skip
    assert [child.params for child in seen.runs[0].children] == [{"max_depth": 1}, {"max_depth": 2}]
    assert not any("logloss" in name for run in seen.all_runs for name in run.metrics)
    assert seen.runs[0].params["best_max_depth"] == search.best_params_["max_depth"]


def test_an_ensemble_of_boosters_is_one_run_without_their_rounds(seen: Recorded) -> None:
    """Once: the members' rounds are not the ensemble's."""
    OneVsRestClassifier(xgboost.XGBClassifier(n_estimators=2)).fit(X, THREE)
    VotingClassifier(
        [("a", xgboost.XGBClassifier(n_estimators=2)), ("b", xgboost.XGBClassifier(n_estimators=3))]
    ).fit(X, Y)
    assert [run.estimator.rpartition(".")[2] for run in seen.all_runs] == [
        "OneVsRestClassifier",
        "VotingClassifier",
    ]


class Mine(xgboost.XGBClassifier):
    """A user's subclass."""

    def fit(self, X: Any, y: Any, **how: Any) -> Any:
        self.fitted_by_me_ = True
        return super().fit(X, y, verbose=False, **how)


def test_a_users_subclass_is_xgboosts_one_run_and_its_model_all_of_it(seen: Recorded) -> None:
    """Once and complete: what the subclass adds is kept, so its model is pickled."""
    model = Mine(n_estimators=2).fit(X, Y, eval_set=[(TEST_X, TEST_Y)])
    run = seen.run
    assert (run.framework, run.estimator) == ("xgboost", f"{__name__}.Mine")
    assert run.metrics["validation_0-logloss"]["count"] == 2
    again = run.model(trust=True)
    assert again.fitted_by_me_
    assert (again.predict_proba(X) == model.predict_proba(X)).all()


def test_several_boosters_in_one_training_have_names_of_their_own(seen: Recorded, series: Series) -> None:
    from sklearn.base import BaseEstimator

    class Two(BaseEstimator):
        def fit(self, X: Any, y: Any) -> Any:
            for depth in (1, 2):
                data = xgboost.DMatrix(X, y)
                xgboost.train({"max_depth": depth}, data, depth + 1, evals=[(data, "train")], **QUIET)
            return self

        def predict(self, X: Any) -> Any:
            return X

    Two().fit(X, Y)
    assert [step for step, _ in series(seen.run, "train-rmse")] == [0, 1]
    assert [step for step, _ in series(seen.run, "booster_2-train-rmse")] == [0, 1, 2]
    assert {a["path"] for a in seen.run.artifacts} >= {
        "feature_importances.json",
        "booster_2-feature_importances.json",
    }


def test_a_users_random_generator_is_drawn_from_as_often_as_without_autolog(seen: Recorded) -> None:
    """Transparent: an estimator's `get_params` draws from a `random_state` that is a generator; a pipeline's calls it."""

    def outcome() -> Any:
        older = Version(xgboost.__version__) < Version("2.1")  # takes no Generator
        generators = np.random.RandomState(3), (np.random.RandomState if older else np.random.default_rng)(4)
        for generator in generators:
            model = xgboost.XGBClassifier(n_estimators=2, subsample=0.5, random_state=generator)
            make_pipeline(StandardScaler(), model).fit(X, Y)
        return generators[0].random(), generators[1].random(), model.get_booster().get_dump()

    recorded_outcome = outcome()
    seen.client.disable()
    assert outcome() == recorded_outcome


# -- what is measured afterwards


def test_what_is_measured_of_a_prediction_goes_to_xgboosts_run(seen: Recorded, last: Last) -> None:
    """Complete: scikit-learn's metrics and `score` on an estimator's and a Booster's predictions."""
    model = xgboost.XGBClassifier(n_estimators=2).fit(X, Y)
    accuracy = accuracy_score(TEST_Y, model.predict(TEST_X))
    loss = log_loss(TEST_Y, model.predict_proba(TEST_X))
    score = model.score(TEST_X, TEST_Y)
    booster = xgboost.train({}, xgboost.DMatrix(X, Y), 2)
    dtest = xgboost.DMatrix(TEST_X)
    error = mean_squared_error(TEST_Y, booster.predict(dtest))
    in_place = mean_squared_error(TEST_Y, booster.inplace_predict(TEST_X))
    estimator, native = seen.runs
    assert last(estimator) == {
        "accuracy_score_TEST_X": accuracy,
        "log_loss_TEST_X": loss,
        "score_TEST_X": score,
    }
    assert last(native) == {"mean_squared_error_dtest": error, "mean_squared_error_TEST_X": in_place}
    assert [data["context"] for data in estimator.datasets] == ["train", "test"]


def test_no_callback_of_ours_outlives_its_training(seen: Recorded) -> None:
    """Honest: nothing is left that could write into an ended run, or open another."""
    import gc

    kept: list[Any] = []

    class Keeper(xgboost.callback.TrainingCallback):
        def before_training(self, model: Any) -> Any:
            kept.append(model)
            return model

    data = xgboost.DMatrix(X, Y)
    model = xgboost.train(LOGISTIC, data, 2, evals=[(data, "train")], callbacks=[Keeper()], **QUIET)
    ended = seen.run.ended
    gc.collect()
    assert [one for one in gc.get_objects() if type(one).__name__ in ("RoundsCallback", "Rounds")] == []
    kept[0].update(data, 2)
    model.eval(data)
    assert (seen.run.ended, seen.run.metrics["train-auc"]["count"], len(seen.all_runs)) == (ended, 2, 1)


def test_models_and_data_are_not_kept_alive(seen: Recorded) -> None:
    import gc
    import weakref

    def train() -> list[weakref.ref[Any]]:
        data, array = xgboost.DMatrix(X, Y), X.copy()
        booster = xgboost.train(LOGISTIC, data, 2, evals=[(data, "train")], **QUIET)
        model = xgboost.XGBClassifier(n_estimators=2).fit(array, Y)
        accuracy_score(Y, model.predict(array))
        return [weakref.ref(one) for one in (data, array, booster, model)]

    references = train()
    autolog.flush()
    gc.collect()
    assert [reference() for reference in references] == [None] * 4


# -- threads and processes of one training


def test_several_workers_that_train_one_booster_are_one_run(seen: Recorded) -> None:
    """Once: of what XGBoost's own communicator joins, the first worker makes the run; the others train all the same."""
    if Version(xgboost.__version__) < Version("2.1"):
        pytest.skip("this XGBoost has one communicator a process")
    tracker = xgboost.RabitTracker(host_ip="127.0.0.1", n_workers=2)
    tracker.start()
    trained: list[Any] = []

    def train(number: int) -> None:
        with xgboost.collective.CommunicatorContext(**tracker.worker_args(), dmlc_task_id=str(number)):
            data = xgboost.DMatrix(X[number::2], Y[number::2])
            trained.append(
                xgboost.train({**LOGISTIC, "nthread": 1}, data, 3, evals=[(data, "train")], **QUIET)
            )

    in_threads(*(partial(train, number) for number in range(2)))
    assert trained[0].get_dump() == trained[1].get_dump()
    assert seen.run.metrics["train-auc"]["count"] == 3


def test_models_data_and_signatures_are_left_out_where_they_are_not_wanted(tmp_path: Any) -> None:
    with recorded("xgboost", log_models=False, log_datasets=False) as seen:
        xgboost.train(LOGISTIC, xgboost.DMatrix(X, Y), 1)
        xgboost.XGBClassifier(n_estimators=1).fit(X, Y)
    assert [(run.models, run.datasets) for run in seen.runs] == [([], []), ([], [])]
    with recorded("xgboost", log_signatures=False, max_model_bytes=10**6) as seen:
        xgboost.XGBClassifier(n_estimators=1).fit(X, Y)
    assert "signature" not in (seen.run.folder / "model" / "MLmodel").read_text().partition('"metadata"')[0]
    with recorded("xgboost", max_model_bytes=10) as seen:
        xgboost.XGBClassifier(n_estimators=1).fit(X, Y)
    assert (seen.run.models, seen.run.notes) == (
        [], ["The model was not saved: it is larger than the limit of 10 bytes"],
    )  # fmt: skip


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_version_that_would_crash_is_not_asked_for_importances(
    seen: Recorded, monkeypatch: pytest.MonkeyPatch, outputs: int
) -> None:
    """Harmless: XGBoost 2.1 ends the process where it is asked how important features of trees of several outputs are, those of
    a booster that goes on from a file too, which does not know any more how it was trained.
    """
    monkeypatch.setattr(xgboost, "__version__", "2.1.4")
    vectors = {"multi_strategy": "multi_output_tree", "tree_method": "hist"} if outputs == 2 else {}
    model = xgboost.XGBRegressor(n_estimators=2, **vectors).fit(X, np.c_[Y, 1 - Y][:, :outputs])
    before = xgboost.Booster(model_file=model.get_booster().save_raw("json"))
    monkeypatch.setattr(
        xgboost.Booster, "get_score", lambda *_, **__: pytest.fail("asked") if outputs == 2 else {"f0": 1}
    )
    xgboost.train(
        {"tree_method": "hist"}, xgboost.DMatrix(X, np.c_[Y, 1 - Y][:, :outputs]), 1, xgb_model=before
    )
    run = seen.runs[-1]
    assert ["feature_importances.json" in [one["path"] for one in run.artifacts], len(run.notes)] == (
        [True, 0] if outputs == 1 else [False, 1]
    )
