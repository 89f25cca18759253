"""The functions that users call."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Generator, Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any

from autolog import config, process
from autolog.client import Client
from autolog.instrument.calls import Call, Scope, current, innermost
from autolog.manager import make_options

if TYPE_CHECKING:
    from autolog.overview import Status
    from autolog.recording.lineage import Lineage
    from autolog.recording.scope import RunScope
    from autolog.store.records import RunRecord, Runs
    from autolog.tracking.run import Run


def autolog(
    *,
    experiment: str | None = None,
    include: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
    tags: Mapping[str, Any] | None = None,
    sinks: str | Iterable[str] | None = None,
    silent: bool | None = None,
    **options: Any,
) -> None:
    """Record every training from now on, of each framework that is imported now or later.

    Called again, it changes what is given and keeps the rest. `include` and `exclude` name integrations. `tags` are put on
    every run that is no child. `sinks` are URLs to which events are sent in the background, such as `console:` or
    `jsonl:events.jsonl`; they replace the earlier ones. `silent` omits the line on standard error at the end of a run.
    `options` are those common to all integrations (`log_models`, `log_datasets`, `log_signatures`, `log_input_examples`,
    `max_model_bytes`), and the settings `overhead_budget`, `exit_timeout` and `secrets`.

    Does nothing with `AUTOLOG_DISABLED=1`, nor at the top of a module that a spawned worker process imports again; work that is
    handed to that worker is recorded there all the same. Raises ValueError for a setting, option or integration that does not
    exist.
    """
    if config.is_disabled() or _imported_again_by_a_worker(sys._getframe(1).f_code.co_name):  # pyright: ignore
        return
    given = {
        "experiment": experiment, "include": include, "exclude": exclude, "tags": tags, "sinks": sinks, "silent": silent,
    }  # fmt: skip
    given = {key: value for key, value in given.items() if value is not None}
    here = process.get_to_record()
    here.configure({**given, **options})
    _record_for_itself(here)
    wanted = here.config
    for name, state in here.manager.states.items():
        chosen = (wanted.include is None or name in wanted.include) and name not in wanted.exclude
        chosen = chosen and name not in here.manager.switched_off
        if not chosen:
            here.disable([name])
        elif state.state == "disabled" or options:
            here.enable(name)


def enable(name: str, **options: Any) -> None:
    """Record one framework, with its own options.

    Raises ValueError for an unknown name or option, naming the valid ones and the nearest; ModuleNotFoundError if the framework
    is not installed; RuntimeError if its version is not supported.
    """
    if config.is_disabled() or _imported_again_by_a_worker(sys._getframe(1).f_code.co_name):  # pyright: ignore
        return
    here = process.get_to_record()
    state = here.manager.states[here.manager.known(name)]
    entry = state.entry
    cls = entry.load()
    if not any(module in sys.modules or _is_installed(module) for module in entry.modules):
        raise ModuleNotFoundError(f"{name} is not installed: pip install '{cls.supports}'")
    make_options(cls.Options, options)
    here.configure({entry.name: options})
    _record_for_itself(here)
    here.manager.switched_off.discard(entry.name)
    here.enable(entry.name)
    if state.state == "unsupported":
        raise RuntimeError(state.reason)


def _record_for_itself(here: Client) -> None:
    """Let the client record for this process, even if it has recorded for another one before."""
    if here.recorder_if_made is not None:
        here.recorder_if_made.remote_parent = None
    here.output.start()


def disable(name: str | None = None) -> None:
    """Stop recording one framework, or all of them, and put back every attribute that was replaced.

    A framework that was disabled by name stays off when `autolog()` is called again, until `enable()`. After all were disabled,
    `autolog()` begins anew.
    """
    here = process.get()
    if here is None:
        if name is None or config.is_disabled():
            return
        here = process.get_or_make()
    manager = here.manager
    if name is None:
        manager.switched_off.clear()
        here.disable()
    else:
        manager.switched_off.add(manager.known(name))
        here.disable([manager.known(name)])


class suspended:
    """Turn integrations off inside the block, and in work that is handed to threads and processes there: those named, or all.

    Raises ValueError for an unknown name, naming the valid ones and the nearest.
    """

    _python_ends = staticmethod(sys.is_finalizing)
    """True while Python exits. Only then does a generator that was left open leave the block: nothing is recorded any more, and
    module globals may be None.
    """

    def __init__(self, *names: str) -> None:
        here = process.get_or_make() if names and not config.is_disabled() else None
        known = map(here.manager.known, names) if here is not None else names
        self._names = frozenset(known) or None
        self._token: Any = None
        self._scope: Scope | None = None

    def __enter__(self) -> None:
        from autolog.recording.scope import Suppressed  # not at the top: `autolog()` must stay cheap

        self._scope = Suppressed(innermost(), self._names)
        self._token = current.set(self._scope)

    def __exit__(self, *_: object) -> None:
        if self._python_ends():
            return
        assert self._scope is not None
        self._scope.end()
        _leave(self._token)


def _leave(token: Token[Scope | None]) -> None:
    """Leave the scope that was entered with this token."""
    try:
        current.reset(token)
    except ValueError:
        pass  # entered in another context, like the halves of an async fixture: ended scopes are skipped


class run:
    """An explicit run: `with autolog.run("baseline", tags={"team": "blue"}) as run:`.

    The first training inside the block is this run, and further ones become its children; with `children=True`, all of them
    become children. Works without `autolog()`, for what is logged by hand.

    `parent` is the `token` of a run of another process, as text: this run becomes its child, in its store, even if this process
    has recorded elsewhere. What is on in that process is on in this block, too; after the block, nothing is recorded again. The
    block's end waits until everything is on disk, for at most `exit_timeout` seconds. Raises ValueError for what is no token.
    """

    _python_ends = staticmethod(sys.is_finalizing)

    def __init__(
        self, name: str | None = None, *, tags: Mapping[str, Any] | None = None, children: bool = False,
        parent: str | None = None,
    ) -> None:  # fmt: skip
        self._parent = None
        if parent is not None:
            from autolog.recording import token

            self._parent = token.read(parent)
        self._name = name
        self._tags = dict(tags or {})
        self._children = children
        self._token: Any = None
        self._client: Client | None = None
        self._scope: RunScope | None = None

    def __enter__(self) -> Run:
        from autolog.tracking import ranks

        parent = self._parent
        if config.is_disabled() or ranks.rank() != 0 or (parent is not None and parent.store is None):
            here = Client()  # an inert one: it takes everything and keeps nothing
            here.active = False
        elif parent is not None and parent.layout is not None:
            here = process.get_to_continue(parent.layout, parent.config, parent.integrations)
        else:
            here = process.get_to_record()
            if here.config == config.Config():
                here.configure({})
        self._client = here
        here.follow_work()
        self._scope = here.recorder.begin(self._name, self._tags, self._children, parent)
        self._token = current.set(self._scope)
        return self._scope.run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._python_ends():
            return
        assert self._scope is not None
        assert self._client is not None
        _leave(self._token)
        self._scope.end()
        self._client.recorder.finish(self._scope, error)


def current_run() -> Run | None:
    """Return the run in progress around the caller: of a training that calls back, of the caller's loop, or of a block."""
    from autolog.recording import scope

    here = process.get()
    recorder = here.recorder_if_made if here is not None else None
    return recorder.current_run() if recorder is not None else scope.current_run()


def lineage() -> Lineage:
    """Return what knows each model's run, and each prediction's model: for integrations that measure."""
    return process.get_or_make().recorder.lineage


def observe_prediction(call: Call) -> Generator[None, Any, None]:
    """An observer for methods that predict for their first argument: the result becomes a prediction of a known model."""
    yield from lineage().observe_prediction(call)


def observe_score(call: Call) -> Generator[None, Any, None]:
    """An observer for methods that measure a model on their first argument: the number goes to the run of a known model."""
    yield from lineage().observe_score(call)


def last_run() -> Run | None:
    """Return the run that ended last in this thread. It still takes metrics, tags and files."""
    from autolog.recording.scope import last_run

    return last_run.get()


def flush(timeout: float = 10.0, sinks: bool = False) -> bool:
    """Wait until everything logged so far is on disk and, with `sinks`, delivered to them, for at most `timeout` seconds.

    Returns whether it was in time.
    """
    here = process.get()
    return here is None or here.flush(timeout, sinks)


def status() -> Status:
    """Return what is recorded in this process: each integration, its framework's version, its state, and its patch points."""
    from autolog.overview import status

    return status()


def runs(
    where: str | None = None,
    *,
    order_by: str = "-started",
    limit: int | None = None,
    children: bool = False,
    archived: bool = False,
    store: str | os.PathLike[str] | None = None,
) -> Runs:
    """Return recorded runs, newest first.

    `where` is a filter, such as `metrics.val_loss < 0.3 and framework == 'keras'`. `order_by` is a name, with `-` for
    descending. Child runs are left out unless `children` is true, or the filter mentions `parent`; archived runs unless
    `archived` is true, or the filter mentions `archived`. `store` is another store's folder. Raises FilterError, which points
    at the place; warns of a metric that no run has.
    """
    opened = _store(store)
    found: Runs = opened.runs(where, order_by=order_by, limit=limit, children=children, archived=archived)
    for sentence in opened.unknown_metrics(where, order_by, found):
        warnings.warn(sentence, UserWarning, stacklevel=2)
    return found


def load_model(
    run_or_path: str | os.PathLike[str] | Run | RunRecord, *, path: str = "model", trust: bool = False,
    as_predictor: bool = False, store: str | os.PathLike[str] | None = None,
) -> Any:  # fmt: skip
    """Return a saved model as its framework's own object, from a run (its handle, record, name, id or `@last`) or a model
    folder, including MLflow's. `path` is the model's path within the run; `store` is the folder of another store.

    With `as_predictor`, return an object whose `predict` takes a DataFrame, array, dict or list for any framework. A pickle is
    loaded only if this user's key has signed it, or with `trust=True`: loading one runs any code that it contains. Raises
    UnknownRun, LookupError for a run without a model, and ModelError otherwise, such as UntrustedModel.
    """
    from autolog.models import load
    from autolog.store.records import RunRecord, UnknownRun
    from autolog.tracking.run import Run

    how: dict[str, Any] = {"trust": trust, "as_predictor": as_predictor}
    if isinstance(run_or_path, RunRecord):
        return run_or_path.model(path, **how)
    if isinstance(run_or_path, Run):
        flush()
        run_or_path = run_or_path.id
    folder = load.folder_of(run_or_path, path)
    if folder is not None:
        return load.load_model(folder, **how)
    try:
        record = _store(store).get(os.fspath(run_or_path))
    except UnknownRun:
        if os.path.exists(run_or_path):
            return load.load_model(run_or_path, **how)  # which says why not
        raise
    return record.model(path, **how)


def _store(store: str | os.PathLike[str] | None) -> Any:
    from autolog.store.records import Store

    here = process.get()
    if here is not None:
        here.flush(10.0)
        if store is None:
            return Store(here.layout, here.output.write)
    return Store(store)


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _imported_again_by_a_worker(caller: str) -> bool:
    """Return whether this is a module's top level that runs again in a worker, spawned by multiprocessing or loky. A call
    inside a function is meant for the worker; one at the top of a module was meant for the process that ran it as a script.
    """
    process = sys.modules.get("multiprocessing.process")
    if process is None or caller != "<module>" or os.environ.get("AUTOLOG_CHILDREN", "") not in ("", "0"):
        return False
    inheriting = getattr(process.current_process(), "_inheriting", False)
    return bool(inheriting) or process.parent_process() is not None
