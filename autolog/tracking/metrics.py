"""What a metric means: which of two values is better, and which metric models are compared by.

Code that computes a metric knows its direction and says it (`Run.describe_metrics`). For a name that nobody has described, as
users log them by hand, it is guessed by whole words, and shown as a guess. Names no framework: an integration knows what its
framework calls its metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

Direction = Literal["higher", "lower", "unknown"]
"""`unknown`: the code that logs the metric does not know either, and nobody may guess."""

# Names, in words, that mean the same everywhere in the field. The longest match counts, and its words do not count again.
_PHRASES: dict[str, Direction] = {
    **dict.fromkeys(
        (
            "accuracy", "acc", "top k accuracy", "balanced accuracy", "precision", "recall", "sensitivity", "specificity", "f1",
            "f beta", "fbeta", "f measure", "auc", "auroc", "auprc", "aucpr", "roc auc", "pr auc", "average precision", "map",
            "mean average precision", "ndcg", "dcg", "mrr", "r2", "r squared", "d2", "explained variance", "d2 log loss score",
            "d2 absolute error score", "d2 pinball score", "d2 tweedie score", "d2 brier score", "jaccard", "iou", "mean iou",
            "dice", "mcc", "matthews corrcoef", "cohen kappa", "kappa", "bleu", "rouge", "meteor", "psnr", "ssim", "silhouette",
            "silhouette score", "calinski harabasz", "calinski harabasz score", "rand score", "adjusted rand score",
            "mutual info score", "completeness score", "homogeneity score", "v measure score",
            "label ranking average precision", "label ranking average precision score", "score", "reward", "return",
            "throughput", "win rate", "success rate",
        ),
        "higher",
    ),
    **dict.fromkeys(
        (
            "loss", "logloss", "log loss", "hinge loss", "cross entropy", "crossentropy", "nll", "nloglik", "error", "err",
            "error rate", "mse", "rmse", "rmsle", "msle", "mae", "mape", "smape", "l1", "l2", "deviance", "perplexity", "ppl",
            "mean squared error", "root mean squared error", "mean absolute error", "mean absolute percentage error",
            "median absolute error", "max error", "mean squared log error", "mean pinball loss", "mean poisson deviance",
            "mean gamma deviance", "mean tweedie deviance", "brier", "brier score", "brier score loss", "coverage error",
            "label ranking loss", "zero one loss", "hamming loss", "davies bouldin", "davies bouldin score", "wer", "cer",
            "fid", "kl divergence", "divergence", "rank", "time", "seconds", "latency", "duration",
        ),
        "lower",
    ),
}  # fmt: skip
_LONGEST = max(len(phrase.split()) for phrase in _PHRASES)
_WORDS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
_NEUTRAL = frozenset("std var stdev variance sem scale weight count".split())
"""Words that turn a score into something else."""
_UNSEEN = frozenset("val valid validation eval test cv holdout dev".split())
_TIMES = frozenset("time seconds latency duration".split())


@lru_cache(maxsize=4096)
def guess(name: str) -> Literal["higher", "lower"] | None:
    """Return which way is better by the words of a metric's name; None if they say nothing, or both."""
    words = _words(name)
    if not _NEUTRAL.isdisjoint(words):
        return None
    if "neg" in words or "negative" in words:
        return "higher"
    votes: set[Direction] = set()
    place = 0
    while place < len(words):
        for length in range(min(_LONGEST, len(words) - place), 0, -1):
            vote = _PHRASES.get(" ".join(words[place : place + length]))
            if vote is not None:
                votes.add(vote)
                place += length
                break
        else:
            place += 1
    if votes == {"higher"}:
        return "higher"
    return "lower" if votes == {"lower"} else None


def metric_direction(name: str, described: Mapping[str, str]) -> Literal["higher", "lower"] | None:
    """Return which way is better: as described by the code that logs the metric, else by its name."""
    said = described.get(name)
    if said is None:
        return guess(name)
    return "higher" if said == "higher" else "lower" if said == "lower" else None


def primary_metric(metrics: Iterable[str], described: Mapping[str, str] = {}) -> str | None:
    """Return the metric by which models are compared, given a run's in the order of their first values: the first loss on data
    that was not trained on, else the first metric on such data. Both need a known direction. None if there is none.
    """
    unseen = [
        name
        for name in metrics
        if not _UNSEEN.isdisjoint(words := _words(name))
        and _TIMES.isdisjoint(words)
        and metric_direction(name, described)
    ]
    return next((name for name in unseen if "loss" in _words(name)), unseen[0] if unseen else None)


def is_of_unseen_data(name: str, data: str | None = None) -> bool:
    """Return whether a metric is of data that was not trained on: as was recorded of it, else by the words of its name."""
    return data != "train" if data else not _UNSEEN.isdisjoint(_words(name))


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORDS.findall(name))
