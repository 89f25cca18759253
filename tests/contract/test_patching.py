"""Patches over the made-up framework: what is observed, what others see meanwhile, and what is left afterwards."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import logging
import sys
import threading
import types
import unittest.mock
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import wrapt

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


# -- what is observed


def test_a_function_is_one_under_all_its_names(toy: Any) -> None:
    """Transparent: `toy.train is toy.training.train`, with autolog as without; both are observed."""
    probe = Probe(on("toy:train", "toy.training:train"))
    with assert_untouched("toy"), probe.on():
        assert toy.train is toy.training.train
        toy.train({}, X, Y)
        toy.training.train({}, X, Y)
    assert probe.calls == [("train", "NoneType")] * 2


@pytest.mark.parametrize(
    ("target", "use", "seen"),
    [
        ("toy.core:Slope.fit", lambda toy: toy.Slope().fit(X, Y), ("Slope.fit", "Slope")),
        ("toy.core:Slope.fit", lambda toy: toy.Slope.fit(toy.Slope(), X, Y), ("Slope.fit", "Slope")),
        ("toy.core:Mean.fit", lambda toy: toy.Mean().fit(X, Y), ("Mean.fit", "Mean")),
        ("toy.core:Committee.trained", lambda toy: toy.Committee.trained(X, Y), ("Committee.trained", "Committee")),
        ("toy.core:Committee.trained", lambda toy: toy.Committee().trained(X, Y), ("Committee.trained", "Committee")),
        ("toy.core:Committee.error", lambda toy: toy.Committee.error(1, X, Y), ("Committee.error", "NoneType")),
        ("toy.core:Committee.error", lambda toy: toy.Committee().error(1, X, Y), ("Committee.error", "NoneType")),
        ("toy:tune", lambda toy: toy.tune(toy.Slope, [0.1], X, Y), ("tune", "NoneType")),
        ("toy.tuning:tune", lambda toy: toy.tune(toy.Slope, [0.1], X, Y), ("tune", "NoneType")),
    ],
)  # fmt: skip
def test_every_kind_of_callable_is_observed_and_put_back(
    toy: Any, target: str, use: Any, seen: tuple[str, str]
) -> None:
    """Removable: functions, methods, class and static methods, inherited and lazily loaded ones."""
    importlib.import_module("toy.tuning")
    probe = Probe(on(target))
    plain = vars(use(toy)) if hasattr(use(toy), "__dict__") else use(toy)
    with assert_untouched("toy"), probe.on():
        result = use(toy)
    assert probe.calls == [seen]
    if not isinstance(result, toy.Committee):
        assert (vars(result) if hasattr(result, "__dict__") else result) == plain


def test_an_inherited_class_method_is_called_on_the_class_that_was_asked(toy: Any) -> None:
    """Transparent: a patch where a class method is inherited does not bind it to that class."""

    class Panel(toy.Committee):
        pass

    class Jury(Panel):
        pass

    toy.Panel = Panel
    with assert_untouched("toy"), Probe(on("toy:Panel.trained")).on():
        assert type(Jury.trained(X, Y)) is Jury
        assert type(Panel.trained(X, Y)) is Panel
    assert "trained" not in vars(Panel)


def test_a_missing_target_is_said_and_the_others_work(toy: Any) -> None:
    """Honest: `status()` names the patch point that this version does not have."""
    import autolog

    probe = Probe(on("toy:trian"), on("toy:train"), on("toy.core:Slope.fot"), on("toy.gone:train"))
    with probe.on():
        toy.train({}, X, Y)
        (status,) = [one for one in autolog.status() if one.name == "toy"]
    assert {point.target: point.state for point in status.patches} == {
        "toy:trian": "missing", "toy:train": "found", "toy.core:Slope.fot": "missing", "toy.gone:train": "waiting",
    }  # fmt: skip
    assert probe.calls == [("train", "NoneType")]


def test_a_class_is_observed_whenever_it_is_made(toy: Any) -> None:
    """Complete: subclasses that exist, that come later, made by `type()`, and those of a class that keeps
    `__init_subclass__` to itself.
    """

    class Selfish(toy.Slope):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            pass  # does not pass it on

    class Before(Selfish):
        def fit(self, X: Any, y: Any) -> Any:
            return self

    probe = Probe(FIT)
    with assert_untouched("toy"), probe.on():

        class After(Selfish):
            def fit(self, X: Any, y: Any) -> Any:
                return self

        made = type("Made", (toy.Model,), {"fit": lambda self, X, y: self})
        for cls in (Before, After, made, toy.Mean):
            cls().fit(X, Y)
    assert [owner for _, owner in probe.calls] == ["Before", "After", "Made", "Mean"]


def test_a_method_that_calls_its_parents_is_one_call(toy: Any) -> None:
    """Complete: `super().fit()` is part of the call, not another one, for nested patches too."""
    probe = Probe(SubclassPatch(base="toy.core:Model", methods=("fit",), observer=nothing, nested=True))
    with probe.on():
        toy.Careful().fit(X, Y)
        toy.Committee(rounds=1).fit(X, Y)
    assert (
        probe.calls
        == [("Careful.fit", "Careful"), ("Committee.fit", "Committee")] + [("Slope.fit", "Slope")] * 3
    )


def test_a_class_that_cannot_be_patched_costs_no_other(toy: Any) -> None:
    """Harmless and complete: one hostile metaclass leaves the rest of the hierarchy observed."""

    class Sealed(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            raise AttributeError("sealed")

    class Closed(toy.Model, metaclass=Sealed):
        def fit(self, X: Any, y: Any) -> Any:
            return "closed"

    class Open(toy.Model):
        def fit(self, X: Any, y: Any) -> Any:
            return "open"

    probe = Probe(FIT)
    with probe.on():
        assert (Closed().fit(X, Y), Open().fit(X, Y), toy.Mean().fit(X, Y).weight) == (
            "closed",
            "open",
            12.5 / 6,
        )
    assert [owner for _, owner in probe.calls] == ["Open", "Mean"]


# -- what is left


def test_a_mixin_is_put_back_when_the_class_that_led_to_it_has_died(toy: Any) -> None:
    """Removable: what was patched is known by itself, not only by the hierarchy it was found in."""

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


def test_patched_classes_are_not_kept_alive(toy: Any) -> None:
    """Transparent: a class of the user's that is made and forgotten can be collected while autolog is on."""
    with Probe(FIT).on():
        made = type("Made", (toy.Model,), {"fit": lambda self, X, y: self})
        made().fit(X, Y)
        dead = weakref.ref(made)
        del made
        gc.collect()
        assert dead() is None


def test_names_in_the_users_modules_follow(toy: Any) -> None:
    """Complete and removable: `from toy import train` works above and below `autolog()`, and holds the original again."""
    users = types.ModuleType("users_script")
    users.__file__ = "/home/somebody/users_script.py"
    sys.modules["users_script"] = users
    try:
        users.above = original = toy.train
        probe = Probe(on("toy:train"))
        with probe.on():
            users.below = toy.train
            users.above({}, X, Y)
            users.below({}, X, Y)
        assert users.above is original
        assert users.below is original
        assert len(probe.calls) == 2
    finally:
        del sys.modules["users_script"]


def test_names_in_other_packages_modules_are_put_back(toy: Any) -> None:
    """Removable: a library that imported the function while it was patched holds the original afterwards."""
    library = types.ModuleType("library")
    library.__file__ = "/usr/lib/python3/site-packages/library.py"
    sys.modules["library"] = library
    try:
        with assert_untouched("toy"), Probe(on("toy:train"), FIT).on():
            library.train = toy.train
            library.fit = toy.Slope.fit
        assert library.train is toy.train
        assert library.fit is toy.Slope.fit
    finally:
        del sys.modules["library"]


def test_a_method_under_a_second_name_is_put_back(toy: Any) -> None:
    """Removable: `refit = fit` and `fit = Base.fit` in a class body made while autolog was on."""
    original = vars(toy.Slope)["fit"]
    with Probe(FIT).on():

        class Twice(toy.Model):
            fit = toy.Slope.fit

        assert Twice().fit(X, Y).weight
    assert vars(Twice)["fit"] is original


def test_somebody_elses_wrapper_stays_and_ours_goes(toy: Any) -> None:
    """Removable: a wrapper put over ours is kept, and calls the original from then on."""
    seen: list[str] = []
    original = vars(toy.Slope)["fit"]
    probe = Probe(FIT)
    with probe.on():
        ours = toy.Slope.fit
        spare = None

        @functools.wraps(ours)
        def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append("theirs")
            if not seen:
                return spare  # noqa: F821
            return ours(self, *args, **kwargs)

        del spare  # leaves an empty cell in its closure
        toy.Slope.fit = theirs
        toy.Slope().fit(X, Y)
    toy.Slope().fit(X, Y)
    assert toy.Slope.fit is theirs
    assert theirs.__wrapped__ is original
    assert seen == ["theirs", "theirs"]
    assert len(probe.calls) == 1


def test_a_wrapt_wrapper_over_ours_stays(toy: Any) -> None:
    """Removable: the same, for a decorator made with wrapt."""

    @wrapt.decorator
    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    original = vars(toy.Slope)["fit"]
    probe = Probe(FIT)
    with probe.on():
        toy.Slope.fit = theirs(vars(toy.Slope)["fit"])
        toy.Slope().fit(X, Y)
    assert vars(toy.Slope)["fit"].__wrapped__ is original
    assert toy.Slope().fit(X, Y).weight
    assert len(probe.calls) == 1


def test_an_opaque_wrapper_over_ours_leaves_it_inert(toy: Any) -> None:
    """Removable: where ours cannot be taken out, it does nothing any more."""
    probe = Probe(FIT)
    with probe.on():
        ours = toy.Slope.fit
        toy.Slope.fit = functools.partialmethod(ours)
        toy.Slope().fit(X, Y)
    toy.Slope().fit(X, Y)
    assert len(probe.calls) == 1


def test_a_mock_over_a_patched_method_comes_and_goes(toy: Any) -> None:
    """Transparent: `mock.patch.object` works on what is patched."""
    with assert_untouched("toy"), Probe(FIT).on():
        with unittest.mock.patch.object(toy.Slope, "fit", autospec=True) as fit:
            toy.Slope().fit(X, Y)
        fit.assert_called_once()
        assert toy.Slope().fit(X, Y).weight


def test_a_slot_that_somebody_has_replaced_is_theirs(toy: Any) -> None:
    """Removable: a replacement that does not wrap ours is not touched."""
    with Probe(FIT, on("toy:train")).on():
        toy.Slope.fit = replaced = lambda self, X, y: "mine"
        toy.train = replaced
    assert vars(toy.Slope)["fit"] is replaced
    assert toy.train is replaced


def test_a_bound_method_kept_over_the_end_is_inert(toy: Any) -> None:
    """Removable: a method that the user stored while autolog was on works, unobserved, when it is off."""
    probe = Probe(FIT)
    with probe.on():
        stored = toy.Slope().fit
    assert stored(X, Y).weight
    assert probe.calls == []


def test_classes_and_their_instances_travel_by_value(toy: Any) -> None:
    """Transparent: cloudpickle writes a class of the user's script, with a hook of its own, as if there were no autolog."""
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


def test_help_shows_what_it_showed(toy: Any) -> None:
    """Transparent: `help()` of a class and of a module is the same text."""
    import pydoc

    shown = [pydoc.render_doc(one) for one in (toy.Careful, toy.Committee, toy.Mean, toy.training)]
    methods = [
        on(f"toy.core:{name}") for name in ("Careful.fit", "Slope.fit", "MeanFit.fit", "Committee.trained")
    ]
    with Probe(*methods, on("toy:train", "toy.training:train")).on():
        assert [
            pydoc.render_doc(one) for one in (toy.Careful, toy.Committee, toy.Mean, toy.training)
        ] == shown


# -- imports


def test_a_function_of_the_package_that_wakes_the_integration_is_patched_at_once(toy: Any) -> None:
    """Complete: a patch on the very module whose import wakes the integration holds when `import` returns."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]
    probe = Probe(on("toy:train"))
    with probe.on():
        anew = importlib.import_module("toy")
        anew.train({}, X, Y)
    assert probe.calls == [("train", "NoneType")]


def test_a_module_imported_later_is_patched_then(toy: Any) -> None:
    """Complete: a patch on a submodule that nobody has imported yet imports nothing, and holds when somebody does."""
    probe = Probe(on("toy.tuning:tune"))
    with probe.on():
        assert "toy.tuning" not in sys.modules
        toy.tune(toy.Slope, [0.1], X, Y)
    assert probe.calls == [("tune", "NoneType")]


def test_a_reloaded_module_is_patched_anew(toy: Any) -> None:
    """Complete and removable: `importlib.reload` brings new functions, and these are observed and put back."""
    probe = Probe(on("toy.training:train"))
    with probe.on():
        reloaded = importlib.reload(sys.modules["toy.training"])
        reloaded.train({}, X, Y)
        assert reloaded.__spec__.loader is reloaded.__loader__
        assert "exec_module" not in vars(reloaded.__loader__)
    assert type(reloaded.train) is types.FunctionType
    assert probe.calls == [("train", "NoneType")]


def test_an_import_that_fails_fails_as_it_would_and_may_be_tried_again(toy: Any) -> None:
    """Transparent: the user's ImportError is theirs; a second try is observed."""
    from pathlib import Path

    folder = Path(toy.__file__).parent
    probe = Probe(on("toy.late:train"))
    with probe.on():
        (folder / "late.py").write_text("raise ImportError('not yet')")
        importlib.invalidate_caches()
        with pytest.raises(ImportError, match="not yet"):
            importlib.import_module("toy.late")
        (folder / "late.py").write_text("from toy.training import train\n")
        assert importlib.util.find_spec("toy.late") is not None
        importlib.import_module("toy.late").train({}, X, Y)
    assert probe.calls == [("train", "NoneType")]


def test_an_integration_that_cannot_be_loaded_does_not_reach_the_users_import(toy: Any) -> None:
    """Harmless: the import of the framework succeeds, `status()` says what failed."""
    import autolog

    class Broken(Integration):
        name = "toy"
        supports = "toy"

        def patches(self) -> Any:
            yield on("toy:train")
            raise RuntimeError("broken")

    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]
    with assert_untouched("toy"), recorded(Broken, strict=False):
        anew = importlib.import_module("toy")
        anew.train({}, X, Y)
        (status,) = [one for one in autolog.status() if one.name == "toy"]
    assert (status.state, status.reason) == ("failed", "RuntimeError: broken")
    assert type(anew.train) is types.FunctionType


def test_a_version_that_is_too_old_is_refused_in_one_line(toy: Any, caplog: Any) -> None:
    """Honest: below the floor nothing is patched, and one line says so."""

    class Newer(Integration):
        name = "toy"
        supports = "toy>=9"

        def patches(self) -> Any:
            yield on("toy:train")

    with assert_untouched("toy"), recorded(Newer):
        assert type(toy.train) is types.FunctionType
    assert [one.getMessage() for one in caplog.records] == [
        "autolog does not record toy 1.2: it needs toy>=9."
    ]


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


def test_arguments_are_seen_and_replaced_where_they_stand(toy: Any) -> None:
    """Transparent: a positional argument stays positional, a keyword one a keyword; the caller's objects are not changed."""
    seen: list[dict[str, Any]] = []

    def observer(call: Call) -> Any:
        seen.append(call.arguments)
        call.replace(rounds=2, callbacks=[*(call.arguments.get("callbacks") or ()), "new"])
        seen.append({"args": call.args, "kwargs": call.kwargs})
        assert (call.takes("rounds"), call.takes("colour")) == (True, False)
        with pytest.raises(TypeError, match="takes no argument 'colour'"):
            call.replace(colour="red")
        call.replace(callbacks=())
        yield

    mine: list[Any] = []
    with observed(observer, strict=True):
        assert toy.train({}, X, Y, 7, mine).rounds == 2
        assert toy.train({}, X, y=Y, callbacks=mine).rounds == 2
    assert mine == []
    assert seen[0] == {"settings": {}, "X": X, "y": Y, "rounds": 7, "callbacks": []}
    assert seen[1] == {"args": ({}, X, Y, 2, ["new"]), "kwargs": {}}
    assert seen[2] == {"settings": {}, "X": X, "y": Y, "callbacks": []}
    assert seen[3] == {"args": ({}, X), "kwargs": {"y": Y, "callbacks": ["new"], "rounds": 2}}


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


def test_what_a_failing_observer_replaced_is_taken_back(toy: Any) -> None:
    """Harmless: the call is made as the user made it."""

    def observer(call: Call) -> Any:
        call.replace(rounds=1)
        raise RuntimeError("halfway")
        yield

    with observed(observer):
        assert toy.train({}, X, Y, 7).rounds == 7


def twice(call: Call) -> Any:
    yield
    yield


def never(call: Call) -> Any:
    return None


def declines(call: Call) -> Any:
    return
    yield


def stubborn(call: Call) -> Any:
    try:
        yield
    finally:
        yield  # a generator that does not let itself be closed


@pytest.mark.parametrize("observer", [twice, never, declines, stubborn])
@pytest.mark.parametrize("fails", [False, True])
def test_the_original_is_called_once_whatever_the_observer_does(toy: Any, observer: Any, fails: bool) -> None:
    """Harmless: one call, its result or its exception, no other."""
    called: list[None] = []

    class Counted(toy.Model):
        def fit(self, X: Any, y: Any) -> Any:
            called.append(None)
            if fails:
                raise KeyError("mine")
            return "result"

    with observed(observer):
        if fails:
            with pytest.raises(KeyError, match="mine") as caught:
                Counted().fit(X, Y)
            assert caught.value.__context__ is None
        else:
            assert Counted().fit(X, Y) == "result"
    assert len(called) == 1


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


def test_an_injected_callback_that_fails_is_off_from_then_on(toy: Any) -> None:
    """Harmless: a callback of the integration's own raises once; the training goes on, and the run knows."""

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


def test_a_thread_started_inside_a_call_is_inside_it(toy: Any) -> None:
    """Complete: what is trained there is part of the call; a thread of the user's own, started outside, is outside."""
    outermost: list[bool] = []

    class Threaded(toy.Model):
        def fit(self, X: Any, y: Any) -> Any:
            thread = threading.Thread(target=lambda: toy.Slope().fit(X, y))
            thread.start()
            thread.join()

    def observer(call: Call) -> Any:
        outermost.append(call.outermost)
        yield

    with observed(observer, nested=True):
        thread = threading.Thread(target=lambda: Threaded().fit(X, Y))
        thread.start()
        thread.join()
    assert outermost == [True, False]


def test_a_seal_holds_in_threads_from_their_first_call_on(toy: Any) -> None:
    """Complete: what a sealed call trains in threads of its own is nobody's run, the very first training included."""
    seen: list[str] = []

    class Threaded(toy.Model):
        def fit(self, X: Any, y: Any) -> Any:
            threads = [threading.Thread(target=target, args=(X, y)) for target in (toy.Slope().fit, train)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def train(X: Any, y: Any) -> Any:
        toy.train({}, X, y)

    def observer(call: Call) -> Any:
        seen.append(call.name)
        call.suppress_nested()
        yield

    for nested in (False, True):
        with observed(observer, nested=nested):
            Threaded().fit(X, Y)
        assert [name.rpartition(".")[2] for name in seen] == ["fit"]
        seen.clear()


def test_a_users_subclass_belongs_to_whom_its_base_belongs(toy: Any) -> None:
    """Complete, once: the nearest class that an integration claims decides, not the module that the user's class is in."""

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


def test_recursion_and_reentrance(toy: Any) -> None:
    """Complete: a model that trains another of its own kind is one outermost call."""
    seen: list[bool] = []

    class Nest(toy.Model):
        def fit(self, depth: int) -> Any:
            if depth:
                Nest().fit(depth - 1)
            return self

    def observer(call: Call) -> Any:
        seen.append(call.outermost)
        yield

    with observed(observer, nested=True):
        Nest().fit(20)
    assert seen == [True] + [False] * 20


def test_recorded_leaves_the_session_around_it_alone(toy: Any) -> None:
    """Removable: a `recorded()` block inside another records its own runs, and the outer one goes on afterwards."""
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
def test_the_caller_is_to_blame_for_what_a_framework_warns_of(
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
def test_what_shows_tracebacks_is_told_to_leave_our_frames_out(
    toy: Any, kind: str, nobody_looks: bool
) -> None:
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
    mine = ["test_what_shows_tracebacks_is_told_to_leave_our_frames_out"]
    hook = ["__init_subclass__"] if kind == "subclass hook" else []
    assert shown == [*mine, *hook, "fail"]
