"""Metric histories as arrays, read from the journals and kept while they are in use, so that a curve of a running training is
read on from where it was left off.

Knows neither what draws the curves nor how they are thinned.
"""

from __future__ import annotations

import math
import operator
import re
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from autolog.store import journal as journals
from autolog.store.index import int64
from autolog.store.records import Store
from autolog.tracking import events as e

MOST_KEPT = 1_000_000
"""Number of points that are kept in memory; one has 32 bytes."""
_METRICS = b'{"e":"m",'
"""The beginning of the lines that a journal has most of."""
_RECORD = b'{"e":"record",'
_CHUNK = 1 << 20
_NOT_A_FIELD = re.compile(r'["\\\x00-\x1f]')
"""In a metric's name: msgspec has no field of such a name."""


class Curve:
    """Every value of one metric of one run: four arrays of doubles, in the order in which the values were logged. An epoch that
    is not known is NaN; `time` is in milliseconds since the epoch.
    """

    __slots__ = ("epoch", "positions", "step", "time", "value")

    def __init__(self) -> None:
        self.step, self.epoch, self.time, self.value = (array("d") for _ in range(4))
        self.positions: dict[str, int] = {}
        """For each journal, the byte up to which it was read."""

    def __len__(self) -> int:
        return len(self.step)

    def by_step(self) -> Curve:
        """Return the curve in the order of its steps; values of one step stay in their order."""
        if not any(map(operator.gt, self.step, self.step[1:])):
            return self
        order = sorted(range(len(self)), key=self.step.__getitem__)
        found = Curve()
        for name in ("step", "epoch", "time", "value"):
            mine = getattr(self, name)
            setattr(found, name, array("d", [mine[place] for place in order]))
        return found

    def __getitem__(self, part: slice) -> Curve:
        found = Curve()
        found.step, found.epoch = self.step[part], self.epoch[part]
        found.time, found.value = self.time[part], self.value[part]
        return found


class Curves:
    """The curves of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, str], Curve] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run: str, metrics: Iterable[str]) -> dict[str, Curve]:
        """Return the curves of a run's metrics, as they are now. One that the run does not have is empty."""
        segments = self._store.segments(run)
        with self._lock:
            found = {name: self._kept.pop((run, name), None) or Curve() for name in metrics}
            reach = {path.name: last for path, _, last in segments}
            for name, curve in found.items():
                if any(reach.get(journal, 0) < position for journal, position in curve.positions.items()):
                    found[name] = Curve()  # a journal is another one now
            groups: dict[tuple[Any, ...], list[str]] = {}
            for name, curve in found.items():
                groups.setdefault(tuple(sorted(curve.positions.items())), []).append(name)
            for names in groups.values():
                _read_on(run, {name: found[name] for name in names}, segments)
            self._kept.update({(run, name): curve for name, curve in found.items()})
            size = sum(map(len, self._kept.values()))
            while size > MOST_KEPT and len(self._kept) > len(found):
                size -= len(self._kept.popitem(last=False)[1])
            return {name: curve[:] for name, curve in found.items()}


def _read_on(run: str, curves: dict[str, Curve], segments: list[tuple[Path, int, int]]) -> None:
    """Add to curves, which were all read up to the same place, what the journals hold beyond it."""
    decoder, getters = _decoder_of(list(curves))
    needle = run.encode()
    some = next(iter(curves.values()))
    for path, first, last in segments:
        position = max(first, some.positions.get(path.name, 0))
        for lines in _lines(path, position, last) if position < last else ():
            mine = [line for line in lines if needle in line]
            logged = [line for line in mine if line.startswith(_METRICS)]
            _add(run, curves.values(), getters, _decode(decoder, logged))
            for line in mine if len(mine) > len(logged) else ():
                if line.startswith(_RECORD) and isinstance(event := journals.decode(line), e.RunRecorded):
                    said = e.MetricsLogged(event.run, 0, int64(event.ended), event.metrics)
                    _add(
                        run, curves.values(), getters, _decode(decoder, journals.encode([said]).splitlines())
                    )
            position += sum(map(len, lines)) + len(lines)
        for curve in curves.values():
            curve.positions[path.name] = position


def _lines(path: Path, start: int, end: int) -> Iterator[list[bytes]]:
    """Yield the whole lines between two bytes of a file, some thousands at a time."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            rest = b""
            while start < end and (data := file.read(min(_CHUNK, end - start))):
                start += len(data)
                *lines, rest = (rest + data).split(b"\n")
                yield lines
    except OSError:  # gone meanwhile
        return


def _decoder_of(names: list[str]) -> tuple[Any, list[Callable[[Any], Any]]]:
    """Return a decoder of many lines, and for each metric what gets its value from a line, UNSET if it has none. The decoder
    reads only these metrics and skips the others, which takes a tenth of the time.
    """
    values: Any = dict[str, float]
    getters: list[Callable[[Any], Any]] = [
        lambda line, name=name: line.v.get(name, msgspec.UNSET) for name in names
    ]
    if not any(map(_NOT_A_FIELD.search, names)):
        fields = [(f"m{place}", float | msgspec.UnsetType, msgspec.UNSET) for place in range(len(names))]
        rename = {f"m{place}": name for place, name in enumerate(names)}
        values = msgspec.defstruct("values", fields, rename=rename, gc=False)
        getters = [operator.attrgetter(f"v.m{place}") for place in range(len(names))]
    parts = [("run", str), ("step", int), ("t", int), ("v", values), ("epoch", float | None, None)]
    line: Any = msgspec.defstruct("line", parts, gc=False)
    many: Any = list.__class_getitem__(line)
    return msgspec.json.Decoder(many, strict=False), getters


def _decode(decoder: Any, lines: list[bytes]) -> list[Any]:
    """Return the lines as events. One call for all of them takes a third of the time of a call for each."""
    try:
        return decoder.decode(b"[" + b",".join(lines) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if len(lines) <= 1:
            return []
        middle = len(lines) // 2
        return [*_decode(decoder, lines[:middle]), *_decode(decoder, lines[middle:])]


def _add(run: str, curves: Iterable[Curve], getters: list[Callable[[Any], Any]], events: list[Any]) -> None:
    mine = [event for event in events if event.run == run]
    for curve, get in zip(curves, getters, strict=True):
        values = list(map(get, mine))
        having = mine
        if msgspec.UNSET in values:
            having = [event for event in mine if get(event) is not msgspec.UNSET]
            values = list(map(get, having))
        curve.step.extend([event.step for event in having])
        curve.epoch.extend([math.nan if event.epoch is None else event.epoch for event in having])
        curve.time.extend([event.t for event in having])
        curve.value.extend(values)
