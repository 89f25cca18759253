"""`wandb://entity/project` keeps runs in Weights & Biases: config, history, summary, files, models as artifacts, children in a
group. `?mode=offline` writes W&B's own offline folders for `wandb sync`, below `?dir=` or the working directory.

autolog's steps are a metric of their own, and the axis of the others. W&B's internal step numbers the rows: so steps may come
in any order, and a repeated row is recognised when a run is resumed.

W&B's notes are the description of a run, and below it autolog's notes. A run that is changed later is resumed for it.
"""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from autolog.sinks import Address, Origin, Sink, SinkError
from autolog.sinks import events as e

STEP = "autolog/step"
EPOCH = "autolog/epoch"
INIT_SECONDS = 30.0
FINISH_SECONDS = 5.0
"""W&B's own exit hook waits this long for the uploads of each open run."""
MAX_OPEN = 4
MAX_NAME = 128
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


class _Run:
    """The state of a run. `rows` is the number of its next row, `there` that of the first row that W&B does not have."""

    def __init__(self, start: e.RunStarted | e.RunRecorded, parent: _Run | None) -> None:
        self.id = start.run.lower()
        self.name = self.first_name = start.name
        self.kind = start.kind
        self.experiment = start.experiment
        self.group = None if parent is None else parent.group or parent.first_name
        self.tags = dict(start.tags)
        self.description = ""
        self.remarks: list[str] = []
        self.config: dict[str, Any] = {"autolog": _about(start)}
        self.rows = 0
        self.there = 0
        self.exit = 0

    @property
    def notes(self) -> str:
        """What W&B shows as the notes of the run."""
        remarks = "\n".join(self.remarks)
        return f"{self.description}\n\n{remarks}".strip()

    def end(self, status: str, error: str | None) -> None:
        self.exit = 0 if status == "finished" else 1
        self.config["autolog"]["status"] = status
        if error is not None:
            self.config["autolog"]["error"] = error

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def change(self, change: e.RunChanged) -> None:
        if change.name is not None:
            self.name = change.name
        if change.description is not None:
            self.description = change.description
        for mark, value in (("starred", change.starred), ("archived", change.archived)):
            if value is not None:
                self.config["autolog"][mark] = value
        for key, value in change.tags.items():
            if value is None:
                self.tags.pop(key, None)
            else:
                self.tags[key] = value


class WandbSink(Sink):
    """W&B's client runs in its own process (wandb-core) and in threads of this one. The sink does not change `wandb.run`."""

    delivers_at_close = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        place, _, query = Address(url).rest.removeprefix("//").partition("?")
        parts = [part for part in place.strip("/").split("/") if part]
        options = {key: values[-1] for key, values in parse_qs(query).items()}
        self._entity, self._project = (*[None] * (2 - len(parts)), *parts)[:2]
        self._mode = options.pop("mode", None)
        self._folder = options.pop("dir", None)
        if "@" in place or len(parts) > 2 or options or self._mode not in (None, "online", "offline"):
            raise ValueError(
                "wandb: use a URL such as 'wandb://entity/project' or 'wandb://project?mode=offline&dir=PATH'."
            )
        try:
            import wandb
        except ImportError:
            raise ImportError("The sink wandb needs W&B's client. Install it: pip install wandb") from None
        self._wandb: Any = wandb
        self._known: dict[str, _Run] = {}
        self._open: dict[str, Any] = {}
        self._origin: Origin | None = None

    def identity(self) -> str:
        place = "/".join(filter(None, (self._entity, self._project)))
        here = f"?mode=offline&dir={Path(self._folder or '.').resolve()}" if self._mode == "offline" else ""
        return f"wandb://{place}{here}"

    def open(self, origin: Origin) -> None:
        self._origin = origin
        self._known = {}
        for event in origin.earlier():
            self._learn(event)
            if isinstance(event, (e.MetricsLogged, e.RunRecorded)) and event.run in self._known:
                self._known[event.run].rows += 1

    def write(self, events: Sequence[e.Event]) -> None:
        rows = {name: run.rows for name, run in self._known.items()}
        try:
            for event in events:
                self._learn(event)
                self._take(event)
        except Exception as error:
            for name, run in self._known.items():
                run.rows = rows.get(name, 0)
            if isinstance(error, SinkError):
                raise
            self._open = {}  # resumed at the next try
            raise SinkError(f"{type(error).__name__}: {error}"[:300]) from error

    def close(self) -> None:
        for name in list(self._open):
            self._finish(name)

    def _learn(self, event: e.Event) -> None:
        if isinstance(event, (e.RunStarted, e.RunRecorded)):
            if event.run not in self._known:
                self._known[event.run] = _Run(event, self._known.get(event.parent or ""))
        elif isinstance(event, e.RunDescribed) and event.run in self._known:
            self._known[event.run].config["autolog"].update(_about(event))
        elif isinstance(event, e.TagsSet) and event.run in self._known:
            self._known[event.run].tags.update(event.values)
        elif isinstance(event, e.NoteLogged) and event.run in self._known:
            self._known[event.run].remark(event.text)
        elif isinstance(event, e.RunChanged):
            known = self._known.get(event.run) or self._learn_of_another_journal(event.run)
            if known is not None:
                known.change(event)
        if isinstance(event, (e.RunEnded, e.RunRecorded)) and event.run in self._known:
            self._known[event.run].end(event.status, event.error if isinstance(event, e.RunEnded) else None)

    def _learn_of_another_journal(self, run: str) -> _Run | None:
        """Return a run that another journal began, to change it. W&B keeps its group."""
        assert self._origin is not None
        record = self._origin.record(run)
        if record is None:
            return None
        started = record.started.timestamp() * 1000 if record.started is not None else 0
        known = self._known[run] = _Run(
            e.RunStarted(
                run, int(started), record.name, record.experiment, record.parent, record.kind, record.framework,
                record.framework_version, record.estimator, record.tags,
            ),
            None,
        )  # fmt: skip
        for text in (*record.notes, *record.errors):
            known.remark(text)
        if record.status != "running":
            known.end(record.status, record.error)
        return known

    def _take(self, event: e.Event) -> None:
        name: str = getattr(event, "run", "")
        known = self._known.get(name)
        if known is None:
            return
        if isinstance(event, e.MetricsLogged):
            self._log(name, event.step, event.t, event.v, event.epoch)
        elif isinstance(event, e.RunStarted):
            self._run(name)
        elif isinstance(event, e.RunDescribed):
            self._configure(name, known.config)
        elif isinstance(event, e.ParamsLogged):
            self._configure(name, event.values)
        elif isinstance(event, e.TagsSet):
            self._configure(name, {"tags": known.tags})
        elif isinstance(event, e.DatasetLogged):
            self._configure(name, {f"data.{event.context}": event.values})
        elif isinstance(event, e.NoteLogged):
            self._run(name).notes = known.notes
        elif isinstance(event, e.RunChanged):
            if None in event.tags.values() and name in self._open:
                self._finish(name)  # W&B takes a nested key out of a config only when the run is resumed
            run = self._run(name)
            run.name, run.notes = known.name, known.notes
            self._configure(name, {**known.config, "tags": known.tags})
        elif isinstance(event, e.ArtifactLogged):
            local = self._local(event.run, event.path)
            if local is not None and local.is_file():
                self._file(self._run(name), local, event.path)
        elif isinstance(event, e.ModelLogged):
            self._model(name, event)
        elif isinstance(event, e.RunRecorded):
            self._configure(name, event.params)
            self._log(name, 0, event.ended, event.metrics, None)
            self._configure(name, known.config)
            self._finish(name)
        elif isinstance(event, e.RunEnded):
            self._configure(name, known.config)

    def _log(self, name: str, step: int, time: int, values: dict[str, float], epoch: float | None) -> None:
        run, known = self._run(name), self._known[name]
        row = {**values, STEP: step, "_timestamp": time / 1000}
        if epoch is not None:
            row[EPOCH] = epoch
        if known.rows >= known.there:  # W&B warns on the terminal about each row that it already has
            run.log(row, step=known.rows, commit=True)
            known.there = known.rows + 1
        known.rows += 1

    def _configure(self, name: str, values: dict[str, Any]) -> None:
        self._run(name).config.update(values, allow_val_change=True)

    def _local(self, run: str, path: str) -> Path | None:
        assert self._origin is not None
        return self._origin.file(run, path)

    def _file(self, run: Any, local: Path, path: str) -> None:
        # Copy into W&B's own folder first: for files elsewhere, it prints that it links them.
        copy = Path(run.dir, path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local, copy)
        run.save(glob.escape(str(copy)), base_path=run.dir, policy="now")

    def _model(self, name: str, model: e.ModelLogged) -> None:
        folder = self._local(model.run, model.path)
        if folder is not None and folder.is_dir():
            known = self._known[name]
            label = _NOT_IN_NAMES.sub("-", f"{known.name[:60]}-{known.id[-6:]}-{model.path}")[:MAX_NAME]
            artifact = self._wandb.Artifact(label, type="model", metadata={"flavor": model.flavor})
            # One by one, because `add_dir` prints a message. W&B identifies a model by its contents, so a repeat makes no new
            # version.
            for part in sorted(folder.rglob("*")):
                file = self._local(model.run, f"{model.path}/{part.relative_to(folder).as_posix()}")
                if file is not None and file.is_file():
                    artifact.add_file(str(file), name=part.relative_to(folder).as_posix())
            self._run(name).log_artifact(artifact)

    def _run(self, name: str) -> Any:
        """Return the run at W&B, created or resumed if needed."""
        run = self._open.pop(name, None)
        if run is None:
            while len(self._open) >= MAX_OPEN:
                self._finish(next(iter(self._open)))
            known = self._known[name]
            settings = self._wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True,
                init_timeout=INIT_SECONDS, **({} if self._mode == "offline" else _BOUNDED),
            )  # fmt: skip
            try:
                run = self._wandb.init(
                    entity=self._entity, project=self._project or known.experiment, id=known.id, name=known.name,
                    group=known.group, job_type=known.kind, config={**known.config, "tags": known.tags}, dir=self._folder,
                    resume="allow", reinit="create_new", mode=self._mode, settings=settings,
                )  # fmt: skip
            except Exception as error:
                # W&B's process then reports the run as in use until the process ends.
                said = " ".join(str(error).split())
                raise SinkError(
                    f"W&B could not start the run, and a process can start it only once: {said}"[:300],
                    retryable=False,
                ) from error
            known.there = run.step  # a request to W&B's process: too slow for each row
            run.define_metric(STEP)
            run.define_metric("*", step_metric=STEP)
        self._open[name] = run  # the last used run comes last
        return run

    def _finish(self, name: str) -> None:
        self._open.pop(name).finish(exit_code=self._known[name].exit)


_BOUNDED = {"finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}


def _about(event: e.RunStarted | e.RunRecorded | e.RunDescribed) -> dict[str, Any]:
    said = {
        "kind": event.kind,
        "framework": event.framework,
        "framework_version": event.version,
        "estimator": event.estimator,
    }
    if not isinstance(event, e.RunDescribed):
        said.update(id=event.run, parent=event.parent, experiment=event.experiment)
    return {key: value for key, value in said.items() if value is not None}
