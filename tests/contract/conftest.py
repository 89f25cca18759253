"""Makes the made-up framework and its integration importable, as if both were installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
pytest.register_assert_rewrite(
    "autolog.testing"
)  # so that a failed assertion of the suite's shows its values

from helpers import install_toy  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _toy_is_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = str(tmp_path_factory.mktemp("site"))
    install_toy(folder)
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)
