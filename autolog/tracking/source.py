"""Finds the code that no commit holds: the script, what it has imported from its own folders, and the cells of a notebook.

Code that a commit holds is known by the commit and the difference from it: see `environment`. All but `new_cells` runs off the
training thread, and imports nothing there.
"""

from __future__ import annotations

import os
import sys
import tokenize
from collections.abc import Iterable
from typing import Any

from autolog.tracking import redact
from autolog.tracking.environment import uncommitted
from autolog.tracking.values import text_of

MAX_FILES = 100
MAX_FILE = 500_000
MAX_SOURCES = 2_000_000
"""Maximum characters of all files, and of all cells."""
_INSTALLED = ("site-packages", "dist-packages", "node_modules")
_PYTHONS = tuple(
    {os.path.dirname(os.path.abspath(place)) for place in (os.__file__, sys.executable or os.__file__)}
)
"""The folders of the standard library and of the environment's programs."""


class Sources:
    """The files of a program that no commit holds. Each is returned once."""

    def __init__(self, script: str | None, folder: str) -> None:
        """`script` is the main module's file, `folder` the working directory when the program began."""
        self._script = script
        self._folder = os.path.abspath(folder)
        self._given: set[str] = set()
        self._kept = 0
        self._seen: set[str] = set()
        """The names of the modules that were examined."""
        self._room = MAX_SOURCES

    def new(self, secrets: Iterable[str]) -> dict[str, str]:
        """Return the text of each file that was not returned before. Its path is relative to the working directory, or to the
        script's folder if it is not below that. The text has no secrets, and none of the known `secrets`.
        """
        files = [path for path in self._own() if path not in self._given]
        self._given.update(files)
        place = os.path.dirname(os.path.abspath(self._script)) if self._script else self._folder
        files = uncommitted(place, files) if files else []
        found: dict[str, str] = {}
        if self._script is None and "-c" in sys.orig_argv[:-1] and "-c" not in self._given:
            self._given.add("-c")
            found["-c"] = without(sys.orig_argv[sys.orig_argv.index("-c") + 1], secrets)
        left_out = 0
        for path in files:
            text = _read(path)
            if text is None or len(text) > self._room or self._kept >= MAX_FILES:
                left_out += 1
                continue
            self._room -= len(text)
            self._kept += 1
            start = self._folder if _is_below(path, (self._folder,)) else place
            name = os.path.relpath(path, start).replace(os.sep, "/")
            found[text_of(redact.redact_text(name))] = without(text, secrets)
        if left_out:
            found["…"] = f"Not kept, as too large, too many, or not to be read: {left_out} more."
        return found

    def _own(self) -> list[str]:
        """Return the script, and the imported modules below its folder or the working directory that are in no environment."""
        script = os.path.abspath(self._script) if self._script else ""
        roots = {
            self._folder,
            *(os.path.dirname(path) for path in (script, os.path.realpath(script)) if script),
        }
        found = [script] if script and script not in self._given and not _is_installed(script) else []
        modules: list[str] = []
        # A copy is made at once; a list of items is not: while it is made, another thread may import.
        for name, module in sys.modules.copy().items():
            if name in self._seen or name.partition(".")[0].partition("_")[0] == "autolog":
                continue
            self._seen.add(name)
            path: Any = getattr(module, "__dict__", {}).get("__file__")
            if type(path) is str and path.endswith(".py"):
                path = os.path.abspath(path)
                if _is_below(path, roots) and not _is_installed(path) and path not in found:
                    modules.append(path)
        return [*found, *sorted(set(modules))]


def _is_installed(path: str) -> bool:
    return any(part in _INSTALLED for part in path.split(os.sep)) or _is_below(path, _PYTHONS)


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _read(path: str) -> str | None:
    """Return a Python file as text, in the encoding that it declares. Return None if it is too large or unreadable."""
    try:
        if os.path.getsize(path) > MAX_FILE:
            return None
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


def without(text: str, secrets: Iterable[str]) -> str:
    """Return Python code without what looks like a secret, and without known `secrets`: a call's argument may have no name."""
    for secret in sorted(secrets, key=len, reverse=True):
        if redact.is_telling(secret):
            text = text.replace(secret, redact.mark(secret))
        else:  # it may be any word: without quotes, it means something else
            for quote in ("'", '"'):
                text = text.replace(f"{quote}{secret}{quote}", f"{quote}{redact.mark(secret)}{quote}")
    return text_of(redact.redact_text(text, python=True), 2 * MAX_FILE)


class Notebook:
    """The cells that have been run in this process and are not recorded yet."""

    def __init__(self) -> None:
        self._seen = 0
        self._room = MAX_SOURCES

    def new_cells(self) -> dict[str, str]:
        """Return the cells' text as it is, by their number. Runs on the training thread."""
        try:
            shell: Any = sys.modules["IPython"].get_ipython()
            history: list[str] = [] if shell is None else shell.history_manager.input_hist_raw
            first, self._seen = self._seen, len(history)
            cells = {str(number): str(history[number]) for number in range(max(first, 1), self._seen)}
        except Exception:  # another shell, or another IPython than we know
            return {}
        for number, text in list(cells.items()):
            self._room -= len(text)
            if self._room < 0:
                cells[number] = f"… [cut: {len(text)} characters]"
        return {number: text for number, text in cells.items() if text.strip()}
