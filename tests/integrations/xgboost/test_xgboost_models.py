"""The promise: a run's model can be had again, by autolog and by MLflow, in XGBoost's own format, and predicts the same."""

from __future__ import annotations

import json
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from data import THREE, X, Y

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

NAMED = pd.DataFrame(X, columns=list("abcd"))
TEXT = pd.DataFrame({"a": pd.Categorical(np.where(X[:, 0] > 0, "x", "y")), "b": X[:, 1]})

ESTIMATORS: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "XGBClassifier": (xgboost.XGBClassifier(n_estimators=3), X, Y, {}),
    "XGBClassifier of three": (xgboost.XGBClassifier(n_estimators=3), NAMED, THREE, {}),
    "XGBClassifier softmax": (xgboost.XGBClassifier(n_estimators=3, objective="multi:softmax"), X, THREE, {}),
    "XGBClassifier of labels": (xgboost.XGBClassifier(n_estimators=3), X, np.c_[Y, 1 - Y], {}),
    "XGBClassifier stopped early": (
        xgboost.XGBClassifier(n_estimators=20, early_stopping_rounds=2), X, Y,
        {"eval_set": [(X, 1 - Y)], "verbose": False},
    ),
    "XGBClassifier of categories": (
        xgboost.XGBClassifier(n_estimators=3, enable_categorical=True, tree_method="hist"), TEXT, Y, {},
    ),
    "XGBRegressor": (xgboost.XGBRegressor(n_estimators=3), NAMED, X[:, 1], {}),
    "XGBRegressor of outputs": (xgboost.XGBRegressor(n_estimators=3), X, X[:, :2], {}),
    "XGBRegressor linear": (xgboost.XGBRegressor(n_estimators=3, booster="gblinear"), X, X[:, 1], {}),
    "XGBRanker": (xgboost.XGBRanker(n_estimators=3), X, Y, {"group": [40, 40]}),
    "XGBRFClassifier": (xgboost.XGBRFClassifier(n_estimators=3), X, Y, {}),
    "XGBRFRegressor": (xgboost.XGBRFRegressor(n_estimators=3), X, X[:, 1], {}),
}  # fmt: skip


def folder_of(run: RunRecord) -> Path:
    return run.folder / "model"


def mlmodel(run: RunRecord) -> dict[str, Any]:
    return json.loads((folder_of(run) / "MLmodel").read_text())


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    return mlflow


@pytest.mark.parametrize("what", ESTIMATORS)
@pytest.mark.filterwarnings("ignore")
def test_an_estimator_loads_by_autolog_and_by_mlflow_and_predicts_the_same(
    seen: Recorded, mlflow: Any, what: str
) -> None:
    estimator, data, target, how = ESTIMATORS[what]
    model = estimator.fit(data, target, **how)
    folder = folder_of(seen.run)
    expected = model.predict(data)
    entry = mlmodel(seen.run)["flavors"]["xgboost"]
    assert entry == {
        "data": "model.ubj", "model_class": f"xgboost.sklearn.{type(model).__name__}", "model_format": "ubj",
        "xgb_version": xgboost.__version__, "code": None,
    }  # fmt: skip
    for again in (autolog.load_model(folder), mlflow.xgboost.load_model(str(folder))):
        assert type(again) is type(model)
        assert (again.predict(data) == expected).all()
        if hasattr(model, "predict_proba"):
            assert (again.predict_proba(data) == model.predict_proba(data)).all()
    assert (autolog.load_model(folder, as_predictor=True).predict(data) == expected).all()
    assert (mlflow.pyfunc.load_model(str(folder)).predict(data) == expected).all()


@pytest.mark.parametrize("data", [X, NAMED], ids=["array", "frame"])
def test_a_booster_loads_by_autolog_and_by_mlflow_and_predicts_the_same(
    seen: Recorded, mlflow: Any, data: Any
) -> None:
    matrix = xgboost.DMatrix(data, Y)
    model = xgboost.train({"objective": "binary:logistic"}, matrix, 3)
    folder, expected = folder_of(seen.run), model.predict(matrix)
    native = [autolog.load_model(folder), mlflow.xgboost.load_model(str(folder))]
    for again in native:
        assert type(again) is xgboost.Booster
        assert (again.predict(matrix) == expected).all()
        assert again.feature_names == model.feature_names
    predictor = autolog.load_model(folder, as_predictor=True)
    assert (predictor.predict(matrix if data is X else data) == expected).all()
    assert (mlflow.pyfunc.load_model(str(folder)).predict(data) == expected).all()


def test_versions_are_those_of_the_module_whatever_the_distribution_is_called(seen: Recorded) -> None:
    """Honest: `xgboost` and `xgboost-cpu` are one framework; what is required to load the model is what is installed."""
    xgboost.train({}, xgboost.DMatrix(X, Y), 1)
    names = {str(one.metadata["Name"]) for one in distributions()} & {"xgboost", "xgboost-cpu"}
    [installed] = {f"{name}=={version(name)}" for name in names}
    assert (seen.run.framework, seen.run.to_dict()["framework_version"]) == ("xgboost", xgboost.__version__)
    assert installed in (folder_of(seen.run) / "requirements.txt").read_text().splitlines()


def test_a_continued_training_can_begin_with_a_loaded_model(seen: Recorded) -> None:
    matrix = xgboost.DMatrix(X, Y)
    first = xgboost.train({}, matrix, 3)
    again = autolog.load_model(folder_of(seen.run))
    both = [xgboost.train({}, matrix, 2, xgb_model=model) for model in (first, again)]
    assert both[0].get_dump() == both[1].get_dump()


def test_an_estimator_that_the_format_cannot_hold_is_pickled(seen: Recorded, tmp_path: Path) -> None:
    """Complete: `missing` is not in the format, and a model without it would predict something else."""
    holes = np.where(X > 1, -1.0, X)
    model = xgboost.XGBClassifier(n_estimators=3, missing=-1.0).fit(holes, Y)
    assert [one["flavor"] for one in seen.run.models] == ["sklearn"]
    assert (seen.run.model(trust=True).predict_proba(holes) == model.predict_proba(holes)).all()


def test_a_model_logged_by_hand_is_saved_in_the_same_way(seen: Recorded) -> None:
    """Complete: `run.log_model` takes Boosters and estimators, and says why it does not take one."""
    with autolog.suspended():
        booster = xgboost.train({}, xgboost.DMatrix(X, Y), 1)
        refused = xgboost.XGBClassifier(n_estimators=1, missing=-1.0).fit(X, Y)
    with autolog.run() as run:
        run.log_model(booster, flavor="xgboost", path="mine")
        run.log_model(refused, flavor="xgboost", path="other")
    assert [one["path"] for one in seen.run.models] == ["mine"]
    assert seen.run.notes == [
        "The model was not saved: XGBoost's format cannot hold all of this XGBClassifier. Save it with the flavor sklearn"
    ]
    assert autolog.load_model(seen.run.folder / "mine").get_dump() == booster.get_dump()


def test_a_model_folder_cannot_choose_which_class_is_imported(seen: Recorded) -> None:
    xgboost.train({}, xgboost.DMatrix(X, Y), 1)
    folder = folder_of(seen.run)
    changed = mlmodel(seen.run)
    changed["flavors"]["xgboost"]["model_class"] = "subprocess.Popen"
    (folder / "MLmodel").write_text(json.dumps(changed))
    with pytest.raises(autolog.ModelError, match=r"subprocess\.Popen is not a class of XGBoost"):
        autolog.load_model(folder)


def test_a_model_that_mlflow_saved_loads(mlflow: Any, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=2).fit(X, Y)
    mlflow.xgboost.save_model(model, str(tmp_path / "theirs"))
    assert (autolog.load_model(tmp_path / "theirs").predict_proba(X) == model.predict_proba(X)).all()
