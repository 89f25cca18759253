"""`console:` prints to standard error: a line for each run's start and end, and one with all metrics of each step or epoch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from autolog.sinks.base import Origin, Sink, SinkError
from autolog.tracking.events import Event, MetricsLogged, RunDescribed, RunEnded, RunRecorded, RunStarted
from autolog.tracking.values import clean

_MAX_NAME = 80
_MAX_ERROR = 200


class ConsoleSink(Sink):
    """Metrics of one step from several consecutive calls share a line."""

    lasting = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._runs: dict[str, tuple[str, int]] = {}
        self._step: MetricsLogged | None = None
        self._lines: list[str] = []

    def open(self, origin: Origin) -> None:
        for event in origin.earlier():
            if isinstance(event, RunStarted):
                self._runs[event.run] = event.name, event.t

    def write(self, events: Sequence[Event]) -> None:
        self._lines, self._step = [], None
        for event in events:
            if isinstance(event, MetricsLogged):
                self._take_metrics(event)
            elif isinstance(event, (RunStarted, RunDescribed, RunEnded, RunRecorded)):
                self._end_step()
                self._take(event)

    def flush(self) -> None:
        self._end_step()
        lines, self._lines = self._lines, []
        if lines:
            try:
                _print("".join(lines))
            except (OSError, ValueError) as error:
                raise SinkError(f"standard error: {error}") from error

    def _take(self, event: RunStarted | RunDescribed | RunEnded | RunRecorded) -> None:
        if isinstance(event, RunStarted):
            self._runs[event.run] = event.name, event.t
            self._say(event.run, _what(event.estimator, event.kind), "started")
        elif isinstance(event, RunDescribed):
            self._say(event.run, _what(event.estimator, event.kind))
        elif isinstance(event, RunEnded):
            began = self._runs[event.run][1] if event.run in self._runs else event.t
            error = [event.error[:_MAX_ERROR]] if event.error else []
            self._say(event.run, event.status, *error, _seconds(event.t - began))
        else:
            self._runs[event.run] = event.name, event.t
            self._say(event.run, event.status, *_metrics(event.metrics), _seconds(event.ended - event.t))
            del self._runs[event.run]

    def _take_metrics(self, event: MetricsLogged) -> None:
        step = self._step
        if (
            step is not None
            and (step.run, step.step) == (event.run, event.step)
            and step.v.keys().isdisjoint(event.v)
        ):
            epoch = step.epoch if event.epoch is None else event.epoch
            event = MetricsLogged(step.run, step.step, event.t, {**step.v, **event.v}, epoch)
        else:
            self._end_step()
        self._step = event

    def _end_step(self) -> None:
        if self._step is not None:
            step, self._step = self._step, None
            # A fractional epoch says where in the epoch the step is.
            epoch = [f"epoch {step.epoch:g}"] if step.epoch is not None and step.epoch != step.step else []
            self._say(step.run, *epoch, f"step {step.step}", *_metrics(step.v))

    def _say(self, run: str, *parts: str) -> None:
        name = self._runs[run][0] if run in self._runs else run
        text = " · ".join([name[:_MAX_NAME], *parts])
        self._lines.append(f"autolog: {clean(' '.join(text.split()))}\n")


def _what(estimator: str | None, kind: str) -> str:
    return (estimator or kind).rpartition(".")[2]


def _metrics(values: dict[str, float]) -> Iterable[str]:
    return (f"{key[:_MAX_NAME]} {value:.6g}" for key, value in values.items())


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.3g} s" if milliseconds < 1_000_000 else f"{milliseconds // 1000} s"


def _print(text: str) -> None:
    """Print to the process's own standard error, or to a notebook's. The program may compare what it redirects."""
    stream = sys.stderr
    if stream is None or not type(stream).__module__.startswith("ipykernel"):
        stream = sys.__stderr__
    if stream is not None:
        _write(stream, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        fd = stream.fileno() if os.name == "posix" else -1
    except (OSError, ValueError):
        fd = -1
    if fd < 0 or stream is not sys.__stderr__:
        stream.write(text)
        return
    # Bypass the stream's buffer: if a thread holds its lock while it waits for a full pipe, the interpreter aborts at exit.
    data = text.encode(stream.encoding or "utf-8", "backslashreplace")
    while data:
        data = data[os.write(fd, data) :]
