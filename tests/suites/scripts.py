"""Run example scripts without autolog and with it, and print what differs.

    python tests/suites/scripts.py ~/scikit-learn/examples/ensemble/plot_*.py
    python tests/suites/scripts.py --seed torch ~/examples/regression/main.py "~/examples/mnist/main.py --epochs 1"

Each runs three times in a fresh copy of its folder (or of --root, which is around it) with an empty home: plain, plain again,
which tells what is not repeatable by itself, and with the tool. Compared are the exit code, standard output but for times and
addresses, where the random streams stand at the end, what the models in the script's names hold, and how many warnings there
were. `--with mlflow` runs a peer.
Exit code 0: nothing differs that is repeatable. 1: something does.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, os.path.dirname(__file__))
import results
from run import recorded

HOOK = pathlib.Path(__file__).parent / "script_hook"
NOISE = [  # times, rates, addresses, colours, bars that are drawn again
    (r"0x[0-9a-f]{6,}", "0x"),
    (r"\x1b\[[0-9;]*[A-Za-z]", ""),
    (r".*[\r\x08]", ""),
    (r"\d+(\.\d+)?(e-?\d+)?\s?([mun]s|s|secs?|seconds|minutes)\b(/\w+)?", "<time>"),
    (r"\d+:\d\d(:\d\d)?(\.\d+)?", "<time>"),
    (r"\d+\.\d+(it/s|s/it)", "<rate>"),
    (r"\d{4}-\d\d-\d\d", "<date>"),
]


def lines(text: str) -> list[str]:
    for pattern, by in NOISE:
        text = re.sub(pattern, by, text, flags=re.MULTILINE)
    return [line for line in text.splitlines() if line.strip()]


def execute(
    script: list[str], root: pathlib.Path | None, folder: pathlib.Path, timeout: float, tool: str, seed: str
) -> dict[str, Any]:
    """Run a script once in a copy of `root`: all that is compared, and its wall and CPU seconds."""
    path = pathlib.Path(script[0]).expanduser().resolve()
    root = path.parent if root is None else root.expanduser().resolve()
    place = folder / root.name / path.parent.relative_to(root)
    shutil.copytree(root, folder / root.name, symlinks=True)
    (folder / "home").mkdir()
    # The last: a user's Python keeps what it has compiled.
    foreign = ("AUTOLOG_", "MLFLOW_", "XDG_", "SCRIPT_", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    paths = [str(HOOK), *env.get("PYTHONPATH", "").split(os.pathsep)]
    env |= {
        "SCRIPT_WITH": tool,
        "SCRIPT_SEED": seed,
        "SCRIPT_REPORT": str(folder / "report.json"),
        "AUTOLOG_DIR": str(folder / ".autolog"),
        "HOME": str(folder / "home"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MPLBACKEND": "Agg",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(folder / "out", "w+") as out, open(folder / "err", "w+") as err:
        command = [sys.executable, path.name, *script[1:]]
        child = subprocess.Popen(command, cwd=place, env=env, stdout=out, stderr=err, start_new_session=True)
        try:
            code: int | None = child.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    wall, spent = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    said = {"streams": {}, "models": {}}
    with contextlib.suppress(FileNotFoundError):
        said = json.loads((folder / "report.json").read_text())
    errors = (folder / "err").read_text(errors="replace")
    return {
        "exit": code,
        "stdout": lines((folder / "out").read_text(errors="replace").replace(str(folder), "<folder>")),
        "warnings": len(re.findall("Warning: ", errors)),
        **{f"stream of {name}": value for name, value in said["streams"].items()},
        **{f"model {name}": value for name, value in said["models"].items()},
        "wall": wall,
        "cpu": spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime,
        "errors": errors[-1000:],
    }


def differences(plain: dict[str, Any], again: dict[str, Any], other: dict[str, Any]) -> dict[str, str]:
    """What the tool has changed of what is repeatable: its name, and how."""
    found: dict[str, str] = {}
    if plain["exit"] is None:  # out of time: how far it had come says nothing
        return found
    for name in sorted((plain.keys() | other.keys()) - {"wall", "cpu", "errors"}):
        before, after = plain.get(name), other.get(name)
        if before == after or before != again.get(name):
            continue
        if name == "stdout":
            changed = difflib.unified_diff(before or [], after or [], "plain", "with", n=0, lineterm="")
            found[name] = "\n    ".join(list(changed)[:12])
        else:
            found[name] = f"{before} -> {after}"
    return found


def main(
    scripts: Annotated[list[str], typer.Argument(metavar="SCRIPT...", show_default=False)],
    tool: Annotated[str, typer.Option("--with", help="autolog, mlflow, or none")] = "autolog",
    root: Annotated[
        pathlib.Path | None, typer.Option(help="folder that scripts need beside theirs; by default, that")
    ] = None,
    seed: Annotated[str, typer.Option(help="what is seeded before: numpy, torch, keras")] = "numpy",
    timeout: Annotated[float, typer.Option(help="seconds for each run of a script")] = 600,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    note: Annotated[
        str | None, typer.Option(help="keep what came of it in RESULTS.md under this name")
    ] = None,
    of: Annotated[str, typer.Option(help="distributions whose versions are noted, with commas")] = "",
) -> None:
    """Run example scripts without autolog and with it, and print what differs. Arguments are quoted with their script."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` ends the child, too
    console, rows = Console(stderr=True), []
    for given in scripts:
        script, runs = shlex.split(given), []
        with tempfile.TemporaryDirectory(prefix="scripts-", ignore_cleanup_errors=True) as folder:
            for name, switched in (("plain", "none"), ("again", "none"), ("with", tool)):
                place = pathlib.Path(folder) / name
                place.mkdir()
                runs.append(execute(script, root, place, timeout, switched, seed))
            plain, again, other = runs
            # The mean: the better of two would have one draw more than the run that it is compared with.
            cost = {name: (plain[name] + again[name]) / 2 for name in ("wall", "cpu")}
            rows.append(
                {
                    "script": pathlib.Path(script[0]).name,
                    "exit": other["exit"],
                    "changed": differences(plain, again, other),
                    "models compared": sum(name.startswith("model ") for name in plain),
                    **{name: [round(cost[name], 2), round(other[name], 2)] for name in cost},
                    "recorded": recorded(tool, pathlib.Path(folder) / "with"),
                    **({"errors": other["errors"]} if other["exit"] else {}),
                }
            )
        row = rows[-1]
        console.print(
            f"{row['script']}: exit {row['exit']}, changed: {', '.join(row['changed']) or 'nothing'}"
        )
    if note is not None:
        versions = [f"{name} {version(name)}" for name in of.split(",") if name]
        results.keep("scripts", note, tool, results.of_scripts(rows), versions)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        table = Table(
            "script", "exit", "changed", "models", "wall (s)", "ratio", "CPU ratio", "runs", "children"
        )
        for row in rows:
            ratios = [f"{row[name][1] / row[name][0]:.2f}" for name in ("wall", "cpu")]
            made = row["recorded"]
            counts = [sum(made.get(name, {}).values()) for name in ("runs", "children")]
            table.add_row(
                row["script"], str(row["exit"]), ", ".join(row["changed"]) or "nothing", str(row["models compared"]),
                f"{row['wall'][0]:.1f}", *ratios, *map(str, counts),
            )  # fmt: skip
        Console().print(table)
        for row in rows:
            for name, how in row["changed"].items():
                print(f"{row['script']}: {name}:\n    {how}")
    raise typer.Exit(int(any(row["changed"] for row in rows)))


if __name__ == "__main__":
    typer.run(main)
