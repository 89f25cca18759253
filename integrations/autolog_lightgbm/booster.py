"""Describes a trained booster: its feature importances, and the type of its predictions."""

from __future__ import annotations

from typing import Any

from autolog.integration import ArraySpec, Run

MAX_FEATURES = 1_000
MAX_NAMED = 10_000
"""Listing the names of more features takes long."""
IMPORTANCES = ("gain", "split")


def log_importances(run: Run, booster: Any) -> None:
    """Log both kinds of importances as one artifact: at most the 1,000 features of the greatest gain, in the original order,
    and their total as `of`.
    """
    values = {kind: booster.feature_importance(importance_type=kind) for kind in IMPORTANCES}
    gain = values["gain"]
    if not gain.size:
        return
    chosen = range(gain.size)
    if gain.size > MAX_FEATURES:
        chosen = sorted(gain.argpartition(-MAX_FEATURES)[-MAX_FEATURES:].tolist())
    names = booster.feature_name() if gain.size <= MAX_NAMED else range(gain.size)
    shown = {kind: [found[i].item() for i in chosen] for kind, found in values.items()}
    run.log_json(
        "feature_importances.json", {"features": [names[i] for i in chosen], **shown, "of": gain.size}
    )


def output_of(model: Any) -> Any:
    """Return the type and shape of the model's predictions; None if the user's class predicts."""
    owner = next(cls for cls in type(model).__mro__ if "predict" in vars(cls))
    if not owner.__module__.startswith("lightgbm."):
        return None
    classes = getattr(model, "classes_", None)
    if classes is not None and not callable(model.objective_):
        return classes
    width = getattr(model, "booster_", model).num_model_per_iteration()
    return ArraySpec("float64", (None,) if width == 1 else (None, width))
