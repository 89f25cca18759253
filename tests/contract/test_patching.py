"""Patches over the made-up framework: what is observed, what others see meanwhile, and what is left afterwards."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import sys
import types
import unittest.mock
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import autolog
from autolog.integration import Call, FastPatch, Integration, Patch, SubclassPatch
from autolog.testing import Recorded, assert_untouched, fake_framework, recorded

X, Y = [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]


@pytest.fixture
def toy() -> Iterator[Any]:
    with fake_framework() as module:
        yield module


class Probe:
    """An integration that notes each call: its name, and the class of what it was called on."""

    def __init__(self, *patches: Patch | SubclassPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        probe = self

        class ProbeIntegration(Integration):
            name = "toy"
            supports = "toy"

            def patches(self) -> Any:
                import msgspec

                return [msgspec.structs.replace(one, observer=probe.observe) for one in patches]

        self.integration = ProbeIntegration

    def observe(self, call: Call) -> Any:
        instance = call.instance
        owner = instance if isinstance(instance, type) else type(instance)
        self.calls.append((call.name, owner.__name__))
        yield

    def on(self, **settings: Any) -> Any:
        return recorded(self.integration, **settings)


def nothing(call: Call) -> Any:
    yield


def on(target: str, *aliases: str, **more: Any) -> Patch:
    return Patch(target=target, aliases=aliases, observer=nothing, **more)


FIT = SubclassPatch(base="toy.core:Model", methods=("fit",), observer=nothing)


# -- what is left


def test_a_mixin_is_restored_though_the_class_that_led_to_it_has_died(toy: Any) -> None:
    class Mixin:
        def fit(self, X: Any, y: Any) -> Any:
            return self

    original = vars(Mixin)["fit"]
    with Probe(FIT).on():

        class Short(Mixin, toy.Model):
            pass

        assert vars(Mixin)["fit"] is not original
        del Short
        gc.collect()
    assert vars(Mixin)["fit"] is original


def test_mock_patch_object_works_on_a_patched_method(toy: Any) -> None:
    with assert_untouched("toy"), Probe(FIT).on():
        with unittest.mock.patch.object(toy.Slope, "fit", autospec=True) as fit:
            toy.Slope().fit(X, Y)
        fit.assert_called_once()
        assert toy.Slope().fit(X, Y).weight


def test_a_bound_method_that_was_stored_works_unobserved_when_autolog_is_off(toy: Any) -> None:
    probe = Probe(FIT)
    with probe.on():
        stored = toy.Slope().fit
    assert stored(X, Y).weight
    assert probe.calls == []


def test_cloudpickle_writes_patched_classes_like_plain_ones(toy: Any) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    made: list[str] = []

    class Scripted(toy.Slope):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            made.append(cls.__name__)
            super().__init_subclass__(**kwargs)

        def fit(self, X: Any, y: Any) -> Any:
            return super().fit(X, y)

    Scripted.__module__ = "__main__"
    probe = Probe(FIT, SubclassPatch(base="toy.core:Model", methods=("predict",), observer=nothing))
    with probe.on():

        class Derived(Scripted):
            def fit(self, X: Any, y: Any) -> Any:
                return super().fit(X, y)

        Derived.__module__ = "__main__"
        blob = cloudpickle.dumps((Derived, Derived().fit(X, Y), Derived().fit))
    cls, model, fit = cloudpickle.loads(blob)
    assert (type(model), fit(X, Y).weight) == (cls, model.weight)
    assert type(vars(cls)["fit"]) is types.FunctionType
    # The code's file is in it, wherever it was cloned to.
    assert b"autolog" not in blob.replace(__file__.encode(), b"")
    assert made == ["Derived"]
    assert [owner for _, owner in probe.calls] == ["Derived"]


def test_a_method_found_on_a_class_is_always_the_same_object(toy: Any) -> None:
    """Transparent: "is it overridden?" is often asked with `is`."""

    def asked() -> list[bool]:
        return [
            toy.Slope.fit is toy.Slope.fit, toy.Slope.fit is toy.Careful.fit, toy.Mean.fit is toy.core.MeanFit.fit,
            toy.Committee.error is toy.Committee.error, toy.Committee.trained is toy.Committee.trained,
            toy.Slope().fit == toy.Slope().fit, toy.Slope.predict is toy.Model.predict,
            type("S", (toy.Slope,), {}).fit is toy.Slope.fit,
        ]  # fmt: skip

    plain = asked()
    error = on("toy.core:Committee.error")
    with Probe(FIT, error, on("toy.core:Committee.trained"), on("toy.core:Model.predict")).on():
        assert asked() == plain
        same = toy.Slope()
        assert same.fit == same.fit
        assert same.fit.__func__ is vars(toy.Slope)["fit"].__wrapped__


def test_help_shows_the_same_text(toy: Any) -> None:
    import pydoc

    shown = [pydoc.render_doc(one) for one in (toy.Careful, toy.Committee, toy.Mean, toy.training)]
    methods = [
        on(f"toy.core:{name}") for name in ("Careful.fit", "Slope.fit", "MeanFit.fit", "Committee.trained")
    ]
    with Probe(*methods, on("toy:train", "toy.training:train")).on():
        assert [
            pydoc.render_doc(one) for one in (toy.Careful, toy.Committee, toy.Mean, toy.training)
        ] == shown


# -- calls


def observed(
    observer: Any, *, strict: bool = False, nested: bool = False, base: str = "toy.core:Model"
) -> Any:
    class Observing(Integration):
        name = "toy"
        supports = "toy"

        def patches(self) -> Any:
            yield SubclassPatch(base=base, methods=("fit",), observer=observer, nested=nested)
            yield Patch(target="toy:train", observer=observer, nested=nested)

    return recorded(Observing, strict=strict)


def test_keyword_arguments_that_a_decorator_takes_by_position_are_seen_and_replaced(toy: Any) -> None:
    """Transparent: `f(a, b)` of `def f(a, *, b)` works where the framework still allows it, and says so in a warning."""
    seen: list[dict[str, Any]] = []

    def lenient(function: Any) -> Any:
        @functools.wraps(function)
        def call(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
            return function(self, X, **dict(zip(("y", "noise"), args, strict=False)), **kwargs)

        return call

    class Strict(toy.Model):
        @lenient
        def fit(self, X: Any, *, y: Any, noise: float = 0.0) -> Any:
            return X, y, noise

    def observer(call: Call) -> Any:
        seen.append(call.arguments)
        call.replace(noise=2.0)
        yield

    with observed(observer, strict=True):
        assert Strict().fit(1, 2, 3) == (1, 2, 2.0)
        assert Strict().fit(1, 2) == (1, 2, 2.0)
        assert Strict().fit(1, y=2, noise=3) == (1, 2, 2.0)
    assert seen == [{"X": 1, "y": 2, "noise": 3}, {"X": 1, "y": 2}, {"X": 1, "y": 2, "noise": 3}]


def test_a_failed_training_keeps_nothing_alive(toy: Any) -> None:
    """Transparent: when the user has handled the exception, model and data can go at once, uncollected."""

    class Failing(toy.Model):
        def fit(self, X: Any, y: Any) -> Any:
            raise KeyError("mine")

    def observer(call: Call) -> Any:
        call.start_run()
        yield

    with observed(observer) as seen:
        gc.collect()
        gc.disable()
        try:
            model = Failing()
            dead = weakref.ref(model)
            try:
                model.fit(X, Y)
            except KeyError:
                pass
            del model
            assert dead() is None
        finally:
            gc.enable()
    assert seen.run.status == "failed"


def test_a_callback_of_the_integrations_that_fails_is_off_and_the_run_says_so(toy: Any) -> None:
    class Own:
        rounds: list[int] = []

        def after_round(self, number: int, loss: float) -> None:
            self.rounds.append(number)
            if number == 2:
                raise RuntimeError("mine")

    def observer(call: Call) -> Any:
        call.start_run()
        callback = call.guarded(Own())
        assert isinstance(callback, Own)
        call.replace(callbacks=[callback])
        yield

    with observed(observer) as seen:
        assert toy.Slope(rounds=5).fit(X, Y).weight
    assert Own.rounds == [0, 1, 2]
    assert seen.run.errors == ["toy: in Own.after_round: RuntimeError: mine"]


def test_a_users_subclass_belongs_to_the_integration_of_its_nearest_base(toy: Any) -> None:
    class Broad(Integration):
        name = "json"
        supports = "json"

        def patches(self) -> Any:
            yield SubclassPatch(base="toy.core:Model", methods=("fit",), observer=observe)

    def observe(call: Call) -> Any:
        call.start_run()
        yield

    class Mine(toy.Slope):
        pass

    with recorded("toy", Broad) as seen:
        Mine().fit(X, Y)
        seen.client.disable(["toy"])
        Mine().fit(X, Y)
    assert [run.framework for run in seen.runs] == ["toy", "json"]


def test_a_recorded_block_inside_another_leaves_the_outer_one_alone(toy: Any) -> None:
    fixture = "toy"

    def names(seen: Recorded) -> list[str | None]:
        return [run.estimator for run in seen.runs]

    with assert_untouched("toy"), recorded(fixture) as outer:
        toy.Slope().fit(X, Y)
        with recorded(fixture) as inner:
            toy.Mean().fit(X, Y)
        toy.Careful().fit(X, Y)
    assert names(outer) == ["toy.core.Slope", "toy.core.Careful"]
    assert names(inner) == ["toy.core.Mean"]


# -- who is to blame


def watching(kind: str, function: str, **fast: Any) -> type[Integration]:
    """An integration that stands in for `toy.<function>` or for methods, in one of the ways there are."""
    targets: dict[str, Any] = {
        "method": FIT,
        "function": on(f"toy:{function}"),
        "fast": FastPatch(target=f"toy:{function}", **fast),
        "subclass hook": FIT,
    }

    class Watching(Integration):
        name = "toy"
        supports = "toy"

        def patches(self) -> Any:
            return [targets[kind]]

    return Watching


@pytest.mark.parametrize("kind", ["method", "function", "fast", "subclass hook"])
@pytest.mark.parametrize("nobody_looks", [False, True])
def test_a_warning_of_a_framework_names_the_line_of_its_caller(
    toy: Any, kind: str, nobody_looks: bool
) -> None:
    """Transparent: `stacklevel=2` means the line that called the framework, whatever of ours stands between."""

    def warn(*_: Any, **__: Any) -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=2)
        logging.getLogger("toy").warning("old", stacklevel=2)

    class Warner(toy.Model):
        fit = warn

        def __init_subclass__(cls) -> None:
            warn_of_subclass()

    def warn_of_subclass() -> None:
        if kind == "subclass hook":
            warnings.warn("old", DeprecationWarning, stacklevel=3)
            logging.getLogger("toy").warning("old", stacklevel=3)

    toy.Warner, toy.warn = Warner, warn
    integration = watching(kind, "warn", before=lambda *_, **__: None)
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("toy").addHandler(handler)
    try:
        with recorded(integration), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with autolog.suspended() if nobody_looks else contextlib.nullcontext():
                if kind == "method":
                    Warner().fit()
                elif kind == "subclass hook":
                    type("Child", (Warner,), {})
                else:
                    toy.warn()
    finally:
        logging.getLogger("toy").removeHandler(handler)
    assert [warning.filename for warning in caught] == [__file__]
    if sys.version_info >= (3, 11):  # before, logging counts every frame
        assert [record.pathname for record in records] == [__file__]


@pytest.mark.parametrize("kind", ["method", "function", "fast", "subclass hook"])
@pytest.mark.parametrize("nobody_looks", [False, True])
def test_our_frames_ask_to_be_hidden_in_tracebacks(toy: Any, kind: str, nobody_looks: bool) -> None:
    """Transparent: notebooks and pytest show the user's frames and the framework's, and hide those that say so: all of ours."""

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("wrong")

    class Failing(toy.Model):
        fit = fail

        def __init_subclass__(cls) -> None:
            if kind == "subclass hook":
                fail()

    toy.Failing, toy.fail = Failing, fail
    integration = watching(kind, "fail", raised=lambda *_, **__: None)
    with (
        recorded(integration),
        pytest.raises(ValueError, match="wrong") as raised,
        autolog.suspended() if nobody_looks else contextlib.nullcontext(),
    ):
        if kind == "method":
            Failing().fit()
        elif kind == "subclass hook":
            type("Child", (Failing,), {})
        else:
            toy.fail()
    shown, trace = [], raised.value.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_locals.get("__tracebackhide__"):
            shown.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    mine = ["test_our_frames_ask_to_be_hidden_in_tracebacks"]
    hook = ["__init_subclass__"] if kind == "subclass hook" else []
    assert shown == [*mine, *hook, "fail"]
