"""The stages of `.ci/run`, and the decision which of them to leave out.

A *stage* is an environment and tests that run in it. `lint`, `readme` and `types` run every time. Each other stage has a record
of its last pass in `.ci/passed/`, with fingerprints of what it depends on:

    core      autolog/, the tests' shared files, pyproject.toml
    own       the stage, its integrations and tests, the versions in its environment (`.ci/versions/`; for a cell: compat/)

| changed since | the stage runs |
|---|---|
| its own inputs, or it has no record | whole |
| only the core | short: its contract and one more file |
| nothing | not at all |

If the core has changed, or nothing has, one more stage runs whole: the one whose last whole pass is the oldest. So every stage
has its turn. A change of one integration runs only what depends on it.
Records and versions are part of the repository: commit them with the change.

This module runs nothing; `runner.py` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
PASSED = ROOT / ".ci" / "passed"
VERSIONS = ROOT / ".ci" / "versions"
SCRIPTS = ROOT / "tests" / "scripts"
CORE = (
    "autolog",
    "tests/conftest.py",
    "tests/helpers.py",
    "tests/fixtures",
    "tests/contract/conftest.py",
    "pyproject.toml",
)
How = Literal["whole", "short"]
Plan = dict[str, "tuple[How | None, str]"]
"""For each stage, how it runs (None: not at all), and why."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment. It is created once for all stages that use it."""

    name: str
    requires: tuple[str, ...]
    alone: tuple[str, ...] = ()
    """Requirements to install last, without their dependencies."""
    python: str = ""
    """A version of Python. Empty: the one that runs this."""
    variables: tuple[tuple[str, str], ...] = ()
    prepared_by: tuple[str, ...] = ()
    """A command to run once after the environment is created."""


@dataclass(frozen=True)
class Stage:
    name: str
    title: str
    own: tuple[str, ...]
    """Files and folders that the stage depends on, in addition to the core."""
    whole: tuple[tuple[str, ...], ...]
    """The commands: arguments for the environment's Python."""
    short: tuple[tuple[str, ...], ...] = ()
    """The commands if only the core has changed. Empty: same as `whole`."""
    environment: Environment | None = None
    """None: the README's environment."""
    cell: str = ""
    """The cell of the matrix that the stage is a part of. Then `whole` and `short` are paths below tests/."""
    alone: bool = False
    """Whether nothing else may run, because the stage measures times."""

    @property
    def beside(self) -> bool:
        """Whether it can run beside the README's commands and stages: it does not use the README's environment."""
        return bool(self.cell) or self.environment not in (None, OLD_MLFLOW)


def tests(*arguments: str) -> tuple[str, ...]:
    """Return the command for pytest with the slow tests."""
    return ("-m", "pytest", "-q", "-m", "", *arguments)


def integration(name: str, smoke: str, environment: Environment, *more: str, flavor: str = "") -> Stage:
    """Return the stage of a framework with its own environment. Scripts run in one variant each. All variants take half an
    hour, so run them by hand.
    """
    contract, folder = f"tests/contract/test_{name}.py", f"tests/integrations/{name}"
    chosen = f"{flavor or name} and not each_variant"
    whole = tests(contract, folder, "tests/models", "tests/scripts", "tests/docs", "-k", chosen)
    programs = sorted(path.relative_to(ROOT).as_posix() for path in SCRIPTS.glob(f"{name}_*.py"))
    own = (
        f"integrations/autolog_{name}", contract, folder, "tests/models", "tests/scripts/test_scripts.py", *programs,
        "tests/docs", f"docs/frameworks/{name}.md", *more,
    )  # fmt: skip
    short = (tests(contract, f"{folder}/{smoke}"),)
    return Stage(name, f"{name}: integration, contract, models", own, (whole,), short, environment)


def cells(cell: str, title: str, parts: Iterable[str]) -> Iterator[Stage]:
    """Yield the stages of a cell of the matrix, one for each part of its tests."""
    for part in parts:
        own = tuple(f"integrations/autolog_{one}" for one in USED.get(part, (part,)))
        whole, short = PARTS.get(part) or (
            (f"tests/integrations/{part}", f"tests/contract/test_{part}.py"), (f"tests/contract/test_{part}.py", SMOKE[part]),
        )  # fmt: skip
        name = cell if cell.endswith(part) else f"{cell}-{part}"
        yield Stage(name, f"{title}: {part}", ("compat", *own, *whole), (whole,), (short,), cell=cell)


BOOSTERS = ("sklearn", "xgboost", "lightgbm")
COMMON = (
    "tests/contract/test_patching.py", "tests/tools/test_patch_points.py", "tests/contract/test_toy.py",
    "tests/contract/test_readme.py",
)  # fmt: skip
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "contract": (COMMON, COMMON[:2]),
    "process": (("tests/process",), ("tests/process/test_fork.py",)),
    "models": (("tests/models",), ("tests/models/test_hard_models.py",)),
}
"""Parts of a cell that belong to no integration: all their tests, and those to run if only the core has changed."""
USED = {"contract": BOOSTERS, "process": ("sklearn",), "models": BOOSTERS}
"""The integrations that these parts use."""
SMOKE = {
    "sklearn": "tests/integrations/sklearn/test_runs.py",
    "xgboost": "tests/integrations/xgboost/test_xgboost_bare.py",
    "lightgbm": "tests/integrations/lightgbm/test_lightgbm_bare.py",
}
MLFLOW2 = Environment("mlflow2", ("mlflow<3", "sqlalchemy<2.1"))
"""A server of MLflow 2 for the sink's tests, which run it but do not import it."""
# PyTorch first, and by pip: pip may be configured to use builds for the CPU.
TORCH = Environment("torch", ("torch==2.13.0", ".[test-torch]"))
# `tf_keras` requires the other distribution of TensorFlow.
KERAS = Environment(
    "keras", ("torch==2.13.0", ".[test-keras]"), ("tf_keras",), variables=(("KERAS_BACKEND", "tensorflow"),)
)
PYSPARK = Environment("pyspark", (".[test-pyspark]",), prepared_by=("tests/integrations/pyspark/archive.py",))
UNIT = Environment(
    "unit", (".", "pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.6", "hypothesis>=6.100")
)
OLD_MLFLOW = Environment(
    "mlflow-oldest",
    # Old releases of MLflow import pkg_resources.
    (".", "mlflow-skinny==2.11.0", "setuptools<81", "scikit-learn", "pandas", "pytest", "pytest-timeout", "pytest-xdist",
     "hypothesis", "cloudpickle"),
    python="3.10",
)  # fmt: skip
PAGE = Environment("page", (".[test-page]",))
DOCS = Environment("docs", (".[docs]",), variables=(("NO_MKDOCS_2_WARNING", "1"),))
PAGES = ("mkdocs.yml", "integrations/README.md", "CHANGELOG.md", *(
    path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*")) if path.is_file()
))  # fmt: skip
MAIN = Environment("main", (".[test]",))
"""The README's environment. The README's commands create it themselves. Its versions are always the newest."""
MAIN_TESTS = (
    "tests/process", "tests/models", "tests/contract", "tests/integrations/sklearn", "tests/integrations/xgboost",
    "tests/integrations/lightgbm",
)  # fmt: skip

SINKS = ("integrations/autolog_mlflow", "integrations/autolog_tensorboard", "integrations/autolog_wandb")

STAGES = (
    Stage(
        "unit", "the unit tests where there is no framework", ("tests/unit",),
        (("-m", "pytest", "-q", "tests/unit"),), environment=UNIT,
    ),
    Stage(
        "slow", "the README's environment: the slow tests",
        (*MAIN_TESTS, "integrations/autolog_sklearn", "integrations/autolog_xgboost", "integrations/autolog_lightgbm"),
        (("-m", "pytest", "-q", "-m", "slow", "--ignore=tests/scripts", "--ignore=tests/sinks"),),
    ),
    Stage(
        "slow-sinks", "the README's environment: the slow tests of sinks",
        (".ci/versions/mlflow2.txt", "tests/sinks", "integrations/autolog_sklearn", *SINKS),
        (("-m", "pytest", "-q", "-m", "slow", "tests/sinks"),),
    ),
    Stage(
        "suites", "scikit-learn's own tests, plain and recorded (a part of them)",
        ("integrations/autolog_sklearn", "tests/suites", "tests/quickstart.py"),
        (("tests/suites/run.py", "--quick", "--jobs", "2"), ("tests/suites/scripts.py", "tests/quickstart.py")),
        (("tests/suites/scripts.py", "tests/quickstart.py"),),
    ),
    # If a figure is five times its goal, a slow machine is not the cause.
    Stage(
        "figures", "figures (a part of them)", ("tests/benchmarks",),
        (("tests/benchmarks/run.py", "--within", "5", "switch_on", "calls", "metric", "points"),), alone=True,
    ),
    Stage(
        "page", "the page: its server, and what it is asked by strangers", ("tests/page", "docs/page-api.md"),
        (tests("-n", "2", "tests/page"),), environment=PAGE,
    ),
    Stage(
        "docs", "the site, without a warning", PAGES, (("-m", "mkdocs", "build", "--strict", "--site-dir", "build/site"),),
        environment=DOCS,
    ),
    integration("torch", "test_torch_loops.py", TORCH),
    integration("lightning", "test_lightning_runs.py", TORCH, "integrations/autolog_torch"),
    integration("keras", "test_keras_loops.py", KERAS),
    integration("pyspark", "test_pyspark_tasks.py", PYSPARK, flavor="spark"),
    Stage(
        "mlflow-oldest", "MLflow's client alone, the oldest that is supported",
        ("tests/sinks", "integrations/autolog_mlflow"),
        (tests("-n", "2", "tests/sinks/test_mlflow.py", "tests/sinks/test_conformance.py", "-k", "mlflow"),),
        environment=OLD_MLFLOW,
    ),
    *cells("oldest", "the oldest versions", ("contract", "sklearn", "xgboost", "lightgbm")),
    *cells("oldest-models", "MLflow reads the oldest versions' models", ("models",)),
    *cells("newest", "the newest versions and Python", ("contract", "process", "sklearn", "xgboost", "lightgbm")),
)  # fmt: skip


ALWAYS = {"lint": "ruff", "readme": "the commands of the README", "types": "pyright"}

# -- stages to leave out


@dataclass(frozen=True)
class Inputs:
    """Fingerprints of a stage's dependencies."""

    core: str
    own: str


def inputs(stages: Iterable[Stage], root: Path = ROOT) -> dict[str, Inputs]:
    """Return the current inputs of each stage."""
    core, ci = _digest(root, CORE), (".ci/run", ".ci/runner.py")
    return {
        one.name: Inputs(core, _digest(root, (*one.own, _versions(one), *ci), repr(one))) for one in stages
    }


def _versions(stage: Stage) -> str:
    return f".ci/versions/{stage.environment.name}.txt" if stage.environment else ""


def _digest(root: Path, names: Iterable[str], said: str = "") -> str:
    digest = hashlib.sha256(said.encode())
    for name in sorted(filter(None, names)):
        path = root / name
        below = (
            [one for one in path.rglob("*") if one.suffix in (".py", ".toml")] if path.is_dir() else [path]
        )
        files = sorted(one for one in below if one.is_file())
        for file in files:
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
            # Leave out an integration's `tested`: it is made from results, so it must not make them stale.
            digest.update(b"".join(line for line in file.open("rb") if not line.startswith(b"    tested = ")))
    return digest.hexdigest()[:16]


def decide(stages: Sequence[Stage], now: dict[str, Inputs], records: dict[str, dict[str, Any]]) -> Plan:
    """Return the plan. See the module."""
    found: Plan = {}
    for stage in stages:
        record, current = records.get(stage.name), now[stage.name]
        if record is None:
            found[stage.name] = ("whole", "it has no recorded pass")
        elif record["own"] != current.own:
            found[stage.name] = ("whole", "its own files or versions have changed")
        elif record["core"] == current.core:
            found[stage.name] = (None, f"unchanged since its pass of {record['ended'][:10]}")
        elif record.get("short") == current.core:
            found[stage.name] = (None, f"unchanged since its short pass; whole on {record['ended'][:10]}")
        elif stage.short:
            found[stage.name] = ("short", "the core has changed")
        else:
            found[stage.name] = ("whole", "the core has changed")
    waiting = [stage.name for stage in stages if found[stage.name][0] != "whole"]
    said = {why for how, why in found.values() if how}
    if waiting and ("the core has changed" in said or not said):
        turn = min(waiting, key=lambda name: (records[name]["ended"], name))
        found[turn] = ("whole", f"its turn: its last whole pass was on {records[turn]['ended'][:10]}")
    return found


def read(folder: Path = PASSED) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def write(name: str, record: dict[str, Any], folder: Path = PASSED) -> None:
    folder.mkdir(exist_ok=True)
    new = folder / f"{name}.new"
    new.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    new.replace(folder / f"{name}.json")
