"""The events: immutable records, each of one thing that was logged. They are the whole language between what observes a
training and what stores or forwards it; neither side knows the other.

Times are milliseconds since the epoch. `run` is the id of the run. Keys are short because a journal holds millions of them.
Readers ignore unknown keys, so fields may be added; a field never changes its meaning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

FORMAT_VERSION = 1


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="e"):
    """One thing that happened."""


Deferred = Callable[[], Iterable[Event]]
"""Work that does not belong on the training thread; its events are to be stored."""


def now() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class JournalOpened(Event, frozen=True, gc=False, tag="journal"):
    """The first line of a journal: who writes it. `started` identifies the start of the process: boot id and clock ticks."""

    version: int
    t: int
    host: str
    pid: int
    started: str = ""


class EnvironmentLogged(Event, frozen=True, gc=False, tag="environment"):
    """The process's code and environment, once per journal; it holds for all the journal's runs."""

    values: dict[str, Any]


class CodeLogged(Event, frozen=True, gc=False, tag="code"):
    """Code that no commit holds: files by path, once per journal, and a notebook's cells by number, those that were run since
    the last such event. Cells belong to the runs that end at `t` or later.
    """

    t: int
    files: dict[str, str] = {}
    cells: dict[str, str] = {}


class RunStarted(Event, frozen=True, gc=False, tag="start"):
    """A run begins. `kind` is `run` for explicit ones, else `fit`, `train`, `cv`, `search`, …"""

    run: str
    t: int
    name: str
    experiment: str
    parent: str | None = None
    kind: str = "run"
    framework: str | None = None
    version: str | None = None
    estimator: str | None = None
    tags: dict[str, str] = {}


class RunDescribed(Event, frozen=True, gc=False, tag="describe"):
    """A training call became this explicit run."""

    run: str
    kind: str
    framework: str | None = None
    version: str | None = None
    estimator: str | None = None


class RunRecorded(Event, frozen=True, gc=False, tag="record"):
    """A whole small run in one line, such as a search's candidate."""

    run: str
    parent: str
    name: str
    experiment: str
    t: int
    ended: int
    kind: str
    framework: str | None = None
    version: str | None = None
    estimator: str | None = None
    status: str = "finished"
    params: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    about: dict[str, dict[str, Any]] = {}
    """What the metrics mean, as in `MetricsDescribed`."""


class ParamsLogged(Event, frozen=True, gc=False, tag="params"):
    """Parameters; a later value of the same name replaces the earlier one."""

    run: str
    values: dict[str, Any]


class MetricsLogged(Event, frozen=True, gc=False, tag="m"):
    """One step's metrics. `step` counts in the framework's own unit; `epoch` is set if it is known beside the step."""

    run: str
    step: int
    t: int
    v: dict[str, float]
    epoch: float | None = None


ABOUT = {"data": str, "part": str, "settings": dict, "sample": dict}
"""What may be recorded of a metric beside its direction and its value."""


class MetricsDescribed(Event, frozen=True, gc=False, tag="about"):
    """What metrics mean, by name. Of each, what is known: `direction` (`higher` or `lower` is better; `unknown` if nobody may
    guess), `value` (of the kept model, if that is not the last one; until the metric is logged again), `data`, `part` and
    `settings` (what was measured, which part of it, and how), `sample` (the `rows` that it was computed on, `of` how many, and
    the standard `error`). Later statements on the same name are added, and replace earlier ones.
    """

    run: str
    metrics: dict[str, dict[str, Any]]


class DatasetLogged(Event, frozen=True, gc=False, tag="dataset"):
    """A description of data the run saw: `context` is `train`, `validation` or `test`."""

    run: str
    context: str
    values: dict[str, Any]


class ArtifactLogged(Event, frozen=True, gc=False, tag="artifact"):
    """A file below the run's artifact folder; `bytes` is its size."""

    run: str
    path: str
    bytes: int


class ModelLogged(Event, frozen=True, gc=False, tag="model"):
    """A model folder below the run's artifact folder, with the sizes of its files."""

    run: str
    path: str
    flavor: str
    bytes: int
    files: dict[str, int]
    seconds: float = 0.0


class TagsSet(Event, frozen=True, gc=False, tag="tags"):
    """Tags; a later value of the same name replaces the earlier one."""

    run: str
    values: dict[str, str]


NOT_SAVED = "The model was not saved: "
"""The beginning of a note that says why there is no model."""


class NoteLogged(Event, frozen=True, gc=False, tag="note"):
    """Something the reader of the run should know: what was not recorded, and why; or an error of autolog's own."""

    run: str
    text: str
    error: bool = False


class RunEnded(Event, frozen=True, gc=False, tag="end"):
    """A run's outcome. `status` is `finished`, `failed` or `interrupted`; `error` its exception; `overhead` autolog's own
    seconds on the training thread; `dropped` the metric points lost to back-pressure. A run that ends again replaces its
    earlier end.
    """

    run: str
    t: int
    status: str
    error: str | None = None
    overhead: float = 0.0
    dropped: int = 0


class Heartbeat(Event, frozen=True, gc=False, tag="alive"):
    """The process is alive; written while runs are open and nothing else is."""

    t: int


class RunChanged(Event, frozen=True, gc=False, tag="change"):
    """Somebody changed a recorded run. What is not set stays; a tag of None is removed, and so is an empty description. Of
    several changes of one thing the latest holds, by `t` and then `id`, in whichever order journals are read. It stands above
    what the run itself logs. Sinks get all changes of a run so far as one event.
    """

    run: str
    t: int
    id: str
    name: str | None = None
    description: str | None = None
    starred: bool | None = None
    archived: bool | None = None
    tags: dict[str, str | None] = {}


class RunRemoved(Event, frozen=True, gc=False, tag="remove"):
    """The run was removed by its owner; readers forget it."""

    run: str


AnyEvent = (
    JournalOpened | EnvironmentLogged | CodeLogged | RunStarted | RunDescribed | RunRecorded | ParamsLogged | MetricsLogged
    | MetricsDescribed | DatasetLogged | ArtifactLogged | ModelLogged | TagsSet | NoteLogged | RunEnded | Heartbeat | RunChanged
    | RunRemoved
)  # fmt: skip
