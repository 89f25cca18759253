"""The promise of design and reader: who may import whom. Read from the source, imports for type checkers included.

1. The layers of `LAYERS`: every import points down.
2. No circles, in `autolog` and in each integration.
3. Nothing in `autolog/` imports a framework or a backend.
4. Integrations import public names of autolog; their framework only inside functions; never each other.
"""

from __future__ import annotations

import ast
import builtins
import os
import re
import subprocess
import symtable
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

FRAMEWORKS = frozenset(
    """sklearn xgboost lightgbm catboost torch lightning pytorch_lightning keras tensorflow tf_keras jax flax pyspark
    transformers spacy statsmodels fastai skops joblib""".split()
)
BACKENDS = frozenset(
    "mlflow wandb tensorboard tensorboardX comet_ml clearml neptune dvclive aim requests httpx".split()
)
DATA = frozenset("numpy pandas scipy polars pyarrow".split())
PAGE_DEPENDENCIES = frozenset("fastapi nicegui pydantic starlette uvicorn".split())
"""Of the extra `ui`."""
OWN_DEPENDENCIES = frozenset("wrapt msgspec packaging platformdirs typer rich tomli cloudpickle".split())


class Import(NamedTuple):
    """One import: the module it stands in and the module it names; `top`: not inside a function."""

    by: str
    line: int
    name: str
    top: bool
    typing: bool

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.by} (line {self.line}) imports {self.name}"


def modules(folder: str) -> dict[str, Path]:
    """The modules of a folder by dotted name."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
        found[name.removesuffix(".__init__").removesuffix("__init__")] = path
    return found


AUTOLOG = {f"autolog.{name}".rstrip("."): path for name, path in modules("autolog").items()}
INTEGRATIONS = modules("integrations")


def imports(name: str, path: Path) -> Iterator[Import]:
    """Everything a module imports, anywhere in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def visit(node: ast.AST, top: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inner_top = top and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            names: list[str] = []
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    base = ".".join(
                        [
                            *package.split(".")[: len(package.split(".")) - child.level + 1],
                            *filter(None, [base]),
                        ]
                    )
                for alias in child.names:
                    whole = f"{base}.{alias.name}"
                    names.append(whole if whole in AUTOLOG or whole in INTEGRATIONS else base)
            for one in dict.fromkeys(names):
                yield Import(name, child.lineno, one, top, typing)
            checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from visit(child, inner_top, typing or checking)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), True, False)


ALL = [one for name, path in {**AUTOLOG, **INTEGRATIONS}.items() for one in imports(name, path)]


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def part_of(name: str) -> str:
    """`instrument`, `tracking`, …; a module at the top by its own name."""
    return name.split(".")[1] if "." in name else ""


# -- what each part of autolog may import of the others

LAYERS = [
    "version lazily userkey",
    "instrument",
    "registry",
    "tracking",
    "models",
    "store",
    "config",
    "sinks",
    "output",  # where events go: the journal, and from there the sinks
    "manager",  # which integrations are on
    "recording",  # what a run is while it is made
    "client",  # ties these together
    "process",  # the one client of this process
    "carried",  # work that has come from another process
    "overview api",
    "integration",
    "testing",
    "page",  # what `autolog ui` serves
    "notebook",  # the page in a notebook
    "cli",
    "__main__",
]
"""From below: a module imports what is below its own layer, and what is in it. `autolog` itself names what users need."""
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts.split()}
INNER = [
    one for one in ALL if one.by in AUTOLOG and one.name in AUTOLOG and "autolog" not in (one.by, one.name)
]


def test_a_module_imports_only_lower_layers() -> None:
    """Imports inside functions and for type checkers count too."""
    assert {part_of(name) for name in AUTOLOG} - {""} == set(HEIGHT)
    assert [str(one) for one in INNER if HEIGHT[part_of(one.name)] > HEIGHT[part_of(one.by)]] == []


def test_only_the_top_layer_imports_the_public_names() -> None:
    """`autolog` itself names everything: who imports it is above all."""
    users = {one.by for one in ALL if one.by in AUTOLOG and one.name == "autolog" and one.by != "autolog"}
    assert {part_of(name) for name in users} <= {"cli", "testing"}


CORE_LINES = 5_710
"""Of `instrument`, `recording`, and the run with its events: what one reads to know how a training is recorded. It only
falls."""


def test_the_core_is_short_enough_to_be_read() -> None:
    parts = [path for name, path in AUTOLOG.items() if part_of(name) in ("instrument", "recording")]
    parts += [AUTOLOG[f"autolog.tracking.{name}"] for name in ("run", "events", "ids")]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in parts) <= CORE_LINES


@pytest.mark.parametrize("folder", ["autolog", *sorted({name.partition(".")[0] for name in INTEGRATIONS})])
def test_there_are_no_import_circles(folder: str) -> None:
    """Imports inside functions and for type checkers count too."""
    graph: dict[str, set[str]] = {}
    for one in ALL:
        if within(one.by, folder) and within(one.name, folder) and one.by != one.name != "autolog":
            graph.setdefault(one.by, set()).add(one.name)
    if folder == "autolog":
        graph.pop("autolog", None)
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_autolog_imports_no_framework_and_no_backend() -> None:
    assert [str(one) for one in ALL if one.by in AUTOLOG and one.package in FRAMEWORKS | BACKENDS] == []


MAY_LOOK_AT_DATA = ("autolog.models", "autolog.store.records", "autolog.cli.export", "autolog.cli.predict")


def test_autolog_needs_nothing_but_its_dependencies() -> None:
    """Arrays and tables are looked at where they are, never imported by the core; nor is anything at a module's top that is
    slow or not declared.
    """
    wrong = [
        str(one)
        for one in ALL
        if one.by in AUTOLOG
        and one.package not in sys.stdlib_module_names | OWN_DEPENDENCIES | FRAMEWORKS | BACKENDS | {"autolog", "tomllib"}
        and not (one.package in DATA and within(one.by, *MAY_LOOK_AT_DATA) and _not_at_once(one))
        and not (one.package in PAGE_DEPENDENCIES and within(one.by, *THE_PAGE))
    ]  # fmt: skip
    assert wrong == []


THE_PAGE = tuple(f"autolog.page.{name}" for name in ("api", "app", "live", "serve", "shell"))


def test_only_the_command_imports_the_page() -> None:
    """And only inside a function: its server takes a second to import, and may not be installed."""
    users = [one for one in INNER if within(one.name, "autolog.page") and not within(one.by, "autolog.page")]
    assert {(one.by, one.top) for one in users} <= {("autolog.cli.ui", False), ("autolog.notebook", False)}


def _not_at_once(one: Import) -> bool:
    return one.typing or not one.top


def test_only_the_command_line_loads_its_libraries() -> None:
    """typer and rich take longer to import than all the rest."""
    wrong = [
        str(one) for one in ALL if one.package in ("typer", "rich") and not within(one.by, "autolog.cli")
    ]
    assert wrong == []


def test_wrapt_is_loaded_in_one_place() -> None:
    assert {one.by for one in ALL if one.package == "wrapt"} == {"autolog.instrument.wrapper"}


# -- integrations


def test_integrations_import_only_public_names_of_autolog_and_their_own_modules() -> None:
    """Never each other."""
    public = {module: set(_public_names(module)) for module in ("autolog.integration", "autolog.sinks")}
    wrong: list[str] = []
    for name, path in INTEGRATIONS.items():
        own = name.partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "autolog":
                known = public.get(str(node.module), set())
                wrong += [f"{name} imports {alias.name}" for alias in node.names if alias.name not in known]
            if isinstance(node, ast.Import):
                wrong += [
                    f"{name} imports {one.name}" for one in node.names if one.name.startswith("autolog.")
                ]
        wrong += [
            str(one) for one in imports(name, path)
            if one.package.startswith("autolog_") and one.package != own
        ]  # fmt: skip
    assert wrong == []


def _public_names(module: str) -> list[str]:
    tree = ast.parse(AUTOLOG[module].read_text(encoding="utf-8"))
    [names] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    return list(names)


def test_integrations_import_their_framework_inside_functions() -> None:
    """And at the top of a module nothing that the framework may have brought along, but arrays and tables."""
    wrong = [
        str(one)
        for one in ALL
        if one.by in INTEGRATIONS and one.top and not one.typing
        and one.package not in sys.stdlib_module_names | DATA | {"autolog", "msgspec", one.by.partition(".")[0]}
    ]  # fmt: skip
    assert wrong == []


SINKS = {"autolog_mlflow", "autolog_tensorboard", "autolog_wandb"}


@pytest.mark.parametrize("name", sorted({name.partition(".")[0] for name in INTEGRATIONS} - SINKS))
def test_an_integration_says_what_it_supports_where_its_framework_is_not_installed(name: str) -> None:
    """`autolog status` asks all of them."""
    code = f"""
import sys

for absent in {sorted(FRAMEWORKS | DATA)}:
    sys.modules[absent] = None
import inspect, {name}

from autolog.integration import Integration

classes = [one for one in vars({name}).values() if inspect.isclass(one) and issubclass(one, Integration)]
print([one.supports for one in classes if one is not Integration])
"""
    path = os.pathsep.join([str(ROOT), str(ROOT / "integrations"), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.stderr == ""
    [supported] = ast.literal_eval(done.stdout)
    assert re.match(r"[\w.-]+[<>=~!]", supported)


# -- state

# The one client and its lock, and what its settings call secret; ContextVars; caches of what cannot change. Each name says
# what it holds.
STATE = {
    ("autolog.process", "_client"), ("autolog.process", "_lock"), ("autolog.process", "_registered"),
    ("autolog.store.journal", "_decoder"), ("autolog.tracking.redact.names", "_own"),
}  # fmt: skip


def test_only_the_client_is_global_state() -> None:
    found = {
        (name, word)
        for name, path in {**AUTOLOG, **INTEGRATIONS}.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Global)
        for word in node.names
    }
    assert found <= STATE


def test_finalizers_use_no_module_globals() -> None:
    """While Python ends, a module's globals may be None: a callback of a weak reference, a finalizer or a `__del__` that used
    one would print a traceback. It binds what it needs, as a closure or a default.
    """
    uses = {
        f"{name}:{function}": names
        for folder in ("", "integrations")
        for name, path in modules(folder or ".").items()
        if name.partition(".")[0].startswith("autolog")
        for function, names in called_as_objects_die(path).items()
    }
    assert len(uses) >= 5
    assert {where: names for where, names in uses.items() if names} == {}


def called_as_objects_die(path: Path) -> dict[str, list[str]]:
    """The functions of a module that Python calls when an object dies, and the module globals that each of them uses."""
    source = path.read_text()
    names = {"__del__"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and len(node.args) > 1:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("ref", "finalize", "Held", "proxy"):
                assert isinstance(node.args[1], (ast.Name, ast.Attribute)), ast.unparse(node)
                names.add(ast.unparse(node.args[1]))
    found: dict[str, list[str]] = {}
    waiting = [symtable.symtable(source, str(path), "exec")]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        if isinstance(table, symtable.Function) and table.get_name() in names:
            found[table.get_name()] = [one for one in table.get_globals() if not hasattr(builtins, one)]
    return found


def test_the_rules_apply_to_existing_folders() -> None:
    """A folder that has moved would make them hold of nothing."""
    assert len(AUTOLOG) > 40
    assert "autolog_sklearn" in INTEGRATIONS
    assert len(ALL) > 300
