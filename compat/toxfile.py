"""Passes the matrix's cells to tox. COMPAT_TESTS replaces the cell's tests. Only this module imports tox."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tox.config.loader.memory import MemoryLoader
from tox.config.sets import ConfigSet
from tox.config.types import Command
from tox.plugin import impl
from tox.session.state import State
from tox.tox_env.python.pip.req_file import PythonDeps

sys.path.insert(0, str(Path(__file__).parent.parent))
from compat import cells


@impl
def tox_extend_envs() -> Iterable[str]:
    return [cell.name for cell in cells.load()]


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    for cell in cells.load():
        state.conf.memory_seed_loaders[cell.name].append(
            MemoryLoader(**_settings(cell, state.conf.pos_args(None) or ()))
        )


def _settings(cell: cells.Cell, more: Sequence[str]) -> dict[str, Any]:
    tests = os.environ.get("COMPAT_TESTS", "").split() or cell.tests
    settings: dict[str, Any] = {
        "description": cell.title,
        "base_python": [cell.python],
        "deps": PythonDeps("\n".join(cell.requires), cells.ROOT),
        "pip_pre": cell.pre,
        "set_env": "\n".join(f"{name}={value}" for name, value in {**cells.ENVIRONMENT, **dict(cell.environment)}.items()),
        "commands": [
            Command(["pytest", "-c", "../pyproject.toml", "--rootdir", "..", "-q", *cells.PYTEST, *tests, *more])
        ],
    }  # fmt: skip
    if cell.without_dependencies:
        settings["commands_pre"] = [
            Command(["uv", "pip", "install", "-q", "--no-deps", *cell.without_dependencies])
        ]
    return settings
