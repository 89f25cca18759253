"""The matrix as cells: versions of frameworks, a Python, other requirements, and tests.

matrix.toml declares everything, and this module only derives from it. It does not know tox, results or the table.
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
"""`-m ""` includes the slow tests."""


class MatrixError(ValueError):
    """The matrix is invalid. The message says where."""


@dataclass(frozen=True)
class Cell:
    """One environment in which the tests of its frameworks must pass."""

    name: str
    frameworks: dict[str, str]
    """Each framework with its version; with `pre`, an empty text for the newest."""
    python: str
    requires: tuple[str, ...]
    without_dependencies: tuple[str, ...]
    """Installed last and without dependencies, which would be too many."""
    tests: tuple[str, ...]
    """Paths below tests/."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables in addition to those of every cell."""
    bare: bool = False
    """Without optional requirements."""
    pre: bool = False
    """With pre-releases. The cell may fail."""
    smoke: bool = False
    """One of the few cells to run when time is short."""
    known: str = ""
    """The reason of a known failure."""

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
        """Return the Pythons on which this version can be installed."""
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
        if bare:  # a pin must not install an optional requirement
            optional = {Requirement(one).name for one in self.optional}
            pinned = [one for one in pinned if Requirement(one).name not in optional]
        return [*own, *companions, *pinned]

    def declared_missing(self, version: str) -> set[str]:
        """Return the patch points that this version does not have, according to the matrix."""
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
        MatrixError: for an unknown key or an impossible combination.
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
            raise MatrixError(f"frameworks.{name}: sort the versions, oldest first")
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
                raise MatrixError(f"cells.{name}: unknown framework {framework!r}")
            one = frameworks[framework]
            allowed = [v for v in one.versions if held["python"] in one.pythons(v, pythons)]
            if not version and not allowed:
                raise MatrixError(f"cells.{name}: no version of {framework} allows Python {held['python']}")
            parts.append((one, version or allowed[-1]))
        cells.append(_cell(name, parts, held["python"], common, held))
    return Matrix(pythons, frameworks, tuple(_with_reason(cell, known) for cell in cells))


def load() -> tuple[Cell, ...]:
    return matrix().cells


def interpreter(python: str) -> str | None:
    """Return the path of this Python version on this machine, or None."""
    found = shutil.which(f"python{python}")
    if found and "shims" not in found:
        return found
    held = sorted(Path.home().glob(f".pyenv/versions/{python}.*/bin/python{python}"))
    return str(held[-1]) if held else None


def _regular(one: Framework, pythons: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return pairs of version and Python: the oldest version on its oldest Python, the newest on every Python, and each version
    between on the middle one of its Pythons.
    """
    found: list[tuple[str, str]] = []
    for version in one.versions:
        allowed = one.pythons(version, pythons)
        if not allowed:
            raise MatrixError(f"frameworks.{one.name}: no Python is allowed for {version}")
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
            raise MatrixError(f"{where}: unknown key {key!r}; the keys are {', '.join(sorted(keys))}")
