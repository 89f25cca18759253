"""The code of a run is on record, whether a commit holds it or not; without secrets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import clean_script, environment

from autolog.store.records import Store

HELPER = 'PASSWORD = "s3cr3t-pass"\n\ndef data():\n    return [1.0, 2.0], [2.0, 4.0]\n'
SCRIPT = """
import autolog, toy
import lib.helper
autolog.autolog(silent=True)
token = "hf_{}"
toy.Slope().fit(*lib.helper.data())
""".format("a1B2" * 9)
KEPT = SCRIPT.replace("hf_" + "a1B2" * 9, "S")


def run(project: Path) -> dict[str, Any]:
    """What is on record of a run of `train.py` in that folder, marks as `S`."""
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=project, env=environment(project.parent), capture_output=True, text=True, timeout=120
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    [record] = Store(project.parent / ".autolog").runs()
    said: dict[str, Any] = record.environment
    said.setdefault("sources", {})
    for name, text in said["sources"].items():
        said["sources"][name] = "S".join(
            part[5:] if at else part for at, part in enumerate(text.split("<redacted:"))
        )
    return said


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "lib").mkdir(parents=True)
    (tmp_path / "project" / "lib" / "helper.py").write_text(HELPER)
    (tmp_path / "project" / "lib" / "never_imported.py").write_text("x = 1\n")
    (tmp_path / "project" / "train.py").write_text(SCRIPT)
    return tmp_path / "project"


def git(project: Path, *commands: str) -> None:
    for command in commands:
        subprocess.run(
            ["git", "-C", str(project), "-c", "user.name=x", "-c", "user.email=x@x", *command.split()], check=True, timeout=60
        )  # fmt: skip


def test_without_a_commit_the_script_and_what_it_imports_are_kept(project: Path) -> None:
    """Its own modules, not those of an environment."""
    said = run(project)
    assert said["git"] is None
    assert said["sources"] == {"train.py": KEPT, "lib/helper.py": HELPER.replace("s3cr3t-pass", "S")}


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_committed_files_are_not_kept_again(project: Path) -> None:
    (project / ".gitignore").write_text("lib/helper.py\n")
    git(project, "init -q", "add .gitignore train.py", "commit -q -m first")
    assert run(project)["sources"] == {"lib/helper.py": HELPER.replace("s3cr3t-pass", "S")}


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_when_all_is_committed_nothing_is_kept(project: Path) -> None:
    git(project, "init -q", "add -A", "commit -q -m first")
    said = run(project)
    assert (said["sources"], said["git"]["dirty"]) == ({}, False)


def test_a_very_large_source_file_is_left_out_and_noted(project: Path) -> None:
    (project / "lib" / "helper.py").write_text(HELPER + "# x\n" * 200_000)
    assert run(project)["sources"] == {
        "train.py": KEPT,
        "…": "Not kept, as too large, too many, or not to be read: 1 more.",
    }


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_committed_files_do_not_count_towards_the_limit(project: Path) -> None:
    for number in range(120):
        (project / "lib" / f"part{number}.py").write_text(f"x = {number}\n")
    imports = "".join(f"import lib.part{number}\n" for number in range(120))
    (project / "lib" / "helper.py").write_text(imports + HELPER)
    git(project, "init -q", "add lib", "commit -q -m first")
    assert run(project)["sources"] == {"train.py": KEPT}


LATE = """# -*- coding: latin-1 -*-
import autolog, os, sys, toy
autolog.autolog(silent=True)
toy.Slope().fit([1.0], [2.0])
import lib.late
toy.Slope().fit([1.0], [2.0])  # caf\xe9
"""


def test_what_is_imported_later_is_kept_too(project: Path) -> None:
    """In the encoding that a file says; by its path from the working directory, wherever the script is."""
    (project / "lib" / "late.py").write_text("late = 1\n")
    (project / "run.py").write_bytes(LATE.encode("latin-1"))
    code = LATE.partition("\n")[2]
    for arguments, main in (["run.py"], "run.py"), (["-c", code], "-c"):
        store = project.parent / f"store{len(arguments)}"
        done = subprocess.run(
            [sys.executable, *arguments], cwd=project, capture_output=True, text=True, timeout=120,
            env=environment(project.parent, AUTOLOG_DIR=str(store)),
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        for record in Store(store).runs():
            kept = record.environment["sources"]
            assert list(kept) == [main, "lib/late.py"]
            assert kept[main] == (LATE if main == "run.py" else code)


def test_the_value_of_a_secret_param_is_redacted_where_the_code_quotes_it(tmp_path: Path) -> None:
    """A call's argument has no name in the code. Where the word is part of another, it stays; what looks like a secret goes."""
    code = """
        import autolog, toy
        autolog.autolog(silent=True)
        def keep(given):
            with autolog.run() as run:
                run.log_params({"password": given})
        sunshine = 1
        keep("sunshine")
        sunshine_2, key = sunshine, "x"  # a1b2-c3d4-e5
        keep("a1b2-c3d4-e5")
    """
    clean_script(code, tmp_path)
    [kept] = Store(tmp_path / ".autolog").runs(limit=1)[0].environment["sources"].values()
    assert "sunshine = 1\n" in kept
    assert "sunshine_2, key = sunshine," in kept
    assert '"sunshine"' not in kept


CELLS = """
    import sys
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell.instance(history_length=0)
    for cell in (
        "import autolog, toy\\nautolog.autolog(silent=True)", "%config InteractiveShell.ast_node_interactivity",
        "api_key = 's3cr3t-key-0'\\ntoy.Slope().fit([1.0], [2.0]);", "", "x = 1",
        "with autolog.run('two') as run:\\n    toy.Slope().fit([1.0], [2.0])", "after = 1",
    ):
        shell.run_cell(cell, store_history=True).raise_error()
"""


def test_a_notebooks_cells_are_kept_as_they_were_run(tmp_path: Path) -> None:
    """Of each run those that were run before it ended, its own included, as they were typed."""
    pytest.importorskip("IPython")
    clean_script(CELLS, tmp_path, IPYTHONDIR=str(tmp_path / "ipython"))
    first, second = Store(tmp_path / ".autolog").runs(order_by="started")
    cells = json.loads(json.dumps(first.environment["cells"]).replace("<redacted:", "S<"))
    assert list(cells) == ["1", "2", "3"]
    assert cells["1"] == "import autolog, toy\nautolog.autolog(silent=True)"
    assert cells["2"].startswith("%config")
    assert cells["3"].startswith("api_key = 'S<")
    assert cells["3"].endswith(">'\ntoy.Slope().fit([1.0], [2.0]);")
    # An empty cell has no number.
    assert list(second.environment["cells"]) == ["1", "2", "3", "4", "5"]


def test_show_prints_the_code(project: Path) -> None:
    run(project)
    show = [sys.executable, "-m", "autolog", "show", "@last", "--store", str(project.parent / ".autolog")]
    shown = subprocess.run([*show, "--code"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert shown.startswith("# %% train.py\n\nimport autolog, toy\n")
    assert "# %% lib/helper.py\nPASSWORD = " in shown
    as_json = json.loads(
        subprocess.run([*show, "--code", "--json"], capture_output=True, timeout=60, check=True).stdout
    )
    assert (as_json["diff"], list(as_json["sources"]), as_json["cells"]) == (
        "",
        ["train.py", "lib/helper.py"],
        {},
    )
    page = subprocess.run(show, capture_output=True, text=True, timeout=60, check=True).stdout
    name = page.split()[0]
    assert f"train.py, lib/helper.py  (autolog show {name} --code)" in page
