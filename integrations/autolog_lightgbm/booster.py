"""What can be told of a trained booster: how its features count, and what its predictions look like."""

from __future__ import annotations

import sys
from typing import Any

from autolog import Run

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
    """An array like the model's predictions: of their type, and a row as they have it."""
    classes = getattr(model, "classes_", None)
    if classes is not None and not callable(model.objective_):
        return classes
    width = getattr(model, "booster_", model).num_model_per_iteration()
    return sys.modules["numpy"].empty(0 if width == 1 else (0, width))
