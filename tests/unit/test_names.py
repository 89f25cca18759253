"""What users and authors import is there, costs nothing before it is used, and moves with a word first."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import pytest

import autolog
from autolog import _MOVED
from autolog.models.capture import snapshot
from autolog.models.errors import UntrustedModel
from autolog.models.folder import write
from autolog.models.load import load_model
from autolog.models.pickled import PickleFlavor


@pytest.mark.parametrize("module", ["autolog", "autolog.integration", "autolog.sinks"])
def test_every_public_name_is_there(module: str) -> None:
    """Under the name by which it was asked for, and listed by `dir()`."""
    package = importlib.import_module(module)
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
    assert set(package.__all__) <= set(dir(package))


def test_users_see_about_twenty_names() -> None:
    assert len(autolog.__all__) <= 22
    assert set(autolog.__all__) & {"Patch", "Integration", "Options", "Call"} == set()


@pytest.mark.parametrize("name", sorted(_MOVED))
def test_a_name_that_has_moved_is_found_with_a_warning(name: str) -> None:
    """For one more release, as the warning says, which names the line that asks."""
    with pytest.warns(DeprecationWarning, match=f"autolog.{name} has moved: import {_MOVED[name]} ") as told:
        found = getattr(autolog, name)
    assert found is getattr(importlib.import_module("autolog.integration"), _MOVED[name])
    assert told[0].filename == __file__
    with pytest.raises(AttributeError, match="no attribute 'Pathc'"):
        autolog.Pathc


def test_no_name_that_users_need_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in autolog.__all__:
            autolog.__getattr__(name)  # as when it is asked for first


def test_a_flavor_of_pickles_needs_no_format_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a framework without a format of its own: saved, loaded where it is trusted, refused where it is not."""
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setattr("autolog.models.flavors._loaded", {"toy": PickleFlavor("fractions")})
    from fractions import Fraction

    taken = snapshot("toy", Fraction(2, 3), staging_dir=tmp_path)
    write(taken, tmp_path / "model")
    assert load_model(tmp_path / "model") == Fraction(2, 3)
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "another"))
    with pytest.raises(UntrustedModel, match="is a pickle"):
        load_model(tmp_path / "model")
    assert load_model(tmp_path / "model", trust=True) == Fraction(2, 3)
