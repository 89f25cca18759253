"""One MLflow server or database: its experiments, runs, batches and errors.

This module uses MLflow's tracking stores, as MLflow's client does. It does not touch the user's state in mlflow, such as the
active run and the tracking URI. It knows MLflow's ids and entities, but not autolog's events and runs.
"""

# MLflow's client has few type annotations.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from autolog.sinks import SinkError
from autolog_mlflow.rest import Refused, classified, plain_stores, requester

MAX_BATCH = 1_000
MAX_BATCH_PARAMS = MAX_BATCH_TAGS = 100
MAX_BATCH_BYTES = 900_000
"""MLflow's limit is a million bytes. We estimate the size of all but the values."""
RUNS_PER_PAGE = 1_000


class Server:
    """The stores behind `uri`, or behind MLflow's configured tracking URI if `uri` is empty."""

    def __init__(self, uri: str) -> None:
        try:
            from mlflow import entities
            from mlflow.exceptions import MlflowException
            from mlflow.tracking._model_registry import utils as registry
            from mlflow.tracking._tracking_service import utils as tracking
        except ImportError:
            raise ImportError(
                "The sink mlflow needs MLflow's client. Install it: pip install mlflow-skinny"
            ) from None
        self.uri = uri or tracking.get_tracking_uri()
        self.entities: Any = entities
        self._error = MlflowException
        self._store: Any = None
        self._registry: Any = None
        self.request: Callable[..., Any] = requester()
        if self.uri.startswith(("http:", "https:")):
            self._store, self._registry = plain_stores(self.uri, self.request)
        else:
            if "+" not in self.uri.partition(":")[0] and "sql" in self.uri.partition(":")[0]:
                try:
                    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # pyright: ignore
                except ImportError:
                    raise ImportError(
                        "For a database, the sink mlflow needs all of MLflow. Install it: pip install mlflow"
                    ) from None
            self._open = tracking._get_store, registry._get_store

    @property
    def store(self) -> Any:
        if self._store is None:
            self._store = self._open[0](self.uri)
        return self._store

    @property
    def registry(self) -> Any:
        if self._registry is None:
            self._registry = self._open[1](self.uri)
        return self._registry

    def call(self, what: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a store. Raises Refused if the request itself is wrong, else SinkError."""
        try:
            return what(*arguments, **named)
        except (Refused, SinkError):
            raise
        except self._error as error:
            status, code = int(error.get_http_status_code()), str(error.error_code)
            raise classified(status, code, str(error)) from None

    def refusal(self, what: str, function: Callable[..., Any], *arguments: Any) -> list[str]:
        """Call a store. Return what MLflow refused, as at most one line that starts with `what`."""
        try:
            self.call(function, *arguments)
        except Refused as error:
            return [f"{what}: {error}"]
        return []

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, creating it if needed."""
        for last_try in (False, True):
            try:
                found = self.call(self.store.get_experiment_by_name, name)
            except Refused as error:
                if error.code != "RESOURCE_DOES_NOT_EXIST":
                    raise SinkError(f"{error} (is it an MLflow server?)", retryable=False) from None
                found = None
            if found is not None:
                if found.lifecycle_stage == "deleted":
                    raise SinkError(
                        f"the experiment {name!r} is deleted in MLflow: restore it there", retryable=False
                    )
                return found.experiment_id
            try:
                return self.call(self.store.create_experiment, name, None, [])
            except Refused as error:  # another process may have created it meanwhile
                if last_try or error.code != "RESOURCE_ALREADY_EXISTS":
                    raise
        raise AssertionError

    def runs(self, experiment: str, tag: str, value: str) -> Iterator[Any]:
        """Yield the experiment's runs with this tag, including deleted ones."""
        mark = '"' if "'" in value else "'"
        if mark in value:  # MLflow's filters have no escapes
            return
        page = None
        view = self.entities.ViewType.ALL
        while True:
            found = self.call(
                self.store.search_runs,
                [experiment],
                f"tags.`{tag}` = {mark}{value}{mark}",
                view,
                RUNS_PER_PAGE,
                None,
                page,
            )
            yield from found
            page = found.token
            if not page:
                return

    def find(self, experiment: str, tag: str, value: str) -> str | None:
        """Return the id of the run with this tag, or None."""
        return next((run.info.run_id for run in self.runs(experiment, tag, value)), None)

    def is_gone(self, run: str) -> bool:
        """Return whether the run is deleted."""
        try:
            return self.call(self.store.get_run, run).info.lifecycle_stage == "deleted"
        except Refused as error:
            return error.status == 404

    def batches(
        self, metrics: list[Any], params: dict[str, str], tags: dict[str, str]
    ) -> Iterator[dict[str, list[Any]]]:
        """Yield arguments for `log_batch` within its limits."""
        param, tag = self.entities.Param, self.entities.RunTag
        items = [
            *(("params", param(key, value), len(key) + len(value)) for key, value in params.items()),
            *(("tags", tag(key, value), len(key) + len(value)) for key, value in tags.items()),
            *(("metrics", metric, len(metric.key)) for metric in metrics),
        ]
        batch: dict[str, list[Any]] = by_kind(())
        count = size = 0
        for kind, item, length in items:
            weight = 100 + (length if kind == "metrics" and item.key.isascii() else 6 * length)  # \uXXXX
            full = kind != "metrics" and len(batch[kind]) >= MAX_BATCH_PARAMS
            if count and (full or count >= MAX_BATCH or size + weight > MAX_BATCH_BYTES):
                yield batch
                batch, count, size = by_kind(()), 0, 0
            batch[kind].append(item)
            count, size = count + 1, size + weight
        if count:
            yield batch


def by_kind(items: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    sorted_by: dict[str, list[Any]] = {"metrics": [], "params": [], "tags": []}
    for kind, item in items:
        sorted_by[kind].append(item)
    return sorted_by
