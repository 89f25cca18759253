"""What a trained booster says: where it stopped and what it found important."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from autolog import Run
from autolog_xgboost.rounds import Rounds

MAX_FEATURES = 1_000


def log(
    run: Run, booster: Any, rounds: Rounds, most: Any, asked: Mapping[str, Any], prefix: str = ""
) -> None:
    """Log how a training ended. `most` is the rounds that were asked for, `asked` what else was, by the names of `train`."""
    log_early_stopping(run, booster, rounds, most, asked, prefix)
    _log_importances(run, booster, prefix)


def log_early_stopping(
    run: Run, booster: Any, rounds: Rounds, most: Any, asked: Mapping[str, Any], prefix: str = ""
) -> None:
    """XGBoost keeps the best round in the booster, where a continued one may also hold that of its earlier training."""
    kind = sys.modules["xgboost.callback"].EarlyStopping
    stops = asked.get("early_stopping_rounds") or any(
        isinstance(c, kind) for c in asked.get("callbacks") or ()
    )
    best = booster.attr("best_iteration") if stops else None
    if best is None:
        return
    found = {"best_iteration": int(best), "best_score": float(booster.attr("best_score"))}
    if isinstance(most, int) and rounds.ran < most:
        found["stopped_iteration"] = rounds.first + rounds.ran - 1
    run.log_metrics({f"{prefix}{name}": value for name, value in found.items()}, step=0)


def _log_importances(run: Run, booster: Any, prefix: str) -> None:
    """The 1,000 features of the greatest gain at most; `of` is how many the booster has."""
    config: Any = json.loads(booster.save_config())
    linear = config["learner"]["gradient_booster"]["name"] == "gblinear"  # it has weights only
    kinds = ("weight",) if linear else ("gain", "weight", "cover")
    scores = {kind: booster.get_score(importance_type=kind) for kind in kinds}
    features = list(scores["weight"])
    if len(features) > MAX_FEATURES and not linear:
        features = sorted(features, key=scores["gain"].__getitem__, reverse=True)[:MAX_FEATURES]
    features = features[:MAX_FEATURES]
    table = {kind: [values[feature] for feature in features] for kind, values in scores.items()}
    run.log_json(
        f"{prefix}feature_importances.json", {"features": features, **table, "of": booster.num_features()}
    )
