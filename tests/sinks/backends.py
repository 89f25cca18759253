"""What the conformance suite needs to know of each sink: how it is reached, and what arrived there, as facts.

A fact is a tuple: `("start", name)`, `("step", name, step, metrics)`, `("end", name, status)`,
`("child", name, status, metrics)`, `("params", name, values)`, `("tags", name, values)`, `("artifact", name, path, bytes)`.
Numbers are text, as NaN equals nothing.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from autolog.session import Session
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

    def __init__(self, folder: Path, capture: Any) -> None:
        self.folder = folder
        self.capture = capture

    @property
    def url(self) -> str:
        return f"{self.scheme}:"

    def facts(self, session: Session | None = None) -> list[Fact]:
        """What arrived, in order."""
        raise NotImplementedError

    def number(self, value: float) -> str:
        """A number as this sink shows it."""
        return repr(float(value))

    def of(self, facts: Iterable[Fact]) -> list[Fact]:
        """Those that this sink passes on, with numbers as it shows them."""
        return [tuple(self._shown(part) for part in fact) for fact in facts if fact[0] in self.shows]

    def _shown(self, part: Any) -> Any:
        if isinstance(part, dict):
            return {key: self.number(one) if isinstance(one, float) else one for key, one in part.items()}
        return part


class Memory(Backend):
    scheme = "memory"

    def facts(self, session: Session | None = None) -> list[Fact]:
        assert session is not None
        (sink,) = session.sinks
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

    def facts(self, session: Session | None = None) -> list[Fact]:
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

    def facts(self, session: Session | None = None) -> list[Fact]:
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

    def facts(self, session: Session | None = None) -> list[Fact]:
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


BACKENDS: list[type[Backend]] = [Console, JsonLines, Ledger, Memory]


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
