"""A sink that keeps runs in MLflow, with their times, statuses, nesting, params, metrics, tags, data, files and models.

Its URL is `mlflow+http://host:5000`, `mlflow+sqlite:///runs.db`, or `mlflow:` for MLflow's configured tracking URI.
`?register=NAME` registers the models. `sink` takes events, `mapping` translates them, and `server`, `rest` and `files` talk to
MLflow.
"""

from __future__ import annotations

from autolog_mlflow.sink import MlflowSink

__all__ = ["MlflowSink"]
