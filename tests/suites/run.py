"""Run a framework's own tests, without autolog and with it, and print the difference. They are modules of its installed
package, or files and folders elsewhere, of a checkout of it, say; then `--of` names the package that they test.

    python tests/suites/run.py sklearn.tests.test_pipeline sklearn.model_selection.tests
    python tests/suites/run.py --of xgboost ~/xgboost/tests/python/test_callback.py
    python tests/suites/run.py --quick --jobs 2 --note "scikit-learn, a part"    (kept in RESULTS.md)
    python tests/suites/run.py --strict sklearn.tests.test_base -- -k clone    (what follows -- is for pytest)

Both runs are the same command in the same environment, each in an empty folder with an empty home; they differ in one
variable, SUITE_WITH. Compared are outcomes, warnings, and where the global random streams stand after each test.
`--with none` runs plain twice, which shows the tests that are not repeatable by themselves.
Exit code 0: nothing got worse. 1: something did. 2: the plain run did not work, so there is nothing to compare with.
"""

import collections
import contextlib
import importlib
import itertools
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from typing import Annotated, Any

import results
import typer

QUICK = [
    "sklearn.tests.test_base",
    "sklearn.tests.test_pipeline",
    "sklearn.tests.test_multiclass",
    "sklearn.compose.tests.test_column_transformer",
    "sklearn.ensemble.tests.test_voting",
    "sklearn.model_selection.tests.test_search",
    "sklearn.neural_network.tests.test_mlp",
    "sklearn.utils.tests.test_estimator_checks",
]
SEVERITY = ["passed", "xpassed", "xfailed", "skipped", "failed"]  # a test is as bad as its worst phase
PYTEST = "-q --pyargs --continue-on-collection-errors --timeout=300 -p no:cacheprovider -p pytest_timeout"


def execute(args: list[str], folder: pathlib.Path, timeout: float, suite: dict[str, str]) -> dict[str, Any]:
    """Run pytest once in `folder`: its exit code (None: out of time), what it reported, its wall and CPU seconds."""
    (folder / "home").mkdir(parents=True)
    # The last: a user's Python keeps what it has compiled.
    foreign = ("AUTOLOG_", "MLFLOW_", "PYTEST_", "XDG_", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    paths = [os.path.dirname(__file__), *env.get("PYTHONPATH", "").split(os.pathsep)]
    env |= {f"SUITE_{name}": value for name, value in suite.items()}
    env |= {
        "SUITE_REPORT": str(folder / "report.jsonl"),
        "AUTOLOG_DIR": str(folder / ".autolog"),
        "AUTOLOG_STRICT": suite["STRICT"],
        "HOME": str(folder / "home"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MPLBACKEND": "Agg",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in paths if path),
    }
    command = [sys.executable, "-m", "pytest", *PYTEST.split(), "-p", "suite_plugin", *args]
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(folder / "output.txt", "w") as out:
        child = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out, start_new_session=True)
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:  # the whole group: also what a hung or killed test left behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    wall, spent = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if code not in (0, 1):
        print(f"exit code {code}:\n{(folder / 'output.txt').read_text()[-5000:]}", file=sys.stderr)
    cpu = spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime
    return {"exit": code, "wall": wall, "cpu": cpu, **read(folder / "report.jsonl")}


def read(report: pathlib.Path) -> dict[str, Any]:
    """The plugin's lines: outcome, message and seconds of each test; random streams; warnings; log lines."""
    run: dict[str, dict[str, Any]] = {name: {} for name in ("outcomes", "messages", "streams", "warnings")}
    run |= {"seconds": collections.Counter(), "log": collections.Counter()}
    for line in map(json.loads, report.read_text().splitlines() if report.exists() else ()):
        if test := line.get("test"):
            run["seconds"][test] += line["seconds"]
            if SEVERITY.index(line["outcome"]) >= SEVERITY.index(run["outcomes"].get(test, "passed")):
                run["outcomes"][test], run["messages"][test] = line["outcome"], line["message"]
        elif "stream" in line:
            run["streams"][line["stream"]] = line["draws"]
        elif "warning" in line:
            run["warnings"][line["warning"]] = line["message"]
        else:
            run["log"][line["log"]] += 1
    return run


def heading(before: str, after: str) -> str:
    """Under what a test whose outcome changed is shown."""
    if after == "failed":
        return "new failures"
    if "absent" in (before, after):
        return "missing tests" if after == "absent" else "added tests"
    if "skipped" in (before, after):
        return "changed skips"
    return "no longer failing" if before == "failed" else "changed outcomes"


def compare(plain: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """All that differs between two runs (heading -> test -> what), and what both cost.

    The cost in "tests" is that of the tests which both have, without start and imports.
    """
    changes: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for test in sorted(plain["outcomes"].keys() | other["outcomes"].keys()):
        before, after = (run["outcomes"].get(test, "absent") for run in (plain, other))
        if before != after:
            changes[heading(before, after)][test] = f"{before} -> {after} {other['messages'].get(test, '')}"
    for test in sorted(plain["streams"].keys() & other["streams"].keys()):
        before, after = plain["streams"][test], other["streams"][test]
        if before != after:
            changes["moved random streams"][test] = f"next draws {before} -> {after}"
    for title, one, two in (("new warnings", plain, other), ("missing warnings", other, plain)):
        for warning in sorted(two["warnings"].keys() - one["warnings"].keys()):
            changes[title][warning] = two["warnings"][warning]
    both = plain["outcomes"].keys() & other["outcomes"].keys()
    cost = [{"tests": sum(run["seconds"][t] for t in both), **run} for run in (plain, other)]
    return {
        "outcomes": [collections.Counter(run["outcomes"].values()) for run in (plain, other)],
        "exit": [plain["exit"], other["exit"]],
        "seconds": {name: [round(run[name], 1) for run in cost] for name in ("tests", "wall", "cpu")},
        "ratio": {
            n: round(cost[1][n] / cost[0][n], 3) if cost[0][n] else None for n in ("tests", "wall", "cpu")
        },
        "failing plain": sorted(test for test, outcome in plain["outcomes"].items() if outcome == "failed"),
        "log": other["log"],
        "changes": changes,
    }


def recorded(tool: str, folder: pathlib.Path) -> dict[str, Any]:
    """What the tool left in its store: runs by status, and for autolog the models and the errors kept with runs."""
    if tool == "mlflow":
        with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as db:
            try:
                found = db.execute("select lower(status), count(*) from runs group by status").fetchall()
            except sqlite3.OperationalError:  # it has recorded nothing and made no tables
                found = []
        return {"runs": dict(found)}
    if tool != "autolog":
        return {}
    from autolog.store.records import Store

    runs = [record.to_dict() for record in Store(folder / ".autolog").runs(children=True)]
    errors = collections.Counter(str(error) for run in runs for error in run["errors"])
    roots, children = (
        collections.Counter(r["status"] for r in runs if bool(r["parent"]) == c) for c in (0, 1)
    )
    return {
        "runs": roots,
        "children": children,
        "models": sum(len(r["models"]) for r in runs),
        "errors": errors,
    }


def main(
    modules: Annotated[list[str] | None, typer.Argument(metavar="MODULE|PATH...", show_default=False)] = None,
    of: Annotated[str | None, typer.Option(help="the package that tests at a PATH are of")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="the short list that CI runs, and MODULEs")] = False,
    tool: Annotated[str, typer.Option("--with", help="autolog, mlflow, or none (plain twice)")] = "autolog",
    after: Annotated[bool, typer.Option("--after", help="switch on after the tests are imported")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="failures inside autolog fail the test")] = False,
    models: Annotated[bool, typer.Option(help="log models")] = True,
    baseline: Annotated[
        pathlib.Path | None, typer.Option(help="file that keeps plain runs for reuse")
    ] = None,
    jobs: Annotated[int, typer.Option(help="processes of pytest-xdist")] = 1,
    timeout: Annotated[float, typer.Option(help="seconds for each of the two runs")] = 3600,
    keep: Annotated[bool, typer.Option("--keep", help="keep outputs and store")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    note: Annotated[
        str | None, typer.Option(help="keep what came of it in RESULTS.md under this name")
    ] = None,
) -> None:
    """Run a framework's own tests without autolog and with it, and print the difference."""
    names = [*(QUICK if quick else []), *(modules or [])]
    names = [os.path.abspath(name) if os.path.exists(name.partition("::")[0]) else name for name in names]
    if not names or tool not in ("autolog", "mlflow", "none"):
        raise typer.BadParameter("give modules or --quick; --with takes autolog, mlflow or none")
    tests = list(itertools.takewhile(lambda name: name[0] != "-", names))
    paths = [name.partition("::")[0] for name in tests if os.path.isabs(name)]
    if paths and of is None:
        raise typer.BadParameter("say with --of which package the tests at a path are of")
    frameworks = {name.split(".")[0] for name in tests if not os.path.isabs(name)} | ({of} if of else set())
    loaded = [importlib.import_module(name) for name in sorted(frameworks)]
    versions = [f"{module.__name__} {getattr(module, '__version__', '')}" for module in loaded]
    key = " ".join(["Python", platform.python_version(), *versions, *names])
    # Tests are named from here.
    root = (
        os.path.commonpath(map(os.path.dirname, paths))
        if paths
        else pathlib.Path(loaded[0].__file__).parents[1]
    )
    args = [f"--rootdir={root}", *(f"-p xdist -n {jobs}".split() if jobs > 1 else []), *names]
    suite = {"WITH": "none", "WHEN": "after" if after else "before", "STRICT": str(int(strict))}
    suite |= {"MODELS": str(int(models)), "FRAMEWORKS": " ".join(frameworks)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` ends the child, too
    folder = pathlib.Path(tempfile.mkdtemp(prefix="suite-"))
    try:
        kept = json.loads(baseline.read_text()) if baseline and baseline.exists() else {}
        plain = kept.get(key) or execute(args, folder / "plain", timeout, suite)
        if plain["exit"] not in (0, 1):
            raise typer.Exit(2)
        if baseline and key not in kept:
            baseline.write_text(json.dumps({**kept, key: plain}))
        other = execute(args, folder / "with", timeout, suite | {"WITH": tool})
        result = compare(plain, other)
        try:
            result["recorded"] = recorded(tool, folder / "with")
        except Exception as error:  # must not cost the comparison, which may have taken an hour
            result["changes"]["unreadable store"] = {type(error).__name__: str(error)}
    finally:
        print(f"kept: {folder}", file=sys.stderr) if keep else shutil.rmtree(folder, ignore_errors=True)
    changes = result.pop("changes")
    if note is not None:
        results.keep("suite", note, tool, results.of_suite(result, changes), versions)
    if as_json:
        print(json.dumps({**result, "changes": changes}, indent=1))
    else:
        print(*(f"{title}: {json.dumps(value)}" for title, value in result.items()), sep="\n")
        for title, entries in changes.items():
            print(
                f"\n{title}: {len(entries)}",
                *(f"  {test}  {what}" for test, what in entries.items()),
                sep="\n",
            )
    raise typer.Exit(int(other["exit"] not in (0, 1) or bool(changes.keys() - {"no longer failing"})))


if __name__ == "__main__":
    typer.run(main)
