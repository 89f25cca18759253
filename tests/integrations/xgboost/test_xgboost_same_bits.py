"""The promise: XGBoost trains bit for bit what it trains without autolog, however it is asked, and nothing of the user's is
changed; and each training is a complete run.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xgboost
from data import TEST_X, TEST_Y, THREE, X, Y
from packaging.version import Version

from autolog.testing import recorded

VERSION = Version(xgboost.__version__)
LOGISTIC = {"objective": "binary:logistic", "subsample": 0.5, "seed": 1}
QUIET = {"verbose_eval": False}


def matrix(kind: Any = xgboost.DMatrix) -> Any:
    return kind(X, Y)


def held(kind: Any = xgboost.DMatrix) -> Any:
    return kind(TEST_X, TEST_Y)


def rmsle(predicted: Any, data: Any) -> tuple[str, float]:
    return "mine", float(np.abs(predicted - data.get_label()).sum())


def squares(predicted: Any, data: Any) -> Any:
    return predicted - data.get_label(), np.ones_like(predicted)


class Stop(xgboost.callback.TrainingCallback):
    """A callback of the user's, that ends the training."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.heard: list[Any] = []

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.heard.append((epoch, copy.deepcopy({k: dict(v) for k, v in evals_log.items()})))
        return epoch + 1 >= self.after


class Batches(xgboost.DataIter):
    """Data that comes in two parts."""

    def __init__(self, cache: str | None = None) -> None:
        self.parts = [(X[:40], Y[:40]), (X[40:], Y[40:])]
        self.at = 0
        super().__init__(cache_prefix=cache) if cache else super().__init__()

    def next(self, input_data: Any) -> int:
        if self.at == len(self.parts):
            return 0
        data, label = self.parts[self.at]
        input_data(data=data, label=label)
        self.at += 1
        return 1

    def reset(self) -> None:
        self.at = 0


def from_file(folder: Path) -> Any:
    path = folder / "data.libsvm"
    lines = [f"{y} " + " ".join(f"{i}:{v}" for i, v in enumerate(row)) for row, y in zip(X, Y, strict=True)]
    path.write_text("\n".join(lines))
    return xgboost.DMatrix(f"{path}?format=libsvm")


def ranking(**how: Any) -> Any:
    data = xgboost.DMatrix(X, Y)
    if "group" in how:
        data.set_group([40, 40])
    else:
        data = xgboost.DMatrix(X, Y, qid=np.repeat([0, 1], 40))
    return data


def categories() -> pd.DataFrame:
    return pd.DataFrame({"a": pd.Categorical(np.where(X[:, 0] > 0, "x", "y")), "b": X[:, 1]})


def continued(folder: Path) -> Any:
    first = xgboost.train(LOGISTIC, matrix(), 3)
    return xgboost.train(LOGISTIC, matrix(), 2, evals=[(held(), "test")], xgb_model=first, **QUIET)


def continued_from_file(folder: Path) -> Any:
    path = str(folder / "first.ubj")
    xgboost.train(LOGISTIC, matrix(), 3).save_model(path)
    return xgboost.train(LOGISTIC, matrix(), 2, evals=[(held(), "test")], xgb_model=path, **QUIET)


def with_result(folder: Path) -> Any:
    result: dict[str, Any] = {"old": 1}
    model = xgboost.train(LOGISTIC, matrix(), 3, evals=[(held(), "test")], evals_result=result, **QUIET)
    assert set(result) == {"old", "test"}
    return model, result


def by_position(folder: Path) -> Any:
    given = {
        "evals": [(held(), "test")],
        "early_stopping_rounds": 2,
        "verbose_eval": False,
        "callbacks": [Stop(9)],
    }
    names = list(inspect.signature(xgboost.train).parameters)[3:]
    values = [given.get(name) for name in names[: names.index("callbacks") + 1]]
    with pytest.warns(FutureWarning, match="evals"):
        return xgboost.train(LOGISTIC, matrix(), 3, *values)


def printed(folder: Path) -> Any:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        model = xgboost.train(LOGISTIC, matrix(), 3, evals=[(held(), "test")], verbose_eval=2)
    assert "test-logloss" in said.getvalue()
    return model, said.getvalue()


def sparse_frame(folder: Path) -> Any:
    return xgboost.XGBClassifier(n_estimators=2).fit(scipy.sparse.csr_matrix(X), Y)


def arrow(folder: Path) -> Any:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("cffi" if Version("2.1") > VERSION else "pyarrow")
    table = pa.table({f"f{i}": X[:, i] for i in range(4)})
    return xgboost.train(LOGISTIC, xgboost.DMatrix(table, Y), 2), xgboost.XGBRegressor(n_estimators=2).fit(
        table, Y
    )


def polars(folder: Path) -> Any:
    pl = pytest.importorskip("polars")
    if Version("3.0") > VERSION:
        pytest.skip("this XGBoost takes no polars frames")
    return xgboost.XGBClassifier(n_estimators=2).fit(pl.DataFrame({f"f{i}": X[:, i] for i in range(4)}), Y)


def external_memory(folder: Path) -> Any:
    data = xgboost.DMatrix(Batches(str(folder / "cache")))
    return xgboost.train({**LOGISTIC, "tree_method": "hist"}, data, 2)


def external_quantiles(folder: Path) -> Any:
    if Version("3.0") > VERSION:
        pytest.skip("this XGBoost has no ExtMemQuantileDMatrix")
    data = xgboost.ExtMemQuantileDMatrix(Batches(str(folder / "cache")))
    return xgboost.train({**LOGISTIC, "tree_method": "hist"}, data, 2, evals=[(data, "train")], **QUIET)


def quantiles(folder: Path) -> Any:
    train = matrix(xgboost.QuantileDMatrix)
    test = xgboost.QuantileDMatrix(TEST_X, TEST_Y, ref=train)
    return xgboost.train(LOGISTIC, train, 2, evals=[(test, "test")], **QUIET)


def several_outputs(folder: Path) -> Any:
    model = xgboost.XGBRegressor(n_estimators=2, multi_strategy="multi_output_tree", tree_method="hist")
    model.fit(X, np.c_[Y, 1 - Y])
    # What older versions cannot dump.
    return bytes(model.get_booster().save_raw("json")), pickle.dumps(model)


def streams(folder: Path) -> Any:
    """Estimators draw their seed from a generator of the user's once, not more often."""
    one = np.random.RandomState(3)
    two = np.random.RandomState(4) if Version("2.1") > VERSION else np.random.default_rng(3)
    models = [
        xgboost.XGBClassifier(n_estimators=2, subsample=0.5, random_state=r).fit(X, Y) for r in (one, two)
    ]
    return models, one.random(), two.random()


TRAININGS: dict[str, Callable[[Path], Any]] = {
    "plain": lambda _: xgboost.train(LOGISTIC, matrix(), 3),
    "from the module": lambda _: xgboost.training.train(LOGISTIC, matrix(), 3),
    "no callbacks": lambda _: xgboost.train(LOGISTIC, matrix(), 3, callbacks=None),
    "a stopping callback": lambda _: xgboost.train(
        LOGISTIC, matrix(), 5, evals=[(held(), "test")], callbacks=[Stop(2)], **QUIET
    ),
    "a callback tuple": lambda _: xgboost.train(LOGISTIC, matrix(), 5, callbacks=(Stop(2),)),
    "by position": by_position,
    "eval sets from an iterator": lambda _: xgboost.train(
        LOGISTIC, matrix(), 2, evals=zip([held(), matrix()], ["a", "b"], strict=True), **QUIET
    ),
    "continued": continued,
    "continued from a file": continued_from_file,
    "evals_result": with_result,
    "printed": printed,
    "pairs of params": lambda _: xgboost.train(
        [("objective", "binary:logistic"), ("eval_metric", "auc"), ("eval_metric", "error")],
        matrix(), 2, evals=[(held(), "test")], **QUIET,
    ),
    "custom objective and metric": lambda _: xgboost.train(
        {"disable_default_eval_metric": True}, matrix(), 3, evals=[(held(), "test")], obj=squares, custom_metric=rmsle, **QUIET
    ),
    "ranking by groups": lambda _: xgboost.train({"objective": "rank:ndcg"}, ranking(group=True), 2),
    "ranking by query": lambda _: xgboost.train({"objective": "rank:pairwise"}, ranking(), 2),
    "a ranker": lambda _: xgboost.XGBRanker(n_estimators=2).fit(X, Y, group=[40, 40]),
    "several outputs": lambda _: xgboost.XGBRegressor(n_estimators=2).fit(X, np.c_[Y, 1 - Y]),
    "trees of several outputs": several_outputs,
    "classes": lambda _: xgboost.XGBClassifier(n_estimators=2).fit(X, THREE),
    "a forest": lambda _: xgboost.XGBRFClassifier(n_estimators=4).fit(X, Y),
    "linear": lambda _: xgboost.train({"booster": "gblinear", "updater": "coord_descent"}, matrix(), 3),
    "dart": lambda _: xgboost.train({"booster": "dart", "rate_drop": 0.5}, matrix(), 3),
    "categories": lambda _: xgboost.XGBClassifier(n_estimators=2, enable_categorical=True, tree_method="hist").fit(
        categories(), Y
    ),
    "sparse": sparse_frame,
    "arrow": arrow,
    "polars": polars,
    "a file": lambda folder: xgboost.train(LOGISTIC, from_file(folder), 2),
    "iterator": lambda _: xgboost.train({**LOGISTIC, "tree_method": "hist"}, xgboost.QuantileDMatrix(Batches()), 2),
    "external memory": external_memory,
    "external quantiles": external_quantiles,
    "quantiles": quantiles,
    "cv": lambda _: xgboost.cv(LOGISTIC, matrix(), 4, nfold=2, metrics=["auc"], early_stopping_rounds=1),
    "cv as a dict": lambda _: xgboost.cv(LOGISTIC, matrix(), 2, as_pandas=False, custom_metric=rmsle),
    "random streams": streams,
}  # fmt: skip


def bits(result: Any) -> Any:
    """All of a result that can be compared: a model's dump, its settings, its bytes as a pickle."""
    if isinstance(result, xgboost.Booster):
        return (
            result.get_dump(dump_format="json"),
            bytes(result.save_raw("json")),
            result.save_config(),
            pickle.dumps(result),
        )
    if isinstance(result, xgboost.XGBModel):
        held = {k: v for k, v in vars(result).items() if k not in ("_Booster", "random_state")}
        return bits(result.get_booster()), pickle.dumps(held)
    if isinstance(result, (list, tuple)):
        return [bits(one) for one in result]
    return pickle.dumps(result)


@pytest.mark.parametrize("how", TRAININGS)
@pytest.mark.filterwarnings("ignore:.*(label_lower|DMatrix without|Loading|is deprecated)")
def test_a_training_gives_the_same_bits_and_is_recorded(how: str, tmp_path: Path) -> None:
    """Transparent: model, configuration, pickle, results and output are the same to the bit; complete: no error, a run each."""
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    train = TRAININGS[how]
    np.random.seed(0)
    plain = bits(train(tmp_path / "1"))
    stream = np.random.random()
    with recorded("xgboost") as seen:
        np.random.seed(0)
        assert bits(train(tmp_path / "2")) == plain
        assert np.random.random() == stream
    assert seen.runs
    noted = 1 if "several outputs" in how and VERSION.release[:2] == (2, 1) else 0  # it would crash
    for run in seen.runs:
        notes = [note for note in run.notes if "signature" not in note]
        assert (run.status, run.errors, len(notes)) == ("finished", [], noted)
        assert "num_boost_round" in run.params
        assert run.datasets[0]["kind"]
        assert len(run.models) == (run.kind != "cv")


def test_callbacks_that_are_used_twice_give_two_complete_runs_and_are_unchanged() -> None:
    mine = [Stop(4)]
    data, test = matrix(), held()
    with recorded("xgboost") as seen:
        for rounds in (3, 3):
            xgboost.train(LOGISTIC, data, rounds, evals=[(test, "test")], callbacks=mine, **QUIET)
        model = xgboost.XGBClassifier(n_estimators=3, callbacks=mine)
        for _ in range(2):
            model.fit(X, Y, eval_set=[(TEST_X, TEST_Y)], verbose=False)
    assert [type(one) for one in mine] == [Stop]
    assert model.get_params()["callbacks"] is mine
    assert "autolog" not in repr(vars(model))
    assert [epoch for epoch, _ in mine[0].heard] == [0, 1, 2] * 4
    names = ["test-logloss"] * 2 + ["validation_0-logloss"] * 2
    assert [len(run.history(name)) for run, name in zip(seen.runs, names, strict=True)] == [3, 3, 3, 3]


def test_a_callback_of_ours_that_fails_leaves_the_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Harmless: whatever fails at whichever moment, XGBoost gets its model back and goes on; the run says so."""
    from autolog_xgboost.rounds import Rounds

    def fail(*_: Any) -> None:
        raise RuntimeError("ours")

    plain = xgboost.train(LOGISTIC, matrix(), 3, evals=[(held(), "test")], **QUIET)
    for name in ("begin", "log"):
        with monkeypatch.context() as patched, recorded("xgboost", strict=False) as seen:
            patched.setattr(Rounds, name, fail)
            model = xgboost.train(LOGISTIC, matrix(), 3, evals=[(held(), "test")], **QUIET)
        assert bits(model) == bits(plain)
        assert (seen.run.status, seen.run.errors) == (
            "finished",
            [f"xgboost: in Rounds.{name}: RuntimeError: ours"],
        )
        assert seen.run.models


def test_a_wrong_call_raises_the_same_error() -> None:
    calls: list[Callable[[], Any]] = [
        lambda: xgboost.train(LOGISTIC, X, 2),
        lambda: xgboost.train(LOGISTIC, matrix(), 2, evals=[(X, "test")]),
        lambda: xgboost.train(LOGISTIC, matrix(), 2, evals=[1]),
        lambda: xgboost.train(LOGISTIC, matrix(), 2, callbacks=[print]),
        lambda: xgboost.train(LOGISTIC, matrix(), 2, colour="red"),
        lambda: xgboost.train({"objective": "no such"}, matrix(), 2),
        lambda: xgboost.train(LOGISTIC, matrix(), 2, early_stopping_rounds=2),
        lambda: xgboost.XGBClassifier().fit(X),
        lambda: xgboost.XGBClassifier().fit(X, Y, eval_set=[1]),
        lambda: xgboost.cv(LOGISTIC, X),
    ]

    def said(call: Callable[[], Any]) -> tuple[type, str]:
        with pytest.raises(Exception) as caught:
            call()
        text = re.sub(r" at 0x\w+|\[\d\d:\d\d:\d\d\]", "", str(caught.value))
        return caught.type, text.partition("Stack trace")[0]

    plain = [said(call) for call in calls]
    with recorded("xgboost") as seen:
        assert [said(call) for call in calls] == plain
    assert {run.status for run in seen.runs} == {"failed"}
