"""Scripts in processes of their own; the made-up framework and its integration are importable there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from helpers import install_toy


@pytest.fixture(scope="session", autouse=True)
def _toy_is_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = str(tmp_path_factory.mktemp("site"))
    install_toy(folder)
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)
