"""What the tests of sinks share: third-party sinks that are installed, a place of each test's own, and the journal as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory, a configuration and an environment of the test's own, in which the third party's are installed."""
    for variable in [name for name in os.environ if name.startswith("AUTOLOG_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AUTOLOG_STRICT", "1")
    monkeypatch.setenv(
        "MLFLOW_DISABLE_TELEMETRY", "true"
    )  # MLflow reads it when it is imported, in fork servers too
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.syspath_prepend(str(HERE / "site"))
    monkeypatch.chdir(tmp_path)
