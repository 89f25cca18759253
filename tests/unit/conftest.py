"""What the unit tests share: a place of their own, strictness, and no settings of the machine they run on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from helpers import install_toy
from hypothesis import HealthCheck, settings

# Shared machines stall: a deadline would fail a test for its neighbours.
settings.register_profile(
    "unit", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("deep", settings.get_profile("unit"), max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))


@pytest.fixture(scope="session")
def _nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nowhere")


@pytest.fixture(autouse=True)
def _no_settings(_nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the settings of the machine's user or his key, and each sees our errors."""
    from autolog.tracking import redact

    for variable in [name for name in os.environ if name.startswith("AUTOLOG_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AUTOLOG_STRICT", "1")
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(_nowhere / "config"))
    monkeypatch.chdir(_nowhere)
    redact._key.cache_clear()
    yield
    redact._key.cache_clear()


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def _toy_is_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = str(tmp_path_factory.mktemp("site"))
    install_toy(folder)
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)


@pytest.fixture
def fresh(_toy_is_installed: None, own_folder: Path) -> Iterator[None]:
    """As in a new process, in a new folder: there is no session, and the made-up framework is installed and not imported."""
    from autolog import process
    from autolog.instrument.calls import current
    from autolog.recording.scope import last_run

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("toy", "autolog_toy")]:
            del sys.modules[name]

    forget()
    before, frame, last = process.get(), current.set(None), last_run.set(None)
    process.put(None)
    yield
    here = process.get()
    if here is not None:
        here.disable()
        here.at_exit()
    process.put(before)
    last_run.reset(last)
    current.reset(frame)
    forget()


@pytest.fixture
def toy(fresh: None) -> ModuleType:
    """The made-up framework."""
    import toy

    return toy
