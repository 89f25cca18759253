"""Shows that a framework is unchanged: compares every attribute of its modules and classes by identity."""

from __future__ import annotations

import gc
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any, cast

_ABSENT: Any = object()
_class_namespace: Any = type.__dict__["__dict__"].__get__

# Attributes that Python itself writes to classes and modules when they are used.
_CACHES = frozenset((
    "__abstractmethods__", "_abc_impl", "__annotations__", "__annotations_cache__", "__warningregistry__", "__builtins__",
    "__firstlineno__", "__slotnames__", "__static_attributes__", "__path__",
))  # fmt: skip


def attributes(*packages: str) -> dict[tuple[Any, str], Any]:
    """Return all attributes of these packages' modules and classes: (module or class, attribute) -> the unbound object."""
    found: dict[tuple[Any, str], Any] = {}
    for owner in _owners(packages):
        for name, value in list(_namespace(owner).items()):
            if name not in _CACHES:
                found[owner, name] = value
    return found


@contextmanager
def assert_untouched(*packages: str, apart_from: tuple[str, ...] = ()) -> Generator[None, None, None]:
    """Assert that the modules and classes of these packages hold the same objects after the block as before, except for the
    attributes in `apart_from`.

    Also assert that no module, including those that the block imported, holds a wrapper of autolog. Raises AssertionError that
    names what was changed.
    """
    hooks = list(sys.meta_path)
    before = attributes(*packages)
    thread_start = vars(threading.Thread)["start"]
    yield
    after = attributes(*packages)
    touched = [_name(*key) for key, held in before.items() if after.get(key, _ABSENT) is not held]
    touched = [name for name in touched if name not in apart_from]
    gained = [
        _name(owner, name) for owner, name in after if (owner, name) not in before and isinstance(owner, type)
        and any(other is owner for other, _ in before)
    ]  # fmt: skip
    assert not touched, f"not put back: {_listed(touched)}"
    assert not gained, f"left behind: {_listed(gained)}"
    assert vars(threading.Thread)["start"] is thread_start, "not put back: threading.Thread.start"
    assert not wrappers(), f"still wrapped: {_listed(wrappers())}"
    assert sys.meta_path == hooks, f"left on sys.meta_path: {[h for h in sys.meta_path if h not in hooks]}"


def filter_changes(action: Callable[[], object]) -> int:
    """Return how often `action` makes Python forget which warnings it has shown. Entering and leaving `warnings.catch_warnings`
    does, and each change of the filters.
    """
    return _filters_version(action) - _filters_version(lambda: None)


def _filters_version(action: Callable[[], object]) -> int:
    """Return how far `action` moves the filters' version, which Python stores in the registry of a warning's module."""
    seen: dict[Any, Any] = {}  # such a registry
    versions: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in (lambda: None, action):
            step()
            warnings.warn_explicit("asks for the version", UserWarning, "nowhere", 1, registry=seen)
            versions.append(seen["version"])
    return versions[1] - versions[0]


def wrappers() -> list[str]:
    """Return the places of autolog's wrappers in all modules and classes that can be reached from `sys.modules`."""
    if not (found := _wrappers()):
        return found
    gc.collect()  # do not count classes that nothing refers to
    return _wrappers()


def _wrappers() -> list[str]:
    module = sys.modules.get("autolog.instrument.wrapper")
    wrapped = () if module is None else (module.Wrapper, module.BoundWrapper)
    kinds = {FunctionType, classmethod, *wrapped}
    # There are a few dozen wrappers and some 400,000 attributes: compare the attributes only by identity.
    ours = [
        one
        for one in gc.get_objects()
        if type(one) in kinds and (type(one) in wrapped or _is_our_hook(one) or is_fast(one))
    ]
    ids = {id(one) for one in ours}
    return [
        _name(owner, name)
        for owner in _owners(None)
        if not ids.isdisjoint(map(id, list(_namespace(owner).values())))
        for name, held in list(_namespace(owner).items())
        if id(held) in ids
    ]


def is_fast(held: Any) -> bool:
    """Return whether this is the plain function of a fast patch."""
    fast = sys.modules.get("autolog.instrument.fast")
    if fast is None or type(held) is not FunctionType or held.__globals__ is not vars(fast):
        return False
    own = held.__dict__.get("_autolog_own")
    return own is not None and own.function() is held


def _is_our_hook(held: Any) -> bool:
    return type(held) is classmethod and hasattr(cast(Any, held).__func__, "autolog_switch")


def _owners(packages: tuple[str, ...] | None) -> Iterator[Any]:
    """Yield the modules of these packages and the classes that they define; those of all packages if None."""
    metaclasses = _metaclasses()

    def classes(namespace: Any) -> list[Any]:
        return [value for value in list(namespace.values()) if type(value) in metaclasses]

    seen: set[int] = set()
    for name, module in sys.modules.copy().items():
        if not issubclass(type(cast(Any, module)), ModuleType) or not _within(name, packages):
            continue
        yield module
        waiting = classes(_namespace(module))
        while waiting:
            cls = waiting.pop()
            if id(cls) in seen:
                continue
            # Read by `type` itself: a metaclass may run any code on attribute access.
            held = _class_namespace(cls)
            if not _within(str(held.get("__module__", "")), packages):
                continue
            seen.add(id(cls))
            yield cls
            waiting += classes(held)
            waiting += type.__subclasses__(cls)


def _metaclasses() -> set[Any]:
    """Return `type` and all its subclasses."""
    found: set[Any] = {type}
    waiting: list[Any] = [type]
    while waiting:
        derived = set(type.__subclasses__(waiting.pop())) - found
        found |= derived
        waiting += derived
    return found


def _within(module: str, packages: tuple[str, ...] | None) -> bool:
    return packages is None or module.partition(".")[0] in packages


def _namespace(owner: Any) -> Any:
    # Ordinary attribute access makes a lazy module load itself.
    if issubclass(type(owner), type):
        return _class_namespace(owner)
    return ModuleType.__getattribute__(owner, "__dict__")


def _name(owner: Any, name: str) -> str:
    return (
        f"{owner.__module__}:{owner.__qualname__}.{name}"
        if isinstance(owner, type)
        else f"{owner.__name__}:{name}"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
