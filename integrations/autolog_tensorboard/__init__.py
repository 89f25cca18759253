"""`tensorboard:./logs` writes event files for TensorBoard: one folder per run, with its scalars, its hyperparameters (in a
table together with the metrics) and a text about the run.

This needs only TensorBoard's package, not TensorFlow. A process writes a new file for each run. It first reads the existing
files, so that a repeat is not written twice. Changes that users make of recorded runs are left out: a run is a folder here, and
files of events only grow.
"""

# TensorBoard's protobuf messages are created at import.
# pyright: reportUnknownMemberType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from autolog.sinks import Address, Origin, Sink, SinkError, number_of
from autolog.sinks import events as e

_NOT_IN_NAMES = re.compile(r"[^\w./=+@ -]|\.\.+")
MAX_NAME = 100
"""In bytes, as file systems limit names."""
MAX_OPEN = 32
TEXT = "run/text_summary"
_STRING = 7
"""TensorFlow's number of the type string."""


class _Run:
    """The state of a run. Its hyperparameters and text are written at its end, because TensorBoard shows the first ones."""

    def __init__(self, start: e.RunStarted | e.RunRecorded) -> None:
        self.name = start.name
        self.started = start.t
        self.about = {
            "experiment": start.experiment, "kind": start.kind, "estimator": start.estimator,
            "framework": f"{start.framework or ''} {start.version or ''}".strip(),
        }  # fmt: skip
        self.params: dict[str, Any] = {}
        self.tags: dict[str, str] = dict(start.tags)
        self.notes: list[str] = []


class TensorboardSink(Sink):
    """Writes below `folder`, which is absolute. Other files in a run's folder stay unchanged."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        path = Address(url).rest.removeprefix("//")
        if not path:
            raise ValueError("tensorboard: needs a folder, such as 'tensorboard:./logs'.")
        self.folder = os.path.abspath(os.path.expanduser(path))
        if os.path.isfile(self.folder):
            raise ValueError(f"tensorboard: needs a folder; {self.folder} is a file.")
        self._protos = _Protos()
        self._runs: dict[str, _Run] = {}
        self._files: dict[str, _File] = {}

    def identity(self) -> str:
        return f"tensorboard:{self.folder}"

    def open(self, origin: Origin) -> None:
        for event in origin.earlier():
            self._learn(event)

    def write(self, events: Sequence[e.Event]) -> None:
        try:
            for event in events:
                self._learn(event)
                self._take(event)
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        try:
            for file in self._files.values():
                file.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def _give_up(self, error: OSError) -> None:
        """Close all files: one may end in half a record, so later events go into new files. Raises SinkError."""
        files, self._files = self._files, {}
        for file in files.values():
            try:
                file.close()
            except OSError:
                pass
        why = error.strerror or str(error)
        raise SinkError(f"{self.folder}: {why}", retryable=not isinstance(error, PermissionError)) from error

    def _learn(self, event: e.Event) -> None:
        if isinstance(event, (e.RunStarted, e.RunRecorded)):
            run = self._runs[event.run] = _Run(event)
            if isinstance(event, e.RunRecorded):
                run.params.update(event.params)
            return
        run = self._runs.get(getattr(event, "run", ""))
        if run is None:
            return
        if isinstance(event, e.RunDescribed):
            run.about.update(kind=event.kind, estimator=event.estimator)
            run.about["framework"] = f"{event.framework or ''} {event.version or ''}".strip()
        elif isinstance(event, e.ParamsLogged):
            run.params.update(event.values)
        elif isinstance(event, e.TagsSet):
            run.tags.update(event.values)
        elif isinstance(event, e.NoteLogged) and event.text not in run.notes:
            run.notes.append(event.text)

    def _take(self, event: e.Event) -> None:
        if isinstance(event, e.MetricsLogged):
            self._file(event.run).scalars(event.step, event.t, event.v)
        elif isinstance(event, e.RunStarted):
            self._file(event.run)
        elif isinstance(event, e.RunRecorded):
            self._file(event.run).scalars(0, event.ended, event.metrics)
            self._end(event.run, event.ended, event.status, None)
            self._runs.pop(event.run)  # no more events follow
        elif isinstance(event, e.RunEnded):
            self._end(event.run, event.t, event.status, event.error)

    def _end(self, run_id: str, time: int, status: str, error: str | None) -> None:
        run = self._runs.get(run_id)
        if run is not None:
            params = {name: _hparam(value) for name, value in run.params.items()}
            text = _table(
                {
                    **run.about,
                    "status": status,
                    "error": error,
                    **{f"tags.{key}": value for key, value in run.tags.items()},
                    **{f"params.{key}": value for key, value in params.items()},
                    "notes": " ".join(run.notes),
                }
            )
            self._file(run_id).summary(run.started, run.name, time, status, params, text)

    def _file(self, run: str) -> _File:
        file = self._files.pop(run, None)
        if file is None:
            while len(self._files) >= MAX_OPEN:
                self._files.pop(next(iter(self._files))).close()
            file = _File(self._protos, os.path.join(self.folder, self._name(run)))
        self._files[run] = file  # the last used file comes last
        return file

    def _name(self, run: str) -> str:
        """Return the run's folder: its name with a part of its id, which makes it unique. Children are below their parent."""
        known = self._runs.get(run)
        if known is None:
            return run
        name = known.name.encode()[:MAX_NAME].decode(errors="ignore")
        parts = [part.strip(" .") for part in _NOT_IN_NAMES.sub("_", name).split("/")]
        return f"{'/'.join(filter(None, parts)) or 'run'}-{run[-6:].lower()}"


class _Protos:
    """TensorBoard's protobuf messages, writer and reader."""

    def __init__(self) -> None:
        try:
            from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
            from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
            from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
            from tensorboard.plugins.text import metadata as text
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError:
            raise ImportError(
                "The sink tensorboard needs TensorBoard. Install it: pip install tensorboard"
            ) from None
        self.event: Any = event_pb2.Event
        self.values: Any = summary_pb2.Summary
        self.tensor: Any = tensor_pb2.TensorProto
        self.shape: Any = tensor_shape_pb2.TensorShapeProto
        self.hparams: Any = plugin_data_pb2
        self.api: Any = api_pb2
        self.metadata: Any = metadata
        self.text: Any = text
        self.writer: Any = RecordWriter
        self.reader: Any = LegacyEventFileLoader


class _File:
    """One event file of one run, and the content of the other files in its folder."""

    def __init__(self, protos: _Protos, folder: str) -> None:
        self._protos = protos
        self._folder = folder
        os.makedirs(folder, exist_ok=True)
        self._held = set(self._read())
        host = re.sub("[^A-Za-z0-9]+", "_", socket.gethostname())[:40]
        # TensorBoard reads a folder's files in the order of their names.
        stem = f"events.out.tfevents.{time.time_ns() / 1e9:020.9f}.{host}.{os.getpid()}"
        self._file = open(os.path.join(folder, stem), "xb")  # noqa: SIM115
        self._writer = protos.writer(self._file)
        self._write(protos.event(wall_time=time.time(), file_version="brain.Event:2"))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def scalars(self, step: int, time: int, values: dict[str, float]) -> None:
        held, make = self._held, self._protos.values.Value
        new = [
            make(tag=name, simple_value=value)
            for name, value in values.items()
            if not held or (name, step, time) not in held
        ]
        if new:
            self._write(
                self._protos.event(wall_time=time / 1000, step=step, summary=self._protos.values(value=new))
            )

    def summary(
        self, started: int, name: str, time: int, status: str, params: dict[str, Any], text: str
    ) -> None:
        protos, data = self._protos, self._protos.hparams.HParamsPluginData
        start = protos.hparams.SessionStartInfo(group_name=name, start_time_secs=started / 1000)
        for key, value in params.items():
            if isinstance(value, bool):
                start.hparams[key].bool_value = value
            elif isinstance(value, float):
                start.hparams[key].number_value = value
            else:
                start.hparams[key].string_value = value
        word = protos.api.STATUS_SUCCESS if status == "finished" else protos.api.STATUS_FAILURE
        end = protos.hparams.SessionEndInfo(status=word, end_time_secs=time / 1000)
        metadata = protos.metadata
        text_tensor = protos.tensor(
            dtype=_STRING, string_val=[text.encode("utf-8", "backslashreplace")],
            tensor_shape=protos.shape(dim=[protos.shape.Dim(size=1)]),
        )  # fmt: skip
        values = {
            metadata.SESSION_START_INFO_TAG: (
                metadata.create_summary_metadata(data(session_start_info=start)),
                metadata.NULL_TENSOR,
            ),
            metadata.SESSION_END_INFO_TAG: (
                metadata.create_summary_metadata(data(session_end_info=end)),
                metadata.NULL_TENSOR,
            ),
            TEXT: (protos.text.create_summary_metadata("", ""), text_tensor),
        }
        for tag, (about, tensor) in values.items():
            # A run that ends again has another end time, so its text is shown beside the earlier one.
            if (tag, 0, time) not in self._held:
                summary = protos.values(value=[protos.values.Value(tag=tag, metadata=about, tensor=tensor)])
                self._write(protos.event(wall_time=time / 1000, summary=summary))

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())

    def _read(self) -> Iterator[tuple[str, int, int]]:
        """Yield tag, step and time of all values in the folder's files."""
        for name in sorted(os.listdir(self._folder)):
            if name.startswith("events.out.tfevents."):
                yield from self._read_file(os.path.join(self._folder, name))

    def _read_file(self, path: str) -> Iterator[tuple[str, int, int]]:
        events: Iterable[Any] = self._protos.reader(path).Load()
        for event in events:  # ends at a torn record
            for value in event.summary.value:
                yield value.tag, event.step, round(event.wall_time * 1000)


def _hparam(value: Any) -> bool | float | str:
    """Return a value for TensorBoard's table: a boolean, a float, or text."""
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return number_of(float(value)) if abs(value) < 2**1000 else str(value)
    return str(value)


def _table(rows: dict[str, Any]) -> str:
    """Return a table in Markdown, which TensorBoard renders."""
    lines = [f"| {_cell(key)} | {_cell(value)} |" for key, value in rows.items() if value not in (None, "")]
    return "\n".join(["| | |", "|-|-|", *lines])


def _cell(value: Any) -> str:
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", re.sub(r"\s+", " ", str(value)))[:2000]
