"""Records what the user's scikit-learn callbacks (1.9 and later) measured during the fit. autolog attaches no callback of its
own: it would stay on the estimator, and so in its copies and pickles.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autolog.integration import Run


def log(run: Run, estimators: Iterable[Any]) -> None:
    """Log the last fit's values in each `ScoringMonitor` on these estimators, one step per iteration."""
    seen: list[Any] = []
    for estimator in estimators:
        for callback in getattr(estimator, "__dict__", {}).get("_skl_callbacks", ()):
            if type(callback).__name__ == "ScoringMonitor" and not any(callback is other for other in seen):
                seen.append(callback)
                _log_monitor(run, callback)


def _log_monitor(run: Run, monitor: Any) -> None:
    try:
        rows = monitor.get_logs().data
    except ValueError:  # it has observed no fit
        return
    # A row's path leads from the outermost fit to the iteration. A search makes several fits. The kept model's is the last one
    # on the level nearest to the user's call.
    paths = {row["parent_task_id_path"] for row in rows if row["parent_task_id_path"]}
    fits = {row["task_id_path"] for row in rows}
    iterated = sorted(paths & fits, key=lambda path: (-len(path), path))
    if not iterated:
        return
    for row in rows:
        if row["parent_task_id_path"] == iterated[-1]:
            scores = {name: value for name, value in row.items() if name not in _ABOUT_THE_TASK}
            run.log_metrics(scores, step=row["task_id"])
            run.describe_metrics(dict.fromkeys(scores, "higher"))  # they are scorers


_ABOUT_THE_TASK = (
    "task_id_path", "parent_task_id_path", "estimator_name", "task_name", "task_id", "sequential_subtasks",
)  # fmt: skip
