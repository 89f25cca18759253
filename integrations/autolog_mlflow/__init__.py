"""`mlflow+http://host:5000`, `mlflow+sqlite:///runs.db` or `mlflow:` (where MLflow itself is configured to) keeps runs in
MLflow: the same times, statuses, nesting, params, metrics, tags, data, files and models. `?register=NAME` registers the models.

`sink` takes events, `mapping` translates them, `server`, `rest` and `files` speak to MLflow.
"""

from __future__ import annotations

from autolog_mlflow.sink import MlflowSink

__all__ = ["MlflowSink"]
