"""Which of two values of a metric is better, and which metrics judge a model: as their names say."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HIGHER = tuple("neg_ acc auc f1 r2 score precision recall map ndcg dice iou bleu rouge".split())
_LOWER = tuple("loss error rmse mse mae mape deviance perplexity time rank rmsle err nll".split())
_UNSEEN = re.compile(r"(?<![a-z])(val|valid|validation|eval|test|cv)(?![a-z])")


def better(metric: str) -> str | None:
    """`higher` or `lower`, where a metric's name says which is better."""
    name = metric.lower()
    if name.startswith(("std_", "neg_")) or "_std" in name:
        return "higher" if name.startswith("neg_") else None
    if any(word in name for word in _LOWER):
        return "lower"
    return "higher" if any(word in name for word in _HIGHER) else None


def judge(metrics: Iterable[str]) -> str | None:
    """Of a run's metrics, in the order in which they came, the one to compare models by: the first loss on data that was not
    trained on, or else the first metric on such data whose name says which way is better. None if there is none.
    """
    unseen = [
        name for name in metrics if _UNSEEN.search(name.lower()) and better(name) and "time" not in name
    ]
    return next((name for name in unseen if "loss" in name.lower()), unseen[0] if unseen else None)
