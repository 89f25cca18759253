"""The promise: a fast patch and a framework's own hook see what happens and change nothing, cost nothing where nobody looks,
fail once and quietly, and leave no trace when they are taken out.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pickle
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from handlers import CallHandler

from autolog.instrument.calls import Call, Scope, current
from autolog.instrument.fast import Watch
from autolog.instrument.imports import ImportHooks
from autolog.instrument.modules import sweep_modules
from autolog.instrument.patches import FastPatch, Hook
from autolog.instrument.patching import Installation

SOURCE = '''
from functools import wraps

_hooks = []


def register_hook(hook):
    """As torch's: returns a handle."""
    _hooks.append(hook)

    class Handle:
        def remove(self):
            _hooks.remove(hook)

    return Handle()


def step(x, *, y=2):
    """Steps."""
    if x < 0:
        raise ValueError("negative")
    for hook in _hooks:
        hook(x)
    return x + y


@wraps(step)
def decorated(*args, **kwargs):
    return step(*args, **kwargs)


decorated.__name__ = decorated.__qualname__ = "decorated"


class Base:
    def value(self):
        return 1


class Child(Base):
    pass
'''


@pytest.fixture
def frame(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "fastframe.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield importlib.import_module("fastframe")
    del sys.modules["fastframe"]


class Installed:
    """Installs patches for a handler that notes what it is told."""

    def __init__(self) -> None:
        self.handler = CallHandler()
        self.hooks = ImportHooks(lambda module, error: None)
        self.seen: list[Any] = []
        self.installations: list[Installation] = []

    def __call__(self, patch: FastPatch | Hook) -> Installation:
        installation = Installation(patch, "frame", self.handler, self.hooks)
        installation.install()
        self.installations.append(installation)
        return installation

    def watch(self, target: str, **more: Any) -> Installation:
        """A fast patch that notes all it sees."""

        def before(*args: Any, **kwargs: Any) -> str:
            self.seen.append(("before", args, kwargs))
            return "noted"

        def after(noted: Any, result: Any, *args: Any, **kwargs: Any) -> str:
            self.seen.append((noted, result, args, kwargs))
            return "ignored"

        def raised(noted: Any, error: Any, *args: Any, **kwargs: Any) -> None:
            self.seen.append((noted, str(error), args, kwargs))

        return self(FastPatch(target=target, **{"before": before, "after": after, "raised": raised, **more}))

    def remove(self) -> None:
        for one in reversed(self.installations):
            one.remove()


@pytest.fixture
def install() -> Iterator[Installed]:
    one = Installed()
    yield one
    one.remove()


def test_a_fast_patch_sees_arguments_result_and_exception_and_changes_none(
    frame: Any, install: Installed
) -> None:
    assert install.watch("fastframe:step").state == "found"
    assert frame.step(1, y=5) == 6
    with pytest.raises(ValueError, match="negative") as error:
        frame.step(-1)
    assert error.value.__context__ is None
    assert install.seen == [
        ("before", (1,), {"y": 5}), ("noted", 6, (1,), {"y": 5}), ("before", (-1,), {}), ("noted", "negative", (-1,), {}),
    ]  # fmt: skip


def test_a_warning_of_an_original_in_c_names_its_callers_line(frame: Any, install: Installed) -> None:
    """As without the patch: Python warns of a `__float__` that returns a subclass where its caller stands."""
    frame.root = math.sqrt

    class Odd(float):
        pass

    class Given:
        def __float__(self) -> float:
            return Odd(2.25)

    def places() -> list[tuple[str, int]]:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            frame.root(Given())
        return [(one.filename, one.lineno) for one in found]

    [plain] = places()
    install.watch("fastframe:root", as_caller=True, raised=None)
    assert (places(), plain[0]) == ([plain], __file__)
    assert install.seen[-1][1] == 1.5


def test_a_patch_may_give_the_whole_function(frame: Any, install: Installed) -> None:
    """It is asked where a call is recorded, it looks like the original, and its first reported failure turns it off."""
    seen: list[Any] = []

    def around(original: Any, watch: Watch) -> Callable[..., Any]:
        def wrapper(x: Any, **kwargs: Any) -> Any:
            if not watch.recorded():
                return original(x, **kwargs)
            result = original(x, **kwargs)
            try:
                seen.append((x, result))
                assert x != 3, "ours"
            except Exception as error:
                watch.failed(error)
            return result

        return wrapper

    looked, plain = inspect.signature(frame.step), frame.step
    install(FastPatch(target="fastframe:step", around=around))
    assert (inspect.signature(frame.step), frame.step.__qualname__) == (looked, "step")
    install.handler.active = False
    frame.step(1)
    install.handler.active = True
    assert [frame.step(x, y=1) for x in (2, 3, 4)] == [3, 4, 5]
    with pytest.raises(ValueError, match="negative"):
        frame.step(-1)
    assert seen == [(2, 3), (3, 4)]
    [(place, failure)] = install.handler.failures
    assert (place, failure.splitlines()[0]) == ("in step", "AssertionError: ours")
    install.remove()
    assert frame.step is plain


def test_one_call_in_sixteen_is_timed_for_all(
    monkeypatch: pytest.MonkeyPatch, frame: Any, install: Installed
) -> None:
    """After the first sixteen, each of which is; what is measured exactly inside counts once."""
    clock = iter(range(10_000))
    monkeypatch.setattr("autolog.instrument.timer.perf_counter", lambda: float(next(clock)))
    account = install.handler.timer.account

    def after(*_: Any, **__: Any) -> None:
        if len(install.seen) % 16 == 15:
            account.add(0.25)
        install.seen.append(None)

    install(FastPatch(target="fastframe:step", after=after))
    for _ in range(16 * 3):
        frame.step(1)
    # Each timed call takes a second by this clock, a quarter of which is known exactly in every sixteenth.
    exact = 3 * 0.25
    assert (account.exact, account.seconds) == (exact, exact + 15 + 0.75 + 2 * 16 * 0.75)


@pytest.mark.parametrize("name", ["step", "decorated"])
def test_a_fast_patch_looks_like_the_original_and_pickles(frame: Any, install: Installed, name: str) -> None:
    def looks() -> Any:
        step = getattr(frame, name)
        ask = (inspect.signature, inspect.getfullargspec, inspect.getsource, inspect.isfunction)
        return (
            [str(one(step)) for one in ask],
            step.__name__,
            step.__qualname__,
            step.__module__,
            step.__doc__,
        )

    before = looks()
    install.watch(f"fastframe:{name}")
    assert looks() == before
    assert pickle.loads(pickle.dumps(getattr(frame, name))) is getattr(frame, name)


def test_removal_restores_the_same_objects(frame: Any, install: Installed) -> None:
    """No slot where there was none; the user's own names too, taken before and after."""
    users = types.ModuleType("fast_users")
    users.__dict__.update(__file__="/home/me/users.py", early=frame.step)
    sys.modules["fast_users"] = users
    try:
        step, attributes = frame.step, dict(vars(frame.Child))
        patches = [install.watch("fastframe:step"), install.watch("fastframe:Child.value")]
        assert users.early is frame.step is not step
        assert frame.Child().value() == 1
        assert install.seen[0][0] == "before"
        users.late = frame.step
        install.remove()
        sweep_modules({patch.switch for patch in patches})
        assert users.early is users.late is frame.step is step
        assert dict(vars(frame.Child)) == attributes
    finally:
        del sys.modules["fast_users"]


def test_somebody_elses_wrapper_around_a_fast_patch_stays(frame: Any, install: Installed) -> None:
    """`functools.wraps` copies attributes, and with them our mark: theirs is still theirs."""
    install.watch("fastframe:step")
    ours = frame.step

    @functools.wraps(ours)
    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs) * 10

    frame.step = theirs
    install.remove()
    assert frame.step is theirs
    assert frame.step(1) == 30
    assert install.seen == []


@pytest.mark.parametrize(
    "where",
    [
        lambda install: setattr(install.handler, "active", False),
        lambda install: current.set(Scope(None, records=False, records_nested=False)),
        lambda install: current.set(type("F", (Scope,), {"hides": lambda *_: True})(None, records=True, records_nested=True)),
    ],
    ids=["an inactive handler", "a sealed frame", "a frame that hides this integration"],
)  # fmt: skip
def test_a_fast_patch_sees_nothing_where_recording_is_off(
    frame: Any, install: Installed, where: Callable[..., Any]
) -> None:
    install.watch("fastframe:step")
    install(Hook(target="fastframe:register_hook", hook=install.seen.append))
    token = where(install)
    assert frame.step(1) == 3
    if token is not None:
        current.reset(token)
    assert install.seen == []


@pytest.mark.parametrize(("integration", "seen"), [("frame", 1), ("another", 0)])
def test_inside_a_call_with_suppress_nested_only_its_own_integration_sees(
    frame: Any, install: Installed, integration: str, seen: int
) -> None:
    """A trainer's own hooks see what it does; those of the library beneath it do not."""
    install(FastPatch(target="fastframe:step", before=lambda x: install.seen.append(x)))
    call = Call(install.handler, integration, "Trainer.fit", frame.step, None, (), {}, None)
    call.suppress_nested()
    token = current.set(call)
    try:
        assert frame.step(1) == 3
        assert len(install.seen) == seen
    finally:
        current.reset(token)


def test_an_error_inside_a_call_is_reported_with_that_call(frame: Any, install: Installed) -> None:
    told: list[Any] = []

    def failed(integration: str, place: str, error: Exception, call: Any = None, culprit: str = "") -> None:
        told.append(call)

    install.handler.failed = failed  # pyright: ignore[reportAttributeAccessIssue]
    install(FastPatch(target="fastframe:step", before=lambda: None))  # it takes no argument
    call = Call(install.handler, "frame", "Trainer.fit", frame.step, None, (), {}, None)
    token = current.set(call)
    try:
        assert frame.step(1) == 3
    finally:
        current.reset(token)
    assert told == [call]


def test_a_fast_patch_sees_nothing_while_unless_says_so(frame: Any, install: Installed) -> None:
    reading = [True]
    install.watch("fastframe:step", unless=lambda: reading[0])
    frame.step(1)
    assert install.seen == []
    reading[0] = False
    frame.step(1)
    assert len(install.seen) == 2


@pytest.mark.parametrize("part", ["before", "after", "raised"])
def test_a_part_of_a_fast_patch_that_fails_is_reported_once_and_off(
    frame: Any, install: Installed, part: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("ours")

    install.watch("fastframe:step", **{part: fail})
    for _ in range(3):
        assert frame.step(1) == 3
        with pytest.raises(ValueError, match="negative"):
            frame.step(-1)
    assert len(install.handler.failures) == 1


def test_a_hook_is_called_and_removed(frame: Any, install: Installed) -> None:
    """By the framework's own way; what it returns is not given to the framework."""
    patch = install(Hook(target="fastframe:register_hook", hook=lambda x: install.seen.append(x) or "mine"))
    assert patch.state == "found"
    assert frame._hooks[0](7) is None
    frame.step(1)
    assert install.seen == [7, 1]
    install.remove()
    assert (patch.state, frame._hooks) == ("removed", [])


def test_a_hook_is_not_called_while_unless_says_so(frame: Any, install: Installed) -> None:
    reading = [True]
    install(Hook(target="fastframe:register_hook", hook=install.seen.append, unless=lambda: reading[0]))
    frame.step(1)
    reading[0] = False
    frame.step(2)
    assert install.seen == [2]


def test_a_hook_that_could_not_be_removed_is_refused(frame: Any, install: Installed) -> None:
    """Its registrar gives nothing to take it out by: it is left inert, and the error says what to do."""
    registered: list[Any] = []
    said: list[str] = []
    frame.register_for_ever = registered.append
    install.hooks = ImportHooks(lambda module, error: said.append(str(error)))
    hook = install(Hook(target="fastframe:register_for_ever", hook=install.seen.append))
    registered[0](1)
    assert (hook.state, install.seen) == ("missing", [])
    [text] = said
    assert text.startswith("fastframe:register_for_ever gives no handle with `remove()` but None")
    assert text.endswith("Name the function that does it in `undo`, or observe what calls them, by a Patch.")


def test_a_hook_is_removed_by_the_function_named_in_undo(frame: Any, install: Installed) -> None:
    """As with subscribe and unsubscribe, which give no handle; where that function is missing, nothing is put in."""
    frame.listeners = []
    frame.subscribe = frame.listeners.append
    frame.unsubscribe = frame.listeners.remove
    theirs = frame.subscribe(str)
    hook = install(Hook(target="fastframe:subscribe", undo="unsubscribe", hook=install.seen.append))
    frame.listeners[1](7)
    assert (hook.state, install.seen, len(frame.listeners)) == ("found", [7], 2)
    hook.remove()
    assert (hook.state, frame.listeners, theirs) == ("removed", [str], None)
    wrong = install(Hook(target="fastframe:subscribe", undo="leave", hook=install.seen.append))
    assert (wrong.state, frame.listeners) == ("missing", [str])


def test_a_handle_that_fails_does_not_keep_other_patches(frame: Any, install: Installed) -> None:
    """What it raises is raised when all is out."""

    class Handle:
        def remove(self) -> None:
            raise RuntimeError("the framework's")

    frame.register_badly = lambda hook: Handle()
    before = frame.step
    step = install(FastPatch(target="fastframe:step"))
    hook = install(Hook(target="fastframe:register_badly", hook=install.seen.append))
    with pytest.raises(RuntimeError, match="the framework's"):
        hook.remove()
    assert hook.state == "removed"
    step.remove()
    assert frame.step is before


def test_a_hook_that_fails_is_reported_once_and_off(frame: Any, install: Installed) -> None:
    def fail(x: int) -> None:
        raise RuntimeError("ours")

    install(Hook(target="fastframe:register_hook", hook=fail))
    assert [frame.step(1), frame.step(1)] == [3, 3]
    assert install.handler.failures == [("in register_hook", "RuntimeError: ours")]


def test_a_missing_target_is_missing_and_one_not_imported_is_waited_for(
    frame: Any, install: Installed
) -> None:
    assert install(Hook(target="fastframe:register_other", hook=print)).state == "missing"
    assert install.watch("fastframe:other").state == "missing"
    assert install(Hook(target="fastframe_later:register_hook", hook=print)).state == "waiting"
