"""What several test folders share: the made-up framework installed in a folder, and scripts run in processes of their own."""

from __future__ import annotations

import atexit
import base64
import configparser
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from autolog.store.journal import JournalWriter, encode
from autolog.store.layout import Layout
from autolog.store.records import RunRecord
from autolog.testing import fresh, write_toy
from autolog.tracking.events import Event

# JVMs of tests live for seconds: they compile quickly instead of well, and have one thread for rubbish. Scripts inherit it.
_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
ARCHIVE = Path(sys.prefix) / "spark.jsa"
"""The classes that they load, as `integrations/pyspark/archive.py` has made it; without it they start more slowly."""
_SHARED = f" -XX:SharedArchiveFile={ARCHIVE} -Xlog:disable" if ARCHIVE.exists() else ""
_SPARK = {
    "spark.driver.extraJavaOptions": _JVM + _SHARED, "spark.executor.extraJavaOptions": _JVM, "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "2", "spark.default.parallelism": "2", "spark.shuffle.compress": "false",
    "spark.broadcast.compress": "false", "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}  # fmt: skip
_CONF = " ".join(f"--conf '{name}={value}'" for name, value in _SPARK.items())
os.environ.setdefault("PYSPARK_SUBMIT_ARGS", f"{_CONF} pyspark-shell")
# Spark's workers run this Python. By default they run the first one on the PATH, whoever starts the session.
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)


def examples(many: int) -> int:
    """How many examples Hypothesis makes: `many` in CI, a third on a developer's machine and where CI does as a newcomer."""
    return many if os.environ.get("CI") not in (None, "", "as a newcomer") else many // 3


def run_machine(machine: Any, many: int) -> None:
    """Try a state machine of Hypothesis on so many examples of 25 steps. Shrinking takes minutes, and 25 steps can be read."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.stateful import run_state_machine_as_test

    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    checks = list(HealthCheck)
    how = settings(
        max_examples=examples(many), stateful_step_count=25, deadline=None, suppress_health_check=checks, phases=phases
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=how)


FIXTURE = Path(__file__).parent / "fixtures" / "autolog_toy"


def install_toy(folder: str | Path) -> None:
    """Put the framework `toy` and its integration into `folder` as a wheel's installation would: the module, and a
    `.dist-info` with the entry points that the fixture's pyproject declares. No network, no build tool.
    """
    folder = Path(folder)
    write_toy(folder)
    shutil.copy(FIXTURE / "autolog_toy.py", folder)
    info = folder / "autolog_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: autolog-toy\nVersion: 1.0\n")
    points = configparser.ConfigParser()
    text = (FIXTURE / "pyproject.toml").read_text()
    for group in ("autolog.integrations", "autolog.flavors"):
        section = text.partition(f'[project.entry-points."{group}"]')[2].partition("\n[")[0]
        points.read_string(f"[{group}]\n{section}")
    lines = [
        line
        for group in points.sections()
        for line in (
            f"[{group}]",
            *(f"{name} = {value.strip(chr(34))}" for name, value in points[group].items()),
        )
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def make_toy_importable() -> None:
    """Install it for this test process and the scripts that it runs, once."""
    if find_spec("toy") is None:
        folder = tempfile.mkdtemp(prefix="autolog-toy-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        install_toy(folder)
        sys.path.insert(0, folder)


def environment(folder: str | Path, **more: str) -> dict[str, str]:
    """The environment of a script: the store in `folder`, nothing of autolog's or of a launcher's from outside."""
    # By W&B's variable, a child would use its parent's process of W&B's.
    foreign = ("AUTOLOG_", "PYTEST_", "COVERAGE_", "WANDB_SERVICE")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    path = os.pathsep.join(filter(None, sys.path))
    home = {"PYTHONPATH": path, "AUTOLOG_DIR": str(Path(folder) / ".autolog"), "PYTHONWARNINGS": "default"}
    return {**inherited, **home, **more}


def script(
    code: str, folder: str | Path, *arguments: str, timeout: float = 60, beneath: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run `code` as `script.py` in `folder`; variables are added to its environment. Killed after `timeout` seconds. It finds
    the modules `beneath` imported, those that are installed: see `autolog.testing.fresh`.
    """
    return fresh.run(
        "", *arguments, file=str(write_script(code, folder)), folder=str(folder), seconds=timeout, beneath=beneath,
        environment=environment(folder, **variables),
    )  # fmt: skip


# Python does not free a module's lock in a forked child if another thread was importing that module: the child would wait for
# ever when it imports it too.
WATCHED = """
    import sys

    class Watch:
        seen = set()
        def find_spec(self, name, path=None, target=None):
            background = sys.modules.get("autolog.store.background")
            if hasattr(background, "here") and background.here.get():
                self.seen.add(name)

    sys.meta_path.insert(0, Watch())
    import autolog
    {}
    autolog.process.get().at_exit()
    print(sorted(Watch.seen))
"""
"""A script that prints which modules were imported on threads of autolog's."""


def clean_script(code: str, folder: str | Path, *arguments: str, **more: Any) -> str:
    """Run a script as `script` does. It must succeed and leave standard error empty. Return what it printed."""
    done = script(code, folder, *arguments, **more)
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own, which finds the same modules. It must succeed."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    return done


@contextmanager
def running(
    code: str, folder: str | Path, *arguments: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A script that runs inside the block, with pipes for its three streams, and is killed at the end of it."""
    process = subprocess.Popen(
        [sys.executable, str(write_script(code, folder)), *arguments], cwd=folder, env=environment(folder, **variables),
        encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def in_threads(*works: Callable[[], Any], seconds: float = 60) -> None:
    """Do each of these in a thread of its own, all at the same time. Return when all are done."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads)


def signature_of(record: RunRecord, part: str) -> Any:
    """`inputs` or `outputs` of the signature in a run's model folder, a tensor as its name (if any), type and shape."""
    signature = json.loads((record.folder / "model" / "MLmodel").read_text()).get("signature") or {}
    return signature.get(part) and [
        (*([one["name"]] if "name" in one else []), one["tensor-spec"]["dtype"], one["tensor-spec"]["shape"])
        if "tensor-spec" in one
        else one
        for one in json.loads(signature[part])
    ]


def columns_of(kind: str, names: Iterable[Any] = "abcd") -> list[dict[str, Any]]:
    """Columns of one type, as a signature names them."""
    return [{"type": kind, "name": name} for name in names]


def example_of(record: RunRecord) -> Any:
    """The example of the input in a run's model folder; a sparse matrix as rows."""
    found = json.loads((record.folder / "model" / "input_example.json").read_text())
    if "indptr" in found:
        from scipy.sparse import csr_matrix

        matrix = csr_matrix((found["data"], found["indices"], found["indptr"]), found["shape"])
        return matrix.toarray().tolist()
    return found


def found(files: Mapping[str, bytes], secrets: Iterable[str]) -> list[tuple[str, str]]:
    """(file, secret) for each secret that is in a file or in its name, as it is or in an encoding that files and logs have."""
    return [
        (name, secret)
        for name, data in files.items()
        for secret in secrets
        if any(form in data or form in name.encode("utf-8", "surrogateescape") for form in forms_of(secret))
    ]


@cache
def forms_of(secret: str) -> tuple[bytes, ...]:
    """A text as it may stand in a file: plain, escaped for URLs or JSON, in hexadecimal, UTF-16 and UTF-32, and in base 64
    wherever in a longer text it began.
    """
    data = secret.encode()
    texts = (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], data.hex(), data.hex().upper())
    # What depends on the bytes before and after is left out.
    shifted = (base64.b64encode(bytes(shift) + data)[-(-shift * 4 // 3) : -4] for shift in range(3))
    encoded = [form for form in shifted for form in (form, form.replace(b"+", b"-").replace(b"/", b"_"))]
    wide = [secret.encode(encoding) for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")]
    return tuple(dict.fromkeys([*(text.encode() for text in texts), *encoded, *wide]))


def files_below(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their paths from it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()
    }  # fmt: skip


def write_script(code: str, folder: str | Path, name: str = "script.py") -> Path:
    path = Path(folder) / name
    path.write_text(textwrap.dedent(code))
    return path


def write_journal(layout: Layout, events: Iterable[Event], name: str | None = None) -> Path:
    """Write events as a process does that records them, into a new journal or one of this name; its path."""
    writer = JournalWriter(layout.journals / f"{name}.jsonl" if name else layout.new_journal())
    writer.keep(encode(list(events)))
    writer.open()
    writer.drain()
    writer.close()
    return writer.path


def spark_session(options: str = "") -> Any:
    """A small session of Spark's, one for all tests of a process; `options` are further ones of its JVM."""
    from pyspark.sql import SparkSession

    if options:
        os.environ["PYSPARK_SUBMIT_ARGS"] = os.environ["PYSPARK_SUBMIT_ARGS"].replace(
            _JVM, f"{_JVM} {options}", 1
        )

    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.sql.warehouse.dir": tempfile.mkdtemp(prefix="autolog-warehouse-"),
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session
