"""The promise: what ran, from where and on what is known afterwards; nothing secret is, and nothing is touched for it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import msgspec
import pytest

from autolog.testing import filter_changes
from autolog.tracking import environment
from autolog.tracking.environment import describe, distributions, git

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with one commit, and no settings of the machine's user."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text("lr = 0.1\n")
    for command in (
        ["init", "-q", "-b", "trunk"], ["add", "."],
        ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-q", "-m", "First"],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_a_clean_checkout_is_its_commit_and_branch(repository: Path) -> None:
    (repository / "below").mkdir()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True
    ).stdout.strip()
    assert (
        git(str(repository))
        == git(str(repository / "below"))
        == {"commit": head, "branch": "trunk", "dirty": False}
    )


def test_a_changed_file_is_in_the_diff_without_its_secrets(repository: Path) -> None:
    """Staged or not; files that git does not know are not."""
    (repository / "train.py").write_text(
        'lr = 0.2\npassword = "hunter2!"\nurl = "postgres://me:s3cret@db/x"\n'
    )
    (repository / "unknown.py").write_text("x = 1\n")
    said = git(str(repository))
    assert said is not None
    assert said["dirty"]
    assert "-lr = 0.1" in said["diff"]
    assert "+lr = 0.2" in said["diff"]
    assert "unknown" not in said["diff"]
    assert not [secret for secret in ("hunter2!", "s3cret") if secret in said["diff"]]


def test_a_long_diff_is_cut_at_a_line_and_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half of a line, which may be half of a secret that is not recognised as one."""
    monkeypatch.setattr(environment, "MAX_DIFF", 400)
    (repository / "train.py").write_text("".join(f"value_{number} = {number}\n" for number in range(100)))
    said = git(str(repository))
    assert said is not None
    *lines, last = said["diff"].split("\n")
    assert last.startswith("… [cut:")
    assert len(said["diff"]) < 500
    assert all(
        line.partition(" = ")[2] == line.partition("value_")[2].partition(" ")[0]
        for line in lines
        if "+value" in line
    )


def test_nothing_is_written_to_the_repository_and_no_program_of_its_settings_runs(repository: Path) -> None:
    """Not even git's own refreshing of its index; no external diff, text conversion, pager, filter or watcher of files: the
    repository may be somebody else's.
    """
    trap = f"touch {repository.parent / 'ran'}; cat"
    (repository / ".gitattributes").write_text("*.py diff=trap filter=tr=ap\n")
    (repository / ".git" / "more").write_text('[filter "tr=ap"]\nrequired\n')
    subprocess.run(["git", "config", "include.path", "more"], cwd=repository, check=True)
    programs = ("external", "trap.textconv", "trap.command")
    for key in (*(f"diff.{name}" for name in programs), "core.pager", "core.fsmonitor", "filter.tr=ap.clean"):
        subprocess.run(["git", "config", key, f"sh -c '{trap}'"], cwd=repository, check=True)
    (repository / "train.py").write_text("lr = 0.2\n")
    os.utime(repository / "train.py", (1, 1))
    before = {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")}
    assert "+lr = 0.2" in (git(str(repository)) or {})["diff"]
    assert {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")} == before
    assert not (repository.parent / "ran").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://github.com/team/models.git", "https://github.com/team/models.git"),
        ("https://ada:s3cret@example.org/models", "https://example.org/models"),
        ("HTTPS://ghp_0123456789@example.org/models", "HTTPS://example.org/models"),
        ("git@example.org:team/models.git", "git@example.org:team/models.git"),
        ("../models", "../models"),
    ],
)
def test_a_clone_has_the_url_of_its_remote_without_the_token(repository: Path, url: str, said: str) -> None:
    subprocess.run(["git", "remote", "add", "origin", url], cwd=repository, check=True)
    found = git(str(repository))
    assert found is not None
    assert found["remote"] == said


def test_there_is_no_commit_outside_a_repository_or_without_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git(str(tmp_path)) is None
    assert git(str(tmp_path / "nowhere")) is None
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert git(str(tmp_path)) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git(str(tmp_path)) is None


def test_a_git_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(environment, "_GIT_SECONDS", 0.05)
    assert git(str(tmp_path)) is None


def test_the_installed_distributions_are_those_that_metadata_knows() -> None:
    found = distributions()
    for name in ("pytest", "hypothesis", "msgspec", "wrapt"):
        assert found[name] == distribution(name).version
    assert list(found) == sorted(found)


@pytest.mark.parametrize(
    ("folder", "name", "version"),
    [
        ("scikit_learn-1.9.1.dist-info", "scikit-learn", "1.9.1"),
        ("Pillow-11.0.0.dist-info", "pillow", "11.0.0"),
        ("torch-2.9.0+cu128.dist-info", "torch", "2.9.0+cu128"),
        ("zope.interface-7.1-py3.11.egg-info", "zope.interface", "7.1"),
        ("PyYAML-5.4.1.egg-info", "pyyaml", "5.4.1"),
    ],
)
def test_names_and_versions_are_read_from_folder_names(
    folder: str, name: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "nowhere"), ""])
    assert distributions() == {name: version}


def test_of_two_versions_on_the_path_the_first_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a/toy-2.dist-info", "b/toy-1.dist-info"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b")])
    assert distributions() == {"toy": "2"}


def test_a_process_is_described_by_its_code_and_machine(repository: Path) -> None:
    said = describe(str(repository / "train.py"), ["train.py", "--password", "hunter2!"], "/elsewhere")
    assert said["git"]["branch"] == "trunk"
    assert said["arguments"][:2] == ["train.py", "--password"]
    assert "hunter2!" not in str(said)
    assert {key: said[key] for key in ("script", "working_directory", "python", "executable", "cpus", "host")} == {
        "script": str(repository / "train.py"), "working_directory": "/elsewhere", "python": platform.python_version(),
        "executable": sys.executable, "cpus": os.cpu_count(), "host": platform.node(),
    }  # fmt: skip
    assert said["memory"] is None or said["memory"] > 10**8
    assert said["gpus"] == [] or all(type(name) is str for name in said["gpus"])
    msgspec.json.encode(said)


def test_a_notebook_has_no_script_and_is_described_by_its_folder(repository: Path) -> None:
    assert describe(None, [], str(repository))["git"]["branch"] == "trunk"


@pytest.mark.parametrize(
    "arguments",
    [["a\udc80b"], [3, None], ["x" * 100_000] * 3, [f"f{i}" for i in range(100_000)]],
    ids=range(4),
)
def test_any_command_line_becomes_bounded_text(arguments: list[str], tmp_path: Path) -> None:
    said = describe("/x/\udc80\ud800\0.py", arguments, "/y/\udc80")
    assert (
        len(msgspec.json.encode({key: said[key] for key in ("script", "arguments", "working_directory")}))
        < 1_000_000
    )


def test_a_user_without_a_name_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import getpass

    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", fail)
    assert describe(None, [], "/")["user"] is None


def test_python_remembers_which_warnings_it_has_shown(repository: Path) -> None:
    """Transparent: a program that warns once before the environment is described and once after is still heard once."""
    assert filter_changes(lambda: describe(str(repository / "train.py"), ["train.py"], "/")) == 0


def test_the_platform_is_that_of_the_platform_module() -> None:
    assert describe(None, [], "/")["platform"] == platform.platform()
