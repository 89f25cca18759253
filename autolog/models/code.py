"""The user's own modules that a model needs: keeps their sources in the model's folder, and finds them there again where they
are missing.

Importing them runs code, so a loader asks for trust first. Knows no framework.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

FOLDER = "code"
"""MLflow looks there, too, if the flavor's entry says so."""
MAX_FILES = 500
MAX_BYTES = 10 << 20


def sources(modules: Iterable[str], is_own: Callable[[str], bool]) -> tuple[dict[str, bytes], list[str]]:
    """Return the sources of these top-level modules, and of the user's modules that they import in turn, by their paths below
    `FOLDER`; and the modules that have none, or too many. `is_own` says whether a top-level module is the user's.
    """
    found: dict[str, bytes] = {}
    without: list[str] = []
    waiting, seen = list(modules), set(modules)
    while waiting:
        name = waiting.pop()
        files = _files_of(name)
        size = sum(map(len, found.values())) + sum(map(len, files.values()))
        if not files or len(found) + len(files) > MAX_FILES or size > MAX_BYTES:
            without.append(name)
            continue
        found.update(files)
        for imported in {name for content in files.values() for name in _imports(content)} - seen:
            if imported in sys.modules and is_own(imported):
                seen.add(imported)
                waiting.append(imported)
    return found, sorted(without)


def _files_of(name: str) -> dict[str, bytes]:
    """Return a module's file, or all files of a package."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    try:
        folders = [Path(one) for one in getattr(module, "__path__", ())]
        if not folders:
            path = Path(file) if isinstance(file, str) else None
            return {f"{name}.py": path.read_bytes()} if path is not None and path.suffix == ".py" else {}
        return {
            f"{name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
            for folder in folders
            for path in _below(folder)
        }
    except OSError:
        return {}


def _below(folder: Path) -> Iterator[Path]:
    for count, path in enumerate(sorted(folder.rglob("*.py"))):
        if count > MAX_FILES:
            return
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") or part == "__pycache__" for part in parts):
            yield path


_IMPORT = re.compile(rb"^[ \t]*(?:from[ \t]+(\w[\w.]*)[ \t]+import\b|import[ \t]+([\w., \t]+))", re.MULTILINE)


def _imports(content: bytes) -> Iterator[str]:
    """Yield the top-level names of a source's absolute imports. It is read line by line, since parsing a large source would
    hold up the training. A line of a text that looks like an import does no harm.
    """
    for one, several in _IMPORT.findall(content):
        for part in (one or several).decode("ascii", "replace").split(","):
            yield part.strip().partition(" ")[0].partition(".")[0]


def find_again(files: Mapping[str, bytes], folder: Path) -> None:
    """From now on, import modules that are found nowhere else from these sources, which `sources` has returned for a model in
    this folder. Modules that are imported already stay what they are.
    """
    finder = next((one for one in sys.meta_path if isinstance(one, KeptModules)), None)
    if finder is None:
        finder = KeptModules()
        sys.meta_path.append(finder)
    finder.add(files, folder)


class KeptModules(MetaPathFinder):
    """Finds modules in sources that were read and checked before: later changes to the files do not reach them."""

    def __init__(self) -> None:
        self._sources: dict[str, tuple[bytes, str, bool]] = {}

    def add(self, files: Mapping[str, bytes], folder: Path) -> None:
        for path, content in files.items():
            parts = path.removesuffix(".py").split("/")
            package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if package else parts)
            self._sources[name] = content, str(folder / FOLDER / path), package
        for name in tuple(self._sources):  # folders without an `__init__` are packages, too
            while "." in name:
                name = name.rpartition(".")[0]
                self._sources.setdefault(name, (b"", str(folder / FOLDER / name.replace(".", "/")), True))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        known = self._sources.get(fullname)
        if known is None:
            return None
        source, origin, package = known
        spec = spec_from_loader(fullname, _Loader(source, origin, package), origin=origin, is_package=package)
        if spec is not None:
            spec.has_location = True  # so that the module has a `__file__`
        return spec


class _Loader(InspectLoader):
    def __init__(self, source: bytes, origin: str, package: bool) -> None:
        self._source, self._origin, self._package = source, origin, package

    def is_package(self, fullname: str) -> bool:
        return self._package

    def get_source(self, fullname: str) -> str:
        from importlib.util import decode_source

        return decode_source(self._source)

    def get_code(self, fullname: str):  # the type of a code object differs between versions of typeshed
        return self.source_to_code(self._source, self._origin)
