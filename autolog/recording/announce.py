"""Writes lines to standard error: one for each run that ends, at most ten, and one for what workers have trained."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from autolog.tracking.ids import is_word
from autolog.tracking.values import clean

if TYPE_CHECKING:
    from autolog.output import Output
    from autolog.tracking.run import Run

LINES = 10
"""Number of runs that are announced: a loop of thousands must not fill the terminal."""


class Announcer:
    """Writes to the terminal or the notebook's output, and nowhere else."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._runs = 0
        self._waiting: list[str] = []
        """Lines that wait for the end of a progress bar."""

    def announce(self, run: Run, hint: str = "", children: int = 0) -> None:
        """Write one line for a run that has ended, with a hint at its end."""
        if self._runs > LINES:
            return
        self._runs += 1
        line = (
            self._summary(run, children)
            if self._runs <= LINES
            else "further runs are recorded without a line each · autolog ls"
        )
        self.tell(" · ".join(filter(None, (line, hint))))

    def tell(self, line: str) -> None:
        """Write a line, unless the program has redirected standard error: somebody compares it then. While there is a progress
        bar, keep the line for later, because it would stand in the middle of the bar.
        """
        stream = sys.stderr
        if self._output.config.silent or stream is None:
            return
        if stream is not sys.__stderr__ and not type(stream).__module__.startswith("ipykernel"):
            return
        self._waiting.append(f"autolog: {line}\n")
        if stream is not sys.__stderr__ or not _bars():
            self._say(stream)

    def finish(self) -> None:
        """Write the lines that wait, at the end of the process."""
        if self._waiting and sys.__stderr__ is not None:
            self._say(sys.__stderr__)

    def _say(self, stream: TextIO) -> None:
        lines, self._waiting = self._waiting, []
        try:
            stream.write("".join(lines))
        except (OSError, ValueError, UnicodeError):
            pass

    def _summary(self, run: Run, children: int) -> str:
        """`brave-otter · LogisticRegression · 14 params · 6 metrics · model 2.1 kB · autolog show brave-otter`"""
        written = not self._output.writer.refused
        parts = [
            run.name,
            (run.estimator or run.kind).rpartition(".")[2],
            *([run.status] if run.status != "finished" else []),
            *([f"{children} children" if children > 1 else "1 child"] if children else []),
            _count(run.param_count, "param"),
            _count(len(run.metric_names), "metric"),
            *(f"{path} {_size(size)}" for path, size in run.models),
            f"autolog show {run.name if is_word(run.name) else run.id}"
            if written
            else f"not yet written to {self._output.layout.root}",
        ]
        return clean(" · ".join(parts))


def _bars() -> int:
    """Return the number of tqdm's progress bars of any kind. tqdm has no public way to ask."""
    bars = getattr(sys.modules.get("tqdm.std"), "tqdm", None)
    return len(getattr(bars, "_instances", ()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
