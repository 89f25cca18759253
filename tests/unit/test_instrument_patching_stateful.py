"""The promise: whatever others wrap around what is patched, and take off again, before, between and after, each call gives what
it would give without us, is seen exactly when a patch of ours is in its way, and what is left in the end is what there was.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import wrapt
from handlers import CallHandler
from helpers import run_machine
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from autolog.instrument.imports import ImportHooks
from autolog.instrument.modules import sweep_modules
from autolog.instrument.patches import FastPatch, Patch, SubclassPatch
from autolog.instrument.patching import Installation

SOURCE = """
def train(x=1, *, y=2):
    return ("trained", x, y)

def step(x=1):
    return ("stepped", x)

class Base:
    def fit(self, x=1):
        return ("fitted", type(self).__name__, x)

    def value(self):
        return ("valued",)

class Child(Base):
    pass

class Grandchild(Child):
    def fit(self, x=1):
        return ("grandchild", super().fit(x))
"""
ABSENT: Any = object()


# -- what others do


def closure(function: Any, mark: int) -> Any:
    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return (mark, function(*args, **kwargs))

    return around


def decorator(function: Any, mark: int) -> Any:
    @wrapt.decorator
    def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return (mark, wrapped(*args, **kwargs))

    return around(function)


def function_wrapper(function: Any, mark: int) -> Any:
    def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return (mark, wrapped(*args, **kwargs))

    return wrapt.FunctionWrapper(function, around)


def by_attribute(function: Any, mark: int) -> Any:
    """Looks the function up where `functools.wraps` has left it, at each call."""

    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return (mark, around.__wrapped__(*args, **kwargs))  # type: ignore[attr-defined]

    return around


def opaque(function: Any, mark: int) -> Any:
    return lambda *args, **kwargs: (mark, function(*args, **kwargs))


def replacement(function: Any, mark: int) -> Any:
    return lambda *args, **kwargs: (mark, "replaced")


FOREIGN: tuple[Callable[[Any, int], Any], ...] = (
    closure, decorator, function_wrapper, by_attribute, opaque, replacement,
)  # fmt: skip
TRANSPARENT = FOREIGN[:4]


class Layer(NamedTuple):
    """What one has laid around a function: a foreign wrapper, or ours of that installation."""

    kind: Any
    mark: int


class Foreign(NamedTuple):
    slot: str
    saved: Any
    layers: list[Layer]


SLOTS = ("train", "step", "Base.fit", "Grandchild.fit", "Child.value")
OURS = {
    "train": Patch,
    "fit": SubclassPatch,
    "step": FastPatch,
    "value": FastPatch,
}


class Machine(RuleBasedStateMachine):
    """Keeps account of what lies around each function."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        Path(self.folder, "layered.py").write_text(SOURCE)
        sys.path.insert(0, self.folder)
        importlib.invalidate_caches()
        self.frame = importlib.import_module("layered")
        self.handler = CallHandler(strict=True)
        self.hooks = ImportHooks(self._fail)
        self.on: dict[str, tuple[Installation, int]] = {}
        self.layers: dict[str, list[Layer]] = {slot: [] for slot in SLOTS}
        self.originals = {slot: self._held(slot) for slot in SLOTS}
        self.foreign: list[Foreign] = []
        self.marks = 0
        self.seen = 0
        self.later: list[Any] = []

    def teardown(self) -> None:
        try:
            while self.on:
                self.remove(next(iter(self.on)))
                self.calls_give_what_they_should_and_are_seen_once()
            while self.foreign:
                self.undo(-1)
            self.what_is_bare_is_what_there_was()
            assert not self.handler.failures
        finally:
            sys.path.remove(self.folder)
            del sys.modules["layered"]
            shutil.rmtree(self.folder)
            self._forget()

    def _forget(self) -> None:
        """Hypothesis keeps local modules and machines: other tests would find classes that still have a switched-off wrapper
        of ours, where somebody who came before has set it again.
        """
        self.originals.clear()
        self.foreign.clear()
        self.later.clear()
        vars(self.frame).clear()

    def _fail(self, name: str, error: Exception) -> None:
        raise error

    def _owner(self, slot: str) -> tuple[Any, str]:
        path, _, name = slot.rpartition(".")
        return (getattr(self.frame, path) if path else self.frame), name

    def _held(self, slot: str) -> Any:
        owner, name = self._owner(slot)
        return vars(owner).get(name, ABSENT)

    def _mark(self) -> int:
        self.marks += 1
        return self.marks

    # -- ours

    @rule(name=st.sampled_from(sorted(OURS)))
    def install(self, name: str) -> None:
        if name in self.on:
            return

        def observe(call: Any) -> Any:
            self.seen += 1
            yield

        def before(*args: Any, **kwargs: Any) -> None:
            self.seen += 1

        patches: dict[str, Any] = {
            "train": Patch(target="layered:train", observer=observe),
            "fit": SubclassPatch(base="layered:Base", methods=("fit",), observer=observe),
            "step": FastPatch(target="layered:step", before=before),
            "value": FastPatch(target="layered:Child.value", before=before),
        }
        installation = Installation(patches[name], "layered", self.handler, self.hooks)
        installation.install()
        assert installation.state == "found"
        mark = self._mark()
        self.on[name] = installation, mark
        for slot in self._slots(name):
            self.layers[slot] = [*self.layers[slot], Layer(OURS[name], mark)]

    def _slots(self, name: str) -> list[str]:
        return [slot for slot in SLOTS if slot.rpartition(".")[2] == name]

    @precondition(lambda self: self.on)
    @rule(data=st.data())
    def remove_one(self, data: Any) -> None:
        self.remove(data.draw(st.sampled_from(sorted(self.on))))

    def remove(self, name: str) -> None:
        installation, mark = self.on.pop(name)
        installation.remove()
        sweep_modules({installation.switch})
        for slot in self._slots(name):
            place = self._place_of(mark, slot)
            if place is not None:
                self.layers[slot] = self.layers[slot][:place] + self.layers[slot][place + 1 :]

    def _place_of(self, mark: int, slot: str) -> int | None:
        """Where ours is, if nothing is around it that cannot be looked through."""
        for place, layer in reversed([*enumerate(self.layers[slot])]):
            if layer.mark == mark:
                return place
            if layer.kind not in TRANSPARENT and layer.kind not in OURS.values():
                return None
        return None

    # -- theirs

    @rule(slot=st.sampled_from(SLOTS), kind=st.sampled_from(FOREIGN))
    def wrap(self, slot: str, kind: Any) -> None:
        owner, name = self._owner(slot)
        saved, mark = self._held(slot), self._mark()
        self.foreign.append(Foreign(slot, saved, self.layers[slot]))
        function = saved if saved is not ABSENT else inspect.getattr_static(owner, name)
        setattr(owner, name, kind(function, mark))
        self.layers[slot] = [*self.layers[slot], Layer(kind, mark)]

    @precondition(lambda self: self.foreign)
    @rule(which=st.integers(-3, -1))
    def undo(self, which: int) -> None:
        """As `monkeypatch` does: what was there when they came is set again, whoever has come since."""
        slot, saved, layers = self.foreign.pop(max(which, -len(self.foreign)))
        owner, name = self._owner(slot)
        if saved is not ABSENT:
            setattr(owner, name, saved)
        elif name in vars(owner):
            delattr(owner, name)
        self.layers[slot] = layers

    # -- the user's

    @rule()
    def reload(self) -> None:
        """Everything is new, and what is on is installed on it."""
        importlib.reload(self.frame)
        self.foreign.clear()
        self.later.clear()
        for slot in SLOTS:
            name = slot.rpartition(".")[2]
            self.layers[slot] = [Layer(OURS[name], self.on[name][1])] if name in self.on else []
            held = self._held(slot)
            self.originals[slot] = ABSENT if slot == "Child.value" else inspect.unwrap(held)

    @rule(defines=st.booleans())
    def subclass(self, defines: bool) -> None:
        class Late(self.frame.Grandchild):  # type: ignore[name-defined,misc]
            if defines:

                def fit(self, x: int = 1) -> Any:
                    return ("late", super().fit(x))

        self.later = [Late, defines]
        if (
            "fit" in self.on and not defines
        ):  # where it gets the method from, ours is put if it is not there (any more)
            mark = self.on["fit"][1]
            if self._place_of(mark, "Grandchild.fit") is None:
                self.layers["Grandchild.fit"] = [*self.layers["Grandchild.fit"], Layer(SubclassPatch, mark)]
        if defines:
            assert inspect.unwrap(vars(Late)["fit"]).__qualname__.endswith("Late.fit")

    @rule()
    def copies(self) -> None:
        """A function that has ours around it and nobody else's is copied and pickled as what it is."""
        for slot in ("train", "step"):
            if not any(layer.kind in FOREIGN for layer in self.layers[slot]):
                held = getattr(self.frame, slot)
                assert copy.deepcopy(held) is held
                assert pickle.loads(pickle.dumps(held)) is held
        model = pickle.loads(pickle.dumps(copy.deepcopy(self.frame.Grandchild())))
        assert type(model) is self.frame.Grandchild

    # -- what always holds

    def _is_watched(self, *slots: str) -> bool:
        marks = {mark for _, mark in self.on.values()}
        return any(layer.mark in marks for slot in slots for layer in self._reached(slot))

    def _reached(self, slot: str) -> list[Layer]:
        """The layers that a call comes through: none below a replacement."""
        layers = self.layers[slot]
        start = max((place for place, one in enumerate(layers) if one.kind is replacement), default=0)
        return layers[start:]

    def _result(self, slot: str, bare: Any) -> Any:
        for layer in self.layers[slot]:
            if layer.kind is replacement:
                bare = (layer.mark, "replaced")
            elif layer.kind in FOREIGN:
                bare = (layer.mark, bare)
        return bare

    def _is_replaced(self, slot: str) -> bool:
        return any(layer.kind is replacement for layer in self.layers[slot])

    @invariant()
    def calls_give_what_they_should_and_are_seen_once(self) -> None:
        frame = self.frame
        fitted = self._result("Base.fit", ("fitted", "Grandchild", 3))
        late = self._result("Base.fit", ("fitted", "Late", 3))
        up = ("Grandchild.fit",) if self._is_replaced("Grandchild.fit") else ("Grandchild.fit", "Base.fit")
        calls = [
            (lambda: frame.train(5, y=6), self._result("train", ("trained", 5, 6)), ("train",)),
            (lambda: frame.step(7), self._result("step", ("stepped", 7)), ("step",)),
            (lambda: frame.Child().value(), self._result("Child.value", ("valued",)), ("Child.value",)),
            (lambda: frame.Base().fit(3), self._result("Base.fit", ("fitted", "Base", 3)), ("Base.fit",)),
            (lambda: frame.Grandchild().fit(3), self._result("Grandchild.fit", ("grandchild", fitted)), up),
        ]  # fmt: skip
        for call, expected, slots in calls:
            before = self.seen
            assert call() == expected
            assert self.seen - before == self._is_watched(*slots), (slots, self.layers)
        if self.later:
            cls, defines = self.later
            result = self._result("Grandchild.fit", ("grandchild", late))
            before = self.seen
            assert cls().fit(3) == (("late", result) if defines else result)
            assert self.seen - before <= ("fit" in self.on)
            if "fit" in self.on and defines and "__init_subclass__" in vars(frame.Base):
                assert self.seen - before == 1

    @invariant()
    def what_is_bare_is_what_there_was(self) -> None:
        for slot in SLOTS:
            if not self.layers[slot]:
                assert self._held(slot) is self.originals[slot], slot
        if "fit" not in self.on:
            assert "__init_subclass__" not in vars(self.frame.Base)
            if self.later and self.later[1]:
                assert inspect.isfunction(vars(self.later[0])["fit"])


def test_patches_survive_any_order_of_other_wrappers() -> None:
    """In any order: before ours, between ours, after ours; with subclasses, reloads, copies and pickles."""
    run_machine(Machine, 40)
