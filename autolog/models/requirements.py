"""Turns the modules that a model needs into the files that describe an environment for it. For a background thread only: it
reads the metadata of what is installed. It starts no subprocess and imports nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from typing import Any

from autolog.models.flavors import distributions_of

PYTHON = ".".join(map(str, sys.version_info[:3]))


def pins(modules: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return `name==version` lines of the distributions that provide these top-level modules, sorted and without local version
    labels (`+cpu`: no index has those); and the modules that no distribution provides, the user's own files.
    """
    lines: set[str] = set()
    unknown: list[str] = []
    for module in sorted(set(modules) - sys.stdlib_module_names):
        found = _providers(module)
        lines.update(found)
        if not found:
            unknown.append(module)
    return sorted(lines, key=str.lower), unknown


@cache
def _providers(module: str) -> tuple[str, ...]:
    # Most distributions have their module's name. Reading one takes a fraction of a millisecond, the whole mapping hundreds.
    for name in (*distributions_of(module), module):
        guess = _pin(name)
        if guess:
            return (guess,)
    return tuple(pin for name in set(_all_distributions().get(module, ())) if (pin := _pin(name)))


@cache
def _all_distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def _pin(name: str) -> str | None:
    try:
        found = distribution(name)
        version = found.version.partition("+")[0]
        return f"{found.metadata['Name']}=={version}"
    except (PackageNotFoundError, ValueError, KeyError, AttributeError, TypeError):
        return None  # not there, or its metadata is damaged


# importlib.metadata imports some modules when it is first used. That happens now, on the caller's thread, and never in the
# background, where a fork at that moment would leave the child unable to import them.
_pin("packaging")


def requirements_txt(pinned: list[str]) -> str:
    """Return requirements.txt. `mlflow` serves the folder; nothing in the folder depends on its version, so it has no pin."""
    return "\n".join(["mlflow", *pinned, ""])


def python_env() -> dict[str, Any]:
    """Return the content of python_env.yaml, from which mlflow makes virtualenv and uv environments."""
    return {
        "python": PYTHON,
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }


def conda_env(pinned: list[str]) -> dict[str, Any]:
    """Return the content of conda.yaml."""
    return {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={PYTHON}", "pip", {"pip": ["mlflow", *pinned]}],
    }
