"""Records a trained model's summary of its training. Spark computes most of a summary on access, by jobs over the training
data, so this reads only the numbers that exist already.
"""

from __future__ import annotations

import sys
from typing import Any

from autolog.integration import Run
from autolog_pyspark import directions

HISTORY = "objectiveHistory"
AT_HAND = (
    "totalIterations", "numIterations", "numIter", "trainingCost", "logLikelihood", "r2", "r2adj", "explainedVariance",
    "meanAbsoluteError", "meanSquaredError", "rootMeanSquaredError",
)  # fmt: skip
"""Numbers that Spark holds at the end of a training. Each model has some of them."""


def chain(model: Any) -> list[Any]:
    """Return the model and those that it delegates to: a search's best model, a pipeline's stages."""
    found = [model]
    for one in found:
        held = getattr(one, "__dict__", {})
        inner = held.get("bestModel")
        found += [inner] if inner is not None else held.get("stages") or []
    return found


def log(run: Run, model: Any) -> None:
    """Log the training summaries of a model and its stages."""
    stages = chain(model)
    for one in stages:
        _log_rounds(run, one)
    held = [(one, summary) for one in stages if (summary := _summary(one)) is not None]
    for one, summary in held:
        prefix = "" if len(held) == 1 else f"{type(one).__name__}."
        java = summary._java_obj
        # The existing numbers: from the JVM's object; with Spark Connect, which has only a name for it, from the Python class.
        names = set(dir(type(summary) if type(java) is str else java))
        values = {name: summary._call_java(name) for name in AT_HAND if name in names}
        # Models that do not iterate, such as forests, have 0 iterations and a history of one zero.
        if values.get("totalIterations") == 0:
            del values["totalIterations"]
        elif HISTORY in names:
            for step, value in enumerate(summary._call_java(HISTORY)):
                run.log_metrics({f"{prefix}{HISTORY}": value}, step=step)
        run.log_metrics({prefix + name: value for name, value in values.items()}, step=0)
        named = {prefix + name: directions.of(name) for name in (*values, HISTORY)}
        run.describe_metrics({name: better for name, better in named.items() if name in run.metric_names})


def _summary(model: Any) -> Any:
    """Return a model's training summary, or None."""
    if not hasattr(type(model), "hasSummary"):
        return None
    java = getattr(model, "_java_obj", None)
    if type(java).__name__ != "JavaObject":
        return vars(model).get("_summary")  # Spark Connect
    return sys.modules["pyspark.ml.wrapper"].JavaWrapper(java.summary()) if java.hasSummary() else None


def _log_rounds(run: Run, model: Any) -> None:
    """Log the rounds and early stopping of XGBoost's models, with the names of the xgboost integration."""
    held = getattr(model, "__dict__", {})
    summary, inner = held.get("training_summary"), held.get("_xgb_sklearn_model")
    if summary is None:  # XGBoost before 3.0 keeps none
        return
    histories = {
        "training": summary.train_objective_history,
        "validation": summary.validation_objective_history,
    }
    series = {f"{data}-{name}": of for data, history in histories.items() for name, of in history.items()}
    rounds = max(map(len, series.values()), default=0)
    for step in range(rounds):
        run.log_metrics({name: of[step] for name, of in series.items() if step < len(of)}, step=step)
    best = getattr(inner, "best_iteration", None)  # it raises AttributeError without early stopping
    if best is not None:
        found = {"best_iteration": best, "best_score": inner.best_score}
        if rounds < inner.get_num_boosting_rounds():
            found["stopped_iteration"] = rounds - 1
        run.log_metrics(found, step=0)
        run.describe_metrics(dict.fromkeys(found))
