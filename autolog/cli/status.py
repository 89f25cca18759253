"""`autolog status`: shows what autolog records here, and where."""

from __future__ import annotations

from typing import Any

from autolog.cli.output import Column, Page, write_json
from autolog.cli.store import JsonOption
from autolog.cli.text import ABSENT, count

_COLUMNS = (
    Column("integration", style="bold"), Column("installed"), Column("supports"), Column("tested"),
    Column("state", wraps=True),
)  # fmt: skip


def status(json: JsonOption = False) -> None:
    """Show the store, and for each framework its state and its installed, supported and tested versions.

    Example:

    autolog status

    The command imports no framework, so installed ones are shown as waiting for their import. In a program,
    `print(autolog.status())` shows what is active there.

    With --json: {"version", "store", "disabled", "runs", "integrations": [{"name", "state", "reason",
    "installed", "framework_version", "supports", "tested", "patches"}]}.
    """
    from autolog import __version__, config, process, registry
    from autolog.api import status
    from autolog.overview import unrecorded
    from autolog.store.records import Store

    here = process.get_or_make()
    here.configure({})  # reads the files and the environment
    wanted = here.config
    found = status().to_dict()
    del found["recording"]  # about this process, which trains nothing
    rows: list[dict[str, Any]] = []
    for one in found.pop("integrations"):
        name, state = one["name"], one["state"]
        installed = _installed(here.manager.states[name].entry.modules, one["supports"])
        if (
            state == "disabled"
            and (wanted.include is None or name in wanted.include)
            and name not in wanted.exclude
        ):
            state = "waiting for import" if installed else "not installed"
        rows.append({**one, "state": state, "installed": installed})
    for module, title in registry.unrecorded().items():
        installed = _installed((module,), module)
        if installed:
            rows.append({**unrecorded(module, title)._asdict(), "patches": [], "installed": installed})
    disabled = config.is_disabled()
    runs = Store(found["store"]).count()
    if json:
        write_json(
            {"version": __version__, **found, "disabled": disabled, "runs": runs, "integrations": rows}
        )
        return
    page = Page()
    page.line(f"autolog {__version__}, {count(runs, 'run')} in {found['store']}")
    if disabled:
        page.line("AUTOLOG_DISABLED is set: nothing is recorded.")
    page.line()
    page.table(_COLUMNS, [_row(row) for row in rows])


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    state = f"{row['state']}: {row['reason']}" if row.get("reason") else row["state"]
    return row["name"], row["installed"] or ABSENT, row["supports"], row["tested"] or ABSENT, state


def _installed(modules: tuple[str, ...], supports: str) -> str | None:
    """Return the installed version without an import; "?" for a module without metadata, None if there is no module.

    Looks for the distribution's name, then for the module: several distributions hold one module (`xgboost`, `xgboost-cpu`).
    """
    from importlib import metadata

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return metadata.version(Requirement(supports).name)
    except (metadata.PackageNotFoundError, InvalidRequirement):
        pass
    there = [module for module in modules if _is_there(module)]
    if not there:
        return None
    names = metadata.packages_distributions().get(there[0], ())
    return metadata.version(names[0]) if names else "?"


def _is_there(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
