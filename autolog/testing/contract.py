"""The promises that every integration must keep, as a class of tests. Subclass it, write how to train, and run pytest.

    class TestToy(Contract):
        integration = "toy"
        packages = ("toy",)

        def data(self): ...
        def train(self, data): ...
        def outcome(self, model, data): ...
        def fail(self, data): ...

The module of the subclass must not import the framework at its top: some tests import the module in a fresh process and switch
autolog on before the framework is imported.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import hashlib
import inspect
import io
import json
import logging
import os
import pickle
import random
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from importlib import import_module
from typing import Any, ClassVar

import msgspec

from autolog.instrument.calls import Call, Observer
from autolog.instrument.fast import CULPRIT, Watch
from autolog.instrument.integration import Integration
from autolog.instrument.patches import AnyPatch, FastPatch, Hook, OnImport, Patch, SubclassPatch
from autolog.registry import installed
from autolog.testing import fresh
from autolog.testing.recording import recorded
from autolog.testing.untouched import assert_untouched, attributes, filter_changes, is_fast, wrappers
from autolog.tracking.run import Run

SECONDS = 120
"""The time limit of one fresh process."""

BENEATH = ("pytest", "packaging.requirements")
"""Slow imports of autolog and of the contracts' modules, made once for all fresh processes."""

# Steps of `drive`: `import` the framework, switch autolog `on` and `off`, `train`, record the process's `state`.
ORDERS = {
    "imported first": "import on train off train on on train off on off train",
    "switched on first": "on import train off train on train off off train",
    "imported by the training": "on train off train",
    "off before the import": "on off import train on train off train",
    "on again before the import, off and on after it": "on off on import off on train on train off train",
}


class Sabotage(RuntimeError):
    """Raised by a sabotaged observer."""


class Contract:
    """See the module."""

    integration: ClassVar[str]
    """The integration's name."""
    packages: ClassVar[tuple[str, ...]]
    """The framework's top-level packages; the first is the one that users import."""
    beneath: ClassVar[tuple[str, ...]] = ()
    """Slow dependencies of the framework, imported once for all fresh processes. Those in `BENEATH` need not be named."""
    without: ClassVar[tuple[str, ...]] = ("autolog", "wrapt")
    """Packages without which pickles must load. A framework may need wrapt itself."""
    changing: ClassVar[tuple[str, ...]] = ()
    """What the framework changes when a hook is registered, such as a counter: `package.module:Class.attribute`."""

    def data(self) -> Any:
        """Return new data for `train`: always the same, and picklable."""
        raise NotImplementedError

    def train(self, data: Any) -> Any:
        """Train a small model in one call that is one run, and return the model."""
        raise NotImplementedError

    def outcome(self, model: Any, data: Any) -> Any:
        """Return what must be bit for bit the same with and without autolog, such as predictions. It must be picklable."""
        raise NotImplementedError

    def fail(self, data: Any) -> None:
        """Train so that the framework raises, after the run has begun."""
        raise NotImplementedError

    def comparable(self, pickled: bytes) -> bytes:
        """Return a pickle without what differs between equal objects, such as addresses in memory."""
        return pickled

    def objects(self) -> list[Any]:
        """Return objects that must have the same attributes with and without autolog."""
        return [self.train(self.data())]

    # -- transparent

    def test_a_training_is_one_run_and_has_the_result_it_has_without(self) -> None:
        """Transparent: the same bits, the same random streams, and one finished run of this framework."""
        self.train(self.data())  # late imports may draw from the random streams
        expected = self._result()
        with recorded(self.integration) as seen:
            result = self._result()
        assert result == expected
        assert (seen.run.status, seen.run.framework, seen.run.errors) == ("finished", self.integration, [])

    def test_arguments_are_left_as_they_were(self) -> None:
        """Transparent: arguments are not changed."""
        data = self.data()
        before = pickle.dumps(data)
        with recorded(self.integration):
            self.train(data)
        assert self.comparable(pickle.dumps(data)) == self.comparable(before)

    def test_an_exception_passes_through_as_it_was(self) -> None:
        """Transparent: same type, same message, same cause and context. The run has failed and says why."""
        plain = _raised_by(self.fail, self.data())
        with recorded(self.integration) as seen:
            error = _raised_by(self.fail, self.data())
        assert _told(error) == _told(plain)
        assert [run.status for run in seen.runs] == ["failed"]
        assert str(seen.runs[0].error).startswith(type(plain).__name__)

    def test_warnings_and_output_are_the_same(self) -> None:
        """Transparent: no additional and no missing warning or printed line."""
        plain = self._said()
        with recorded(self.integration):
            assert self._said() == plain

    def test_python_remembers_which_warnings_it_has_shown(self) -> None:
        """Transparent: recording does not make Python repeat a warning that it shows once, unless the framework does."""

        def train() -> None:
            self.train(self.data())

        train()
        plain = filter_changes(train)
        with recorded(self.integration) as seen:
            train()

            def all_of_it() -> None:
                train()
                seen.client.flush(60)

            assert bool(filter_changes(all_of_it)) == bool(plain)

    def test_pickles_are_the_same_and_load_without_autolog(self) -> None:
        """Transparent: a model trained under autolog, and its copy, pickle to the same bytes and load without autolog."""
        _seed()
        model = self.train(self.data())
        plain = [pickle.dumps(model), pickle.dumps(copy.deepcopy(model))]
        with recorded(self.integration):
            _seed()
            model = self.train(self.data())
            blobs = [pickle.dumps(model), pickle.dumps(copy.deepcopy(model))]
            assert [self.comparable(blob) for blob in blobs] == [self.comparable(blob) for blob in plain]
            copy.copy(model)
        assert _loads_without_autolog(blobs, self.beneath, self.without)

    def test_patched_functions_and_methods_pickle_and_copy(self) -> None:
        """Transparent: what is patched can be copied and pickled, also by cloudpickle, and loads without autolog."""
        with recorded(self.integration):
            model = self.train(self.data())
            things: list[Any] = [model]
            for owner, name, _ in self._places():
                if not isinstance(owner, type):
                    things.append(getattr(owner, name))
                elif isinstance(model, owner) and hasattr(model, name):
                    things.append(getattr(model, name))
                    with contextlib.suppress(
                        TypeError
                    ):  # if the plain class cannot be pickled by name either
                        things.append(getattr(owner, name))
            blobs = [pickle.dumps(thing) for thing in things]
            for thing in things:
                assert type(copy.copy(thing)) is type(thing)
                assert callable(copy.deepcopy(thing)) == callable(thing)
            with contextlib.suppress(ImportError):
                dumps: Callable[[Any], bytes] = import_module("cloudpickle").dumps
                blobs += [dumps(thing) for thing in things]
        assert len(blobs) > 1
        assert _loads_without_autolog(blobs, self.beneath, self.without)

    def test_what_is_patched_looks_as_it_did(self) -> None:
        """Transparent: signature, argument specification, source, name and docstring stay. No class gains attributes."""
        import_module(self.packages[0])
        self.train(self.data())  # the framework imports some modules late
        names = {
            owner: set(vars(owner)) for owner, _ in attributes(*self.packages) if isinstance(owner, type)
        }
        with recorded(self.integration) as seen:
            # Fast patches of methods in C classes are put into a Python class.
            fast = self._fast_names(seen.client)
            places = self._places()
            assert places
            for owner, name, wrapper in places:
                original = wrapper.__wrapped__
                bound = original.__get__(None, owner) if isinstance(owner, type) else original
                look = _looks_fast if is_fast(wrapper) else _looks
                assert look(getattr(owner, name)) == look(bound), f"{owner}.{name}"
                if not isinstance(owner, type) or original.__get__(None, owner) is bound:
                    assert getattr(owner, name) is getattr(owner, name), f"{owner}.{name}"
            for owner, before in names.items():
                gained = {
                    name for name in set(vars(owner)) - before if (owner.__qualname__, name) not in fast
                }
                assert gained <= {"__init_subclass__", "__abstractmethods__"}, owner

    def test_attributes_are_there_or_not_as_they_were(self) -> None:
        """Transparent: `hasattr` and `dir` give the same, also for conditional methods."""
        with recorded(self.integration):
            methods = {name for owner, name, _ in self._places() if isinstance(owner, type)}
        plain = [_has(one, methods) for one in self.objects()]
        with recorded(self.integration):
            assert [_has(one, methods) for one in self.objects()] == plain

    def test_the_process_is_left_alone(self) -> None:
        """Transparent: switching on and training change no logger, filter, hook, stream, variable, signal, random stream or
        thread of the user.
        """
        seen = self._process("import state on state train state")
        plain = self._process("import state train state")
        before, switched_on, trained = seen["states"]
        for what, untouched in before.items():
            assert switched_on[what] == untouched, what
            assert plain["states"][0][what] == untouched, what
            assert trained[what] == plain["states"][1][what], what

    def test_two_threads_are_two_complete_runs(self) -> None:
        """Transparent and complete: simultaneous trainings in two threads do not affect each other."""
        with recorded(self.integration) as seen:
            self.train(self.data())
            together = threading.Barrier(2)
            failures: list[BaseException] = []

            def train() -> None:
                try:
                    data = self.data()
                    together.wait(SECONDS)
                    self.train(data)
                except BaseException as error:
                    failures.append(error)

            threads = [threading.Thread(target=train) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(SECONDS)
        assert not failures
        alone, *others = seen.runs
        assert [_content(run) for run in others] == [_content(alone)] * 2

    def test_nothing_is_recorded_while_suspended(self) -> None:
        """Transparent: recording is off inside the block, by name or for all integrations, and on again after it."""
        from autolog import suspended

        with recorded(self.integration) as seen:
            with suspended(), suspended(self.integration):
                self.train(self.data())
            with suspended(self.integration):
                self.train(self.data())
            assert not seen.runs
            self.train(self.data())
            assert len(seen.runs) == 1

    # -- harmless

    def test_an_observer_that_fails_at_once_is_harmless(self) -> None:
        """Harmless: the training continues with the same result. Each failing observer warns once."""
        runs, said, failed = self._sabotaged("first")
        assert (len(runs), len(said)) == (0, len(failed))

    def test_an_observer_that_fails_before_the_call_is_harmless(self) -> None:
        """Harmless: as above, and the run records the error."""
        runs, said, failed = self._sabotaged("before")
        assert [bool(run.errors) for run in runs] == [True, True]
        assert len(said) == len(failed) > 0

    def test_an_observer_that_fails_after_the_call_is_harmless(self) -> None:
        """Harmless: as above, and the run has finished like its training."""
        runs, said, failed = self._sabotaged("after")
        assert [(bool(run.errors), run.status) for run in runs] == [(True, "finished")] * 2
        assert len(said) == len(failed) > 0

    def test_logging_that_fails_everywhere_is_harmless(self) -> None:
        """Harmless: a failure in any logging call of the integration does not reach the training."""
        failing = [
            name
            for name in vars(Run)
            if name.startswith(("log_", "save_", "describe_")) or name == "record_child"
        ]
        kept = {name: vars(Run)[name] for name in failing}

        def fail(*_args: Any, **_kwargs: Any) -> None:
            raise Sabotage("logging")

        try:
            for name in failing:
                setattr(Run, name, fail)
            runs, said, _ = self._sabotaged("nowhere")
        finally:
            for name, method in kept.items():
                setattr(Run, name, method)
        assert [(bool(run.errors), run.status) for run in runs] == [(True, "finished")] * 2
        assert said
        assert len(said) == len(set(said))

    # -- removable

    def test_everything_is_put_back(self) -> None:
        """Removable: every attribute of the framework is the same object as before, also after a training."""
        import_module(self.packages[0])
        self.train(self.data())
        with assert_untouched(*self.packages, apart_from=self.changing):
            with recorded(self.integration):
                assert wrappers()
                self.train(self.data())
            with recorded(self.integration) as seen:
                seen.client.disable()
                assert not wrappers()

    def test_every_order_of_import_and_switch(self) -> None:
        """Removable: in any order of importing the framework and switching autolog on and off, only the trainings while it is
        on are recorded, and nothing is left afterwards. Switching on imports no framework.
        """
        plain = set(self._process("import train")["names"])
        for what, order in ORDERS.items():
            seen = self._process(order)
            assert [name for name in seen["names"] if name not in plain] == [], what
            assert seen["runs"] == seen["expected"], (what, seen)
            assert seen["left"] == [], (what, seen)
            assert len(set(seen["outcomes"])) == 1, (what, seen)
            if order.startswith("on"):
                assert not seen["imported"], what

    # -- the machinery

    def _result(self) -> bytes:
        """Return the outcome and the state of the random streams."""
        _seed()
        data = self.data()
        model = self.train(data)
        return pickle.dumps((self.outcome(model, data), _streams()))

    def _said(self) -> tuple[list[tuple[str, str]], str]:
        """Return the warnings and the printed text of a training."""
        printed = io.StringIO()
        data = self.data()
        gc.collect()  # objects of earlier tests may warn when they are collected
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            self.train(data)
        return [(one.category.__name__, str(one.message)) for one in caught], printed.getvalue()

    def _places(self) -> list[tuple[Any, str, Any]]:
        """Return what is patched now, as (module or class, attribute, wrapper)."""
        from autolog.instrument.wrapper import Wrapper

        found = attributes(*self.packages).items()
        return [
            (owner, name, held) for (owner, name), held in found if type(held) is Wrapper or is_fast(held)
        ]

    def _fast_names(self, client: Any) -> set[tuple[str, str]]:
        """Return the integration's fast patches of methods, as (class, name)."""
        patches = [one.patch for one in client.manager.states[self.integration].installations]
        paths = [one.target.partition(":")[2] for one in patches if isinstance(one, FastPatch)]
        return {(owner, name) for owner, _, name in (path.rpartition(".") for path in paths) if owner}

    def _sabotaged(self, place: str) -> tuple[list[Any], list[str], set[str]]:
        """Train twice under observers that fail at `place`. Return the runs, autolog's log, and the names of failed observers,
        in which all hooks share one name.
        """
        self.train(self.data())
        expected = self._result()
        trained: list[tuple[Any, Any, str]] = []
        failed: set[str] = set()
        with _log() as said, recorded(_broken(self.integration, place, failed), strict=False) as seen:
            for _ in range(2):
                _seed()
                data = self.data()
                trained.append((self.train(data), data, _streams()))
        for model, data, streams in trained:
            assert pickle.dumps((self.outcome(model, data), streams)) == expected
        return list(seen.runs), said, failed

    def _process(self, steps: str) -> dict[str, Any]:
        """Take `steps` in a fresh process, and return their results."""
        cls = type(self)
        with tempfile.TemporaryDirectory() as folder:
            environment = {
                **{k: v for k, v in os.environ.items() if not k.startswith("AUTOLOG_")},
                "AUTOLOG_DIR": os.path.join(folder, ".autolog"),
                "AUTOLOG_STRICT": "1",
            }
            said = fresh.output(
                "import autolog.testing.contract as c; c.drive()", inspect.getfile(cls), cls.__qualname__, steps,
                environment=environment, folder=folder, seconds=SECONDS, beneath=(*BENEATH, *cls.beneath),
            )  # fmt: skip
        return json.loads(said.splitlines()[-1].replace(folder, "FOLDER"))


# -- sabotage


def _broken(name: str, place: str, failed: set[str]) -> type[Integration]:
    """Return an integration whose observers do their work and fail at `place`."""
    cls: Any = installed()[name].load()

    class Broken(cls):
        def patches(self) -> Iterator[AnyPatch]:
            patches: Iterable[AnyPatch] = cls.patches(self)
            for patch in patches:
                if isinstance(patch, (Patch, SubclassPatch)):
                    yield msgspec.structs.replace(patch, observer=_failing(patch.observer, place, failed))
                elif place == "nowhere" or isinstance(patch, OnImport):
                    yield patch
                elif isinstance(patch, Hook):
                    yield msgspec.structs.replace(patch, hook=_fails_after(patch.hook, place, failed))
                elif patch.around is not None:
                    yield msgspec.structs.replace(patch, around=_fails_around(patch.around, place, failed))
                else:
                    part = "after" if place == "after" and patch.after else "before"
                    changed: dict[str, Any] = {part: _fails_after(getattr(patch, part), place, failed)}
                    yield msgspec.structs.replace(patch, **changed)

    return Broken


def _failing(observer: Observer, place: str, failed: set[str]) -> Observer:
    def fail() -> None:
        failed.add(observer.__qualname__)
        raise Sabotage(place)

    @functools.wraps(observer)
    def observe(call: Call) -> Generator[None, Any, None]:
        if place == "first":
            fail()
        generator = observer(call)
        try:
            next(generator)
        except StopIteration:
            return
        if place == "before":
            generator.close()
            fail()
        result = yield
        try:
            generator.send(result)
        except StopIteration:
            pass
        if place == "after":
            fail()

    return observe


def _fails_after(function: Callable[..., Any] | None, place: str, failed: set[str]) -> Callable[..., Any]:
    """Return a hook that does its work and then fails. At place "first", it fails at once."""

    def fail(*args: Any, **kwargs: Any) -> None:
        if place != "first" and function is not None:
            function(*args, **kwargs)
        failed.add(CULPRIT)
        raise Sabotage(place)

    return fail


def _fails_around(around: Callable[..., Any], place: str, failed: set[str]) -> Callable[..., Any]:
    """Return an `around` whose function does its work and then reports a failure. At place "first", it reports it at once."""

    def fails(original: Any, watch: Watch) -> Callable[..., Any]:
        works = around(original, watch)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not watch.recorded():
                return original(*args, **kwargs)
            if place == "first":
                failed.add(CULPRIT)
                watch.failed(Sabotage(place))
            try:
                return works(*args, **kwargs)
            finally:
                if watch.recorded():
                    failed.add(CULPRIT)
                    watch.failed(Sabotage(place))

        return wrapper

    return fails


@contextlib.contextmanager
def _log() -> Generator[list[str], None, None]:
    """Collect autolog's log messages inside the block."""
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("autolog"), Handler()
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


# -- what things look like


def _looks(function: Any) -> dict[str, Any]:
    asked: dict[str, Callable[[Any], Any]] = {
        "signature": lambda f: str(inspect.signature(f)),
        "argspec": lambda f: str(inspect.getfullargspec(f)),
        "source": inspect.getsource,
        "file": inspect.getsourcefile,
        "isfunction": inspect.isfunction,
        "ismethod": inspect.ismethod,
        "isroutine": inspect.isroutine,
        "callable": callable,
        "repr": lambda f: repr(f).partition(" at 0x")[0],
        **{
            name: lambda f, name=name: getattr(f, name)
            for name in (
                "__name__",
                "__qualname__",
                "__module__",
                "__doc__",
                "__defaults__",
                "__kwdefaults__",
            )
        },
    }
    said: dict[str, Any] = {}
    for what, ask in asked.items():
        try:
            said[what] = ask(function)
        except (TypeError, ValueError, AttributeError, OSError) as error:
            said[what] = type(error).__name__
    return said


def _looks_fast(function: Any) -> dict[str, Any]:
    """Return what the function of a fast patch shares with its original. For an original in C, that is less. The source file
    differs: `getsource` follows `__wrapped__`, `getsourcefile` does not.
    """
    unlike = {"__defaults__", "__kwdefaults__", "file"}
    if not inspect.isfunction(inspect.unwrap(function)):
        unlike |= {"argspec", "isfunction", "ismethod", "isroutine", "__module__", "repr"}
    return {what: said for what, said in _looks(function).items() if what not in unlike}


def _has(one: Any, names: set[str]) -> dict[str, bool | type[Exception]]:
    # Python itself sets `__slotnames__` on a class when its first object is pickled, and an empty `__annotations__` when it is
    # first read.
    noted = {"__slotnames__", "__annotations__"}
    return {name: _has_it(one, name) for name in sorted({*names, *dir(one)} - noted)}


def _has_it(one: Any, name: str) -> bool | type[Exception]:
    try:
        return hasattr(one, name)
    except Exception as error:  # a property may raise other errors than AttributeError
        return type(error)


def _content(run: Any) -> dict[str, Any]:
    """Return what a run recorded, without what may depend on its duration."""
    return {
        "params": run.params, "metrics": bool(run.metrics), "status": run.status, "estimator": run.estimator,
        "datasets": run.datasets, "models": [one["path"] for one in run.models], "errors": run.errors,
    }  # fmt: skip


def _raised_by(function: Callable[[Any], Any], data: Any) -> BaseException:
    try:
        function(data)
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def _told(error: BaseException | None) -> Any:
    if error is None:
        return None
    return (
        type(error),
        str(error),
        _told(error.__cause__),
        _told(error.__context__),
        error.__suppress_context__,
    )


def _loads_without_autolog(
    blobs: list[bytes], beneath: tuple[str, ...] = (), without: tuple[str, ...] = Contract.without
) -> bool:
    """Return whether the pickles load in a process that cannot import autolog."""
    script = (
        f"import pickle, sys; sys.modules.update(dict.fromkeys({without!r}))\n"
        "for blob in pickle.load(sys.stdin.buffer): pickle.loads(blob)\n"
        "import gc; gc.freeze()"  # see `drive`
    )
    fresh.output(
        script, environment=dict(os.environ), folder=os.getcwd(), given=pickle.dumps(blobs), seconds=SECONDS,
        beneath=(*BENEATH, *beneath),
    )  # fmt: skip
    return True


def _seed() -> None:
    random.seed(7)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(7)


def _streams() -> str:
    """Return a digest of the global random streams' states."""
    states: list[Any] = [random.getstate()]
    if "numpy" in sys.modules:
        states.append(sys.modules["numpy"].random.get_state())
    return hashlib.sha256(pickle.dumps(states)).hexdigest()


# -- a fresh process


def drive() -> None:
    """Take the steps of `Contract._process` in its fresh process, and print the results as one line of JSON."""
    from importlib.util import module_from_spec, spec_from_file_location

    import autolog

    file, name, steps = sys.argv[1:]
    spec = spec_from_file_location("contract_case", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["contract_case"] = module
    spec.loader.exec_module(module)
    case: Contract = getattr(module, name)()
    early = [package for package in case.packages if package in sys.modules]
    assert not early, f"{file} imports {early} at its top"
    random.seed(7)
    outcomes: list[str] = []
    states: list[dict[str, Any]] = []
    on, expected, imported = False, 0, False
    for step in steps.split():
        if step == "import":
            import_module(case.packages[0])
            _seed()
        elif step == "on":
            known = set(sys.modules)
            autolog.autolog(silent=True, include=[case.integration])
            imported = imported or any(p in sys.modules and p not in known for p in case.packages)
            on = True
        elif step == "off":
            autolog.disable()
            on = False
        elif step == "train":
            _seed()
            data = case.data()
            outcomes.append(hashlib.sha256(pickle.dumps(case.outcome(case.train(data), data))).hexdigest())
            expected += on
        elif step == "state":
            states.append(_state())
    left = [] if on else wrappers()
    gc.collect()  # frameworks create classes during training: do not count those that nothing refers to
    names = sorted(
        f"{getattr(owner, '__module__', '')}.{owner.__name__}.{name}"
        for owner, name in attributes(*case.packages)
    )
    print(json.dumps({
        "names": names, "outcomes": outcomes, "states": states, "imported": imported, "left": left, "expected": expected,
        "runs": len(autolog.runs()),
    }))  # fmt: skip
    gc.freeze()  # otherwise Python collects garbage among all of the framework at exit: a second for torch


def _state() -> dict[str, Any]:
    """Return the user's state of the process, as plain data that can be compared with another process's."""
    import builtins
    import signal

    def named(function: Any) -> str:
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"

    root = logging.getLogger()
    return {
        "root logger": [root.level, [named(type(handler)) for handler in root.handlers], named(logging.getLoggerClass())],
        "warning filters": [str(one) for one in warnings.filters],
        "showwarning": named(warnings.showwarning),
        "import": named(builtins.__import__),
        "excepthooks": [named(sys.excepthook), named(threading.excepthook), named(sys.unraisablehook)],
        "streams": [getattr(sys, name) is getattr(sys, f"__{name}__") for name in ("stdin", "stdout", "stderr")],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        # Old releases of torch add a temporary folder.
        "path": [re.sub(r"(?<=/tmp)\w{8}$", "", folder) for folder in sys.path],
        "signals": {str(one): str(signal.getsignal(one)) for one in signal.valid_signals()},
        "random": _streams(),
        "threads": [thread.name for thread in threading.enumerate()],
        "tracing": [str(sys.gettrace()), str(sys.getprofile()), sys.getrecursionlimit(), sys.getswitchinterval()],
    }  # fmt: skip
