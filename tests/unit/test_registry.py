"""The promise: what is installed is found, built-in or a stranger's, without importing any of it."""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from autolog.registry import GROUP, SINKS, Entry, entry_points, installed, sinks


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


def distribution(site: Path, name: str, text: str, version: str = "1.0") -> Path:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(text)
    return info


TOY = """[console_scripts]
toy = toy:main

[autolog.integrations]
toy = autolog_toy:ToyIntegration

[autolog.sinks]
toy = autolog_toy.sinks:ToySink
"""


def test_installed_entry_points_are_those_that_importlib_finds() -> None:
    for group in (GROUP, SINKS, "autolog.flavors"):
        expected = {
            (point.name, point.value.replace(" ", ""))
            for point in importlib.metadata.entry_points(group=group)
        }
        assert set(entry_points(group)) == expected
    assert installed()["sklearn"] == Entry("sklearn", ("sklearn",), "autolog_sklearn:SklearnIntegration")


def test_third_party_integrations_and_sinks_are_found_and_not_loaded(site: Path) -> None:
    distribution(site, "autolog_toy", TOY)
    assert installed() == {"toy": Entry("toy", ("toy",), "autolog_toy:ToyIntegration")}
    assert sinks() == {"toy": "autolog_toy.sinks:ToySink"}


def test_one_integration_may_be_woken_by_several_modules(site: Path) -> None:
    """It is called by its own name where that is one of them, else by the first."""
    distribution(
        site, "many",
        "[autolog.integrations]\nkeras = autolog_keras:K\ntf_keras = autolog_keras : K\ntensorflow=autolog_keras:K\n"
        "zeta = other.place:Z\nalpha = other.place:Z\n",
    )  # fmt: skip
    assert installed() == {
        "alpha": Entry("alpha", ("zeta", "alpha"), "other.place:Z"),
        "keras": Entry("keras", ("keras", "tf_keras", "tensorflow"), "autolog_keras:K"),
    }


@pytest.mark.parametrize(
    "text",
    [
        TOY.replace("\n", "\r\n"),
        "# a comment\n" + TOY,
        TOY.replace("toy = autolog_toy:ToyIntegration", "# toy = x:Y\n  \ntoy=autolog_toy:ToyIntegration"),
        TOY.replace("autolog_toy:ToyIntegration", "autolog_toy:ToyIntegration [extra]"),
        TOY + "\n[autolog.integrations.more]\nother = x:Y\n",
        "[autolog.integrations.before]\nother = x:Y\n" + TOY,
    ],
    ids=range(6),
)
def test_entry_points_are_read_however_they_are_written(site: Path, text: str) -> None:
    """Line ends, comments, extras, groups of similar names; by us and by `importlib.metadata` alike."""
    distribution(site, "autolog_toy", text)
    for _ in range(2):
        assert installed() == {"toy": Entry("toy", ("toy",), "autolog_toy:ToyIntegration")}
        (site / "other.zip").write_bytes(b"")
        sys.path.append(str(site / "other.zip"))
    assert {point.name for point in importlib.metadata.entry_points(group=GROUP)} == {"toy"}


def test_of_two_versions_the_first_on_the_path_counts(site: Path, tmp_path: Path) -> None:
    distribution(tmp_path / "other", "autolog_toy", TOY.replace("ToyIntegration", "Old"), "0.9")
    distribution(site, "Autolog_Toy", TOY)
    sys.path += [str(tmp_path / "other")]
    assert installed()["toy"].value == "autolog_toy:ToyIntegration"
    sys.path.reverse()
    assert installed()["toy"].value == "autolog_toy:Old"


@pytest.mark.parametrize("damage", ["binary", "a folder", "nothing", "no such group"])
def test_a_damaged_distribution_hides_no_other(site: Path, damage: str) -> None:
    broken = distribution(site, "broken", "") / "entry_points.txt"
    if damage == "binary":
        broken.write_bytes(b"[autolog.integrations]\nx = \xff\xfe:Y\n")
    elif damage == "a folder":
        broken.unlink()
        broken.mkdir()
    elif damage == "nothing":
        broken.unlink()
    else:
        broken.write_text("[autolog]\nx = y:Z\n")
    distribution(site, "autolog_toy", TOY)
    sys.path += ["", str(site / "nowhere"), str(site / "broken-1.0.dist-info" / "METADATA")]
    assert list(installed()) == ["toy"]


@pytest.mark.parametrize("odd", [None, 5, b"bytes", Path("/x"), object()])
def test_entries_of_the_path_that_are_no_folders_are_skipped(site: Path, odd: Any) -> None:
    from autolog.tracking.environment import distributions

    distribution(site, "autolog_toy", TOY)
    sys.path.insert(0, odd)
    assert list(installed()) == ["toy"]
    assert distributions() == {"autolog-toy": "1.0"}


def test_distributions_in_a_zip_file_are_found(site: Path) -> None:
    distribution(site / "inside", "autolog_toy", TOY)
    with zipfile.ZipFile(site / "bundle.zip", "w") as file:
        for path in (site / "inside").rglob("*"):
            file.write(path, path.relative_to(site / "inside"))
    sys.path += [str(site / "bundle.zip")]
    assert list(installed()) == ["toy"]


def test_an_unusual_finder_is_asked(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows distributions that are nowhere on the path."""
    info = distribution(site / "elsewhere", "autolog_toy", TOY)

    class Finder(importlib.metadata.DistributionFinder):
        def find_spec(self, *args: Any) -> None:
            return None

        def find_distributions(self, context: Any = None) -> Any:
            return [importlib.metadata.PathDistribution(info)]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert list(installed()) == ["toy"]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("no_such_module:X", ModuleNotFoundError, "no_such_module"),
        ("json:no_such_name", AttributeError, "no_such_name"),
        (
            "json:JSONDecoder",
            TypeError,
            "json:JSONDecoder is not a subclass of autolog.integration.Integration",
        ),
        ("json:dumps", TypeError, "json:dumps is not a subclass of autolog.integration.Integration"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_an_error_when_it_is_loaded(
    value: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Entry("x", ("x",), value).load()


def test_an_entry_may_hold_its_class() -> None:
    from autolog.integration import Integration

    class Own(Integration):
        name = "own"
        supports = "own"

    assert Entry("own", ("own",), loaded=Own).load() is Own
    assert installed()["sklearn"].load().name == "sklearn"
