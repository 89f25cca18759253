"""The promise: the model of a run loads again, by autolog and by mlflow, and predicts what the trained one did; safely, where
its format allows that.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from helpers import signature_of
from lightgbm_small import API, BINARY, V, W, X, Y

import autolog
from autolog import UntrustedModel
from autolog.models.errors import ModelNotLoaded
from autolog.models.load import load_model as load_folder
from autolog.testing import Recorded, recorded

TEXTS = np.array(["no", "yes"])[Y]
LABELS = np.digitize(X[:, 0], [-0.5, 0.5])
ESTIMATORS = {
    "classifier": (lgb.LGBMClassifier, {}, Y, {}),
    "classifier of texts": (lgb.LGBMClassifier, {}, TEXTS, {}),
    "classifier of three": (lgb.LGBMClassifier, {}, LABELS, {}),
    "regressor": (lgb.LGBMRegressor, {}, X[:, 0], {}),
    "ranker": (lgb.LGBMRanker, {}, Y, {"group": [30, 90]}),
    "model": (lgb.LGBMModel, {"objective": "l2"}, X[:, 0], {}),
    "stopped early": (
        lgb.LGBMClassifier,
        {"n_estimators": 50, "early_stopping_round": 2},
        Y,
        {"eval_set": [(V, W)]},
    ),
}


def fitted(name: str) -> Any:
    cls, params, y, more = ESTIMATORS[name]
    return cls(**{"n_estimators": 5, **params, **API}).fit(X, y, **more)


def outputs(model: Any) -> list[Any]:
    return [getattr(model, name)(V).tolist() for name in ("predict", "predict_proba") if hasattr(model, name)]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_load_by_autolog_and_by_mlflow(seen: Recorded, name: str) -> None:
    model = fitted(name)

    def same(loaded: Any) -> None:
        assert type(loaded) is type(model)
        assert outputs(loaded) == outputs(model)
        assert loaded.get_params() == model.get_params()

    same(autolog.load_model(seen.run))
    assert autolog.load_model(seen.run, as_predictor=True).predict(V).tolist() == outputs(model)[0]
    mlflow, folder = pytest.importorskip("mlflow"), str(seen.run.folder / "model")
    same(mlflow.lightgbm.load_model(folder))
    assert mlflow.pyfunc.load_model(folder).predict(V).tolist() == outputs(model)[0]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_in_skops_files_load_without_trust(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    """Safe: where the user has chosen so, without running code from the file; mlflow reads the same folder."""
    pytest.importorskip("skops")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "mine"))
    with recorded("lightgbm") as seen:
        seen.client.output.config = seen.client.config._replace(
            integrations={"lightgbm": {"model_format": "skops"}}
        )
        seen.client.enable("lightgbm")
        model = fitted(name)
    folder = seen.run.folder / "model"
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "somebody else's"))
    assert (folder / "model.skops").exists()
    for loaded in (load_folder(folder), mlflow.lightgbm.load_model(str(folder))):
        assert type(loaded) is type(model)
        assert outputs(loaded) == outputs(model)


def test_a_pickle_of_another_user_is_loaded_only_with_trust(
    seen: Recorded, tmp_path: Path, monkeypatch: Any
) -> None:
    model = fitted("classifier")
    shutil.copytree(seen.run.folder / "model", tmp_path / "model")
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "somebody else's"))
    with pytest.raises(UntrustedModel, match="trust=True"):
        load_folder(tmp_path / "model")
    assert outputs(load_folder(tmp_path / "model", trust=True)) == outputs(model)


BOOSTERS = {
    "binary": ({"objective": "binary"}, Y, {}),
    "several classes": ({"objective": "multiclass", "num_class": 3}, LABELS, {}),
    "stopped early": ({"objective": "binary", "early_stopping_round": 2}, Y, {"valid_sets": [(V, W)]}),
    "kept for more": ({"objective": "binary", "early_stopping_round": 2}, Y,
                      {"valid_sets": [(V, W)], "keep_training_booster": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", BOOSTERS)
def test_boosters_load_without_trust(seen: Recorded, name: str, tmp_path: Path, monkeypatch: Any) -> None:
    params, y, more = BOOSTERS[name]
    sets = {"valid_sets": [lgb.Dataset(*one) for one in more["valid_sets"]]} if "valid_sets" in more else {}
    booster = lgb.train({**BINARY, **params}, lgb.Dataset(X, y), 50, **{**more, **sets})
    assert (0 < booster.best_iteration < 50) == ("early_stopping_round" in params)
    expected = booster.predict(V).tolist()
    folder = seen.run.folder / "model"
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "somebody else's"))
    assert load_folder(folder).predict(V).tolist() == expected
    assert load_folder(folder, as_predictor=True).predict(V).tolist() == expected
    mlflow = pytest.importorskip("mlflow")
    assert mlflow.lightgbm.load_model(str(folder)).predict(V).tolist() == expected
    assert mlflow.pyfunc.load_model(str(folder)).predict(V).tolist() == expected


def test_a_loaded_booster_knows_the_categories_of_its_frame(seen: Recorded) -> None:
    """Complete: the loaded one knows the frame's categories; of which no signature can tell, so there is none."""
    frame = pd.DataFrame({"a": X[:, 0], "b": pd.Categorical(np.where(X[:, 1] > 0, "x", "y"))})
    booster = lgb.train(BINARY, lgb.Dataset(frame, Y), 3)
    loaded = autolog.load_model(seen.run)
    assert loaded.predict(frame.iloc[::-1]).tolist() == booster.predict(frame.iloc[::-1]).tolist()
    assert autolog.load_model(seen.run, as_predictor=True).signature == {"inputs": None, "outputs": None}


def test_a_signature_says_what_is_predicted_or_nothing_where_that_is_not_known(
    seen: Recorded, tmp_path: Path
) -> None:
    """Honest: labels of the type that was given, a probability for each of several classes; of a file's data nothing."""
    fitted("classifier of texts")
    lgb.train({**BINARY, "objective": "multiclass", "num_class": 3}, lgb.Dataset(X, LABELS), 2)
    np.savetxt(tmp_path / "train.csv", np.column_stack([Y, X]), delimiter=",")
    lgb.train(BINARY, lgb.Dataset(tmp_path / "train.csv", params={"label_column": 0}), 1)
    assert [(signature_of(run, "inputs"), signature_of(run, "outputs")) for run in seen.runs] == [
        ([("float64", [-1, 4])], [("str", [-1])]), ([("float64", [-1, 4])], [("float64", [-1, 3])]), (None, None),
    ]  # fmt: skip


def test_a_model_can_be_logged_by_hand(seen: Recorded) -> None:
    booster = lgb.train(BINARY, lgb.Dataset(X, Y), 2)
    with autolog.run("mine") as run:
        run.log_model(booster, flavor="lightgbm", data=X)
    assert autolog.load_model(seen.runs[1]).predict(V).tolist() == booster.predict(V).tolist()


def test_the_requirements_name_lightgbm_and_scikit_learn(seen: Recorded) -> None:
    fitted("regressor")
    pins = (seen.run.folder / "model" / "requirements.txt").read_text().splitlines()
    assert f"lightgbm=={lgb.__version__}" in pins
    assert [pin for pin in pins if pin.startswith("scikit-learn==")]


def test_a_damaged_text_is_a_readable_error(seen: Recorded) -> None:
    lgb.train(BINARY, lgb.Dataset(X, Y), 2)
    folder = seen.run.folder / "model"
    (folder / "model.lgb").write_text("tree\n")
    with pytest.raises(ModelNotLoaded, match="not what was saved"):
        load_folder(folder)
