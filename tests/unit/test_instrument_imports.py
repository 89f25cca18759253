"""The promise: a callback runs once a module is complete, whoever imports it and however; imports stay as they were."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import in_threads

from autolog.instrument.imports import ImportHooks


class Hooks(ImportHooks):
    """Notes what it is told of failures."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, str]] = []
        super().__init__(lambda name, error: self.errors.append((name, repr(error))))
        self.fired: list[str] = []
        self.pairs: list[tuple[str, Any]] = []

    def watch(self, name: str, see: Any = lambda module: module.__name__) -> None:
        """Note what `see` says of the module each time it is reported."""

        def callback(module: ModuleType) -> None:
            self.fired.append(see(module))

        self.pairs.append((name, callback))
        self.when_imported(name, callback)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to import from; what is imported from it is forgotten."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def hooks(site: Path) -> Iterator[Hooks]:
    before, path = set(sys.modules), list(sys.meta_path)
    made = Hooks()
    yield made
    for name, callback in made.pairs:
        made.forget(name, callback)
    assert sys.meta_path == path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(site: Path, **sources: str) -> None:
    """Modules by name; `a__b` is the module b of the package a."""
    for name, source in sources.items():
        path = site.joinpath(*name.split("__"))
        path = path / "__init__.py" if source.startswith("#package") else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    importlib.invalidate_caches()


# -- when it fires


def test_an_imported_module_is_reported_at_once(hooks: Hooks) -> None:
    hooks.watch("json", lambda module: module is json)
    assert hooks.fired == [True]


def test_a_module_is_reported_once_when_its_import_is_complete(hooks: Hooks, site: Path) -> None:
    write(site, later="x = 1\ny = 2\n")
    hooks.watch("later", lambda module: (module.__name__, module.y))
    assert hooks.fired == []
    import later  # noqa: F401

    importlib.import_module("later")
    assert hooks.fired == [("later", 2)]


def test_each_of_two_that_wait_for_a_module_is_told_once(hooks: Hooks, site: Path) -> None:
    """As a client and a second one that a test opens: neither asks the other for ever."""
    write(site, shared="x = 1\n")
    second, told = ImportHooks(lambda module, error: None), []
    hooks.watch("shared", lambda module: module.x)
    second.when_imported("shared", lambda module: told.append(module.x))
    try:
        import shared  # noqa: F401
    finally:
        second.forget("shared", second._callbacks["shared"][0])
    assert (hooks.fired, told) == ([1], [1])


def test_a_package_is_reported_when_its_init_has_finished(hooks: Hooks, site: Path) -> None:
    write(
        site,
        pack="#package\nimport pack.part\ndone = True\n",
        pack__part="import pack\nseen = hasattr(pack, 'done')\n",
    )
    hooks.watch("pack", lambda module: ("pack", module.done, module.part.seen))
    hooks.watch("pack.part")
    import pack  # noqa: F401

    assert hooks.fired == ["pack.part", ("pack", True, False)]


@pytest.mark.parametrize("how", ["settle", "next import"])
def test_a_half_imported_module_is_reported_once_when_it_has_finished(
    hooks: Hooks, site: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """`autolog()` called by a module that the framework itself imports: it sees nothing half-made. The next import reports it,
    too, if nobody asks.
    """
    write(site, half="import asking\ncomplete = True\n", asking="import sys\nsys.ask()\n", another="")
    watch = lambda: hooks.watch("half", lambda module: module.complete)
    monkeypatch.setattr(sys, "ask", watch, raising=False)
    import half  # noqa: F401

    assert hooks.fired == []
    if how == "settle":
        hooks.settle()
        assert hooks.fired == [True]
        hooks.settle()
    import another  # noqa: F401

    assert hooks.fired == [True]


def test_a_reload_reports_the_module_again(hooks: Hooks, site: Path) -> None:
    write(site, again="def f(): pass\n")
    hooks.watch("again", lambda module: id(module.f))
    import again

    importlib.reload(again)
    importlib.reload(again)
    assert len(hooks.fired) == 3
    assert hooks.fired[-1] == id(again.f)


def test_a_module_that_was_removed_and_imported_anew_is_reported_again(hooks: Hooks, site: Path) -> None:
    write(site, anew="")
    hooks.watch("anew", id)
    first = importlib.import_module("anew")
    del sys.modules["anew"]
    second = importlib.import_module("anew")
    assert hooks.fired == [id(first), id(second)]


def test_a_module_that_replaces_itself_is_reported_as_what_it_became(hooks: Hooks, site: Path) -> None:
    """As lazy packages and singletons do."""
    write(site, turns="import sys, types\nsys.modules[__name__] = types.SimpleNamespace(name='other')\n")
    hooks.watch("turns", lambda module: module.name)
    import turns

    assert (hooks.fired, turns.name) == (["other"], "other")


def test_a_module_that_removes_itself_is_not_reported(hooks: Hooks, site: Path) -> None:
    write(site, gone="import sys\ndel sys.modules[__name__]\n")
    hooks.watch("gone")
    with pytest.raises((ImportError, KeyError), match="gone"):
        import gone  # noqa: F401
    assert (hooks.fired, hooks.errors) == ([], [])


def test_a_failed_import_raises_the_same_error_and_may_be_retried(hooks: Hooks, site: Path) -> None:
    write(site, fails="import sys\nif not getattr(sys, 'allow', False):\n    raise OSError('not yet')\n")
    hooks.watch("fails")
    with pytest.raises(OSError, match="not yet") as error:
        import fails
    assert (error.value.__context__, error.value.__cause__) == (None, None)
    assert "fails" not in sys.modules
    assert hooks.fired == []
    sys.allow = True  # type: ignore[attr-defined]
    try:
        import fails  # noqa: F401
    finally:
        del sys.allow  # type: ignore[attr-defined]
    assert hooks.fired == ["fails"]


def test_find_spec_imports_and_reports_nothing(hooks: Hooks, site: Path) -> None:
    write(site, asked="")
    hooks.watch("asked")
    for _ in range(3):
        spec = importlib.util.find_spec("asked")
    assert spec is not None
    assert (hooks.fired, "asked" in sys.modules) == ([], False)
    import asked

    assert hooks.fired == ["asked"]
    assert importlib.util.find_spec("asked") is asked.__spec__


def test_a_module_made_from_a_spec_by_hand_is_reported(hooks: Hooks, site: Path) -> None:
    """As test runners and notebooks do."""
    write(site, hand="value = 3\n")
    hooks.watch("hand", lambda module: module.value)
    spec = importlib.util.find_spec("hand")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert hooks.fired == []  # nobody can find it
    sys.modules["hand"] = module
    spec = importlib.util.find_spec("hand")
    importlib.reload(module)
    assert hooks.fired == [3]


# -- whatever brings the module


def lazily(name: str) -> ModuleType:
    """The recipe of importlib's documentation."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    spec.loader = loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


LOADED = "import sys\nsys.loaded = True\nvalue = 3\n"


@pytest.fixture
def loaded() -> Iterator[Any]:
    """Whether the lazy module has been executed."""
    yield lambda: hasattr(sys, "loaded")
    vars(sys).pop("loaded", None)


@pytest.mark.parametrize("first", ["lazily imported", "watched"])
def test_a_lazy_module_is_reported_when_it_is_first_used_and_not_loaded_by_us(
    hooks: Hooks, site: Path, loaded: Any, first: str
) -> None:
    write(site, lazy=LOADED, another="")
    module = lazily("lazy") if first == "lazily imported" else None
    hooks.watch("lazy", lambda module: module.value)
    module = module or lazily("lazy")
    importlib.import_module("another")
    hooks.settle()
    assert (hooks.fired, loaded()) == ([], False)
    assert module.value == 3
    assert hooks.fired == [3]


def test_each_module_of_a_zip_file_is_reported(hooks: Hooks, site: Path) -> None:
    """They share one loader, on which nothing is left."""
    archive = site / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("zipped_a", "zipped_b", "zipped_c"):
            file.writestr(f"{name}.py", "import zipped_b\n" if name == "zipped_a" else "value = 1\n")
    sys.path.insert(0, str(archive))
    importlib.invalidate_caches()
    try:
        hooks.watch("zipped_a")
        hooks.watch("zipped_b")
        importlib.util.find_spec("zipped_a")
        importlib.util.find_spec("zipped_a")
        import zipped_c

        assert hooks.fired == []
        import zipped_b  # noqa: F401

        assert hooks.fired == ["zipped_b"]
        import zipped_a  # noqa: F401

        hooks.settle()
        assert hooks.fired == ["zipped_b", "zipped_a"]
        assert "exec_module" not in vars(zipped_c.__loader__)
    finally:
        sys.path.remove(str(archive))


def test_a_namespace_package_is_reported(hooks: Hooks, site: Path) -> None:
    """It has no code: it is noticed at the next import."""
    write(site, space__inner="", another="")
    hooks.watch("space")
    hooks.watch("space.inner")
    import space.inner

    assert "space.inner" in hooks.fired
    importlib.import_module("another")
    assert sorted(hooks.fired) == ["space", "space.inner"]
    assert space.__file__ is None


@pytest.mark.parametrize("name", ["_queue", "_opcode", "binascii", "_bisect"])
def test_built_in_and_extension_modules_are_reported(hooks: Hooks, site: Path, name: str) -> None:
    """Their loaders are classes, or execute no Python code."""
    write(site, another="")
    before = sys.modules.pop(name, None)
    try:
        hooks.watch(name)
        importlib.import_module(name)
        importlib.import_module("another")
        assert hooks.fired == [name]
    finally:
        if before is not None:
            sys.modules[name] = before


def test_finders_of_others_are_asked_and_their_old_ways_respected(hooks: Hooks) -> None:
    """A finder without `find_spec`; a loader that cannot be written to."""

    class Frozen:
        __slots__ = ()

        def create_module(self, spec: Any) -> None:
            return None

        def exec_module(self, module: ModuleType) -> None:
            module.value = 5  # type: ignore[attr-defined]

    class Finder:
        def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
            return importlib.util.spec_from_loader(name, Frozen()) if name == "slotted" else None  # type: ignore[arg-type]

    finders = [object(), Finder()]
    sys.meta_path[:0] = finders  # type: ignore[arg-type]
    try:
        hooks.watch("slotted", lambda module: module.value)
        importlib.import_module("slotted")
        hooks.settle()
        assert hooks.fired == [5]
    finally:
        for finder in finders:
            sys.meta_path.remove(finder)  # type: ignore[arg-type]


def test_a_missing_module_raises_the_usual_error(hooks: Hooks) -> None:
    hooks.watch("no_such_module_here")
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_module_here'") as error:
        importlib.import_module("no_such_module_here")
    assert (error.value.name, error.value.__context__) == ("no_such_module_here", None)


# -- transparency


def test_a_modules_spec_and_loader_are_as_without_autolog(hooks: Hooks, site: Path) -> None:
    write(site, same="def f(): return 1\n")
    plain = importlib.import_module("same")
    spec, loader = plain.__spec__, plain.__loader__
    assert spec is not None
    del sys.modules["same"]
    hooks.watch("same")
    module = importlib.import_module("same")
    assert module.__spec__ is not None
    assert (module.__spec__.origin, module.__spec__.cached, type(module.__loader__)) == (
        spec.origin,
        spec.cached,
        type(loader),
    )
    assert module.__spec__.loader is module.__loader__
    assert vars(module.__loader__) == vars(loader)
    assert set(vars(module)) == set(vars(plain))
    assert importlib.resources.files  # type: ignore[attr-defined]


def test_the_import_hook_is_removed_with_the_last_callback(hooks: Hooks) -> None:
    def callback(module: ModuleType) -> None:
        pass

    before = list(sys.meta_path)
    hooks.forget("x", callback)
    hooks.when_imported("x", callback)
    hooks.when_imported("y", callback)
    assert sys.meta_path == [hooks, *before]
    hooks.forget("x", callback)
    hooks.forget("x", callback)
    assert sys.meta_path == [hooks, *before]
    hooks.forget("y", callback)
    assert sys.meta_path == before


def test_a_forgotten_callback_is_not_called(hooks: Hooks, site: Path) -> None:
    write(site, forgotten="import sys\nsys.forget()\n")
    hooks.watch("forgotten")
    sys.forget = lambda: hooks.forget(*hooks.pairs[0])  # type: ignore[attr-defined]
    try:
        importlib.import_module("forgotten")
    finally:
        del sys.forget  # type: ignore[attr-defined]
    assert hooks.fired == []


# -- failures


def test_an_error_in_a_callback_breaks_neither_the_import_nor_other_callbacks(
    hooks: Hooks, site: Path
) -> None:
    write(site, trouble="value = 1\n")

    def fails(module: ModuleType) -> None:
        raise ZeroDivisionError

    for callback in (fails, fails):
        hooks.pairs.append(("trouble", callback))
        hooks.when_imported("trouble", callback)
    hooks.watch("trouble")
    assert importlib.import_module("trouble").value == 1
    assert hooks.errors == [("trouble", "ZeroDivisionError()")] * 2
    assert hooks.fired == ["trouble"]
    hooks.pairs.append(("json", fails))
    hooks.when_imported("json", fails)
    assert hooks.errors[2:] == [("json", "ZeroDivisionError()")]


def test_ctrl_c_in_a_callback_reaches_the_user(hooks: Hooks, site: Path) -> None:
    write(site, stopped="")

    def stop(module: ModuleType) -> None:
        raise KeyboardInterrupt

    hooks.pairs.append(("stopped", stop))
    hooks.when_imported("stopped", stop)
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("stopped")


def test_a_callback_may_import_and_watch(hooks: Hooks, site: Path) -> None:
    write(site, first="#package\nvalue = 1\n", first__part="", second="")

    def callback(module: ModuleType) -> None:
        import first
        import second  # noqa: F401

        hooks.fired.append(("inner", first is module))
        hooks.watch("first")
        hooks.watch("first.part")
        importlib.import_module("first.part")

    hooks.watch("second")
    hooks.pairs.append(("first", callback))
    hooks.when_imported("first", callback)
    importlib.import_module("first")
    assert hooks.fired == ["second", ("inner", True), "first", "first.part"]
    assert hooks.errors == []


# -- threads


def test_threads_that_import_the_same_module_see_it_reported_once(hooks: Hooks, site: Path) -> None:
    """And none of them hangs, nor sees it before the callback has run."""
    write(site, shared="import time\ntime.sleep(0.02)\nvalue = 1\n")
    hooks.watch("shared", lambda module: setattr(module, "patched", True))
    seen: list[Any] = []
    ready = threading.Barrier(8)

    def work() -> None:
        ready.wait()
        import shared

        seen.append(shared.patched)

    in_threads(*[work] * 8)
    assert seen == [True] * 8
    assert len(hooks.fired) == 1


def test_two_threads_whose_modules_import_each_other_do_not_hang(hooks: Hooks, site: Path) -> None:
    """No lock of ours is held while a module loads."""
    write(
        site,
        left="import time\ntime.sleep(0.02)\nimport right\nvalue = 1\n",
        right="import time\ntime.sleep(0.02)\nimport left\nvalue = 2\n",
    )
    hooks.watch("left")
    hooks.watch("right")
    in_threads(*(partial(importlib.import_module, name) for name in ("left", "right")))
    hooks.settle()
    assert sorted(hooks.fired) == ["left", "right"]


def test_threads_that_import_from_one_zip_file_see_each_module_reported(hooks: Hooks, site: Path) -> None:
    archive = site / "many.zip"
    names = [f"many_{number}" for number in range(20)]
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(f"{name}.py", "import time\ntime.sleep(0.001)\n")
    sys.path.insert(0, str(archive))
    importlib.invalidate_caches()
    try:
        for name in names:
            hooks.watch(name)
        in_threads(*(partial(importlib.import_module, name) for name in names))
        hooks.settle()
        assert sorted(hooks.fired) == sorted(names)
        assert "exec_module" not in vars(sys.modules[names[0]].__loader__)
    finally:
        sys.path.remove(str(archive))


def test_a_package_run_as_a_script_is_not_disturbed(site: Path) -> None:
    """`python -m package`, watched by itself."""
    write(site, runs="#package\n")
    (site / "runs" / "__main__.py").write_text(
        textwrap.dedent("""
            from autolog.instrument.imports import ImportHooks
            import runs

            hooks = ImportHooks(lambda name, error: print("error", name, error))
            hooks.when_imported("runs", lambda module: print("reported", module.__name__))
            hooks.when_imported("__main__", lambda module: print("reported", module.__name__))
            print(__name__, __spec__.name)
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "runs"], cwd=site, capture_output=True, text=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["reported runs", "reported __main__", "__main__ runs.__main__"]
