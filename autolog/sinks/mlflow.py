"""`mlflow+http://host:5000`, `mlflow+sqlite:///runs.db` or `mlflow:` (where MLflow itself is configured to) keeps runs in
MLflow: the same times, statuses, nesting, params, metrics, tags, data, files and models. `?register=NAME` registers the models.

Speaks to MLflow's tracking stores, as its own client does, and touches nothing of what the user does with mlflow: no active
run, no tracking URI. It knows events and MLflow's limits, and nothing of frameworks.

A repeat changes nothing: a run carries our id in the tag `autolog.run`, MLflow's metrics are a set of (name, time, step,
value), and all else is set, not added.
"""

# MLflow's client says little of its types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlencode

from autolog.sinks.address import Address
from autolog.sinks.base import Origin, Sink, SinkError
from autolog.tracking import events as e

MAX_BATCH = 1_000
MAX_BATCH_PARAMS = MAX_BATCH_TAGS = 100
MAX_BATCH_BYTES = 900_000
"""MLflow takes a million; what surrounds the values is counted roughly."""
MAX_KEY = 250
MAX_PARAM = 6_000
MAX_TAG = 5_000
MAX_EXPERIMENT = 500
MAX_NAME = 250
FAR = 2**63 - 1
MAX_SCHEMA = 65_535
RUNS_PER_PAGE = 1_000
ANSWER_SECONDS = 30.0
UPLOAD_SECONDS = 120.0

RUN_TAG = "autolog.run"
JOURNAL_TAG = "autolog.journal"
STATUSES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "lost": "KILLED"}

_NOT_IN_KEYS = re.compile(r"[^/\w.\- ]")
_IS_THERE = re.compile("unique|duplicate", re.IGNORECASE)
_NOT_IN_MODEL_NAMES = re.compile("[/:.%\"']")
_TYPES = {
    "bool": "boolean", "int8": "integer", "int16": "integer", "int32": "integer", "int64": "long", "float32": "float",
    "float64": "double", "object": "string", "str": "string", "string": "string",
}  # fmt: skip


class Refused(Exception):
    """MLflow did not take this, and will not take it another time."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class _Run:
    """A run in MLflow. `params` are those it has: they cannot be changed there."""

    def __init__(self, run: Any, *, new: bool) -> None:
        self.id: str = run.info.run_id
        self.experiment: str = run.info.experiment_id
        self.artifacts: str = run.info.artifact_uri
        self.params: dict[str, str] = dict(run.data.params)
        self.gone: bool = run.info.lifecycle_stage == "deleted"
        self.has_parent = new or "mlflow.parentRunId" in run.data.tags
        self.new = new


class _News:
    """What one batch says of one run."""

    def __init__(self) -> None:
        self.metrics: list[Any] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.datasets: list[Any] = []
        self.files: dict[str, None] = {}
        self.models: dict[str, e.ModelLogged] = {}
        self.end: tuple[str, int] | None = None


class MlflowSink(Sink):
    """Runs that were deleted in MLflow stay deleted: what still comes for them is left out."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._uri, self._register = _split(url)
        self._server = _Server(self._uri)
        self._origin: Origin | None = None
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, _Run] = {}
        self._starts: dict[str, e.RunStarted | e.RunRecorded] = {}
        self._code: dict[str, str] = {}
        self._news: dict[str, _News] = {}

    def identity(self) -> str:
        return Address(f"mlflow+{self._server.uri}").safe

    def open(self, origin: Origin) -> None:
        self._origin = origin
        for event in origin.earlier():
            if isinstance(event, (e.RunStarted, e.RunRecorded)):
                self._starts[event.run] = _without_values(event)
            elif isinstance(event, e.EnvironmentLogged):
                self._code = _code_tags(event.values)

    def write(self, events: Sequence[e.Event]) -> None:
        self._news = {}
        for event in events:
            self._take(event)

    def flush(self) -> None:
        try:
            for run, news in self._news.items():
                self._send(run, news)
        except Refused as error:
            self._forget()
            raise SinkError(str(error), retryable=False) from error
        except BaseException:
            self._forget()
            raise
        self._news = {}

    def close(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Of what was sent last it is not known whether it arrived: MLflow is asked again what it has."""
        self._experiments, self._runs, self._news = {}, {}, {}

    # -- from events

    def _take(self, event: e.Event) -> None:
        if isinstance(event, e.MetricsLogged):  # the most frequent by far
            self._metrics(event.run, event.v, event.t, event.step)
        elif isinstance(event, e.EnvironmentLogged):
            self._code = _code_tags(event.values)
            for run in {*self._runs, *self._news}:
                self._of(run).tags.update(self._code)
        elif isinstance(event, e.RunStarted):
            self._starts[event.run] = _without_values(event)
            self._of(event.run).tags.update(_tags({**_about(event), **_own(event.tags)}))
        elif isinstance(event, e.RunRecorded):
            self._starts[event.run] = _without_values(event)
            news = self._of(event.run)
            news.params.update(_params(event.params))
            news.tags.update(_tags({**_about(event), "autolog.status": event.status, **_own(event.tags)}))
            news.end = event.status, event.ended
            self._metrics(event.run, event.metrics, event.ended, 0)
        elif isinstance(event, e.RunDescribed):
            self._of(event.run).tags.update(_tags(_about(event)))
        elif isinstance(event, e.ParamsLogged):
            self._of(event.run).params.update(_params(event.values))
        elif isinstance(event, e.TagsSet):
            self._of(event.run).tags.update(_tags(_own(event.values)))
        elif isinstance(event, e.NoteLogged):
            kind = "error" if event.error else "note"
            self._of(event.run).tags.update(_tags({f"autolog.{kind}.{_digest(event.text)}": event.text}))
        elif isinstance(event, e.DatasetLogged):
            self._of(event.run).datasets.append(self._dataset(event))
        elif isinstance(event, e.ArtifactLogged):
            self._of(event.run).files[event.path] = None
        elif isinstance(event, e.ModelLogged):
            self._of(event.run).models[event.path] = event
        elif isinstance(event, e.RunEnded):
            news = self._of(event.run)
            news.end = event.status, event.t
            said = {"autolog.status": event.status, "autolog.overhead": str(event.overhead)}
            if event.error is not None:
                said["autolog.error"] = event.error
            if event.dropped:
                said["autolog.dropped"] = str(event.dropped)
            news.tags.update(_tags(said))

    def _of(self, run: str) -> _News:
        news = self._news.get(run)
        if news is None:
            news = self._news[run] = _News()
        return news

    def _metrics(self, run: str, values: dict[str, float], time: int, step: int) -> None:
        make, metrics = self._server.entities.Metric, self._of(run).metrics
        time, step = max(0, min(time, FAR)), max(-FAR, min(step, FAR))
        for key, value in values.items():
            metrics.append(make(_key(key), float(value), time, step))

    def _dataset(self, event: e.DatasetLogged) -> Any:
        """As MLflow has them. The context is its name too, as MLflow keeps one of a name and digest a run; its profile is all
        that we know of it.
        """
        entities, values = self._server.entities, event.values
        text = json.dumps(values, sort_keys=True)
        profile = {"num_rows": values.get("rows"), **values}
        dataset = entities.Dataset(
            name=event.context, digest=str(values.get("digest") or _digest(text))[:36], source_type="code",
            source=json.dumps({"tags": {"kind": values.get("kind")}}), schema=_schema(values), profile=json.dumps(profile),
        )  # fmt: skip
        return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", event.context)])

    # -- to MLflow

    def _send(self, run: str, news: _News) -> None:
        there = self._run(run)
        if there.gone:
            return
        try:
            self._send_to(there, news)
        except Refused as error:
            if error.status not in (400, 404) or not self._server.is_gone(there.id):
                raise
            there.gone = True

    def _send_to(self, there: _Run, news: _News) -> None:
        server = self._server
        refused: list[str] = []
        for key, value in news.params.items():
            held = there.params.setdefault(key, value)
            if held != value:  # MLflow's params are for ever, ours are not
                news.tags.update(_tags({f"autolog.param.{key}": value}))
        params = {key: value for key, value in news.params.items() if there.params[key] == value}
        for batch in server.batches(news.metrics, params, news.tags):
            self._send_batch(there, batch, refused)
        if news.datasets:
            refused += server.refusal("data", server.store.log_inputs, there.id, news.datasets)
        for path in news.files:
            refused += self._upload(f"file {path}", there.artifacts, self._local(there, path), path)
        for model in news.models.values():
            refused += self._send_model(there, model)
        if refused:
            tags = _tags({f"autolog.refused.{_digest(text)}": text for text in refused})
            for batch in server.batches([], {}, tags):
                server.call(server.store.log_batch, there.id, **batch)
        if news.end is not None:
            status, time = news.end
            number = server.entities.RunStatus.from_string(STATUSES.get(status, "FAILED"))
            server.call(server.store.update_run_info, there.id, number, time, None)

    def _send_batch(self, there: _Run, batch: dict[str, list[Any]], refused: list[str]) -> None:
        """What is refused is halved, until only what is wrong itself is left out."""
        server = self._server
        try:
            server.call(server.store.log_batch, there.id, **batch)
        except Refused as error:
            if error.status == 404 or server.is_gone(there.id):
                raise
            items = [(kind, item) for kind, some in batch.items() for item in some]
            if len(items) == 1:
                ((kind, item),) = items
                # MLflow 2 does not know a NaN again that it has, but its database does.
                if _IS_THERE.search(str(error)) is None:
                    refused.append(f"{kind[:-1]} {item.key}: {error}")
                return
            for half in (items[: len(items) // 2], items[len(items) // 2 :]):
                self._send_batch(there, _by_kind(half), refused)

    def _run(self, run: str) -> _Run:
        """The run in MLflow; made there if it is not."""
        there = self._runs.get(run)
        if there is None:
            start = self._starts.get(run)
            experiment = self._experiment(start.experiment if start is not None else "default")
            there = self._runs.get(run)  # found with those of its experiment
            if there is None:
                there = self._runs[run] = self._create(run, start, experiment)
            elif not there.has_parent and start is not None and start.parent is not None:
                self._of(run).tags.update(self._parent_tags(start, experiment))
        return there

    def _create(self, run: str, start: e.RunStarted | e.RunRecorded | None, experiment: str) -> _Run:
        assert self._origin is not None
        tags = {RUN_TAG: run, JOURNAL_TAG: self._origin.journal, **self._code}
        if start is not None:
            tags.update(self._parent_tags(start, experiment))
        server = self._server
        tag = server.entities.RunTag
        name, time = (_cut(start.name, MAX_NAME), max(0, start.t)) if start is not None else (run, e.now())
        return _Run(
            server.call(
                server.store.create_run, experiment, self._code.get("mlflow.user", ""), time,
                [tag(key, value) for key, value in {**tags, "mlflow.runName": name}.items()], name,
            ),
            new=True,
        )  # fmt: skip

    def _parent_tags(self, start: e.RunStarted | e.RunRecorded, experiment: str) -> dict[str, str]:
        if start.parent is None:
            return {}
        there = self._runs.get(start.parent)
        found = there.id if there is not None else self._server.find(experiment, RUN_TAG, start.parent)
        return {"autolog.parent": start.parent, **({"mlflow.parentRunId": found} if found else {})}

    def _experiment(self, name: str) -> str:
        """The experiment's id; made if there is none. Those of its runs are found that are of this journal."""
        name = (name or "default")[:MAX_EXPERIMENT]
        known = self._experiments.get(name)
        if known is None:
            assert self._origin is not None
            known = self._experiments[name] = self._server.experiment(name)
            for found in self._server.runs(known, JOURNAL_TAG, self._origin.journal):
                self._runs.setdefault(found.data.tags.get(RUN_TAG, ""), _Run(found, new=False))
        return known

    # -- files

    def _local(self, there: _Run, path: str) -> Path | None:
        assert self._origin is not None
        (run,) = [ours for ours, known in self._runs.items() if known is there]
        return self._origin.file(run, path)

    def _upload(self, what: str, root: str, local: Path | None, path: str) -> list[str]:
        """Returns what was refused. A file that is there no more was removed by its owner."""
        if local is None or not local.is_file():
            return []
        return self._server.refusal(what, self._server.upload, root, local, path)

    def _send_model(self, there: _Run, model: e.ModelLogged) -> list[str]:
        """As a logged model, which MLflow 3 has; for others among the run's files, with the tag by which they find it."""
        server, folder = self._server, self._local(there, model.path)
        if folder is None or not folder.is_dir():
            return []
        logged = None
        if _NOT_IN_MODEL_NAMES.search(model.path) is None:
            logged = server.logged_model(there.experiment, there.id, model.path)
        root, prefix = (
            (logged.artifact_location, "") if logged is not None else (there.artifacts, f"{model.path}/")
        )
        refused: list[str] = []
        for file in sorted(part for part in folder.rglob("*") if part.is_file()):
            name = file.relative_to(folder).as_posix()
            local = self._local(there, f"{model.path}/{name}")
            refused += self._upload(f"file {model.path}/{name}", root, local, f"{prefix}{name}")
        if refused:
            return refused
        if logged is not None:
            server.finish_model(there.id, logged)
        else:
            server.note_model(there.id, model.path, folder)
        if self._register:
            source = f"models:/{logged.model_id}" if logged is not None else f"{there.artifacts}/{model.path}"
            refused += server.refusal(
                "registration", server.register, self._register, source, there.id, logged and logged.model_id
            )
        return refused


class _Server:
    """MLflow's stores behind one URI: its entities, its errors and its manners."""

    def __init__(self, uri: str) -> None:
        try:
            from mlflow import entities
            from mlflow.exceptions import MlflowException
            from mlflow.tracking._model_registry import utils as registry
            from mlflow.tracking._tracking_service import utils as tracking
        except ImportError:
            raise ImportError("The sink mlflow needs MLflow's client: pip install mlflow-skinny") from None
        self.uri = uri or tracking.get_tracking_uri()
        self.entities: Any = entities
        self._error = MlflowException
        self._has_models = hasattr(entities, "LoggedModelOutput")
        self._store: Any = None
        self._registry: Any = None
        self._request: Callable[..., Any] = _requester()
        if self.uri.startswith(("http:", "https:")):
            self._store, self._registry = _plain_stores(self.uri, self._request)
        else:
            if "+" not in self.uri.partition(":")[0] and "sql" in self.uri.partition(":")[0]:
                try:
                    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # pyright: ignore
                except ImportError:
                    raise ImportError(
                        "For a database, the sink mlflow needs all of MLflow: pip install mlflow"
                    ) from None
            self._open = tracking._get_store, registry._get_store
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

        self._repository: Callable[..., Any] = get_artifact_repository
        self._resolve: Callable[[str, str], str] = MlflowArtifactsRepository.resolve_uri

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
        """Raises Refused for what is wrong with what was sent, else SinkError."""
        try:
            return what(*arguments, **named)
        except (Refused, SinkError):
            raise
        except self._error as error:
            status, code = int(error.get_http_status_code()), str(error.error_code)
            raise _classified(status, code, str(error)) from None

    def refusal(self, what: str, function: Callable[..., Any], *arguments: Any) -> list[str]:
        """Call it. Returns what is refused in a line, or nothing."""
        try:
            self.call(function, *arguments)
        except Refused as error:
            return [f"{what}: {error}"]
        return []

    # -- runs

    def experiment(self, name: str) -> str:
        """The id of an experiment, made if there is none."""
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
                        f"the experiment {name!r} is deleted in MLflow; restore it there", retryable=False
                    )
                return found.experiment_id
            try:
                return self.call(self.store.create_experiment, name, None, [])
            except Refused as error:  # another process has made it meanwhile
                if last_try or error.code != "RESOURCE_ALREADY_EXISTS":
                    raise
        raise AssertionError

    def runs(self, experiment: str, tag: str, value: str) -> Iterator[Any]:
        """The experiment's runs that have a tag, deleted ones too."""
        mark = '"' if "'" in value else "'"
        if mark in value:  # MLflow's filters cannot say it
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
        """The id of the run with this tag."""
        return next((run.info.run_id for run in self.runs(experiment, tag, value)), None)

    def is_gone(self, run: str) -> bool:
        """Whether the run was deleted."""
        try:
            return self.call(self.store.get_run, run).info.lifecycle_stage == "deleted"
        except Refused as error:
            return error.status == 404

    def batches(
        self, metrics: list[Any], params: dict[str, str], tags: dict[str, str]
    ) -> Iterator[dict[str, list[Any]]]:
        """Arguments of `log_batch` within its limits."""
        param, tag = self.entities.Param, self.entities.RunTag
        items = [
            *(("params", param(key, value), len(key) + len(value)) for key, value in params.items()),
            *(("tags", tag(key, value), len(key) + len(value)) for key, value in tags.items()),
            *(("metrics", metric, len(metric.key)) for metric in metrics),
        ]
        batch: dict[str, list[Any]] = _by_kind(())
        count = size = 0
        for kind, item, length in items:
            weight = 100 + (length if kind == "metrics" and item.key.isascii() else 6 * length)  # \uXXXX
            full = kind != "metrics" and len(batch[kind]) >= MAX_BATCH_PARAMS
            if count and (full or count >= MAX_BATCH or size + weight > MAX_BATCH_BYTES):
                yield batch
                batch, count, size = _by_kind(()), 0, 0
            batch[kind].append(item)
            count, size = count + 1, size + weight
        if count:
            yield batch

    # -- files and models

    def upload(self, root: str, local: Path, path: str) -> None:
        """Put a file at `path` below `root`: through the server where it serves them, else straight into its storage."""
        if root.startswith("mlflow-artifacts:"):
            root = self._resolve(root, self.uri)
        if not root.startswith(("http:", "https:")):
            self._repository(root).log_artifact(str(local), posixpath.dirname(path) or None)
            return
        with open(local, "rb") as file:
            # An empty one as bytes: requests would send it in chunks, which not every server takes.
            content: Any = file if os.fstat(file.fileno()).st_size else b""
            answer = self._request(
                root, f"/{quote(path)}", "PUT", UPLOAD_SECONDS, data=content,
                headers={"Content-Type": "application/octet-stream"},
            )  # fmt: skip
        if answer.status_code >= 300:
            raise _classified(answer.status_code, _code_of(answer), _text_of(answer))

    def logged_model(self, experiment: str, run: str, name: str) -> Any:
        """The run's model of this name, made if there is none; None if this MLflow has no such thing."""
        if not self._has_models:
            return None
        try:
            found = self.call(
                self.store.search_logged_models, [experiment], f"source_run_id = '{run}' AND name = '{name}'"
            )
            if found:
                return found[0]
            return self.call(self.store.create_logged_model, experiment, name, run)
        except Refused as error:
            if error.status not in (404, 405):
                raise
            self._has_models = False
            return None

    def finish_model(self, run: str, model: Any) -> None:
        """Make it usable, and the run's."""
        ready = self.entities.LoggedModelStatus.READY
        if model.status != ready:
            self.call(self.store.finalize_logged_model, model.model_id, ready)
        outputs = self.call(self.store.get_run, run).outputs
        if model.model_id not in [one.model_id for one in (outputs.model_outputs if outputs else ())]:
            self.call(self.store.log_outputs, run, [self.entities.LoggedModelOutput(model.model_id, 0)])

    def note_model(self, run: str, path: str, folder: Path) -> None:
        """The tag by which MLflow 2 shows that a run's files are a model."""
        key = "mlflow.log-model.history"
        described: dict[str, Any] = json.loads((folder / "MLmodel").read_text())
        entry = {
            "run_id": run, "artifact_path": path, "flavors": described["flavors"],
            "utc_time_created": described["utc_time_created"], "model_uuid": described["model_uuid"],
        }  # fmt: skip
        held = json.loads(self.call(self.store.get_run, run).data.tags.get(key, "[]"))
        others = [one for one in held if one["artifact_path"] != path]
        self.call(self.store.set_tag, run, self.entities.RunTag(key, json.dumps([*others, entry])))

    def register(self, name: str, source: str, run: str, model: str | None) -> None:
        """A version of the registered model `name`, unless there is one of this source."""
        try:
            self.call(self.registry.create_registered_model, name)
        except Refused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        versions = self.call(self.registry.search_model_versions, f"name = '{name}'")
        if source not in [one.source for one in versions]:
            more = {"model_id": model} if model is not None else {}
            self.call(self.registry.create_model_version, name, source, run, **more)


def _requester() -> Callable[..., Any]:
    """Asks a server, with MLflow's credentials and certificates. MLflow's own way goes on trying for minutes, with a warning
    each, where the follower has its own patience; and at every request it tries to import pyspark and IPython, to say where it
    is. It is taken where its plug-ins for authentication are needed.
    """
    import netrc  # noqa: F401  # pyright: ignore[reportUnusedImport]  requests would import it on the sink's thread

    import requests
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    session = requests.Session()

    def request(uri: str, place: str, method: str, seconds: float, **content: Any) -> Any:
        creds = get_default_host_creds(uri)
        if creds.auth or creds.aws_sigv4 or getattr(creds, "use_databricks_sdk", False):
            headers = content.pop("headers", None)
            return http_request(
                creds,
                place,
                method,
                max_retries=0,
                raise_on_status=False,
                timeout=seconds,
                extra_headers=headers,
                **content,
            )
        if creds.username and creds.password:
            content["auth"] = (creds.username, creds.password)
        elif creds.token:
            content["headers"] = {**content.get("headers", {}), "Authorization": f"Bearer {creds.token}"}
        try:
            return session.request(
                method,
                f"{uri.rstrip('/')}{place}",
                timeout=seconds,
                verify=creds.verify,
                cert=creds.client_cert_path,
                **content,
            )
        except requests.exceptions.Timeout:
            raise SinkError(f"no answer within {seconds:g} s") from None
        except requests.exceptions.ConnectionError as error:
            raise SinkError(f"cannot be reached ({_reason(error)})") from None

    return request


def _reason(error: BaseException) -> str:
    """The last words of a chain of errors, each of which repeats the one before."""
    found = re.findall(
        r"\[Errno -?\d+\] ([^'\")]+)|(Remote end closed connection|[Ii]ncomplete read)", str(error)
    )
    return "".join(found[-1]).strip() if found else type(error).__name__


def _plain_stores(uri: str, request: Callable[..., Any]) -> tuple[Any, Any]:
    """MLflow's REST stores, asking by `request` and saying what the server answered."""
    from functools import partial

    from mlflow.protos.model_registry_pb2 import ModelRegistryService
    from mlflow.protos.service_pb2 import MlflowService
    from mlflow.store.model_registry.rest_store import RestStore as RegistryStore
    from mlflow.store.tracking.rest_store import RestStore
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.proto_json_utils import parse_dict
    from mlflow.utils.rest_utils import extract_api_info_for_service

    places: dict[Any, tuple[str, str]] = {
        **extract_api_info_for_service(MlflowService, "/api/2.0"),
        **extract_api_info_for_service(ModelRegistryService, "/api/2.0"),
    }

    def call(self: Any, api: Any, json_body: str | None = None, endpoint: str | None = None, **_: Any) -> Any:
        place, method = places[api]
        content = {"params" if method == "GET" else "json": json.loads(json_body) if json_body else None}
        answer = request(uri, endpoint or place, method, _patience(), **content)
        if answer.status_code != 200:
            raise _classified(answer.status_code, _code_of(answer), _text_of(answer))
        said = _object(answer)
        if said is None:
            raise SinkError("what answers there is no MLflow server", retryable=False)
        message = api.Response()
        parse_dict(said, message)
        return message

    creds = partial(get_default_host_creds, uri)
    tracking, registry = (
        type(f"Plain{base.__name__}", (base,), {"_call_endpoint": call})(creds)
        for base in (RestStore, RegistryStore)
    )
    return tracking, registry


def _patience() -> float:
    """Seconds to wait for an answer, as MLflow's own setting has it."""
    try:
        return float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    except (KeyError, ValueError):
        return ANSWER_SECONDS


def _classified(status: int, code: str, text: str) -> Exception:
    if status in (401, 403):
        return SinkError(text, retryable=False)
    if 400 <= status < 500 and status not in (408, 425, 429):
        return Refused(status, code, text)
    return SinkError(text)


def _object(answer: Any) -> dict[str, Any] | None:
    try:
        said = json.loads(answer.text or "{}")
    except ValueError:
        return None
    return cast("dict[str, Any]", said) if isinstance(said, dict) else None


def _code_of(answer: Any) -> str:
    return str((_object(answer) or {}).get("error_code", ""))


def _text_of(answer: Any) -> str:
    said = (_object(answer) or {}).get("message")
    return f"{answer.status_code} {said or answer.reason or ''}".strip()[:300]


# -- what MLflow can hold


def _split(url: str) -> tuple[str, str]:
    """MLflow's own URI of a sink's URL, empty for the configured one, and what to register models as."""
    scheme, _, rest = url.partition(":")
    base, question, query = rest.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    register = next((value for key, value in pairs if key == "register"), "")
    others = [pair for pair in pairs if pair[0] != "register"]
    if question and register:
        base = f"{base}?{urlencode(others)}" if others else base
    elif question:
        base = rest
    _, plus, inner = scheme.partition("+")
    if not plus:
        if base:
            raise ValueError(
                "mlflow: is where MLflow itself is configured to; else mlflow+http://…, mlflow+sqlite:///…"
            )
        return "", register
    uri = f"{inner}:{base}"
    if inner.lower() == "sqlite":
        path = base.removeprefix("///")
        uri = f"sqlite:///{os.path.abspath(path)}"  # the same from any folder
    return uri.rstrip("/") if inner.lower() in ("http", "https") else uri, register


def _key(key: str) -> str:
    """`key` in the characters that MLflow allows; one that had to be changed ends in a mark of its own, so that two do not
    become one.
    """
    clean = _NOT_IN_KEYS.sub("_", key)
    if posixpath.normpath(clean) != clean or clean.startswith(("/", "..")) or clean in ("", "."):
        clean = re.sub(r"[/.]+", "_", clean) or "_"
    if len(clean) > MAX_KEY:
        clean = clean[: MAX_KEY - 9]
    return key if clean == key else f"{clean[: MAX_KEY - 9]}-{_digest(key)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _params(values: dict[str, Any]) -> dict[str, str]:
    return {_key(key): _cut(_text(value), MAX_PARAM) for key, value in values.items()}


def _tags(values: dict[str, str]) -> dict[str, str]:
    return {_key(key): _cut(value, MAX_TAG) for key, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _own(tags: dict[str, str]) -> dict[str, str]:
    """The user's tags; those that would be taken for ours are put apart."""
    return {f"tags.{key}" if key.startswith("autolog.") else key: value for key, value in tags.items()}


def _about(event: e.RunStarted | e.RunRecorded | e.RunDescribed) -> dict[str, str]:
    said = {
        "kind": event.kind,
        "framework": event.framework,
        "framework_version": event.version,
        "estimator": event.estimator,
    }
    return {f"autolog.{key}": value for key, value in said.items() if value is not None}


def _code_tags(environment: dict[str, Any]) -> dict[str, str]:
    """Where the code is, as MLflow names it."""
    git: dict[str, Any] = environment.get("git") or {}
    said = {
        "mlflow.user": environment.get("user"),
        "mlflow.source.name": environment.get("script"),
        "mlflow.source.type": "LOCAL" if environment.get("script") else None,
        "mlflow.source.git.commit": git.get("commit"),
        "mlflow.source.git.branch": git.get("branch"),
    }
    return _tags({key: str(value) for key, value in said.items() if value})


def _without_values(event: e.RunStarted | e.RunRecorded) -> e.RunStarted | e.RunRecorded:
    """What is needed of a start later on."""
    if isinstance(event, e.RunStarted):
        return event
    return e.RunStarted(event.run, event.t, event.name, event.experiment, event.parent)


def _schema(values: dict[str, Any]) -> str:
    """The columns as MLflow describes them, where their types have a name there; else nothing."""
    columns: dict[str, str] = values.get("schema") or {}
    found = [
        {"type": _TYPES[kind.lower()], "name": name, "required": True}
        for name, kind in columns.items()
        if kind.lower() in _TYPES
    ]
    text = json.dumps({"mlflow_colspec": found})
    return text if found and len(found) == len(columns) and len(text) <= MAX_SCHEMA else ""


def _by_kind(items: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    sorted_by: dict[str, list[Any]] = {"metrics": [], "params": [], "tags": []}
    for kind, item in items:
        sorted_by[kind].append(item)
    return sorted_by
