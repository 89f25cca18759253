"""The promise: training with Dask, on a cluster of two workers, is one run of the process that asked for it."""

from __future__ import annotations

import asyncio
import importlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xgboost
from data import TEST_X, TEST_Y, X, Y

import autolog
from autolog.testing import Recorded, recorded

distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dxgb = pytest.importorskip("xgboost.dask")

PARAMS = {"objective": "binary:logistic", "eval_metric": ["error", "logloss"], "tree_method": "hist"}


@pytest.fixture(scope="module", params=["processes", "threads"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Two workers, in processes of their own or as threads of this one, where what they train would be seen."""
    processes = request.param == "processes"
    if not processes and xgboost.__version__ < "2.1":
        pytest.skip("this XGBoost trains once a process")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=processes,
                dashboard_address=None,
                silence_logs=50,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


def parts(values: Any) -> Any:
    return da.from_array(values, chunks=(40, *values.shape[1:]))


@pytest.mark.filterwarnings("ignore")
def test_a_native_training_is_one_complete_run(seen: Recorded, client: Any) -> None:
    data = dxgb.DaskDMatrix(client, parts(X), parts(Y))
    test = dxgb.DaskDMatrix(client, da.from_array(TEST_X), da.from_array(TEST_Y))
    how = {"evals": [(data, "train"), (test, "test")], "early_stopping_rounds": 2, "verbose_eval": False}
    result = dxgb.train(client, PARAMS, data, 30, **how)
    run = seen.run
    assert (run.framework, run.kind, run.status, run.errors, run.notes) == (
        "xgboost",
        "train",
        "finished",
        [],
        ["The model has no signature: there is none for data of type DaskDMatrix."],
    )
    assert run.params["num_boost_round"] == 30
    assert run.params["early_stopping_rounds"] == 2
    for eval_set, metrics in result["history"].items():
        for metric, values in metrics.items():
            assert [point.value for point in run.history(f"{eval_set}-{metric}")] == pytest.approx(values)
    assert run.metrics["best_iteration"]["last"] == result["booster"].best_iteration
    assert [dataset["columns"] for dataset in run.datasets] == [4, 4]
    assert autolog.load_model(run).get_dump() == result["booster"].get_dump()
    with autolog.suspended():
        plain = dxgb.train(client, PARAMS, data, 30, **how)
    assert plain["booster"].get_dump() == result["booster"].get_dump()


@pytest.mark.filterwarnings("ignore")
def test_an_estimator_is_one_run_and_its_model_needs_no_cluster(seen: Recorded, client: Any) -> None:
    """Once and complete: what is loaded back is the estimator of the same kind for data in memory."""
    model = dxgb.DaskXGBClassifier(n_estimators=3, max_depth=2, tree_method="hist")
    model.client = client
    model.fit(parts(X), parts(Y), eval_set=[(parts(X), parts(Y))], verbose=False)
    run = seen.run
    assert (run.estimator, run.kind, run.errors, run.notes) == (
        "xgboost.dask.DaskXGBClassifier",
        "fit",
        [],
        ["The model has no signature: there is none for data of type Array."],
    )
    assert (run.params["max_depth"], run.params["num_boost_round"]) == (2, 3)
    values = model.evals_result()["validation_0"]["logloss"]
    assert [point.value for point in run.history("validation_0-logloss")] == pytest.approx(values)
    assert (run.datasets[0]["kind"], run.datasets[0]["rows"], run.datasets[0]["columns"]) == (
        "dask.Array",
        80,
        4,
    )
    again = autolog.load_model(run)
    assert type(again) is xgboost.XGBClassifier
    assert np.array_equal(again.predict(X), model.predict(parts(X)).compute())


@pytest.mark.filterwarnings("ignore")
def test_what_workers_train_in_this_process_is_part_of_the_run(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: also where `xgboost.dask` is imported after switching on, and with it the `train` that is patched."""
    monkeypatch.setattr(xgboost, "dask", dxgb)
    monkeypatch.delitem(sys.modules, "xgboost.dask")
    with recorded("xgboost") as seen:
        later = importlib.import_module("xgboost.dask")
        later.train(client, PARAMS, later.DaskDMatrix(client, parts(X), parts(Y)), 2)
    assert seen.run.kind == "train"


@pytest.mark.filterwarnings("ignore")
def test_an_asynchronous_training_says_what_is_not_recorded(client: Any) -> None:
    """Honest: the call returns before there is anything to record; its result is what it would be."""

    async def train() -> Any:
        async with distributed.Client(client.scheduler.address, asynchronous=True) as own:
            data = await dxgb.DaskDMatrix(own, parts(X), parts(Y))
            return await dxgb.train(own, PARAMS, data, 2)

    with recorded("xgboost") as seen:
        result = asyncio.run(train())
    assert result["booster"].num_boosted_rounds() == 2
    assert len(seen.run.notes) == 1
    assert "asynchronous" in seen.run.notes[0]
