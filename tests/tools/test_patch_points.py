"""Each place that an integration watches is where it was, or the matrix says for this version that it is not.

A framework that renames a method is found here, and not by a user whose runs have lost something.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import script

from autolog.testing.toy import write_toy

ROOT = Path(__file__).parents[2]
# Published names, none of which is imported here.
INTEGRATIONS = sorted(
    {
        entry.value.partition(":")[0].removeprefix("autolog_")
        for entry in entry_points(group="autolog.integrations")
    }
    - {"toy"}
)
BENEATH = ("scipy.stats", "pandas", "joblib", "pyarrow", "sqlite3")
"""What most frameworks stand on."""
LOOK = """
import contextlib, importlib, json, sys

import autolog

name, modules = sys.argv[1], sys.argv[2].split(",")
autolog.autolog(include=[name], silent=True)


def look():
    return next(one for one in autolog.status().to_dict()["integrations"] if one["name"] == name)


for module in modules:
    with contextlib.suppress(ImportError):
        importlib.import_module(module)
absent = {}
for point in look()["patches"]:
    module = point["target"].partition(":")[0].partition(".{")[0]
    while module and point["state"] == "waiting":
        try:
            importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            absent[point["target"]] = error.name
            module = module.rpartition(".")[0] if error.name == module else ""
        except Exception as error:
            absent[point["target"]] = f"{type(error).__name__}: {error}"
            break
print(json.dumps({**look(), "absent": absent}))
"""


def _cells() -> ModuleType:
    """The matrix's own reader: by its file, as the checkout's packages are not to stand before the installed ones."""
    spec = importlib.util.spec_from_file_location("compat_cells", ROOT / "compat" / "cells.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _modules(name: str) -> list[str]:
    """Those whose import wakes an integration."""
    return [
        entry.name
        for entry in entry_points(group="autolog.integrations")
        if entry.value.startswith(f"autolog_{name}:")
    ]


def _look(name: str, folder: Path) -> dict[str, Any]:
    modules = ",".join(_modules(name))
    done = script(LOOK, folder, name, modules, timeout=300, beneath=BENEATH, AUTOLOG_STRICT="1")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _seen(name: str, folder: Path) -> tuple[dict[str, Any], set[str], set[str]]:
    """What an integration says, the places that are missing, and those of modules that belong to nobody who is here."""
    seen = _look(name, folder)
    own = _modules(name)
    not_installed = {
        target for target, module in seen["absent"].items() if module.partition(".")[0] not in own
    }
    missing = {point["target"] for point in seen["patches"] if point["state"] != "found"}
    return seen, missing - not_installed, not_installed


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_every_patch_point_is_found_or_declared_as_missing(
    name: str, tmp_path: Path, record_property: Any
) -> None:
    seen, missing, not_installed = _seen(name, tmp_path)
    if seen["framework_version"] is None:
        pytest.skip(f"{name} is not installed")
    framework = _cells().matrix().frameworks.get(name)
    declared = framework.declared_missing(seen["framework_version"]) if framework else set()
    found = [point["target"] for point in seen["patches"] if point["state"] == "found"]
    record_property("points", json.dumps({"found": len(found), "missing": sorted(missing)}))
    assert seen["state"] == "active", seen["reason"]
    assert missing == declared - not_installed


def test_a_renamed_method_is_reported_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _seen("toy", tmp_path)[1] == set()
    write_toy(tmp_path)
    tuning = tmp_path / "toy" / "tuning.py"
    tuning.write_text(tuning.read_text().replace("def tune(", "def search("))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert _seen("toy", tmp_path)[1] == {"toy.tuning:tune"}
