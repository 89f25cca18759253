"""What the unit tests share: a place of their own, strictness, and no settings of the machine they run on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Shared machines stall: a deadline would fail a test for its neighbours.
settings.register_profile(
    "unit", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a working directory, a user's configuration and an environment of its own, and sees our errors."""
    from autolog.tracking import redact

    for variable in [name for name in os.environ if name.startswith("AUTOLOG_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AUTOLOG_STRICT", "1")
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    redact._key.cache_clear()
    yield
    redact._key.cache_clear()
