"""Describes the code and the machine of a process, once per process, on a thread of its own, never on the training thread.

It reads files and runs git. It imports nothing there (a fork would leave the child unable to import it) and waits for nothing
longer than a few seconds. It also avoids everything that uses `warnings.catch_warnings`, such as `subprocess`'s search for a
program along the path: that changes the filters of all threads, and makes Python forget which warnings it has shown.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
import shutil
import subprocess
import sys
from typing import Any

try:
    import pwd  # noqa: F401  # pyright: ignore[reportUnusedImport]  getpass would import it when asked
except ImportError:  # Windows
    pass

from autolog.tracking import redact
from autolog.tracking.values import plain, text_of

MAX_DIFF = 500_000
MAX_ARGUMENTS = 500
_GIT_SECONDS = 5.0


def describe(script: str | None, arguments: list[str], folder: str) -> dict[str, Any]:
    """Return code (`script`, `arguments`, git) and environment (Python, machine, distributions), with secrets taken out."""
    return {
        "script": None if script is None else _path(script),
        "arguments": _arguments(arguments),
        "working_directory": _path(folder),
        "git": git(os.path.dirname(os.path.abspath(script)) if script else folder) or git(folder),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": _path(sys.executable or ""),
        "platform": _platform(),
        "host": platform.node(),
        "user": _user(),
        "cpus": os.cpu_count(),
        "memory": _memory(),
        "gpus": _gpus(),
        "distributions": distributions(),
    }


def _path(path: str) -> str:
    """Return a path without secrets: folders may be named after them."""
    return text_of(redact.redact_text(path))


def _arguments(arguments: list[Any]) -> list[str]:
    """Return a command line without its secrets, cut to a readable length."""
    texts = [argument if type(argument) is str else str(plain(argument)) for argument in arguments]
    shown = [text_of(text) for text in redact.redact_arguments(texts[:MAX_ARGUMENTS])]
    return shown if len(texts) <= MAX_ARGUMENTS else [*shown, f"… {len(texts) - MAX_ARGUMENTS} more"]


def _platform() -> str:
    """Return the same as `platform.platform()`, which itself would start a process to find the processor's name."""
    system, release = platform.system(), platform.release()
    if system == "Darwin" and platform.mac_ver()[0]:
        system, release = "macOS", platform.mac_ver()[0]
    libc = "".join(platform.libc_ver()) if system == "Linux" else ""
    return "-".join(filter(None, (system, release, platform.machine(), libc and f"with-{libc}")))


def _user() -> str | None:
    try:
        return getpass.getuser()
    except Exception:  # no such user id, as in many containers
        return None


def _memory() -> int | None:
    """Return the bytes of physical memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _gpus() -> list[str]:
    """Return the names of NVIDIA's devices, which its driver lists in /proc; any other way takes a process or the framework."""
    names: list[str] = []
    try:
        for device in sorted(os.scandir("/proc/driver/nvidia/gpus"), key=lambda entry: entry.name):
            with open(os.path.join(device.path, "information"), encoding="utf-8") as file:
                names += [line.partition(":")[2].strip() for line in file if line.startswith("Model:")]
    except OSError:
        pass
    return names


_DIST_INFO = re.compile(r"([^-]+)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info\Z")


def distributions() -> dict[str, str]:
    """Return installed distributions and their versions by their folders' names: metadata takes a hundred times as long."""
    found: dict[str, str] = {}
    for folder in [folder for folder in sys.path if type(folder) is str]:
        try:
            entries = list(os.scandir(folder or "."))
        except OSError:
            continue
        for entry in entries:
            match = _DIST_INFO.match(entry.name)
            if match:
                found.setdefault(text_of(match[1]).replace("_", "-").lower(), text_of(match[2]))
    return dict(sorted(found.items()))


def git(folder: str) -> dict[str, Any] | None:
    """Return the commit, the branch, the origin's URL (`remote`, if there is one), whether anything differs from HEAD, and that
    difference. Return None outside a repository.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD") or ""
    without = _programs(folder)
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", without=without) or ""
    said: dict[str, Any] = {
        "commit": commit.strip(),
        "branch": redact.redact_text(branch.strip()),
        "dirty": bool(changed.strip()),
    }
    remote = (_git(folder, "config", "--get", "remote.origin.url") or "").strip()
    if remote:  # a token may stand before the host
        said["remote"] = text_of(redact.redact_text(re.sub(r"(?i)^(https?://)[^/@]*@", r"\1", remote)))
    if said["dirty"]:
        how = ("--no-color", "--no-ext-diff", "--no-textconv")
        diff = _git(folder, "diff", "HEAD", *how, without=without) or ""
        if len(diff) > MAX_DIFF:  # at a line's end: half a secret would not be found
            diff = "\n".join((diff[:MAX_DIFF].rpartition("\n")[0], f"… [cut: {len(diff)} characters]"))
        said["diff"] = text_of(redact.redact_diff(diff), 2 * MAX_DIFF)
    return said


def uncommitted(folder: str, paths: list[str]) -> list[str]:
    """Return those of the files that neither the last commit of the folder's repository holds nor the difference from it.
    Return all of them if there is no commit.
    """
    top = (_git(folder, "rev-parse", "--show-toplevel") or "").rstrip("\n")
    said = _git(top, "ls-files", "-z") if top and _git(top, "rev-parse", "-q", "--verify", "HEAD") else None
    if said is None:
        return paths
    held = {os.path.realpath(os.path.join(top, name)) for name in said.split("\0") if name}
    return [path for path in paths if os.path.realpath(path) not in held]


def _programs(folder: str) -> tuple[str, ...]:
    """Return the repository's own settings that name programs which git would run to see what has changed. The repository may
    be somebody else's, so its settings are left out; the user's are not.
    """
    asked = (
        "config",
        "--show-scope",
        "--name-only",
        "-z",
        "--get-regexp",
        r"^filter\..*\.(clean|process|required)$",
    )
    said = (_git(folder, *asked) or "").split("\0")
    own = [name for scope, name in zip(said[::2], said[1::2], strict=False) if scope in ("local", "worktree")]
    return ("core.fsmonitor", *own)


def _git(folder: str, *arguments: str, without: tuple[str, ...] = ()) -> str | None:
    """Return what git prints, with the settings `without` emptied; None if it fails."""
    program = shutil.which("git")
    if program is None:
        return None
    # git takes no lock in the user's repository, and prompts for nothing.
    variables = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    if without:
        given = variables.get("GIT_CONFIG_COUNT", "")
        first = int(given) if given.isdecimal() else 0
        variables["GIT_CONFIG_COUNT"] = str(first + len(without))
        for number, name in enumerate(without, first):
            variables[f"GIT_CONFIG_KEY_{number}"] = name
            variables[f"GIT_CONFIG_VALUE_{number}"] = ""
    try:
        done = subprocess.run(
            [program, "-C", folder, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_GIT_SECONDS, env=variables,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
