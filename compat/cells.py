"""The matrix as cells: which frameworks in which versions, on which Python, with what beside them, and which tests.

Everything is declared in matrix.toml; here is only what follows from it. Knows nothing of tox, of results, of the table.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = HERE.parent
MATRIX = HERE / "matrix.toml"
NEWEST = "newest"
ENVIRONMENT = {"AUTOLOG_SILENT": "1", "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
PYTEST = ("-p", "no:cacheprovider", "--tb=short", "-m", "")
"""The slow tests too."""


class MatrixError(ValueError):
    """The matrix says something that cannot be; the message says where."""


@dataclass(frozen=True)
class Cell:
    """One environment in which the tests of its frameworks must pass."""

    name: str
    frameworks: dict[str, str]
    """Each with the version that is wanted; empty with `pre`: whatever is newest."""
    python: str
    requires: tuple[str, ...]
    without_dependencies: tuple[str, ...]
    """Installed after the others, alone: those that bring too much with them."""
    tests: tuple[str, ...]
    """Below tests/."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables, beside those that every cell has."""
    bare: bool = False
    """Without what is optional."""
    pre: bool = False
    """With pre-releases: may fail."""
    smoke: bool = False
    """One of the few that stand for all where there is little time."""
    known: str = ""
    """Why it fails, if it is known to."""

    @property
    def title(self) -> str:
        what = ", ".join(f"{name} {version or NEWEST}" for name, version in self.frameworks.items())
        return f"{what} on Python {self.python}{', bare' if self.bare else ''}{', with pre-releases' if self.pre else ''}"


@dataclass(frozen=True)
class Framework:
    """A framework's section of the matrix."""

    name: str
    package: str
    versions: tuple[str, ...]
    """Oldest first."""
    requires: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Other distributions of the same version that its tests use."""
    rules: tuple[dict[str, Any], ...] = ()
    missing: tuple[dict[str, Any], ...] = ()
    tests: tuple[str, ...] = field(default=())

    def rules_for(self, version: str) -> list[dict[str, Any]]:
        return [
            rule for rule in self.rules if Version(version) in SpecifierSet(rule["for"], prereleases=True)
        ]

    def pythons(self, version: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """Those that this version can be installed on."""
        allowed = SpecifierSet(
            ",".join(rule["python"] for rule in self.rules_for(version) if "python" in rule)
        )
        return tuple(python for python in known if Version(python) in allowed)

    def requirements(self, version: str, *, bare: bool, pre: bool) -> list[str]:
        rules = self.rules_for(version)
        package = next((rule["package"] for rule in rules if "package" in rule), self.package)
        own = [name if pre else f"{name}=={version}" for name in (package, *self.also)]
        companions = [*self.requires, *([] if bare else self.optional)]
        pinned = [one for rule in rules for one in rule.get("requires", ())]
        if bare:  # a pin of what is optional must not bring it in
            optional = {Requirement(one).name for one in self.optional}
            pinned = [one for one in pinned if Requirement(one).name not in optional]
        return [*own, *companions, *pinned]

    def declared_missing(self, version: str) -> set[str]:
        """The patch points that this version is known not to have."""
        held = [one for one in self.missing if Version(version) in SpecifierSet(one["for"], prereleases=True)]
        return {target for one in held for target in one["targets"]}


@dataclass(frozen=True)
class Matrix:
    pythons: tuple[str, ...]
    frameworks: dict[str, Framework]
    cells: tuple[Cell, ...]


@cache
def matrix(path: Path = MATRIX) -> Matrix:
    """Read the matrix.

    Raises:
        MatrixError: with a key that nobody knows, or with what cannot be.
    """
    declared = tomllib.loads(path.read_text())
    _only(declared, {"pythons", "requires", "frameworks", "cells", "known"}, path.name)
    pythons = tuple(declared["pythons"])
    known = declared.get("known", [])
    frameworks: dict[str, Framework] = {}
    for name, held in declared["frameworks"].items():
        _only(held, set(Framework.__dataclass_fields__) - {"name"}, f"frameworks.{name}")
        for rule in held.get("rules", ()):
            _only(rule, {"for", "python", "requires", "package"}, f"a rule of frameworks.{name}")
        values = {key: tuple(one) if isinstance(one, list) else one for key, one in held.items()}
        one = frameworks[name] = Framework(name=name, **values)
        if list(one.versions) != sorted(one.versions, key=Version):
            raise MatrixError(f"frameworks.{name}: the oldest version stands first")
    common = tuple(declared.get("requires", ()))
    cells = [
        _cell(f"{one.name}-{version}-py{python.replace('.', '')}", [(one, version)], python, common, {})
        for one in frameworks.values()
        for version, python in _regular(one, pythons)
    ]
    for name, held in declared.get("cells", {}).items():
        _only(
            held,
            {"frameworks", "python", "requires", "environment", "bare", "pre", "smoke", "tests"},
            f"cells.{name}",
        )
        parts = []
        for wanted in held["frameworks"]:
            framework, _, version = wanted.partition(" ")
            if framework not in frameworks:
                raise MatrixError(f"cells.{name}: there is no framework {framework!r}")
            one = frameworks[framework]
            allowed = [v for v in one.versions if held["python"] in one.pythons(v, pythons)]
            if not version and not allowed:
                raise MatrixError(f"cells.{name}: no version of {framework} is for Python {held['python']}")
            parts.append((one, version or allowed[-1]))
        cells.append(_cell(name, parts, held["python"], common, held))
    return Matrix(pythons, frameworks, tuple(_with_reason(cell, known) for cell in cells))


def load() -> tuple[Cell, ...]:
    return matrix().cells


def interpreter(python: str) -> str | None:
    """Where a Python of that version is on this machine."""
    found = shutil.which(f"python{python}")
    if found and "shims" not in found:
        return found
    held = sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin/python{python}"))
    return str(held[-1]) if held else None


def _regular(one: Framework, pythons: tuple[str, ...]) -> list[tuple[str, str]]:
    """The oldest version on its oldest Python, the newest on every one, each between on the newest that both sides know."""
    found: list[tuple[str, str]] = []
    for version in one.versions:
        allowed = one.pythons(version, pythons)
        if not allowed:
            raise MatrixError(f"frameworks.{one.name}: no Python is for {version}")
        if version == one.versions[-1]:
            found += [(version, python) for python in allowed]
        elif version == one.versions[0]:
            found.append((version, allowed[0]))
        else:
            found.append((version, allowed[len(allowed) // 2]))
    return found


def _cell(
    name: str, parts: list[tuple[Framework, str]], python: str, common: tuple[str, ...], more: dict[str, Any]
) -> Cell:
    bare, pre = more.get("bare", False), more.get("pre", False)
    requires = list(common)
    tests: list[str] = []
    for one, version in parts:
        requires += one.requirements(version, bare=bare, pre=pre)
        tests += one.tests or (f"integrations/{one.name}", f"contract/test_{one.name}.py")
    requires += more.get("requires", ())
    tests = more.get("tests") or tests
    alone = tuple(one for one in requires if one.startswith("xgboost=="))
    return Cell(
        name=name,
        frameworks={one.name: "" if pre else version for one, version in parts},
        python=python,
        requires=tuple(dict.fromkeys(one for one in requires if one not in alone)),
        without_dependencies=alone,
        tests=(*tests, "tools/test_patch_points.py"),
        environment=tuple(more.get("environment", {}).items()),
        bare=bare,
        pre=pre,
        smoke=more.get("smoke", False),
    )


def _with_reason(cell: Cell, known: list[dict[str, Any]]) -> Cell:
    from dataclasses import replace
    from fnmatch import fnmatch

    reason = next((one["reason"] for one in known if fnmatch(cell.name, one["cells"])), "")
    return replace(cell, known=reason) if reason else cell


def _only(held: dict[str, Any], keys: set[str], where: str) -> None:
    for key in held:
        if key not in keys:
            raise MatrixError(f"{where}: there is no key {key!r}; there are {', '.join(sorted(keys))}")
