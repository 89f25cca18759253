"""The promise: whatever an observer does, the original is called once, as the user called it or as the observer said; what it
returns and raises is the user's.
"""

from __future__ import annotations

import functools
import gc
import threading
import traceback
import weakref
from collections.abc import Generator
from types import ModuleType
from typing import Any

import pytest
from handlers import CallHandler
from helpers import in_threads
from hypothesis import given
from hypothesis import strategies as st

from autolog.instrument import calls
from autolog.instrument.calls import Call, Scope, Switch, current, innermost
from autolog.instrument.wrapper import Wrapper, interceptor


@pytest.fixture
def handler() -> CallHandler:
    return CallHandler()


def patched(handler: Any, original: Any, observer: Any, nested: bool = False, owner: Any = None) -> Any:
    switch = Switch()
    name = getattr(original, "__name__", type(original).__name__)
    look = interceptor(handler, "toy", name, observer, nested, switch)
    return Wrapper(original, look, owner, f"toy:{name}", switch)


def original(a: Any, b: Any = 2, *args: Any, c: Any = 3, **kwargs: Any) -> tuple[Any, ...]:
    """Returns what it was given."""
    return a, b, args, c, kwargs


def test_takes_says_whether_a_function_takes_an_argument(handler: CallHandler) -> None:
    seen: list[bool] = []

    def observer(call: Call) -> Generator[None, Any, None]:
        seen.append(call.takes("callbacks"))
        yield

    assert patched(handler, lambda: "mine", observer)() == "mine"
    assert patched(handler, lambda **more: "mine", observer)() == "mine"
    assert patched(handler, int, observer)() == 0  # its signature may be known or not
    assert seen[:2] == [False, True]


# -- the observer's protocol


def test_an_observer_runs_before_and_after_the_original(handler: CallHandler) -> None:
    """It is sent what the original returned; the user gets the same object."""
    seen: list[Any] = []
    result = object()

    def train() -> object:
        seen.append("original")
        return result

    def observer(call: Call) -> Generator[None, Any, None]:
        seen.append("before")
        got = yield
        seen.append(("after", got is result, call.seconds >= 0, call.error))

    assert patched(handler, train, observer)() is result
    assert seen == ["before", "original", ("after", True, True, None)]
    assert handler.failures == []


def declines(call: Call) -> Any:
    return
    yield


def fails_before(call: Call) -> Any:
    raise OSError("before")
    yield


def fails_after(call: Call) -> Any:
    yield
    raise OSError("after")


def yields_twice(call: Call) -> Any:
    yield
    yield


def yields_when_closed(call: Call) -> Any:
    yield
    try:
        yield
    except GeneratorExit:
        yield


def cannot_be_closed(call: Call) -> Any:
    try:
        yield
    finally:
        yield


def is_no_generator(call: Call) -> Any:
    call.suppress_nested()


def is_no_generator_and_fails(call: Call) -> Any:
    raise OSError("at once")


def takes_something_else() -> Any:
    yield


def fails_on_both_sides(call: Call) -> Any:
    try:
        yield
    finally:
        raise OSError("after")


def stops_by_itself(call: Call) -> Any:
    yield
    raise StopIteration("odd")


def swallows(call: Call) -> Any:
    try:
        yield
    except BaseException:
        pass


OBSERVERS: dict[Any, list[str]] = {
    declines: [],
    fails_before: ["before train"],
    fails_after: ["after train"],
    yields_twice: ["after train"],
    yields_when_closed: ["after train", "after train"],
    cannot_be_closed: ["after train"],
    is_no_generator: ["before train"],
    is_no_generator_and_fails: ["before train"],
    takes_something_else: ["before train"],
    fails_on_both_sides: ["after train"],
    stops_by_itself: ["after train"],
    swallows: [],
}


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda one: one.__name__)
def test_a_bad_observer_does_not_change_the_call(handler: CallHandler, observer: Any) -> None:
    """The original is called once with what the user gave it; the failure is told."""
    called: list[Any] = []

    def train(*args: Any, **kwargs: Any) -> str:
        called.append((args, kwargs))
        return "result"

    assert patched(handler, train, observer)(1, x=2) == "result"
    assert called == [((1,), {"x": 2})]
    assert [place for place, _ in handler.failures] == OBSERVERS[observer]
    assert current.get() is None


@pytest.mark.parametrize("observer", OBSERVERS, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    "error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), GeneratorExit(), StopIteration(1)]
)
def test_the_users_exception_passes_through_unchanged(
    handler: CallHandler, observer: Any, error: BaseException
) -> None:
    """The same object, raised once, with no cause, context or note added; the traceback ends in the user's line."""
    called: list[int] = []

    def train() -> None:
        called.append(1)
        raise error

    with pytest.raises(type(error)) as caught:
        patched(handler, train, observer)()
    assert caught.value is error
    assert (error.__cause__, error.__context__, error.__suppress_context__) == (None, None, False)
    assert not getattr(error, "__notes__", [])
    assert traceback.extract_tb(error.__traceback__)[-1].name == "train"
    assert called == [1]
    assert current.get() is None
    error.__traceback__ = None


def test_an_exception_keeps_its_cause_and_context(handler: CallHandler) -> None:
    def train() -> None:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner

    with pytest.raises(ValueError, match="outer") as caught:
        patched(handler, train, fails_on_both_sides)()
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__context__ is caught.value.__cause__


def test_an_exception_handled_around_the_call_becomes_the_context(handler: CallHandler) -> None:
    def train() -> None:
        raise ValueError

    with pytest.raises(ValueError) as caught:
        try:
            raise KeyError
        except KeyError:
            patched(handler, train, fails_before)()
    assert type(caught.value.__context__) is KeyError


def test_an_observers_finally_runs_after_an_exception(handler: CallHandler) -> None:
    """It knows the error; what stands after the yield does not run."""
    seen: list[Any] = []

    def train() -> None:
        raise ValueError("mine")

    def observer(call: Call) -> Any:
        try:
            yield
            seen.append("after")
        finally:
            seen.append(("finally", repr(call.error)))

    with pytest.raises(ValueError, match="mine"):
        patched(handler, train, observer)()
    assert seen == [("finally", "ValueError('mine')")]


def test_ctrl_c_in_an_observer_reaches_the_user(handler: CallHandler) -> None:
    def observer(call: Call) -> Any:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        patched(handler, original, observer)(1)
    assert (current.get(), handler.failures) == (None, [])


@pytest.mark.parametrize("observer", [fails_before, fails_after, yields_twice, is_no_generator_and_fails])
def test_a_strict_handler_raises_an_observers_error(observer: Any) -> None:
    with pytest.raises((OSError, RuntimeError)):
        patched(CallHandler(strict=True), original, observer)(1)
    assert current.get() is None


def test_arguments_replaced_by_a_failing_observer_are_restored(handler: CallHandler) -> None:
    def observer(call: Call) -> Any:
        call.replace(a="replaced", c="replaced")
        raise OSError
        yield

    assert patched(handler, original, observer)(1, c=5) == (1, 2, (), 5, {})


# -- arguments


def arguments_of(handler: CallHandler, function: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def observer(call: Call) -> Any:
        seen.update(call.arguments)
        yield

    patched(handler, function, observer)(*args, **kwargs)
    return seen


def positional_only(a: Any, b: Any = 2, /, c: Any = 3) -> tuple[Any, ...]:
    return a, b, c


def keyword_only(*, a: Any = 1) -> Any:
    return a


@functools.wraps(original)
def decorated(*args: Any, **kwargs: Any) -> Any:
    return original(*args, **kwargs)


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "expected"),
    [
        (original, (1,), {}, {"a": 1}),
        (original, (1, 5, 6, 7), {"c": 8, "d": 9}, {"a": 1, "b": 5, "args": (6, 7), "c": 8, "d": 9}),
        (original, (), {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (positional_only, (1,), {"c": 4}, {"a": 1, "c": 4}),
        (keyword_only, (), {"a": 4}, {"a": 4}),
        (keyword_only, (), {}, {}),
        (decorated, (1, 5), {"d": 2}, {"a": 1, "b": 5, "d": 2}),
        (functools.partial(original, 1), (5,), {"d": 2}, {"b": 5, "d": 2}),
        (lambda *values: values, (1, 2), {}, {"values": (1, 2)}),
        (max, (1, 2), {}, {}),
    ],
)
def test_arguments_are_the_given_ones_by_name(
    handler: CallHandler, function: Any, args: Any, kwargs: Any, expected: dict[str, Any]
) -> None:
    """Without defaults; what goes to `**kwargs` is among them."""
    assert arguments_of(handler, function, *args, **kwargs) == expected


def replaced(handler: CallHandler, function: Any, values: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    def observer(call: Call) -> Any:
        call.replace(**values)
        yield

    return patched(handler, function, observer)(*args, **kwargs)


@pytest.mark.parametrize(
    ("function", "values", "args", "kwargs", "expected"),
    [
        (original, {"a": 9}, (1,), {}, (9, 2, (), 3, {})),
        (original, {"b": 9}, (1, 5, 6), {}, (1, 9, (6,), 3, {})),
        (original, {"b": 9}, (1,), {}, (1, 9, (), 3, {})),
        (original, {"b": 9}, (), {"a": 1, "b": 5}, (1, 9, (), 3, {})),
        (original, {"c": 9}, (1, 5, 6), {}, (1, 5, (6,), 9, {})),
        (original, {"d": 9}, (1,), {"d": 5}, (1, 2, (), 3, {"d": 9})),
        (original, {"d": 9}, (1,), {}, (1, 2, (), 3, {"d": 9})),
        (positional_only, {"a": 9}, (1,), {}, (9, 2, 3)),
        (positional_only, {"c": 9}, (1,), {}, (1, 2, 9)),
        (keyword_only, {"a": 9}, (), {}, 9),
        (decorated, {"b": 9, "d": 8}, (1, 5), {}, (1, 9, (), 3, {"d": 8})),
    ],
)
def test_an_argument_is_replaced_in_its_place(
    handler: CallHandler, function: Any, values: dict[str, Any], args: Any, kwargs: Any, expected: Any
) -> None:
    """Positional stays positional; one that was not given is given by name."""
    given = dict(kwargs)
    assert replaced(handler, function, values, *args, **kwargs) == expected
    assert (kwargs, handler.failures) == (given, [])


@pytest.mark.parametrize(
    ("function", "name", "args"),
    [
        (keyword_only, "z", ()),
        (positional_only, "b", (1,)),
        (original, "args", (1,)),
        (lambda *values: values, "values", (1,)),
    ],
)
def test_an_argument_that_cannot_be_replaced_is_an_error_of_the_observer(
    handler: CallHandler, function: Any, name: str, args: Any
) -> None:
    """The call is made as the user made it."""
    assert replaced(handler, function, {name: 9}, *args) == function(*args)
    [(place, error)] = handler.failures
    assert (place.startswith("before "), error.startswith("TypeError:"), repr(name) in error) == (
        True,
        True,
        True,
    )


@given(st.data())
def test_a_replaced_argument_acts_as_if_the_user_had_given_it(data: st.DataObject) -> None:
    handler = CallHandler()
    args = data.draw(st.lists(st.integers(), min_size=1, max_size=4))
    kwargs = data.draw(
        st.dictionaries(st.sampled_from("cde") if len(args) > 1 else st.sampled_from("bcde"), st.integers())
    )
    name = data.draw(st.sampled_from("abcde"))
    bound = {**arguments_of(CallHandler(), original, *args, **kwargs), name: "new"}
    rest = bound.pop("args", ())
    expected = original(bound.pop("a"), bound.pop("b", 2), *rest, **bound)
    assert replaced(handler, original, {name: "new"}, *args, **kwargs) == expected
    assert handler.failures == []


def test_replacing_changes_no_object_of_the_caller(handler: CallHandler) -> None:
    items, options = [1], {"c": [2]}

    def observer(call: Call) -> Any:
        call.replace(a=[*call.arguments["a"], 5], c=None, d=1)
        yield

    assert patched(handler, original, observer)(items, **options) == ([1, 5], 2, (), None, {"d": 1})
    assert (items, options) == ([1], {"c": [2]})


class Model:
    """With every kind of method."""

    def fit(self, X: Any, y: Any = None) -> Any:
        return self, X, y

    @classmethod
    def build(cls, X: Any) -> Any:
        return cls, X

    @staticmethod
    def score(X: Any, y: Any) -> Any:
        return X, y


class Derived(Model):
    pass


@pytest.mark.parametrize(
    ("call", "instance", "arguments"),
    [
        (lambda m: m.fit(1, y=2), "model", {"X": 1, "y": 2}),
        (lambda m: type(m).fit(m, 1, 2), "model", {"X": 1, "y": 2}),
        (lambda m: type(m).fit(m, X=1), "model", {"X": 1}),
        (lambda m: m.build(1), Derived, {"X": 1}),
        (lambda m: type(m).build(X=1), Derived, {"X": 1}),
        (lambda m: m.score(1, 2), None, {"X": 1, "y": 2}),
        (lambda m: type(m).score(1, y=2), None, {"X": 1, "y": 2}),
    ],
)
def test_a_call_knows_what_its_method_was_called_on(
    handler: CallHandler, call: Any, instance: Any, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance, or the class that was asked, or nothing; never among the arguments."""
    seen: list[Any] = []

    def observer(call: Call) -> Any:
        seen.append((call.instance, call.arguments))
        yield

    model = Derived()
    plain = call(model)
    for name in ("fit", "build", "score"):
        monkeypatch.setattr(Model, name, patched(handler, vars(Model)[name], observer, owner=Model))
    assert call(model) == plain
    assert seen == [(model if instance == "model" else instance, arguments)]


# -- who is asked


def nesting(handler: CallHandler, seen: list[Any]) -> Any:
    def observer(call: Call) -> Any:
        seen.append((call.name, call.outermost, call.run))
        if call.outermost:
            call.start_run()
        yield

    return observer


def test_inside_a_call_only_nested_patches_observe(handler: CallHandler) -> None:
    """They are not outermost, and belong to the run around them."""
    seen: list[Any] = []

    def inner() -> None:
        pass

    ordinary = patched(handler, inner, nesting(handler, seen))
    contributing = patched(handler, inner, nesting(handler, seen), nested=True)

    def outer() -> None:
        ordinary()
        contributing()

    patched(handler, outer, nesting(handler, seen))()
    assert seen == [("outer", True, None), ("inner", False, "run 1")]
    assert handler.closed == [("run 1", None)]


def test_nothing_is_observed_inside_a_call_with_suppress_nested(handler: CallHandler) -> None:
    seen: list[Any] = []
    contributing = patched(handler, lambda: None, nesting(handler, seen), nested=True)

    def observer(call: Call) -> Any:
        call.suppress_nested()
        yield

    patched(handler, lambda: contributing(), observer)()
    assert seen == []
    contributing()
    assert len(seen) == 1


def test_a_call_of_the_parents_method_is_part_of_the_same_call(
    handler: CallHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`super().fit(…)` is not a second training; another method or another instance is another call."""
    seen: list[str] = []

    def observer(call: Call) -> Any:
        seen.append(type(call.instance).__name__)
        yield

    class Child(Model):
        def fit(self, X: Any, y: Any = None) -> Any:
            super().fit(X, y)
            if X:
                Child().fit(X - 1)

    monkeypatch.setattr(
        Model, "fit", patched(handler, vars(Model)["fit"], observer, nested=True, owner=Model)
    )
    Child.fit = patched(handler, vars(Child)["fit"], observer, nested=True, owner=Child)  # type: ignore[method-assign]
    Child().fit(1)
    assert seen == ["Child", "Child"]


def test_what_the_handler_does_not_want_is_not_observed(handler: CallHandler) -> None:
    seen: list[Any] = []
    observer = nesting(handler, seen)
    handler.wanted = lambda instance: False
    assert patched(handler, original, observer)(1) == original(1)
    handler.wanted = lambda instance: True
    handler.active = False
    assert patched(handler, original, observer)(1) == original(1)
    assert seen == []


def test_a_process_forked_inside_a_call_observes_nothing_more(handler: CallHandler) -> None:
    """There the handler is inactive: neither the observer's second half nor its clean-up runs."""
    seen: list[str] = []

    def observer(call: Call) -> Any:
        try:
            yield
            seen.append("after")
        finally:
            seen.append("finally")

    def forks() -> None:
        handler.active = False

    def forks_and_fails() -> None:
        handler.active = False
        raise ValueError

    patched(handler, forks, observer)()
    handler.active = True
    with pytest.raises(ValueError):
        patched(handler, forks_and_fails, observer)()
    seen_during = list(seen)
    gc.collect()
    assert "after" not in seen_during


def test_a_wrapper_that_is_off_only_calls_the_original(handler: CallHandler) -> None:
    seen: list[Any] = []
    wrapper = patched(handler, original, nesting(handler, seen))
    wrapper._self_autolog_switch.on = False
    assert wrapper(1) == original(1)
    assert seen == []


# -- runs


def test_a_run_is_closed_with_what_the_original_raised(handler: CallHandler) -> None:
    def observer(call: Call) -> Any:
        call.start_run()
        yield

    def fail() -> None:
        raise ValueError("mine")

    patched(handler, original, observer)(1)
    with pytest.raises(ValueError, match="mine"):
        patched(handler, fail, observer)()
    assert [(run, repr(error)) for run, error in handler.closed] == [
        ("run 1", "None"),
        ("run 2", "ValueError('mine')"),
    ]


def test_an_observer_may_say_with_which_error_the_run_is_closed(handler: CallHandler) -> None:
    """A framework may make a Ctrl-C into an exit, and tells nobody but its observer."""

    def observer(call: Call) -> Any:
        call.start_run()
        try:
            yield
        finally:
            call.error = KeyboardInterrupt()

    def leave() -> None:
        raise SystemExit(1)

    patched(handler, lambda: None, observer)()
    with pytest.raises(SystemExit):
        patched(handler, leave, observer)()
    assert [repr(error) for _, error in handler.closed] == ["KeyboardInterrupt()"] * 2


def test_a_run_may_continue_in_later_calls(handler: CallHandler) -> None:
    run: list[Any] = []

    def observer(call: Call) -> Any:
        if run:
            call.continue_run(run[0])
        else:
            run.append(call.start_run())
        yield

    step = patched(handler, lambda: None, observer)
    step()
    step()
    assert handler.closed == [("run 1", None), ("run 1", None)]
    assert handler.runs == 1


def test_an_ended_call_holds_no_object_of_the_user(handler: CallHandler) -> None:
    """A context, or a thread of a pool, may keep the call itself for ever."""
    kept: list[Any] = []

    class Data:
        pass

    def observer(call: Call) -> Any:
        kept.append(call)
        call.start_run()
        yield

    def fail(data: Any) -> None:
        raise ValueError

    data = Data()
    dead = weakref.ref(data)
    patched(handler, original, observer)(data, c=data)
    with pytest.raises(ValueError):
        patched(handler, fail, observer)(data)
    handler.closed.clear()
    del data
    gc.collect()
    assert dead() is None
    assert [call.ended for call in kept] == [True, True]


# -- frames and threads


def test_an_ended_scope_counts_as_none() -> None:
    """Pools keep threads that were started inside calls long over."""
    outer = Scope(None, records=False, records_nested=False)
    inner = Scope(outer, records=False, records_nested=False)
    token = current.set(inner)
    try:
        assert innermost() is inner
        inner.end()
        assert innermost() is outer
        outer.end()
        assert innermost() is None
        assert (inner.records, inner.records_nested) == (True, True)
    finally:
        current.reset(token)


def test_a_thread_is_inside_the_call_in_which_it_was_started(
    handler: CallHandler,
) -> None:
    """Until the call has ended; a thread that was started before is outside."""
    seen: list[Any] = []
    observer = nesting(handler, seen)
    ordinary = patched(handler, lambda: None, observer)
    inside, outside, within_train, goes_on, done = (threading.Event() for _ in range(5))

    def before() -> None:
        inside.wait(10)
        ordinary()
        outside.set()

    def within() -> None:
        ordinary()
        within_train.set()
        goes_on.wait(10)
        ordinary()
        done.set()

    earlier = threading.Thread(target=before)
    earlier.start()
    later = threading.Thread(target=within)

    def train() -> None:
        calls.remember_start(later)
        later.start()
        inside.set()
        assert within_train.wait(10)
        assert outside.wait(10)

    patched(handler, train, observer)()
    assert [name for name, *_ in seen] == ["train", "<lambda>"]
    goes_on.set()
    assert done.wait(10)
    earlier.join()
    later.join()
    assert [(name, outermost) for name, outermost, _ in seen] == [
        ("train", True),
        ("<lambda>", True),
        ("<lambda>", True),
    ]


def test_calls_in_several_threads_are_outermost_calls_with_runs_of_their_own(handler: CallHandler) -> None:
    ready = threading.Barrier(4)
    seen: list[Any] = []

    def train() -> None:
        ready.wait(10)

    wrapper = patched(handler, train, nesting(handler, seen))
    in_threads(*[wrapper] * 4)
    assert [outermost for _, outermost, _ in seen] == [True] * 4
    assert sorted(run for run, _ in handler.closed) == ["run 1", "run 2", "run 3", "run 4"]


# -- guarded callbacks


class Callback:
    """As a framework calls it."""

    attribute = 5

    def __init__(self) -> None:
        self.called: list[Any] = []

    def on_round(self, number: int) -> str:
        self.called.append(number)
        if number == 1:
            raise OSError("full")
        return "went well"

    def __call__(self, number: int) -> str:
        return self.on_round(number)


def test_a_guarded_callback_that_fails_is_reported_once_and_then_does_nothing(handler: CallHandler) -> None:
    """The framework sees an object of the callback's class, with its attributes, whose methods return nothing then."""
    own = Callback()
    seen: list[Any] = []

    def observer(call: Call) -> Any:
        call.start_run()
        call.replace(callback=call.guarded(own))
        yield

    def train(callback: Any = None) -> None:
        seen.append((isinstance(callback, Callback), callback.attribute, callback.__class__))
        seen.extend([callback.on_round(0), callback.on_round(1), callback.on_round(2), callback(3)])
        callback.attribute = 6

    patched(handler, train, observer)()
    assert seen == [(True, 5, Callback), "went well", None, None, None]
    assert (own.called, own.attribute) == ([0, 1], 6)
    assert handler.failures == [("in Callback.on_round", "OSError: full")]


def test_intercepting_a_method_asks_nothing_of_its_instance(handler: CallHandler) -> None:
    from hostile import CALLED, hostile

    cls = hostile()
    cls.fit = patched(handler, lambda self, X: X, nesting(handler, []), owner=cls)
    instance = object.__new__(cls)
    del cls.__getattribute__
    CALLED.clear()
    assert instance.fit(5) == 5
    assert CALLED == []


def test_the_calls_module_imports_nothing_of_runs_stores_or_settings() -> None:
    assert not [
        name
        for name in vars(calls)
        if isinstance(vars(calls)[name], ModuleType) and name not in ("threading", "weakref")
    ]
