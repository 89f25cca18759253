"""The handle of one run: turns what is logged into events. Integrations and callbacks hold it; there is no global one.

A run knows neither the store nor the backends: it gives its events to `emit`, and work that does not belong on the training
thread to `defer`. Everything may be called from any thread, and after the run has ended.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple, NoReturn, Protocol

from autolog.tracking import datasets
from autolog.tracking.events import (
    ABOUT,
    NOT_SAVED,
    ArtifactLogged,
    DatasetLogged,
    Deferred,
    Event,
    MetricsDescribed,
    MetricsLogged,
    NoteLogged,
    ParamsLogged,
    RunRecorded,
    TagsSet,
    now,
)  # fmt: skip
from autolog.tracking.ids import new_id
from autolog.tracking.metrics import Direction
from autolog.tracking.values import MAX_PARAMS, key_of, name_of, plain, plain_params, text_of, weakly

MAX_FILE_NAME = 255
"""Bytes; the limit of nearly every file system."""
MAX_DATA = 50
"""Number of data sets that a run remembers."""
FREE_SECONDS = 0.1
"""Seconds that the optional parts of a run may cost, however short its training is."""


class Seen(NamedTuple):
    """Data that a run has seen: its role, how to reach it while it lives, and the fingerprint of its content."""

    context: str
    data: Callable[[], Any]
    fingerprint: datasets.Fingerprint | None

    def is_same(self, data: Any, fingerprint: datasets.Fingerprint | None) -> bool:
        """Return whether this data is the same object, or equal to it. If only some cells were read, it is equal to an object
        that is gone, such as one that a script makes anew each time.
        """
        held = self.data()
        if held is not None and held is data:
            return True
        equal = fingerprint is not None and fingerprint == self.fingerprint
        return equal and (held is None or (fingerprint is not None and fingerprint.whole))


class Account(Protocol):
    """The time that autolog has taken from a thread so far."""

    seconds: float


class OverheadTimer(Protocol):
    """`account` is that of the calling thread."""

    @property
    def account(self) -> Account: ...


class RunContext(Protocol):
    """What a run writes to."""

    @property
    def timer(self) -> OverheadTimer: ...

    @property
    def overhead_budget(self) -> float:
        """The share of a training's time that optional parts may cost."""
        ...

    def emit(self, event: Event) -> None:
        """Take one event; never raises, never waits long."""
        ...

    def defer(self, work: Deferred) -> None:
        """Do `work` off the training thread, then take the events it returns."""
        ...

    def folder_of(self, run: str) -> str:
        """Return the folder of a run's files; it may not exist yet."""
        ...

    def deduplicate(self) -> Callable[[str], None]:
        """Return a function to call, off the training thread, with each file that was copied into the folder of a run."""
        ...

    def described(self, run: Run) -> None:
        """Take note that the run has logged params: its secrets are known."""
        ...

    def save_model(self, run: Run, model: Any, flavor: str | None, **how: Any) -> None:
        """Save a model into the run."""
        ...

    def trained(self, models: Iterable[Any], run: Run, data: Any, describe: bool) -> None:
        """Remember that this run has trained these models."""
        ...

    def token_of(self, run: Run) -> str:
        """Return what another process needs to continue under the run."""
        ...


class Run:
    """One training.

    `id` sorts by time, `name` is for people. `log_*` never raise for a value they cannot record: they record what they can
    say of it.
    """

    __slots__ = (
        "__weakref__",
        "_about",
        "_account",
        "_context",
        "_cost",
        "_kept",
        "_no_numbers",
        "_offset",
        "_params",
        "_since",
        "_steps",
        "_values",
        "directions",
        "ended",
        "estimator",
        "experiment",
        "files",
        "framework",
        "id",
        "kind",
        "models",
        "name",
        "notes",
        "parent",
        "secrets",
        "seen_data",
        "started",
        "status",
        "version",
    )  # fmt: skip

    def __init__(self, context: RunContext, name: str, experiment: str, parent: str | None = None) -> None:
        self._context = context
        self.id = new_id()
        self.name = name
        self.experiment = experiment
        self.parent = parent
        nanoseconds = time.time_ns()
        self.started = nanoseconds // 1_000_000
        self._offset = nanoseconds - time.monotonic_ns()
        """Nanoseconds between the two clocks when the run began."""
        self.ended: int | None = None
        self.status = "running"
        self.kind = "run"
        self.framework: str | None = None
        self.version: str | None = None
        self.estimator: str | None = None
        self._cost = 0.0
        self.resume()
        self._params: set[str] = set()
        self._steps: dict[str, int] = {}
        self._values: dict[str, float] = {}
        self._kept: dict[str, float] = {}
        self._no_numbers: set[str] = set()
        self.directions: dict[str, str] = {}
        """Which way is better, for each metric that was described."""
        self.seen_data: list[Seen] = []
        """The data that has been logged, held weakly, with its fingerprint."""
        self._about: dict[str, dict[str, Any]] = {}
        self.models: list[tuple[str, int]] = []
        self.secrets: set[str] = set()
        self.notes = 0
        self.files = 0
        """Number of files and folders that were logged."""

    def resume(self, since: float | None = None) -> None:
        """Count autolog's cost on this thread from now on, or from when the thread's account stood at `since`."""
        self._account = self._context.timer.account
        self._since = self._account.seconds if since is None else since

    def settle(self) -> None:
        """Stop counting: the training is over."""
        self._cost, self._since = self.overhead, None

    @property
    def overhead(self) -> float:
        """The seconds that autolog itself has taken from the training's thread since the run began."""
        return self._cost if self._since is None else self._cost + self._account.seconds - self._since

    @property
    def allowance(self) -> float:
        """The seconds that optional parts may cost in all: 100 ms, and `overhead_budget` of the time since the run began.
        Callers leave out the cost of the run's beginning: it is not optional, and slow in a process that has just begun.
        """
        elapsed = max(0, (self.ended or self.now()) - self.started) / 1000
        return FREE_SECONDS + self._context.overhead_budget * elapsed

    def now(self) -> int:
        """Return milliseconds since the epoch, from the time since the run began: the clock may be set meanwhile."""
        return (time.monotonic_ns() + self._offset) // 1_000_000

    @property
    def token(self) -> str:
        """The run as plain text, for tasks and workers in other processes. There, `autolog.run(…, parent=token)` makes a child
        of it in the same store, which they must reach by the same path. Sinks are left out: their URLs may hold passwords.
        """
        return self._context.token_of(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A run stays in its process. Hand `run.token`, a text, to the other one, and train there inside "
            "`with autolog.run(parent=token):`."
        )

    def __repr__(self) -> str:
        return f"<Run {self.name} {self.id} {self.status}>"

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters. Nested dicts become dotted names; values are bounded; secrets are replaced.

        At most 2,000 a run are kept; a later value of the same name replaces the earlier one.
        """
        values = plain_params(params, self.secrets)
        known = self._params
        new = [name for name in values if name not in known]
        room = MAX_PARAMS - len(known)
        if len(new) > room:
            if room:
                self.note(f"Only {MAX_PARAMS} params are kept.")
            for name in new[room:]:
                del values[name]
        if values:
            known.update(values)
            self._context.emit(ParamsLogged(self.id, values))
            self._context.described(self)

    def log_metrics(
        self, metrics: Mapping[str, Any], step: int | None = None, epoch: float | None = None
    ) -> None:
        """Record one step's metrics. The default `step` follows the last one of the first metric's name.

        Values are numbers, or scalars with `item()` or `float()`, such as numpy's. Others are left out, with one note for each
        name.
        """
        try:
            items = list(metrics.items())
        except Exception:
            self.note("What is no mapping was logged as metrics.")
            return
        values: dict[str, float] = {}
        steps = self._steps
        for key, value in items:
            kind = _type(value)
            if kind is not float and kind is not int:
                value = _number(value)
                if value is None:
                    self._left_out(key, kind)
                    continue
            # A known name has been checked before.
            values[key if type(key) is str and key in steps else key_of(key)] = value
        if not values:
            return
        if step is not None and (type(step) is not int or not -_FAR < step < _FAR):
            step = _whole(step)
        if step is None:
            step = steps.get(next(iter(values)), -1) + 1
        if epoch is not None and type(epoch) is not int:
            epoch = _finite(epoch)
        for key in values:
            steps[key] = step
        self._values.update(values)
        if self._kept:  # a new value replaces that of the kept model
            for key in values:
                self._kept.pop(key, None)
        self._context.emit(MetricsLogged(self.id, step, time.time_ns() // 1_000_000, values, epoch))

    def describe_metrics(
        self, directions: Mapping[str, Direction | None] = {}, *, values: Mapping[str, Any] = {},
        about: Mapping[str, Mapping[str, Any]] = {},
    ) -> None:  # fmt: skip
        """Say what metrics mean. The direction of a metric that nobody describes is guessed by its name.

        `directions` says which way is better; None if the caller does not know. `values` are those of the kept model, if the
        last values are another model's, as with early stopping; they hold until the metric is logged again. `about` is what
        else is known of a metric, under these names: `data` (`train`, `validation`, or the script's name for it), `part` (of
        the predictions), `settings` (of the function that computes it), and `sample`: the `rows` that it was computed on, `of`
        how many, and the standard `error`.
        """
        said_now: dict[str, dict[str, Any]] = {}
        for name, direction in directions.items():
            name, said = key_of(name), direction or "unknown"
            if self.directions.get(name) != said:
                self.directions[name] = said
                said_now.setdefault(name, {})["direction"] = said
        for name, value in values.items():
            name, number = key_of(name), _number(value)
            if number is not None and number == number and self._kept.get(name) != number:
                self._kept[name] = number
                said_now.setdefault(name, {})["value"] = number
        for name, more in about.items():
            name, known = key_of(name), {key: plain(more[key]) for key in ABOUT if more.get(key) is not None}
            if known and self._about.get(name) != known:
                self._about[name] = known
                said_now.setdefault(name, {}).update(known)
        if said_now:
            self._context.emit(MetricsDescribed(self.id, said_now))

    def _left_out(self, key: Any, kind: type) -> None:
        name = key_of(key)
        if name not in self._no_numbers and len(self._no_numbers) < MAX_PARAMS:
            self._no_numbers.add(name)
            self.note(f"The metric {name} was left out: a value of type {name_of(kind)} is no number.")

    def log_dataset(
        self, data: Any, target: Any = None, *, context: str = "train", known: Mapping[str, Any] = {}
    ) -> None:
        """Describe data that the run saw, without a pass over it. `context` is `train`, `validation` or `test`. `known` is what
        the caller can say of a container that cannot be looked into: `rows`, `columns`, `schema`, or others.
        """
        described = datasets.describe(data, target)
        if len(self.seen_data) < MAX_DATA:
            self.seen_data.append(Seen(context, weakly(data), datasets.fingerprint(data)))
        for key, value in known.items():
            described[key] = plain(value, key, self.secrets)
        self._context.emit(DatasetLogged(self.id, context, described))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Record tags, as text; a later value of the same name replaces the earlier one."""
        texts = tags_of(tags, self.secrets)
        if texts:
            self._context.emit(TagsSet(self.id, texts))

    def note(self, text: str, *, error: bool = False) -> None:
        """Tell the reader of this run something: what was not recorded and why, or an error of autolog's own."""
        if self.notes < 100:
            self.notes += 1
            self._context.emit(NoteLogged(self.id, text_of(str(plain(text))), error))

    def model_not_saved(self, reason: str) -> None:
        """Say why there is no model. `autolog show` prints this before anything else."""
        self.note(f"{NOT_SAVED}{reason}")

    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        """Copy a file or folder into the run, in the background. `name` is its path there, by default its own name. If the
        folder holds the store, the store itself is left out.

        Raises FileNotFoundError if there is none, ValueError if `name` leads out of the run's folder.
        """
        given: str = os.fspath(path)
        source = os.path.abspath(given)
        if not given or not os.path.exists(source):  # an empty path, of an unset variable say, is no folder
            raise FileNotFoundError(f"There is no file or folder {source if given else repr(given)} to log.")
        name = artifact_name(name or os.path.basename(source))
        folder = self._context.folder_of(self.id)
        target = os.path.join(folder, *name.split("/"))

        self.files += 1

        import shutil  # here, on the caller's thread: see environment.py

        share = self._context.deduplicate()

        def put(source: str, target: str) -> None:
            with atomic_write(target) as draft:
                shutil.copy2(source, draft)
            share(target)

        def copy() -> list[Event]:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(source):
                ours = [os.path.realpath(place) for place in (folder, f"{folder}/..", f"{folder}/../..")]

                def is_ours(parent: str, names: list[str]) -> list[str]:
                    return [name for name in names if os.path.realpath(os.path.join(parent, name)) in ours]

                shutil.copytree(source, target, dirs_exist_ok=True, ignore=is_ours, copy_function=put)
            else:
                put(source, target)
            return [ArtifactLogged(self.id, f"{name}{part}", size) for part, size in sizes(target)]

        self._context.defer(copy)

    def log_json(self, name: str, value: Any) -> None:
        """Write plain data as a JSON artifact: a curve, a confusion matrix, importances."""
        import msgspec

        self._write(name, lambda: msgspec.json.encode(value))

    def log_text(self, name: str, text: str) -> None:
        """Write a text artifact, in UTF-8: the summary of a model."""
        self._write(name, lambda: text.encode("utf-8", "backslashreplace"))

    def _write(self, name: str, content: Callable[[], bytes]) -> None:
        name = artifact_name(name)
        self.files += 1
        target = os.path.join(self._context.folder_of(self.id), *name.split("/"))

        def write() -> list[Event]:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            data = content()
            with atomic_write(target) as draft, open(draft, "wb") as file:
                file.write(data)
            return [ArtifactLogged(self.id, name, len(data))]

        self._context.defer(write)

    def log_model(
        self, model: Any, *, flavor: str | None = None, path: str = "model", data: Any = None
    ) -> None:
        """Save a model into the run. `flavor` is by default that of the run's framework. `data` is an example of the model's
        input, from which the signature is inferred.
        """
        self.save_model(model, flavor, path=artifact_name(path), data=data, by_hand=True)

    def save_model(self, model: Any, flavor: str | None, **how: Any) -> None:
        """Like `log_model`, for integrations. See `recording.models.ModelSaver.save` for the arguments."""
        self._context.save_model(self, model, flavor, **how)

    def trained(self, *models: Any, data: Any = None, describe: bool = True) -> None:
        """Remember that this run has trained the model on `data`: what the user measures of it later belongs here. Further
        models are those to which the first one delegates. With `describe`, data that it is measured on is logged as a test set.
        """
        self._context.trained(models, self, data, describe)

    def record_child(
        self, name: str, *, kind: str, params: Mapping[str, Any], metrics: Mapping[str, Any], tags: Mapping[str, Any] = {},
        started: int | None = None, ended: int | None = None, status: str = "finished",
        directions: Mapping[str, Direction | None] = {},
    ) -> str:  # fmt: skip
        """Record a whole child run in one event, such as a search's candidate. Returns its id. `directions` is as for
        `describe_metrics`; directions of metrics that the child does not have are left out.
        """
        try:
            items = list(metrics.items())
        except Exception:
            items = []
        numbers = {key_of(key): number for key, value in items if (number := _number(value)) is not None}
        child = RunRecorded(
            new_id(), self.id, f"{self.name}/{key_of(name)}", self.experiment, started or self.started, ended or now(), kind,
            self.framework, self.version, self.estimator, status, plain_params(params, self.secrets), numbers,
            tags_of(tags, self.secrets),
            {
                key: {"direction": said or "unknown"}
                for name, said in directions.items() if (key := key_of(name)) in numbers
            },
        )  # fmt: skip
        self._context.emit(child)
        return child.run

    @property
    def param_count(self) -> int:
        """Number of params that have been logged."""
        return len(self._params)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The value of each metric logged so far, the kept model's or else the last, in the order of their first values."""
        return {**self._values, **self._kept} if self._kept else self._values

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names of the metrics logged so far."""
        return tuple(self._steps)


_FAR = 2**62
_type: Any = type


def _number(value: Any) -> float | int | None:
    """Return a number for a number, a subclass of one, or a scalar of an array library; None for anything else."""
    kind = _type(value)
    if kind is float or kind is int:
        return value
    try:
        if issubclass(kind, int):
            return int.__int__(value)
        if issubclass(kind, float):
            return float.__float__(value)
        if hasattr(kind, "item") and (getattr(value, "ndim", 0) == 0 or getattr(value, "size", 0) == 1):
            item = value.item()
            return item if type(item) in (int, float) else float(item)
        if hasattr(kind, "__float__"):
            return float(value)
    except Exception:
        return None
    return None


def _whole(value: Any) -> int | None:
    """Return a step as an int that fits into 64 bits, else None."""
    try:
        step = int(value if type(value) is str else _number(value))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        return None
    return step if -_FAR < step < _FAR else None


def _finite(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None


def retire() -> None:
    """Make runs ignore what is logged, at the end of the process. They no longer need this module, which Python takes apart
    while objects of the user may log to the very end.
    """

    def nothing(*_: Any, **__: Any) -> None:
        pass

    logging = [name for name in vars(Run) if name.startswith("log_")]
    for name in (*logging, "describe_metrics", "set_tags", "note", "record_child", "save_model", "trained"):
        setattr(Run, name, nothing)


def tags_of(tags: Mapping[str, Any], secrets: set[str] | None = None) -> dict[str, str]:
    """Return tags as text, with secrets replaced."""
    try:
        items = [(key_of(key), value) for key, value in islice(tags.items(), MAX_PARAMS)]
    except Exception:
        return {}
    return {
        key: text if isinstance(text := plain(value, key, secrets), str) else str(text)
        for key, value in items
    }


def artifact_name(name: str) -> str:
    """Return a relative path with forward slashes. Raises ValueError if it leads elsewhere, or if a part of it is too long."""
    parts = [part for part in name.replace(os.sep, "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or os.path.isabs(name) or ":" in parts[0] or "\0" in name:
        raise ValueError(f"{name!r} is not a path inside a run's folder.")
    if any(len(part.encode("utf-8", "surrogatepass")) > MAX_FILE_NAME for part in parts):
        raise ValueError(f"{name[:60]!r}… is longer than a file's name can be ({MAX_FILE_NAME} bytes).")
    return "/".join(parts)


@contextmanager
def atomic_write(target: str) -> Generator[str, None, None]:
    """Yield the path of a new file to write, which then replaces `target`: the old one may be other runs' too (hard links)."""
    folder, name = os.path.split(target)
    # Short enough for a file name.
    draft = os.path.join(folder, f"{name[:50]}.{os.urandom(8).hex()}.tmp")
    try:
        yield draft
        os.replace(draft, target)
    except BaseException:
        if os.path.exists(draft):
            os.unlink(draft)
        raise


def sizes(path: str) -> list[tuple[str, int]]:
    """Return the files at or below `path`, as (`""` or `"/relative/path"`, bytes)."""
    if not os.path.isdir(path):
        return [("", os.path.getsize(path))]
    found: list[tuple[str, int]] = []
    for folder, _, files in os.walk(path):
        for file in files:
            whole = os.path.join(folder, file)
            found.append(("/" + os.path.relpath(whole, path).replace(os.sep, "/"), os.path.getsize(whole)))
    return sorted(found)
