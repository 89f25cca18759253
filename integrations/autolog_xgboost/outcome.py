"""Records the results of a trained booster: early stopping and feature importances."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from autolog.integration import ArraySpec, Run
from autolog_xgboost.rounds import Rounds, direction_of

MAX_FEATURES = 1_000


def log(
    run: Run, booster: Any, rounds: Rounds, most: Any, asked: Mapping[str, Any], prefix: str = "",
    of_estimator: bool = False,
) -> None:  # fmt: skip
    """Log how a training ended. `most` is the requested number of rounds, `asked` the other arguments, with `train`'s names."""
    log_early_stopping(run, booster, rounds, most, asked, prefix, of_estimator)
    _log_importances(run, booster, prefix)


def log_early_stopping(
    run: Run, booster: Any, rounds: Rounds, most: Any, asked: Mapping[str, Any], prefix: str = "",
    keeps_best: bool = False,
) -> None:  # fmt: skip
    """Log the best round and score if early stopping is on. Without it, a continued booster may still hold those of its earlier
    training. With `keeps_best`, or if `save_best` cut the booster, the metrics' values are those of the best round.
    """
    kind = sys.modules["xgboost.callback"].EarlyStopping
    given = [one for one in asked.get("callbacks") or () if isinstance(one, kind)]
    stops = asked.get("early_stopping_rounds") or given
    best = booster.attr("best_iteration") if stops else None
    if best is None:
        return
    # Parse the text: for a cv, older versions add the spread, and NumPy 2 adds the type.
    score = booster.attr("best_score").replace("np.float64(", "").strip("()").partition(",")[0].rstrip(")")
    found = {"best_iteration": int(best), "best_score": float(score)}
    if isinstance(most, int) and rounds.ran < most:
        found["stopped_iteration"] = rounds.first + rounds.ran - 1
    run.log_metrics({f"{prefix}{name}": value for name, value in found.items()}, step=0)
    judged = rounds.judged_by()
    said = direction_of(judged or "")
    higher = next((one.maximize for one in given if one.maximize is not None), asked.get("maximize"))
    if (
        said is None and higher is not None
    ):  # the user's own metric, with its direction given to early stopping
        said = "higher" if higher else "lower"
        rounds.describe(judged, said)
    run.describe_metrics({**{f"{prefix}{name}": None for name in found}, f"{prefix}best_score": said})
    if keeps_best or booster.num_boosted_rounds() == int(best) + 1:
        rounds.keep(int(best) - rounds.first)


def output_of(booster: Any, estimator: Any = None) -> ArraySpec | None:
    """Return the type and shape of the predictions of a booster or its estimator, from the booster's configuration. Return None
    if the user's class predicts.
    """
    if estimator is not None:
        owner = next(cls for cls in type(estimator).__mro__ if "predict" in vars(cls))
        if not owner.__module__.startswith("xgboost."):
            return None
    learner = json.loads(booster.save_config())["learner"]
    about, objective = learner["learner_model_param"], learner["objective"]["name"]
    classes, targets = int(about["num_class"]), int(about.get("num_target", 1))
    if hasattr(estimator, "classes_"):
        if targets > 1:
            return ArraySpec("float64", (None, targets))
        return ArraySpec("int32" if objective == "multi:softmax" else "int64", (None,))
    width = targets if targets > 1 else 1 if objective == "multi:softmax" else classes
    return ArraySpec("float32", (None, width) if width > 1 else (None,))


def _ends_the_process(booster: Any) -> bool:
    """Return whether asking for importances crashes: XGBoost 2.1 has a segmentation fault for trees with vector leaves. A
    loaded booster tells only its number of outputs, so check that.
    """
    if not sys.modules["xgboost"].__version__.startswith("2.1."):
        return False
    return json.loads(booster.save_config())["learner"]["learner_model_param"]["num_target"] != "1"


def _log_importances(run: Run, booster: Any, prefix: str) -> None:
    """Log at most the 1,000 features of the greatest gain, and the booster's number of features as `of`."""
    if _ends_the_process(booster):
        run.note(
            "Feature importances were left out: XGBoost 2.1 crashes on models with several outputs. Update XGBoost."
        )
        return
    scores: dict[str, dict[str, Any]] = {}
    for kind in ("gain", "weight", "cover"):
        try:
            scores[kind] = booster.get_score(importance_type=kind)
        except sys.modules[
            "xgboost.core"
        ].XGBoostError:  # linear boosters have weights only, some trees none of these
            continue
    if not scores:
        return
    first = next(iter(scores.values()))
    features = list(first)
    if len(features) > MAX_FEATURES:
        most = features if "gain" not in scores else sorted(features, key=first.__getitem__, reverse=True)
        features = most[:MAX_FEATURES]
    table = {kind: [values[feature] for feature in features] for kind, values in scores.items()}
    run.log_json(
        f"{prefix}feature_importances.json", {"features": features, **table, "of": booster.num_features()}
    )
