"""What can be told of a trained booster: how its features count, and what its predictions look like."""

from __future__ import annotations

from typing import Any

from autolog.integration import ArraySpec, Run

MAX_FEATURES = 1_000
MAX_NAMED = 10_000
"""Of more features, the names take long to list."""
IMPORTANCES = ("gain", "split")


def log_importances(run: Run, booster: Any) -> None:
    """One artifact for both kinds: the 1,000 features of the greatest gain at most, in their own order; `of` is how many
    there are.
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
    """What is like the model's predictions; None where a class of the user's predicts."""
    owner = next(cls for cls in type(model).__mro__ if "predict" in vars(cls))
    if not owner.__module__.startswith("lightgbm."):
        return None
    classes = getattr(model, "classes_", None)
    if classes is not None and not callable(model.objective_):
        return classes
    width = getattr(model, "booster_", model).num_model_per_iteration()
    return ArraySpec("float64", (None,) if width == 1 else (None, width))
