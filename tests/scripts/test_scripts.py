"""Transparent, seen from outside: a script, run as a program of its own, does the same with autolog as without.

The scripts beside this file are written as users write them. Each is run twice, in a fresh Python and a fresh folder: *plain*,
from a copy without `import autolog` and `autolog.autolog()`, and *recorded*. What must be equal, whatever the script does and
in whatever order Python takes it apart in the end:

- the exit status, and standard output byte for byte;
- standard error, but for the lines that begin with "autolog: ": no traceback, no "Exception ignored", no warning more or less.
  In a traceback, autolog's own frames are left out: they are there, and named as its own;
- the files that are left behind.

A script's first line says what it needs, and in which variant it runs by default; see `VARIANTS`. All variants: `-m ""`. With
`masked: times`, the times and rates of progress bars are left out of the comparison; with `masked: order`, that of the lines of
standard output is: Python's garbage collector calls the finalizers of what is left at the end in an order that depends on when
it ran last.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import environment

from autolog.store.records import Store

HERE = Path(__file__).parent
SECONDS = 120
HELPERS = ("dill", "datasets", "torchmetrics", "tqdm")
"""What scripts import beside their framework, those that are installed. The first two hold the main module until the end."""
SWITCH = "import autolog; autolog.autolog()"
HOLD = "import codecs, __main__; codecs.register(eval('lambda _: None', {'held': __main__}))"
"""Python lets go of what is registered there after all modules."""


class Variant(NamedTuple):
    """How a script is run. `first` stands in its first line, `here` where it calls `autolog.autolog()`."""

    first: str = ""
    here: str = ""
    options: tuple[str, ...] = ()
    module: bool = False


VARIANTS = {
    "as written": Variant(here=SWITCH),
    "autolog, framework": Variant(first=SWITCH),
    "helpers, autolog, framework": Variant(first=f"{{helpers}}; {SWITCH}"),
    "autolog, framework, helpers": Variant(first=SWITCH, here="{helpers}"),
    "framework, helpers, autolog": Variant(here=f"{{helpers}}; {SWITCH}"),
    "main module held": Variant(first=HOLD, here=SWITCH),
    "python -m": Variant(here=SWITCH, module=True),
    "-X dev": Variant(here=SWITCH, options=("-X", "dev")),
    "-W error": Variant(here=SWITCH, options=("-W", "error")),
}
"""What is imported in which order, what holds the script's module at the end, and how Python is started."""

NONE = "none"
"""By default a part of the scripts is run only, so that CI takes a minute or two longer for them and not ten."""
HEADER = re.compile(
    r"# needs: (?P<needs>[\w, ]+); in CI: (?P<variant>[^;\n]+)(; masked: (?P<masked>times|order))?\n"
)


class Script(NamedTuple):
    name: str
    needs: tuple[str, ...]
    variant: str
    """The one in which it runs by default."""
    masked: str
    lines: tuple[str, ...]

    def source(self, variant: Variant, recorded: bool) -> str:
        """Its text in a variant, with the same lines at the same places whether it is recorded or not."""
        helpers = "; ".join(f"__import__({one!r})" for one in HELPERS if find_spec(one))
        first, here = (
            text.replace("{helpers}", helpers or "pass").replace(SWITCH, SWITCH if recorded else "")
            for text in (variant.first, variant.here)
        )
        text = "".join(self.lines).replace("import autolog  # noqa: E402\n", "import autolog\n")
        return first + text.replace("\nimport autolog\n", "\n\n").replace(
            "\nautolog.autolog()\n", f"\n{here}\n"
        )


def read(path: Path) -> Script:
    first, *rest = path.read_text().splitlines(keepends=True)
    header = HEADER.fullmatch(first)
    assert header, f"{path.name} begins with {first!r}; see this module"
    needs = tuple(header["needs"].split(", "))
    return Script(path.stem, needs, header["variant"], header["masked"] or "", ("\n", *rest))


SCRIPTS = [
    read(path) for path in sorted(HERE.glob("*.py")) if path.name not in (Path(__file__).name, "conftest.py")
]


class Outcome(NamedTuple):
    status: int
    out: str
    err: str
    files: frozenset[str]
    runs: int


def run(script: Script, source: str, variant: Variant, folder: Path) -> Outcome:
    """Run it in `folder/work`, with its store beside that; then all is gone, so that the next one runs at the same place."""
    work = folder / "work"
    work.mkdir(parents=True)
    (work / f"{script.name}.py").write_text(source)
    what = ("-m", script.name) if variant.module else (f"{script.name}.py",)
    # What Hugging Face keeps would not be made once more.
    own = {
        "PYTHONHASHSEED": "0",
        "COLUMNS": "80",
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "",
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
        # On some processors TensorFlow says in each process, with its number and the time, that it uses oneDNN.
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }
    path = os.pathsep.join(one for one in sys.path if one and Path(one) != HERE)
    try:
        done = subprocess.run(
            [sys.executable, *variant.options, *what], cwd=work, env={**environment(folder, **own), "PYTHONPATH": path},
            timeout=SECONDS, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        left = frozenset(
            one.relative_to(work).as_posix() for one in work.rglob("*") if "__pycache__" not in one.parts
        )
        store = folder / ".autolog"
        runs = len(list(Store(store).runs(children=True))) if store.exists() else 0
    finally:
        shutil.rmtree(folder)
    out, err = (seen(text.decode(), script.masked == "times") for text in (done.stdout, done.stderr))
    if script.masked == "order":
        out = "".join(sorted(out.splitlines(keepends=True)))
    return Outcome(done.returncode, out, err, left, runs)


FRAME = re.compile(r'  File "[^"]*/(autolog|autolog_\w+)/[^"]*", line \d+, in .+\n(    .*\n)*')
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")
TIMES = re.compile(
    r"(\d\d/\d\d/\d\d )?\d+:\d\d(:\d\d)?|\?[:it/s]*|\d+(\.\d+)?(it/s|s/it|[mun]?s/(step|epoch|batch)|[mun]?s)\b|\x08+"
)
"""And as many steps back as such a text is long."""


def seen(text: str, masked: bool) -> str:
    """What is compared of a text. Where objects are is known to nobody before."""
    text = FRAME.sub("", ADDRESS.sub("<address>", text))
    return re.sub(r" +(?=[\r\n]|$)", "", re.sub(" +", " ", TIMES.sub("<time>", text))) if masked else text


@cache
def plain(script: Script, source: str, variant: Variant, folder: Path) -> Outcome:
    """Of several variants it is the same program: then it runs once."""
    return run(script, source, variant, folder)


def without_ours(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("autolog: "))


def check(script: Script, name: str, folder: Path) -> None:
    missing = [one for one in script.needs if find_spec(one) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    variant = VARIANTS[name]
    source = script.source(variant, recorded=False)
    before = plain(script, source, Variant(options=variant.options, module=variant.module), folder)
    now = run(script, script.source(variant, recorded=True), variant, folder)
    assert without_ours(now.err) == before.err
    assert (now.out, now.status, now.files) == (before.out, before.status, before.files)
    # With warnings as errors, a framework may not even be imported.
    assert (now.runs > 0, before.runs) == (True, 0) or "-W" in variant.options


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all programs: its name is in tracebacks, and in what is pickled."""
    return tmp_path_factory.mktemp("program") / "here"


@pytest.mark.parametrize("script", [one for one in SCRIPTS if one.variant != NONE], ids=lambda one: one.name)
def test_a_script_does_the_same(script: Script, folder: Path) -> None:
    """Transparent, silent at exit: in the variant that the script's first line names.

    Slow: two processes, each of which imports the framework.
    """
    check(script, script.variant, folder)


CASES = [(script, variant) for script in SCRIPTS for variant in VARIANTS if variant != script.variant]


@pytest.mark.slow
@pytest.mark.parametrize(("script", "variant"), CASES, ids=lambda one: getattr(one, "name", one))
def test_a_script_does_the_same_in_each_variant(script: Script, variant: str, folder: Path) -> None:
    """Transparent, silent at exit: whatever is imported when, and however Python is started.

    Slow: hundreds of programs are run, each of which imports a framework.
    """
    check(script, variant, folder)
