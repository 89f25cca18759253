"""The sink itself: collects events by run, and sends them so that a repeat changes nothing.

The tag `autolog.run` holds autolog's run id. MLflow's metrics are a set of (name, time, step, value), and everything else is
set, not added. `mapping` translates names and values, `server` talks to MLflow, and `files` sends files and models.
"""

# MLflow's client has few type annotations.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from autolog.sinks import Address, Origin, Sink, SinkError
from autolog.sinks import events as e
from autolog_mlflow import mapping
from autolog_mlflow.files import Storage
from autolog_mlflow.rest import Refused
from autolog_mlflow.server import Server, by_kind

_IS_THERE = re.compile("unique|duplicate", re.IGNORECASE)


class _Run:
    """A run in MLflow. `params` holds those that MLflow has: they cannot be changed there."""

    def __init__(self, ours: str, run: Any, *, new: bool) -> None:
        self.ours = ours
        self.id: str = run.info.run_id
        self.experiment: str = run.info.experiment_id
        self.artifacts: str = run.info.artifact_uri
        self.params: dict[str, str] = dict(run.data.params)
        self.gone: bool = run.info.lifecycle_stage == "deleted"
        self.has_parent = new or "mlflow.parentRunId" in run.data.tags


class _News:
    """The news of one batch about one run."""

    def __init__(self) -> None:
        self.metrics: list[Any] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.datasets: list[Any] = []
        self.files: dict[str, None] = {}
        self.models: dict[str, None] = {}
        self.end: tuple[str, int] | None = None


class MlflowSink(Sink):
    """Runs that are deleted in MLflow stay deleted: later events for them are skipped."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        uri, register = _split(url)
        self._server = Server(uri)
        self._storage = Storage(self._server, register)
        self._origin: Origin | None = None
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, _Run] = {}
        self._starts: dict[str, e.RunStarted | e.RunRecorded] = {}
        self._code: dict[str, str] = {}
        self._news: dict[str, _News] = {}
        self._changes: list[e.RunChanged] = []

    def identity(self) -> str:
        return Address(f"mlflow+{self._server.uri}").safe

    def open(self, origin: Origin) -> None:
        self._origin = origin
        for event in origin.earlier():
            if isinstance(event, (e.RunStarted, e.RunRecorded)):
                self._starts[event.run] = _without_values(event)
            elif isinstance(event, e.EnvironmentLogged):
                self._code = mapping.code_tags(event.values)

    def write(self, events: Sequence[e.Event]) -> None:
        self._news, self._changes = {}, []
        for event in events:
            self._take(event)

    def flush(self) -> None:
        try:
            for run, news in self._news.items():
                self._send(run, news)
            for change in self._changes:
                self._send_change(change)
        except Refused as error:
            self._forget()
            raise SinkError(str(error), retryable=False) from error
        except BaseException:
            self._forget()
            raise
        self._news, self._changes = {}, []

    def close(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Forget the state of MLflow: the last request may or may not have arrived, so the next try reads it again."""
        self._experiments, self._runs, self._news, self._changes = {}, {}, {}, []

    # -- from events

    def _take(self, event: e.Event) -> None:
        if isinstance(event, e.MetricsLogged):  # by far the most frequent event
            self._metrics(event.run, event.v, event.t, event.step)
        elif isinstance(event, e.EnvironmentLogged):
            self._code = mapping.code_tags(event.values)
            for run in {*self._runs, *self._news}:
                self._of(run).tags.update(self._code)
        elif isinstance(event, e.RunStarted):
            self._starts[event.run] = _without_values(event)
            self._of(event.run).tags.update(mapping.tags({**mapping.about(event), **mapping.own(event.tags)}))
        elif isinstance(event, e.RunRecorded):
            self._starts[event.run] = _without_values(event)
            news = self._of(event.run)
            news.params.update(mapping.params(event.params))
            news.tags.update(
                mapping.tags(
                    {**mapping.about(event), "autolog.status": event.status, **mapping.own(event.tags)}
                )
            )
            news.end = event.status, event.ended
            self._metrics(event.run, event.metrics, event.ended, 0)
        elif isinstance(event, e.RunDescribed):
            self._of(event.run).tags.update(mapping.tags(mapping.about(event)))
        elif isinstance(event, e.ParamsLogged):
            self._of(event.run).params.update(mapping.params(event.values))
        elif isinstance(event, e.TagsSet):
            self._of(event.run).tags.update(mapping.tags(mapping.own(event.values)))
        elif isinstance(event, e.RunChanged):
            self._changes.append(event)
        elif isinstance(event, e.NoteLogged):
            kind = "error" if event.error else "note"
            self._of(event.run).tags.update(
                mapping.tags({f"autolog.{kind}.{mapping.digest(event.text)}": event.text})
            )
        elif isinstance(event, e.DatasetLogged):
            self._of(event.run).datasets.append(self._dataset(event))
        elif isinstance(event, e.ArtifactLogged):
            self._of(event.run).files[event.path] = None
        elif isinstance(event, e.ModelLogged):
            self._of(event.run).models[event.path] = None
        elif isinstance(event, e.RunEnded):
            news = self._of(event.run)
            news.end = event.status, event.t
            said = {"autolog.status": event.status, "autolog.overhead": str(event.overhead)}
            if event.error is not None:
                said["autolog.error"] = event.error
            if event.dropped:
                said["autolog.dropped"] = str(event.dropped)
            news.tags.update(mapping.tags(said))

    def _of(self, run: str) -> _News:
        news = self._news.get(run)
        if news is None:
            news = self._news[run] = _News()
        return news

    def _metrics(self, run: str, values: dict[str, float], time: int, step: int) -> None:
        make, metrics = self._server.entities.Metric, self._of(run).metrics
        time, step = max(0, min(time, mapping.FAR)), max(-mapping.FAR, min(step, mapping.FAR))
        for key, value in values.items():
            metrics.append(make(mapping.key_of(key), float(value), time, step))

    def _dataset(self, event: e.DatasetLogged) -> Any:
        """Return a data set as MLflow's entity. Its name is the context, because MLflow keeps one per name and digest in a run.
        Its profile holds all that is recorded.
        """
        entities, values = self._server.entities, event.values
        text = json.dumps(values, sort_keys=True)
        profile = {"num_rows": values.get("rows"), **values}
        dataset = entities.Dataset(
            name=event.context, digest=str(values.get("digest") or mapping.digest(text))[:36], source_type="code",
            source=json.dumps({"tags": {"kind": values.get("kind")}}), schema=mapping.schema(values),
            profile=json.dumps(profile),
        )  # fmt: skip
        return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", event.context)])

    # -- to MLflow

    def _send(self, run: str, news: _News) -> None:
        there = self._run(run)
        self._unless_gone(there, partial(self._send_to, there, news))

    def _unless_gone(self, there: _Run, send: Callable[[], None]) -> None:
        """Send something of a run, unless it is deleted in MLflow."""
        if there.gone:
            return
        try:
            send()
        except Refused as error:
            if error.status not in (400, 404) or not self._server.is_gone(there.id):
                raise
            there.gone = True

    def _send_change(self, change: e.RunChanged) -> None:
        """Change a run, which may be from another journal, if MLflow has it."""
        there = self._runs.get(change.run) or self._found(change.run)
        if there is not None:
            self._unless_gone(there, partial(self._change, there, change))

    def _change(self, there: _Run, change: e.RunChanged) -> None:
        server, refused = self._server, list[str]()
        if change.name is not None:
            name = mapping.cut(change.name, mapping.MAX_NAME)
            refused += server.refusal(
                f"name {name}", server.store.update_run_info, there.id, None, None, name
            )
        tags, removed = mapping.changed_tags(change)
        for batch in server.batches([], {}, tags):
            self._send_batch(there, batch, refused)
        held = server.call(server.store.get_run, there.id).data.tags if removed else {}
        for key in removed & held.keys():
            refused += server.refusal(f"tag {key}", server.store.delete_tag, there.id, key)
        self._say_refused(there, refused)

    def _found(self, run: str) -> _Run | None:
        """Return a run that another journal began; None if it is not in MLflow."""
        assert self._origin is not None
        record = self._origin.record(run)
        if record is None:
            return None
        found = next(self._server.runs(self._experiment(record.experiment), mapping.RUN_TAG, run), None)
        if found is None:
            return self._runs.get(run)
        return self._runs.setdefault(run, _Run(run, found, new=False))

    def _send_to(self, there: _Run, news: _News) -> None:
        server = self._server
        refused: list[str] = []
        for key, value in news.params.items():
            held = there.params.setdefault(key, value)
            if held != value:  # unlike autolog's, MLflow's params cannot change
                news.tags.update(mapping.tags({f"autolog.param.{key}": value}))
        params = {key: value for key, value in news.params.items() if there.params[key] == value}
        for batch in server.batches(news.metrics, params, news.tags):
            self._send_batch(there, batch, refused)
        if news.datasets:
            refused += server.refusal("data", server.store.log_inputs, there.id, news.datasets)
        assert self._origin is not None
        local = partial(self._origin.file, there.ours)
        for path in news.files:
            refused += self._storage.send_file(there.artifacts, local(path), path, path)
        for path in news.models:
            refused += self._storage.send_model(there.id, there.experiment, there.artifacts, path, local)
        self._say_refused(there, refused)
        if news.end is not None:
            status, time = news.end
            number = server.entities.RunStatus.from_string(mapping.STATUSES.get(status, "FAILED"))
            server.call(server.store.update_run_info, there.id, number, time, None)

    def _say_refused(self, there: _Run, refused: list[str]) -> None:
        tags = mapping.tags({f"autolog.refused.{mapping.digest(text)}": text for text in refused})
        for batch in self._server.batches([], {}, tags):
            self._server.call(self._server.store.log_batch, there.id, **batch)

    def _send_batch(self, there: _Run, batch: dict[str, list[Any]], refused: list[str]) -> None:
        """Send a batch. Halve a refused batch until only the invalid items are left out."""
        server = self._server
        try:
            server.call(server.store.log_batch, there.id, **batch)
        except Refused as error:
            if error.status == 404 or server.is_gone(there.id):
                raise
            items = [(kind, item) for kind, some in batch.items() for item in some]
            if len(items) == 1:
                ((kind, item),) = items
                # MLflow 2 does not recognise a repeated NaN, but its database rejects it.
                if _IS_THERE.search(str(error)) is None:
                    refused.append(f"{kind[:-1]} {item.key}: {error}")
                return
            for half in (items[: len(items) // 2], items[len(items) // 2 :]):
                self._send_batch(there, by_kind(half), refused)

    def _run(self, run: str) -> _Run:
        """Return the run in MLflow, creating it if needed."""
        there = self._runs.get(run)
        if there is None:
            start = self._starts.get(run)
            experiment = self._experiment(start.experiment if start is not None else "default")
            there = self._runs.get(run)  # `_experiment` may have found it
            if there is None:
                there = self._runs[run] = self._create(run, start, experiment)
            elif not there.has_parent and start is not None and start.parent is not None:
                self._of(run).tags.update(self._parent_tags(start, experiment))
        return there

    def _create(self, run: str, start: e.RunStarted | e.RunRecorded | None, experiment: str) -> _Run:
        assert self._origin is not None
        tags = {mapping.RUN_TAG: run, mapping.JOURNAL_TAG: self._origin.journal, **self._code}
        if start is not None:
            tags.update(self._parent_tags(start, experiment))
        server = self._server
        tag = server.entities.RunTag
        name, time = (
            (mapping.cut(start.name, mapping.MAX_NAME), max(0, start.t))
            if start is not None
            else (run, e.now())
        )
        return _Run(
            run,
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
        found = (
            there.id if there is not None else self._server.find(experiment, mapping.RUN_TAG, start.parent)
        )
        return {"autolog.parent": start.parent, **({"mlflow.parentRunId": found} if found else {})}

    def _experiment(self, name: str) -> str:
        """Return the experiment's id, creating it if needed. Also find its runs that are from this journal."""
        name = (name or "default")[: mapping.MAX_EXPERIMENT]
        known = self._experiments.get(name)
        if known is None:
            assert self._origin is not None
            known = self._experiments[name] = self._server.experiment(name)
            for found in self._server.runs(known, mapping.JOURNAL_TAG, self._origin.journal):
                ours = found.data.tags.get(mapping.RUN_TAG, "")
                self._runs.setdefault(ours, _Run(ours, found, new=False))
        return known


def _split(url: str) -> tuple[str, str]:
    """Return the MLflow URI in a sink's URL ("" for the configured one), and the name to register models as."""
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
                "mlflow: takes no address. For another than MLflow's own, use mlflow+http://… or mlflow+sqlite:///…"
            )
        return "", register
    uri = f"{inner}:{base}"
    if inner.lower() == "sqlite":
        path = base.removeprefix("///")
        uri = f"sqlite:///{os.path.abspath(path)}"  # independent of the working directory
    return uri.rstrip("/") if inner.lower() in ("http", "https") else uri, register


def _without_values(event: e.RunStarted | e.RunRecorded) -> e.RunStarted | e.RunRecorded:
    """Return a run's start without params and metrics, which are not needed later."""
    if isinstance(event, e.RunStarted):
        return event
    return e.RunStarted(event.run, event.t, event.name, event.experiment, event.parent)
