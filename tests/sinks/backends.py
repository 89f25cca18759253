"""What the conformance suite needs to know of each sink: how it is reached, and what arrived there, as facts.

A fact is a tuple: `("start", name)`, `("step", name, step, metrics)`, `("end", name, status)`,
`("child", name, status, metrics)`, `("params", name, values)`, `("tags", name, values)`, `("artifact", name, path, bytes)`.
Numbers are text, as NaN equals nothing.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from servers import mlflow3
from truth import TIMEOUT
from wandb_server import ENTITY, SERVER

from autolog.client import Client
from autolog.sinks.memory import MemorySink
from autolog.store.journal import decode
from autolog.tracking import events as e

Fact = tuple[Any, ...]


class Backend:
    """One kind of sink, with a destination of the test's own."""

    scheme: str
    shows = frozenset(("start", "step", "end", "child", "params", "tags", "artifact"))
    """The kinds of facts that this sink passes on."""
    idempotent = False
    """Whether a repeat changes nothing."""
    ordered = True
    """Whether it shows in what order things came. Where it does not, a child is a run as any other."""
    many = 100_000
    """Points that are enough to find out whether some are lost."""

    def __init__(self, folder: Path, capture: Any) -> None:
        self.folder = folder
        self.capture = capture

    @property
    def url(self) -> str:
        return f"{self.scheme}:"

    def facts(self, session: Client | None = None) -> list[Fact]:
        """What arrived, in order."""
        raise NotImplementedError

    def number(self, value: float) -> str:
        """A number as this sink shows it."""
        return repr(float(value))

    def of(self, facts: Iterable[Fact]) -> list[Fact]:
        """Those that this sink passes on, with numbers as it shows them."""
        if not self.ordered:
            facts = [part for fact in facts for part in _without_children(fact)]
        shown = [tuple(self._shown(part) for part in fact) for fact in facts if fact[0] in self.shows]
        return shown if self.ordered else sorted(shown, key=repr)

    def _shown(self, part: Any) -> Any:
        if isinstance(part, dict):
            return {key: self.number(one) if isinstance(one, float) else one for key, one in part.items()}
        return part


class Memory(Backend):
    scheme = "memory"

    def facts(self, session: Client | None = None) -> list[Fact]:
        assert session is not None
        (sink,) = session.output.sinks
        assert isinstance(sink, MemorySink)
        return self.of(facts_of(sink.events))


class JsonLines(Backend):
    scheme = "jsonl"

    @property
    def path(self) -> Path:
        return self.folder / "to" / "events.jsonl"

    @property
    def url(self) -> str:
        return f"jsonl:{self.path}"

    def facts(self, session: Client | None = None) -> list[Fact]:
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        decoded = [decode(line) for line in lines]
        assert None not in decoded
        return self.of(facts_of([event for event in decoded if event is not None]))


class Ledger(Backend):
    """The third party's."""

    scheme = "ledger"
    idempotent = True

    @property
    def path(self) -> Path:
        return self.folder / "ledger.sqlite"

    @property
    def url(self) -> str:
        return f"ledger:{self.path}"

    def events(self) -> list[e.Event]:
        return ledger_events(self.path)

    def facts(self, session: Client | None = None) -> list[Fact]:
        return self.of(facts_of(self.events()))


class Console(Backend):
    """Reads its lines back."""

    scheme = "console"
    shows = frozenset(("start", "step", "end", "child"))

    def number(self, value: float) -> str:
        return f"{value:.6g}"

    def __init__(self, folder: Path, capture: Any) -> None:
        super().__init__(folder, capture)
        self._printed = ""

    def facts(self, session: Client | None = None) -> list[Fact]:
        printed = self.capture.readouterr()
        assert printed.out == ""
        self._printed += printed.err
        return [fact for line in self._printed.splitlines() if (fact := self._fact(line)) is not None]

    def _fact(self, line: str) -> Fact | None:
        assert line.startswith("autolog: "), line
        name, *parts = line[len("autolog: ") :].split(" · ")
        if parts[-1] == "started":
            return ("start", name)
        if parts[0].startswith(("epoch ", "step ")):
            step = next(part for part in parts if part.startswith("step "))
            after = parts[parts.index(step) + 1 :]
            return ("step", name, int(step[5:]), dict(part.rsplit(" ", 1) for part in after))
        if parts[0] in ("finished", "failed", "interrupted"):
            assert re.fullmatch(r"[\d.]+(?:e[-+]\d+)? s", parts[-1])
            metrics = parts[1:-1]
            if "/" in name:
                return ("child", name, parts[0], dict(part.rsplit(" ", 1) for part in metrics))
            return ("end", name, parts[0])
        return None


class Mlflow(Backend):
    """A database of MLflow's; servers have tests of their own. Where only MLflow's client is installed, a server, emptied."""

    scheme = "mlflow"
    idempotent = True
    ordered = False
    many = 5_000

    def __init__(self, folder: Path, capture: Any) -> None:
        super().__init__(folder, capture)
        pytest.importorskip("mlflow")
        if find_spec("sqlalchemy") is not None:
            shutil.copy(_empty_mlflow(), folder / "runs.db")
            self.uri = f"sqlite:///{folder / 'runs.db'}"
        else:
            self.uri = _emptied_mlflow_server()

    @property
    def url(self) -> str:
        return f"mlflow+{self.uri}"

    def number(self, value: float) -> str:
        limit = sys.float_info.max  # a database holds no infinities
        # … and some no negative zero
        return repr(max(-limit, min(limit, float(value))) + 0.0 if value == value else float(value))

    def _shown(self, part: Any) -> Any:
        shown = super()._shown(part)
        if isinstance(shown, dict):
            from autolog_mlflow.mapping import key_of

            return {key_of(key): str(value) for key, value in shown.items()}
        return shown

    def facts(self, session: Client | None = None) -> list[Fact]:
        from mlflow import MlflowClient

        client = MlflowClient(self.uri)
        experiments = [one.experiment_id for one in client.search_experiments()]
        facts: list[Fact] = []
        for run in client.search_runs(experiments, max_results=1000):
            name, tags = run.info.run_name, run.data.tags
            facts.append(("start", name))
            steps: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
            for key in run.data.metrics:
                for point in client.get_metric_history(run.info.run_id, key):
                    steps[point.step, point.timestamp][key] = point.value
            facts += [("step", name, step, values) for (step, _), values in steps.items()]
            if run.data.params:
                facts.append(("params", name, dict(run.data.params)))
            own = {key: value for key, value in tags.items() if not key.startswith(("autolog.", "mlflow."))}
            if own:
                facts.append(("tags", name, own))
            if run.info.status != "RUNNING":
                facts.append(("end", name, tags["autolog.status"]))
            # Where an older client looks for files.
            with mock.patch.dict(os.environ, MLFLOW_TRACKING_URI=self.uri):
                facts += [("artifact", name, path, size) for path, size in _files(client, run.info.run_id)]
        return self.of(facts)


class Tensorboard(Backend):
    """Its event files, by TensorBoard's reader."""

    scheme = "tensorboard"
    shows = frozenset(("start", "step", "end"))
    idempotent = True
    ordered = False
    many = 20_000

    def __init__(self, folder: Path, capture: Any) -> None:
        super().__init__(folder, capture)
        pytest.importorskip("tensorboard")

    @property
    def url(self) -> str:
        return f"tensorboard:{self.folder / 'logs'}"

    def number(self, value: float) -> str:
        import numpy

        with numpy.errstate(over="ignore"):
            return repr(float(numpy.float32(value)))

    def _shown(self, part: Any) -> Any:
        from autolog_tensorboard import _NOT_IN_NAMES

        return _NOT_IN_NAMES.sub("_", part) if isinstance(part, str) else super()._shown(part)

    def facts(self, session: Client | None = None) -> list[Fact]:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        facts: list[Fact] = []
        for folder in sorted({file.parent for file in (self.folder / "logs").rglob("events*")}):
            name = folder.relative_to(self.folder / "logs").as_posix().rpartition("-")[0]
            facts.append(("start", name))
            shown = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
            shown.Reload()
            steps: dict[tuple[int, float], dict[str, float]] = defaultdict(dict)
            for tag in shown.Tags()["scalars"]:
                for point in shown.Scalars(tag):
                    steps[point.step, point.wall_time][tag] = point.value
            facts += [("step", name, step, values) for (step, _), values in steps.items()]
            for tag in shown.Tags()["tensors"]:
                if tag == "run/text_summary":
                    for one in shown.Tensors(tag):
                        text = one.tensor_proto.string_val[0].decode()
                        facts.append(("end", name, re.findall(r"\| status \| (\w+) \|", text)[0]))
        return self.of(facts)


class Wandb(Backend):
    """W&B's own client, online, and a server that takes W&B's part."""

    scheme = "wandb"
    idempotent = True
    ordered = False
    many = 1_000

    def __init__(self, folder: Path, capture: Any) -> None:
        super().__init__(folder, capture)
        pytest.importorskip("wandb")
        self.project = f"project-{uuid.uuid4().hex}"  # the server is this process's

    @property
    def url(self) -> str:
        return f"wandb://{ENTITY}/{self.project}?mode=online&dir={self.folder}"

    def number(self, value: float) -> str:
        return repr(value + 0.0)  # no negative zero

    def _shown(self, part: Any) -> Any:
        shown = super()._shown(part)
        return dict(sorted(shown.items())) if isinstance(shown, dict) else shown

    def facts(self, session: Client | None = None) -> list[Fact]:
        facts: list[Fact] = []
        for run in SERVER.finished(self.project, TIMEOUT):
            name, config = run["name"], run["config"]
            facts.append(("start", name))
            for row in run["history"]:
                values = {
                    key: float(value) for key, value in row.items() if not key.startswith(("_", "autolog/"))
                }
                facts.append(("step", name, row["autolog/step"], values))
            own = {key: value for key, value in config.items() if key not in ("autolog", "tags")}
            facts += [("params", name, own)] if own else []
            facts += [("tags", name, config["tags"])] if config.get("tags") else []
            facts += [("end", name, config["autolog"]["status"])] if "status" in config["autolog"] else []
            facts += [
                ("artifact", name, file, len(content))
                for file, content in run["files"].items()
                if file not in ("requirements.txt", "wandb-summary.json", "config.yaml", "output.log")
            ]
        assert SERVER.unknown == []
        return self.of(facts)


BACKENDS: list[type[Backend]] = [Console, JsonLines, Ledger, Memory, Mlflow, Tensorboard, Wandb]


def _without_children(fact: Fact) -> list[Fact]:
    if fact[0] != "child":
        return [fact]
    _, name, status, metrics = fact
    return [("start", name), ("step", name, 0, metrics), ("end", name, status)]


@functools.cache
def _empty_mlflow() -> Path:
    """MLflow takes seconds to make its tables: once is enough."""
    from mlflow import MlflowClient

    folder = Path(tempfile.mkdtemp(prefix="autolog-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    MlflowClient(f"sqlite:///{folder}/empty.db").search_experiments()
    return folder / "empty.db"


@functools.cache
def _mlflow_server() -> str:
    server = mlflow3(Path(tempfile.mkdtemp(prefix="autolog-mlflow-")))
    atexit.register(server.__exit__, None, None, None)
    return server.__enter__()


def _emptied_mlflow_server() -> str:
    from mlflow import MlflowClient

    client = MlflowClient(_mlflow_server())
    experiments = [one.experiment_id for one in client.search_experiments()]
    for run in client.search_runs(experiments, max_results=1000):
        client.delete_run(run.info.run_id)
    return _mlflow_server()


def _files(client: Any, run: str, folder: str | None = None) -> Iterator[tuple[str, int]]:
    for file in client.list_artifacts(run, folder):
        if file.is_dir:
            yield from _files(client, run, file.path)
        else:
            yield file.path, file.file_size


def ledger_events(path: Path) -> list[e.Event]:
    """The events in a third party's ledger."""
    with sqlite3.connect(path) as table:
        rows = table.execute("SELECT event FROM events ORDER BY no").fetchall()
    decoder = msgspec.msgpack.Decoder(e.AnyEvent)
    return [decoder.decode(row) for (row,) in rows]


def facts_of(events: Sequence[e.Event]) -> list[Fact]:
    """The facts that events say."""
    names = {event.run: event.name for event in events if isinstance(event, (e.RunStarted, e.RunRecorded))}
    facts: list[Fact] = []
    for event in events:
        name = names.get(getattr(event, "run", ""), "")
        if isinstance(event, e.RunStarted):
            facts.append(("start", name))
        elif isinstance(event, e.MetricsLogged):
            facts.append(("step", name, event.step, event.v))
        elif isinstance(event, e.RunEnded):
            facts.append(("end", name, event.status))
        elif isinstance(event, e.RunRecorded):
            facts.append(("child", name, event.status, event.metrics))
        elif isinstance(event, e.ParamsLogged):
            facts.append(("params", name, event.values))
        elif isinstance(event, e.TagsSet):
            facts.append(("tags", name, event.values))
        elif isinstance(event, e.ArtifactLogged):
            facts.append(("artifact", name, event.path, event.bytes))
    return facts
