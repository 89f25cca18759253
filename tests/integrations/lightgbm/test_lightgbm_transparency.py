"""The promise: a program that trains with LightGBM does exactly what it does without autolog: the same trees bit for bit, the
user's lists, callbacks, data and estimators as they were.
"""

from __future__ import annotations

import copy
import gc
import pickle
import random
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from lightgbm_small import API, BINARY, QUIET, V, W, X, Y
from scipy import sparse

from autolog.testing import Recorded, recorded

VERSION = tuple(int(part) for part in lgb.__version__.split(".")[:2])

# -- the same trees, whatever the training is given


def trained(params: dict[str, Any], train: lgb.Dataset, *more: Any, **other: Any) -> Any:
    """All that a training leaves: the model's text, what it predicts, what was evaluated, where the random streams stand."""
    np.random.seed(0)
    random.seed(0)
    evaluated: dict[str, Any] = {}
    callbacks = other.pop("callbacks", [])
    if callbacks is not None and not more:
        callbacks = [*callbacks, lgb.record_evaluation(evaluated)]
    booster = lgb.train(
        {**QUIET, **params}, train, *more, **({"callbacks": callbacks} if not more else {}), **other
    )
    streams = random.random(), np.random.random()
    return booster.model_to_string(), booster.best_iteration, dict(booster.best_score), evaluated, streams


def fitted(model: Any, *data: Any, **more: Any) -> Any:
    """The same of an estimator, with its params."""
    np.random.seed(0)
    model.fit(*data, **more)
    booster = model.booster_.model_to_string()
    return (
        booster,
        model.predict(data[0]).tobytes(),
        model.get_params(),
        model.evals_result_,
        np.random.random(),
    )


def squares(predicted: Any, data: Any) -> tuple[Any, Any]:
    return predicted - data.get_label(), np.ones_like(predicted)


def spread(predicted: Any, data: Any) -> tuple[str, float, bool]:
    return "spread", float(np.ptp(predicted)), True


class Rows(lgb.Sequence):
    """Data that is read in batches; it counts how often it was asked."""

    batch_size = 32

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.asked = 0

    def __getitem__(self, index: Any) -> Any:
        self.asked += 1
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)


def with_sequence() -> Any:
    rows = Rows(X)
    return trained({"objective": "binary"}, lgb.Dataset([rows, Rows(V)], np.concatenate([Y, W]))), rows.asked


def from_text_file() -> Any:
    np.savetxt("train.csv", np.column_stack([Y, X]), delimiter=",")
    return trained({"objective": "binary"}, lgb.Dataset("train.csv", params={"label_column": 0}))


def from_binary_file() -> Any:
    Path("train.bin").unlink(missing_ok=True)
    lgb.Dataset(X, Y).save_binary("train.bin")
    return trained({"objective": "binary"}, lgb.Dataset(Path("train.bin")))


def continued() -> Any:
    first = lgb.train({**BINARY, "num_boost_round": 3}, lgb.Dataset(X, Y))
    first.save_model("first.lgb")
    return [
        trained(
            {"objective": "binary", "n_iter": 3},
            lgb.Dataset(X, Y),
            init_model=model,
            valid_sets=[lgb.Dataset(V, W)],
        )
        for model in (first, "first.lgb", Path("first.lgb"))
    ]


def subset() -> Any:
    whole = lgb.Dataset(X, Y, free_raw_data=False)
    part = whole.subset(list(range(0, 120, 2)))
    return trained({"objective": "binary"}, part, valid_sets=[whole.subset(list(range(1, 120, 2)))])


def categorical() -> Any:
    frame = pd.DataFrame(X, columns=list("abcd")).assign(e=pd.Categorical(np.where(X[:, 3] > 0, "x", "y")))
    return trained({"objective": "binary"}, lgb.Dataset(frame, pd.Series(Y), categorical_feature=["e"]))


def arrow() -> Any:
    table = pytest.importorskip("pyarrow").table({name: X[:, i] for i, name in enumerate("abcd")})
    return trained({"objective": "binary"}, lgb.Dataset(table, Y))


def polars() -> Any:
    if VERSION < (4, 7):
        pytest.skip("LightGBM takes polars since 4.7")
    frame = pytest.importorskip("polars").DataFrame({name: X[:, i] for i, name in enumerate("abcd")})
    return trained({"objective": "binary"}, lgb.Dataset(frame, Y))


def kept_training() -> Any:
    booster = lgb.train(BINARY, lgb.Dataset(X, Y), 3, keep_training_booster=True)
    booster.update()
    return booster.model_to_string(), booster.current_iteration()


def with_sets() -> Any:
    train = lgb.Dataset(X, Y)
    params = {"objective": "binary", "n_iter": 9, "early_stopping_round": 2}
    return trained(params, train, valid_sets=[train, lgb.Dataset(V, W, reference=train)])


LABELS = np.digitize(X[:, 0], [-0.5, 0.5])
TRAININGS: dict[str, Callable[[], Any]] = {
    "callbacks=None": lambda: trained({"objective": "binary"}, lgb.Dataset(X, Y), callbacks=None),
    "no callbacks": lambda: lgb.train(BINARY, lgb.Dataset(X, Y), 4).model_to_string(),
    "positional": lambda: lgb.train(BINARY, lgb.Dataset(X, Y), 4, [lgb.Dataset(V, W)], ["v"]).model_to_string(),
    "sets": with_sets,
    "continued": continued,
    "custom objective": lambda: trained({"objective": squares}, lgb.Dataset(X, Y), feval=spread,
                                        valid_sets=[lgb.Dataset(V, W)]),
    "ranking": lambda: trained({"objective": "lambdarank"}, lgb.Dataset(X, Y, group=[30, 90]),
                               valid_sets=[lgb.Dataset(V, W, group=[20, 40])]),
    "several classes": lambda: trained({"objective": "multiclass", "num_class": 3}, lgb.Dataset(X, LABELS)),
    "categorical": categorical,
    "sparse": lambda: trained({"objective": "binary"}, lgb.Dataset(sparse.csr_matrix(X), Y)),
    "arrow": arrow,
    "polars": polars,
    "Sequence": with_sequence,
    "parts": lambda: trained({"objective": "binary"}, lgb.Dataset([X[:50], X[50:]], Y)),
    "text file": from_text_file,
    "binary file": from_binary_file,
    "subset": subset,
    "learning rates": lambda: trained({"objective": "binary", "n_iter": 3}, lgb.Dataset(X, Y),
                                      callbacks=[lgb.reset_parameter(learning_rate=[0.3, 0.2, 0.1])]),
    "bagging and dart": lambda: trained({"objective": "binary", "boosting": "dart", "bagging_fraction": 0.5, "bagging_freq": 1},
                                        lgb.Dataset(X, Y)),
    "kept training": kept_training,
    "cv": lambda: lgb.cv(BINARY, lgb.Dataset(X, Y), 4, nfold=3, callbacks=None),
    "cv, positional": lambda: lgb.cv(BINARY, lgb.Dataset(X, Y), 4, None, 3, True, True, "auc"),
    "classifier": lambda: fitted(lgb.LGBMClassifier(n_estimators=4, random_state=np.random.RandomState(0), **API), X, Y),
    "labels that are texts": lambda: fitted(lgb.LGBMClassifier(n_estimators=4, **API), X, np.array(["no", "yes"])[Y]),
    "regressor": lambda: fitted(lgb.LGBMRegressor(n_estimators=4, subsample=0.5, **API), X, X[:, 0]),
    "ranker": lambda: fitted(lgb.LGBMRanker(n_estimators=4, **API), X, Y, group=[30, 90]),
    "fit, positional": lambda: fitted(lgb.LGBMRegressor(n_estimators=4, **API), X, Y, np.ones(120), None),
}  # fmt: skip


@pytest.mark.parametrize("what", TRAININGS)
def test_the_same_bits_are_trained(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = TRAININGS[what]()
    with recorded("lightgbm") as seen:
        assert pickle.dumps(TRAININGS[what]()) == pickle.dumps(plain)
    assert {run.status for run in seen.runs} == {"finished"}
    assert [run.errors for run in seen.runs if run.errors] == []
    assert all(run.datasets[0]["rows"] >= 60 and run.datasets[0]["columns"] in (4, 5) for run in seen.runs)


# -- the user's own objects


def test_callbacks_that_are_used_twice_give_two_complete_runs_and_are_unchanged(seen: Recorded) -> None:
    evaluated: dict[str, Any] = {}

    def mine(env: Any) -> None:
        pass

    callbacks = [lgb.record_evaluation(evaluated), mine, lgb.early_stopping(2, verbose=False)]
    before = [*callbacks]
    for rounds in (3, 5):
        lgb.train(BINARY, lgb.Dataset(X, Y), rounds, valid_sets=[lgb.Dataset(X, Y)], callbacks=callbacks)
    lgb.cv(BINARY, lgb.Dataset(X, Y), 4, nfold=2, callbacks=callbacks)
    lgb.LGBMClassifier(n_estimators=2, **API).fit(X, Y, eval_set=[(X, Y)], callbacks=callbacks)
    assert callbacks == before
    names = ["valid_0-binary_logloss"] * 2 + ["valid-binary_logloss-mean", "training-binary_logloss"]
    assert [len(run.history(name)) for run, name in zip(seen.runs, names, strict=True)] == [3, 5, 4, 2]


def test_the_order_of_the_users_callbacks_is_the_same(seen: Recorded) -> None:
    """Transparent: LightGBM writes a place in the order into the user's callbacks; ours does not move them."""

    def places() -> Any:
        def one(env: Any) -> None:
            told.append(("one", env.iteration))

        def other(env: Any) -> None:
            told.append(("other", env.iteration))

        told: list[Any] = []
        lgb.train(BINARY, lgb.Dataset(X, Y), 2, callbacks=[one, other])
        return told, vars(one), vars(other)

    with_autolog = places()
    seen.client.disable()
    assert with_autolog == places()


def test_callbacks_that_lightgbm_refuses_are_refused(seen: Recorded) -> None:
    """Transparent: it asks for their number, which a generator has not."""
    with pytest.raises(TypeError, match="has no len"):
        lgb.train(BINARY, lgb.Dataset(X, Y), 2, callbacks=(c for c in [lgb.record_evaluation({})]))  # type: ignore[arg-type]


def test_params_sets_and_arrays_are_not_changed(seen: Recorded) -> None:
    params, data = {**BINARY, "n_iter": 2, "metric": ["auc"]}, (X.copy(), Y.copy(), V.copy(), W.copy())
    before = copy.deepcopy((params, data))
    train = lgb.Dataset(data[0], data[1])
    sets = [train, lgb.Dataset(data[2], data[3], reference=train)]
    held = [*sets]
    lgb.train(params, train, valid_sets=sets)
    assert sets == held
    assert pickle.dumps((params, data)) == pickle.dumps(before)


def test_data_is_released_when_lightgbm_releases_it(seen: Recorded) -> None:
    """Transparent: a table that only the Dataset holds is gone once it is binned, during the training."""
    table = X.copy()
    held, alive = weakref.ref(table), []
    train = lgb.Dataset(table, Y)
    del table
    lgb.train(BINARY, train, 2, callbacks=[lambda env: alive.append(held() is not None)])
    assert alive == [False, False]
    assert seen.run.datasets[0]["rows"] == 120


def test_models_data_and_callbacks_are_not_kept_alive(seen: Recorded) -> None:
    class Mine:
        def __call__(self, env: Any) -> None:
            pass

    mine, data = Mine(), X.copy()
    booster = lgb.train(BINARY, lgb.Dataset(data, Y), 2, valid_sets=[lgb.Dataset(V, W)], callbacks=[mine])
    model = lgb.LGBMClassifier(n_estimators=2, **API).fit(data, Y)
    booster.predict(data)
    held = [weakref.ref(one) for one in (mine, data, booster, model, model.booster_)]
    del mine, data, booster, model
    gc.collect()
    assert [one() for one in held] == [None] * 5


def test_a_dataset_is_not_read_before_lightgbm_reads_it(seen: Recorded) -> None:
    """Transparent: what describes a lazy Dataset waits; one whose training fails is left as lazy as it was."""
    rows = Rows(X)
    for train in (lgb.Dataset("there is no such file.csv"), lgb.Dataset(rows, Y)):
        with pytest.raises(TypeError):
            lgb.train(BINARY, train, valid_sets=[1])  # type: ignore[list-item]
    assert rows.asked == 0
    assert [run.datasets for run in seen.runs] == [[], []]


def test_a_dataset_that_is_read_late_is_described_with_its_file(seen: Recorded, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "train.csv", np.column_stack([Y, X]), delimiter=",")
    lgb.train(BINARY, lgb.Dataset(tmp_path / "train.csv", params={"label_column": 0}), 1)
    assert seen.run.datasets == [
        {"context": "train", "kind": "lightgbm.Dataset", "file": str(tmp_path / "train.csv"), "rows": 120, "columns": 4,
         "names": ["Column_0", "Column_1", "Column_2", "Column_3"]},
    ]  # fmt: skip


def test_a_callback_that_outlives_its_training_opens_no_run(seen: Recorded) -> None:
    """Honest: what is trained later with a booster that had our callback belongs to nobody."""
    booster = lgb.train(
        BINARY, lgb.Dataset(X, Y), 2, valid_sets=[lgb.Dataset(V, W)], keep_training_booster=True
    )
    booster.update()
    booster.eval_valid()
    assert len(seen.all_runs) == 1
    assert seen.run.status == "finished"
    assert len(seen.run.history("valid_0-binary_logloss")) == 2


def test_the_version_is_that_of_the_module(seen: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: pytest.fail(f"asked for {name}"))
    lgb.train(BINARY, lgb.Dataset(X, Y), 1)
    assert seen.run.framework_version == lgb.__version__
