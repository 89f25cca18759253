"""The promise: what is patched is observed wherever it stands, looks as it did, and is put back as the same object in the same
slot, whatever others did to it meanwhile.
"""

from __future__ import annotations

import abc
import copy
import functools
import gc
import importlib
import inspect
import pickle
import sys
import types
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import wrapt
from handlers import CallHandler

from autolog.instrument.calls import Call, Scope, current
from autolog.instrument.imports import ImportHooks
from autolog.instrument.modules import sweep_modules, users_modules
from autolog.instrument.patches import Patch, SubclassPatch
from autolog.instrument.patching import Installation

SOURCE = '''
import abc
import functools


def train(x=1, *, y=2):
    """Trains."""
    return ("trained", x, y)


class Base:
    label = "base"

    def fit(self, x=1):
        """Fits."""
        return ("fitted", type(self).__name__, x)

    @classmethod
    def build(cls, x=1):
        return (cls.__name__, x)

    @staticmethod
    def score(x=1):
        return ("score", x)

    @property
    def weight(self):
        return self.__dict__.get("_weight", 0.5)

    @weight.setter
    def weight(self, value):
        self.__dict__["_weight"] = value

    @functools.cached_property
    def heavy(self):
        return [1]


class Child(Base):
    pass


class Grandchild(Child):
    def fit(self, x=1):
        return ("grandchild", super().fit(x))


class Mixin:
    def fit(self, x=1):
        return ("mixed in", x)


class Mixed(Mixin, Base):
    pass
'''


@pytest.fixture
def frame() -> Iterator[types.ModuleType]:
    """A small framework, in a module of its own."""
    module = types.ModuleType("frame")
    module.__file__ = "/site-packages/frame.py"
    sys.modules["frame"] = module
    exec(compile(SOURCE, "/site-packages/frame.py", "exec"), vars(module))
    yield module
    sys.modules.pop("frame", None)


class Patches:
    """Patches, installed for a handler; notes what they observe."""

    def __init__(self) -> None:
        self.handler = CallHandler(strict=True)
        self.hooks = ImportHooks(self.fail)
        self.seen: list[str] = []
        self.installed: list[Installation] = []

    def fail(self, name: str, error: Exception) -> None:
        raise error

    def observe(self, call: Call) -> Any:
        self.seen.append(call.name)
        yield

    def __call__(self, target: str, *aliases: str, **more: Any) -> Installation:
        return self._install(Patch(target=target, aliases=aliases, observer=self.observe, **more))

    def subclasses(self, base: str, *methods: str, **more: Any) -> Installation:
        return self._install(SubclassPatch(base=base, methods=methods, observer=self.observe, **more))

    def _install(self, patch: Patch | SubclassPatch) -> Installation:
        installation = Installation(patch, "toy", self.handler, self.hooks)
        self.installed.append(installation)
        installation.install()
        return installation

    def remove(self) -> None:
        for installation in reversed(self.installed):
            installation.remove()
        sweep_modules({installation.switch for installation in self.installed})
        self.installed.clear()


@pytest.fixture
def patch() -> Iterator[Patches]:
    made = Patches()
    yield made
    made.remove()


def slots(*owners: Any) -> list[dict[str, Any]]:
    """What each of these holds itself, by identity."""
    return [{name: id(value) for name, value in vars(owner).items()} for owner in owners]


def owners(frame: Any) -> list[Any]:
    return [frame, *(value for value in vars(frame).values() if isinstance(value, type))]


# -- every kind of slot


@pytest.mark.parametrize(
    ("target", "use", "result", "seen"),
    [
        ("frame:train", lambda f: f.train(5), ("trained", 5, 2), "train"),
        ("frame:Base.fit", lambda f: f.Base().fit(5), ("fitted", "Base", 5), "Base.fit"),
        ("frame:Base.fit", lambda f: f.Base.fit(f.Base(), x=5), ("fitted", "Base", 5), "Base.fit"),
        ("frame:Base.build", lambda f: f.Base.build(5), ("Base", 5), "Base.build"),
        ("frame:Base.build", lambda f: f.Base().build(5), ("Base", 5), "Base.build"),
        ("frame:Base.build", lambda f: f.Child.build(5), ("Child", 5), "Base.build"),
        ("frame:Base.score", lambda f: f.Base().score(5), ("score", 5), "Base.score"),
        ("frame:Child.fit", lambda f: f.Child().fit(5), ("fitted", "Child", 5), "Child.fit"),
        ("frame:Child.build", lambda f: f.Child.build(5), ("Child", 5), "Child.build"),
        ("frame:Child.build", lambda f: f.Grandchild.build(5), ("Grandchild", 5), "Child.build"),
        ("frame:Child.score", lambda f: f.Child.score(5), ("score", 5), "Child.score"),
        ("frame:Mixed.fit", lambda f: f.Mixed().fit(5), ("mixed in", 5), "Mixed.fit"),
    ],
)
def test_any_kind_of_function_is_observed_and_restored(
    frame: Any, patch: Patches, target: str, use: Any, result: Any, seen: str
) -> None:
    """Functions, methods, class and static methods; where the slot was inherited, there is none afterwards."""
    before = slots(*owners(frame))
    assert patch(target).state == "found"
    assert use(frame) == result
    assert patch.seen == [seen]
    patch.remove()
    assert slots(*owners(frame)) == before
    assert use(frame) == result
    assert patch.seen == [seen]


def test_patching_an_inherited_method_leaves_the_base_class_alone(frame: Any, patch: Patches) -> None:
    patch("frame:Child.fit")
    frame.Base().fit()
    frame.Mixed().fit()
    assert patch.seen == []
    frame.Child().fit()
    assert patch.seen == ["Child.fit"]


@pytest.mark.parametrize("name", ["weight", "heavy", "label"])
def test_an_attribute_that_is_no_function_is_left_alone_and_missing(
    frame: Any, patch: Patches, name: str
) -> None:
    before = slots(*owners(frame))
    assert patch(f"frame:Base.{name}").state == "missing"
    patch.subclasses("frame:Base", name)
    assert slots(*owners(frame))[1][name] == before[1][name]
    one = frame.Base()
    one.weight = 0.25
    assert (one.weight, type(one.weight), one.heavy is one.heavy, one.label) == (0.25, float, True, "base")


def test_constants_and_classes_of_a_module_are_left_alone_and_missing(frame: Any, patch: Patches) -> None:
    frame.LIMIT = 5
    before = slots(frame)
    assert patch("frame:LIMIT").state == "missing"
    assert patch("frame:Base").state == "missing"
    assert slots(frame) == before


def test_a_missing_target_is_missing_and_one_of_a_later_import_is_waited_for(
    frame: Any, patch: Patches
) -> None:
    assert patch("frame:gone").state == "missing"
    assert patch("frame:Gone.fit").state == "missing"
    assert patch("frame:Base.gone").state == "missing"
    assert patch("frame:train.gone.deeper").state == "missing"
    assert patch("no_such_frame:train").state == "waiting"
    assert patch.subclasses("frame:Gone", "fit").state == "missing"
    assert patch.subclasses("frame:train", "fit").state == "missing"
    removed = patch("frame:train")
    patch.remove()
    assert removed.state == "removed"


def test_an_attribute_of_a_lazy_module_is_patched(patch: Patches) -> None:
    """`__getattr__` of a module serves it; afterwards it is served again."""
    made: list[Any] = []
    lazy = types.ModuleType("lazy_frame")

    def train() -> str:
        return "trained"

    def getter(name: str) -> Any:
        made.append(name)
        if name == "train":
            return train
        raise AttributeError(name)

    lazy.__getattr__ = getter  # type: ignore[method-assign]
    sys.modules["lazy_frame"] = lazy
    try:
        assert patch("lazy_frame:train").state == "found"
        assert (lazy.train(), patch.seen) == ("trained", ["train"])
        patch.remove()
        assert "train" not in vars(lazy)
        assert lazy.train is train
        with pytest.raises(AttributeError):
            lazy.other
    finally:
        del sys.modules["lazy_frame"]


def test_one_function_under_several_names_stays_one_and_is_observed_once(frame: Any, patch: Patches) -> None:
    frame.fit_all = frame.train
    before = slots(*owners(frame))
    patch("frame:train", "frame:fit_all")
    assert frame.train is frame.fit_all
    frame.fit_all()
    frame.train()
    assert len(patch.seen) == 2
    patch.remove()
    assert slots(*owners(frame)) == before


def test_two_patches_of_one_function_can_be_removed_in_any_order(frame: Any) -> None:
    for order in ((0, 1), (1, 0)):
        before = slots(*owners(frame))
        both = [Patches(), Patches()]
        for one in both:
            one("frame:Base.fit")
            one("frame:train")
        frame.train()
        assert [one.seen for one in both] == [
            [],
            ["train"],
        ]  # the outer one's call; inside it nothing else is seen
        both[order[0]].remove()
        for one in both:
            one.seen.clear()
        frame.train()
        frame.Base().fit()
        assert both[order[0]].seen == []
        assert both[order[1]].seen == ["train", "Base.fit"]
        both[order[1]].remove()
        assert slots(*owners(frame)) == before


def test_installing_twice_patches_once(frame: Any, patch: Patches) -> None:
    installation = patch("frame:train")
    held = frame.train
    installation._place_at(frame, "train", True)
    assert frame.train is held
    frame.train()
    assert patch.seen == ["train"]


# -- hierarchies


def test_every_class_that_defines_the_method_is_patched(frame: Any, patch: Patches) -> None:
    """Base, children, mixins; once for a call that goes up to the parent."""
    before = slots(*owners(frame))
    patch.subclasses("frame:Base", "fit", "build")
    for cls in (frame.Base, frame.Child, frame.Grandchild, frame.Mixed):
        cls().fit()
    frame.Grandchild.build()
    assert patch.seen == ["Base.fit", "Base.fit", "Grandchild.fit", "Mixin.fit", "Base.build"]
    patch.remove()
    assert slots(*owners(frame)) == before


@pytest.mark.parametrize("whole", [True, False], ids=["the class method", "its function"])
def test_somebody_elses_wrapper_around_init_subclass_stays(frame: Any, patch: Patches, whole: bool) -> None:
    """Removable: the other tool's wrapper goes on to work, and classes can be made after the removal as before."""
    patch.subclasses("frame:Base", "fit")
    ours = vars(frame.Base)["__init_subclass__"]
    told: list[str] = []
    inner = ours if whole else ours.__func__

    @functools.wraps(ours.__func__)
    def theirs(cls: type, **more: Any) -> None:
        told.append(cls.__name__)
        (inner.__get__(None, cls) if whole else functools.partial(inner, cls))(**more)

    theirs.__wrapped__ = inner  # type: ignore[attr-defined]
    frame.Base.__init_subclass__ = classmethod(theirs)
    before = type("Before", (frame.Base,), {"fit": lambda self: "own"})
    assert before().fit() == "own"
    patch.remove()
    assert vars(frame.Base)["__init_subclass__"].__func__ is theirs
    type("After", (frame.Base,), {"fit": lambda self: "own"})().fit()
    assert told == ["Before", "After"]
    assert len(patch.seen) == 1
    del frame.Base.__init_subclass__


def test_classes_made_later_are_patched_and_restored(frame: Any, patch: Patches) -> None:
    """By a class statement, by `type()`, with arguments for `__init_subclass__`, from a mixin of the user's, and below a class
    that does not pass `__init_subclass__` on.
    """
    told: list[Any] = []

    def own(self: Any, x: int = 1) -> Any:
        return "own"

    class Selfish(frame.Base):  # type: ignore[name-defined]
        def __init_subclass__(cls) -> None:
            pass

    patch.subclasses("frame:Base", "fit")

    class Asking(frame.Base):  # type: ignore[name-defined]
        def __init_subclass__(cls, size: int = 0, **more: Any) -> None:
            super().__init_subclass__(**more)
            told.append((cls.__name__, size))

        fit = own

    class Sized(Asking, size=3):
        fit = own

    class UsersMixin:
        fit = own

    class WithMixin(UsersMixin, frame.Child):  # type: ignore[name-defined]
        pass

    class Unheard(Selfish):
        fit = own

    made = type("Made", (frame.Child,), {"fit": own})
    classes = [Asking, Sized, WithMixin, Unheard, made]
    for cls in classes:
        assert cls().fit() == "own"
    assert told == [("Sized", 3)]
    assert len(patch.seen) == 5
    patch.remove()
    for cls in (Asking, Sized, UsersMixin, Unheard, made):
        assert vars(cls)["fit"] is own
    assert "fit" not in vars(WithMixin)
    assert "__init_subclass__" not in vars(frame.Base)

    class After(frame.Base):  # type: ignore[name-defined]
        fit = own

    assert vars(After)["fit"] is own
    assert len(patch.seen) == 5


class Odd(type):
    """A metaclass whose classes are equal to anything and cannot be hashed."""

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("classes were compared")

    __hash__ = None  # type: ignore[assignment]

    def __len__(cls) -> int:
        return 0


class Forbids(type):
    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError("no")


@pytest.mark.parametrize("meta", [Odd, Forbids, abc.ABCMeta])
def test_classes_of_hostile_metaclasses_do_no_harm(frame: Any, patch: Patches, meta: Any) -> None:
    """Patched where they can be; the others are, in any case."""
    before = meta("Before", (frame.Base,), {"fit": lambda self: "before"})
    patch.subclasses("frame:Base", "fit")
    later = meta("Later", (frame.Base,), {"fit": lambda self: "later"})
    assert (before().fit(), later().fit()) == ("before", "later")
    frame.Child().fit()
    assert patch.seen[-1] == "Base.fit"
    patch.remove()
    assert later().fit() == "later"


def test_an_error_in_the_users_init_subclass_reaches_the_user(frame: Any, patch: Patches) -> None:
    patch.subclasses("frame:Base", "fit")

    class Strict(frame.Base):  # type: ignore[name-defined]
        def __init_subclass__(cls) -> None:
            raise ValueError("no children")

    with pytest.raises(ValueError, match="no children") as error:

        class Child(Strict):
            pass

    assert error.value.__context__ is None
    with pytest.raises(TypeError):

        class Other(frame.Base, unknown=1):  # type: ignore[name-defined]
            pass


def test_patched_classes_are_not_kept_alive(frame: Any, patch: Patches) -> None:
    patch.subclasses("frame:Base", "fit")

    class Short(frame.Base):  # type: ignore[name-defined]
        def fit(self) -> str:
            return "short"

    Short().fit()
    dead = weakref.ref(Short)
    del Short
    gc.collect()
    assert dead() is None
    patch.remove()


# -- what others have put over it


def closure(function: Any) -> Any:
    """With an empty cell, of a variable that was deleted."""
    spare = None

    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return ("around", function(*args, **kwargs)) if args is not None else spare  # noqa: F821

    del spare
    return around


def by_wrapt(function: Any) -> Any:
    @wrapt.decorator
    def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return ("around", wrapped(*args, **kwargs))

    return around(function)


def by_function_wrapper(function: Any) -> Any:
    return wrapt.FunctionWrapper(
        function, lambda wrapped, instance, args, kwargs: ("around", wrapped(*args, **kwargs))
    )


def opaque(function: Any) -> Any:
    return lambda *args, **kwargs: ("around", function(*args, **kwargs))


def by_partial(function: Any) -> Any:
    return functools.partial(function)


@pytest.mark.parametrize("around", [closure, by_wrapt, by_function_wrapper], ids=lambda one: one.__name__)
@pytest.mark.parametrize("times", [1, 3])
def test_our_wrapper_is_removed_from_under_somebody_elses(
    frame: Any, patch: Patches, around: Any, times: int
) -> None:
    """Theirs stays the same object and calls the original itself."""
    original = frame.train
    patch("frame:train")
    for _ in range(times):
        frame.train = around(frame.train)
    theirs = frame.train
    expected: Any = ("trained", 1, 2)
    for _ in range(times):
        expected = ("around", expected)
    assert (frame.train(), patch.seen) == (expected, ["train"])
    patch.remove()
    assert frame.train is theirs
    assert (frame.train(), patch.seen) == (expected, ["train"])
    lowest = theirs
    for _ in range(times - 1):
        lowest = lowest.__wrapped__
    assert lowest.__wrapped__ is original
    assert inspect.unwrap(theirs) is original
    if type(lowest) is types.FunctionType:
        [held] = [cell.cell_contents for cell in lowest.__closure__ if cell != types.CellType()]
        assert (held, type(held)) == (original, types.FunctionType)


@pytest.mark.parametrize("around", [opaque, by_partial], ids=lambda one: one.__name__)
def test_our_wrapper_is_inert_under_an_opaque_one(frame: Any, patch: Patches, around: Any) -> None:
    patch("frame:train")
    frame.train = theirs = around(frame.train)
    with_us = frame.train()
    assert patch.seen == ["train"]
    patch.remove()
    assert frame.train is theirs
    assert (frame.train(), patch.seen) == (with_us, ["train"])


@pytest.mark.parametrize("around", [closure, by_wrapt], ids=lambda one: one.__name__)
def test_our_wrapper_of_a_method_is_removed_from_under_somebody_elses(
    frame: Any, patch: Patches, around: Any
) -> None:
    original = vars(frame.Base)["fit"]
    patch.subclasses("frame:Base", "fit")
    frame.Base.fit = theirs = around(vars(frame.Base)["fit"])
    assert frame.Child().fit() == ("around", ("fitted", "Child", 1))
    assert patch.seen == ["Base.fit"]
    patch.remove()
    assert vars(frame.Base)["fit"] is theirs
    assert vars(frame.Base)["fit"].__wrapped__ is original
    assert (frame.Child().fit(), len(patch.seen)) == (("around", ("fitted", "Child", 1)), 1)


def test_a_function_that_somebody_replaced_stays_theirs(frame: Any, patch: Patches) -> None:
    """It is neither put back nor patched again by a second removal; a deleted one stays deleted."""
    patch("frame:train")
    patch("frame:Child.fit")
    patch("frame:Base.score")
    frame.train = replacement = lambda: "other"
    del frame.Child.fit
    del frame.Base.score
    patch.remove()
    assert frame.train is replacement
    assert "fit" not in vars(frame.Child)
    assert not hasattr(frame.Base, "score")


def test_names_that_were_bound_while_it_was_patched_get_the_original_back(
    frame: Any, patch: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the user's module and in a library's, of a function and of a method; as a second name in a class body too."""
    originals = frame.train, vars(frame.Base)["fit"]
    patch("frame:train")
    patch.subclasses("frame:Base", "fit")

    class Twice(frame.Base):  # type: ignore[name-defined]
        fit = refit = frame.Base.fit

    assert Twice().fit() == ("fitted", "Twice", 1)
    modules = []
    for name, file in (("users_module", None), ("a_library", "/x/site-packages/a.py")):
        module = types.ModuleType(name)
        vars(module).update(__file__=file, train=frame.train, fit=frame.Base.fit)
        monkeypatch.setitem(sys.modules, name, module)
        modules.append(module)
    patch.remove()
    assert [(module.train, module.fit) for module in modules] == [originals] * 2
    assert (vars(Twice)["fit"], vars(Twice)["refit"]) == (originals[1],) * 2


def test_names_that_were_bound_before_are_patched_in_the_users_modules_only(
    frame: Any, patch: Patches, tmp_path: Any
) -> None:
    """`from frame import train` above `autolog()`, in a script; not inside other packages."""
    modules = {}
    for name, file in (
        ("users_script", tmp_path / "s.py"),
        ("a_package", "/x/site-packages/a.py"),
        ("no_file", None),
    ):
        modules[name] = sys.modules[name] = types.ModuleType(name)
        modules[name].__file__ = file and str(file)
        modules[name].learn = frame.train
    before = slots(*modules.values())
    try:
        patch("frame:train")
        for module in modules.values():
            module.learn()
        assert patch.seen == ["train"]
        modules["users_script"].learn()
        assert len(patch.seen) == 2
        patch.remove()
        assert slots(*modules.values()) == before
    finally:
        for name in modules:
            del sys.modules[name]


def test_an_installed_module_is_examined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly free: a framework has dozens of patches, and a program thousands of modules."""

    class Watched(str):
        """A module's file that counts how often it is looked at."""

        looks = 0

        def __contains__(self, part: object) -> bool:
            Watched.looks += 1
            return super().__contains__(part)  # type: ignore[operator]

    module = types.ModuleType("an_installed_one")
    module.__file__ = Watched("/x/site-packages/a.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for _ in range(3):
        assert module not in list(users_modules())
    assert Watched.looks == 1


def test_a_reloaded_module_is_patched_again_and_restored(
    patch: Patches, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the old functions that somebody kept and the new ones are the originals afterwards."""
    (tmp_path / "reloads.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import reloads  # type: ignore[import-not-found]

    try:
        patch("reloads:train")
        patch.subclasses("reloads:Base", "fit")
        old = reloads.train, reloads.Base
        importlib.reload(reloads)
        reloads.train()
        reloads.Child().fit()
        assert patch.seen == ["train", "Base.fit"]
        patch.remove()
        assert type(reloads.train) is type(vars(reloads.Base)["fit"]) is types.FunctionType
        assert type(vars(old[1])["fit"]) is types.FunctionType
        old[0]()
        old[1]().fit()
        assert len(patch.seen) == 2
    finally:
        del sys.modules["reloads"]


# -- what it looks like meanwhile


def test_a_patched_function_looks_as_it_did(frame: Any, patch: Patches) -> None:
    """To `inspect`, `isinstance`, `repr`, `==` and documentation."""
    function, method = frame.train, vars(frame.Base)["fit"]
    looks = [look(function) for look in LOOKS]
    method_looks = [look(method) for look in LOOKS]
    patch("frame:train")
    patch("frame:Base.fit")
    assert [look(frame.train) for look in LOOKS] == looks
    assert [look(frame.Base.fit) for look in LOOKS] == method_looks
    assert frame.train == function
    assert isinstance(frame.train, types.FunctionType)
    assert {frame.train: 1}[function] == 1


def test_the_annotations_of_our_classes_do_not_hide_those_of_a_function(frame: Any, patch: Patches) -> None:
    """Until Python 3.13, a class that is asked gets an empty dict, which must not stand before the function's own."""
    from autolog.instrument.wrapper import BoundWrapper, Wrapper

    frame.train.__annotations__ = {"x": "int"}
    vars(frame.Base)["fit"].__annotations__ = {"x": "float"}
    patch("frame:train")
    patch("frame:Base.fit")
    for cls in (Wrapper, BoundWrapper):
        assert cls.__annotations__ is not None
        assert inspect.get_annotations(cls) == {}
    for function, expected in (
        (frame.train, {"x": "int"}), (frame.Base.fit, {"x": "float"}), (frame.Base().fit, {"x": "float"}),
    ):  # fmt: skip
        assert function.__annotations__ == inspect.get_annotations(function) == expected
        assert inspect.getfullargspec(function).annotations == expected


LOOKS: list[Any] = [
    repr, callable, inspect.signature, inspect.isfunction, inspect.getdoc, lambda f: f.__name__, lambda f: f.__qualname__,
    lambda f: f.__module__, lambda f: f.__code__, lambda f: f.__defaults__, lambda f: f.__kwdefaults__,
    lambda f: f.__annotations__, inspect.iscoroutinefunction, inspect.isgeneratorfunction, lambda f: f.__class__,
]  # fmt: skip


def test_a_patched_function_can_be_copied_and_pickled(frame: Any, patch: Patches) -> None:
    """By name: what is loaded elsewhere is the function that is there."""
    frame.train.__module__ = frame.Base.__module__ = "frame"
    patch("frame:train")
    patch("frame:Base.fit")
    patch("frame:Base.build")
    one = frame.Base()
    assert copy.copy(frame.train) is copy.deepcopy(frame.train) is frame.train
    data = [
        pickle.dumps(thing, protocol) for thing in (frame.train, frame.Base.build) for protocol in range(2, 6)
    ]
    patch.remove()
    assert [pickle.loads(text)(5) for text in data] == [("trained", 5, 2)] * 4 + [("Base", 5)] * 4
    assert b"autolog" not in b"".join(data)
    assert one.fit() == ("fitted", "Base", 1)


def test_an_observer_without_a_yield_is_refused_when_it_is_declared() -> None:
    """What should run after the call would run before it. However the function is given."""

    def observe(call: Any, more: int = 0) -> None:
        pass

    class Observes:
        def __call__(self, call: Any) -> None:
            pass

        def method(self, call: Any) -> None:
            pass

    for wrong in (observe, partial(observe, more=1), Observes(), Observes().method, lambda call: None):
        with pytest.raises(TypeError, match="has no `yield`"):
            Patch(target="frame:train", observer=wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="has no `yield`"):
            SubclassPatch(base="frame:Base", methods=("fit",), observer=wrong)  # type: ignore[arg-type]


def test_a_mixins_method_is_observed_only_on_instances_of_the_base(frame: Any, patch: Patches) -> None:
    class Mixin:
        def score(self, bonus: int = 0) -> int:
            return 1 + bonus

    class Ours(Mixin, frame.Base):  # type: ignore[name-defined,misc]
        pass

    class Other(Mixin):
        pass

    patch.subclasses("frame:Base", "score")
    assert (Other().score(), Mixin.score(Other(), 2), patch.seen) == (1, 3, [])
    slot = vars(Mixin)["score"]
    assert (Ours().score(), Mixin.score(Ours(), 2), slot(Ours(), 3), slot(Other(), bonus=4)) == (1, 3, 4, 5)
    assert [one.rpartition(".")[2] for one in patch.seen] == ["score"] * 3


def test_where_nothing_is_recorded_the_original_method_is_bound(frame: Any, patch: Patches) -> None:
    """Nearly free: a search's thousands of fits cost no binding of ours; what is found on a class stays one object."""
    patch.subclasses("frame:Base", "fit")
    model, original = frame.Child(), vars(frame.Base)["fit"].__wrapped__
    sealed = Scope(None, records=False, records_nested=False)
    token = current.set(sealed)
    try:
        found = model.fit
        assert (type(found), found.__func__, found.__self__) == (types.MethodType, original, model)
        assert found() == ("fitted", "Child", 1)
        assert frame.Base.fit is frame.Base.fit
    finally:
        current.reset(token)
    assert patch.seen == []
    model.fit()
    assert patch.seen == ["Base.fit"]


def test_an_object_that_only_claims_to_be_a_module_is_left_alone(
    frame: Any, patch: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removable: a cffi library stands in `sys.modules` and claims to be a module; it has no `__dict__` of one."""

    class Lib:
        __class__ = types.ModuleType  # type: ignore[assignment]

    monkeypatch.setitem(sys.modules, "lib_of_cffi", Lib())
    patch("frame:train")
    user = types.ModuleType("user")
    monkeypatch.setitem(sys.modules, "user", user)
    user.train = frame.train  # type: ignore[attr-defined]
    installation = patch.installed[-1]
    installation.remove()
    sweep_modules({installation.switch})
    assert user.train is frame.train
