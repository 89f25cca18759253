"""The options for scikit-learn."""

from __future__ import annotations

from typing import Literal

from autolog.integration import Options


class SklearnOptions(Options, frozen=True, kw_only=True):
    """Options for scikit-learn, in addition to those of all integrations."""

    log_training_metrics: bool | Literal["always"] = True
    """Score the fitted model on its training data, or on a sample of at most 10,000 rows; fewer for models that predict slowly.
    `"always"` also scores models with parts that are not scikit-learn's. Their code then runs once more.
    """
    log_post_training_metrics: bool = True
    """Record `score()` and `sklearn.metrics` functions called on a known model's predictions."""
    model_format: Literal["pickle", "skops"] = "pickle"
    """The format of saved models. skops files load without running code."""
