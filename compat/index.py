"""Asks the package index for new releases, and whether a cell can be installed. This module installs nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from packaging.version import InvalidVersion, Version

from compat.cells import MATRIX, Cell, Framework

COOL_DOWN = 7
"""The least age of a release in days: most broken or malicious releases are withdrawn by then."""


@dataclass(frozen=True)
class News:
    framework: str
    add: tuple[str, ...]
    """New versions."""
    drop: tuple[str, ...]
    """Versions that new ones replace: the matrix has the oldest version, and the newest patch of each minor."""
    waiting: tuple[str, ...]
    """New versions that are too young."""


def news(framework: Framework, now: datetime | None = None, days: int = COOL_DOWN) -> News:
    """Return the releases that the index has and the matrix does not.

    Raises:
        pypi_simple.NoSuchProjectError: if there is no such package.
    """
    from pypi_simple import PyPISimple

    now = now or datetime.now(timezone.utc)
    with PyPISimple() as client:
        page = client.get_project_page(framework.package)
    dates: dict[Version, datetime] = {}
    for one in page.packages:
        try:
            version = Version(one.version or "")
        except InvalidVersion:
            continue
        if not version.is_prerelease and not one.is_yanked and one.upload_time is not None:
            dates[version] = min(one.upload_time, dates.get(version, one.upload_time))
    return choose(framework, dates, now - timedelta(days=days))


def choose(framework: Framework, dates: dict[Version, datetime], until: datetime) -> News:
    """Choose the newest patch of each minor after the newest known version, among releases up to `until`."""
    known = [Version(one) for one in framework.versions]
    add: list[str] = []
    drop: list[str] = []
    waiting = [str(one) for one in sorted(dates) if one > known[-1] and dates[one] > until]
    minors: dict[tuple[int, int], Version] = {}
    for version in sorted(dates):
        if version > known[-1] and dates[version] <= until:
            minors[version.major, version.minor] = version
    for minor, version in minors.items():
        add.append(str(version))
        older = [one for one in known[1:] if (one.major, one.minor) == minor]
        drop += [next(text for text in framework.versions if Version(text) == one) for one in older]
    return News(framework.name, tuple(add), tuple(drop), tuple(waiting))


def write(found: list[News], path: Path = MATRIX) -> None:
    """Write new releases into the matrix. Only the lists of versions change."""
    import tomlkit

    document = tomlkit.parse(path.read_text())
    for one in found:
        versions = document["frameworks"][one.framework]["versions"]  # pyright: ignore
        for old in one.drop:
            versions.remove(old)  # pyright: ignore
        for new in one.add:
            versions.append(new)  # pyright: ignore
    path.write_text(tomlkit.dumps(document))


def why_not(cell: Cell) -> str:
    """Return why a cell cannot be installed; "" if it can. Allows only wheels: compiling SciPy in a cell takes too long."""
    requires = [*cell.requires, *cell.without_dependencies]
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "-", "-q", "--python-version", cell.python, "--no-header",
        "--only-binary", ":all:", *(["--prerelease", "allow"] if cell.pre else []),
    ]  # fmt: skip
    done = subprocess.run(command, input="\n".join(requires), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return re.sub(r"\s+", " ", re.sub(r"[×╰─▶│]", " ", done.stderr)).strip()
