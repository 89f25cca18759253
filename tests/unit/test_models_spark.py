"""The promise: a folder of Spark's that a stranger made gets no class loaded but Spark's own, whatever way it is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from autolog.models.errors import UntrustedModel
from autolog.models.load import Source
from autolog_pyspark.flavor import load

OWN = json.dumps({"class": "org.apache.spark.ml.PipelineModel", "paramMap": {"matrix": {"class": "matrix"}}})
FOREIGN = json.dumps({"class": "evil.Stage"})


def is_trusted(folder: Path) -> bool:
    """Whether a stranger's folder is loaded; PySpark, which would read it, need not be here."""
    try:
        load(Source(folder.parent, "spark", {}, trust=False), {"model_data": folder.name})
    except UntrustedModel:
        return False
    except Exception:  # whatever comes later: of PySpark, or that there is none
        return True
    return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As Spark writes it: its own classes, an empty mark, and a hidden sum."""
    monkeypatch.setitem(__import__("sys").modules, "pyspark.sql", None)  # nothing is to be read here
    metadata = tmp_path / "sparkml" / "stages" / "0_x" / "metadata"
    metadata.mkdir(parents=True)
    (metadata / "part-00000").write_text(OWN)
    (metadata / "_SUCCESS").touch()
    (metadata / ".part-00000.crc").write_bytes(b"crc\x00\xff")
    return tmp_path / "sparkml"


def test_sparks_own_stages_need_no_trust(folder: Path) -> None:
    assert is_trusted(folder)


@pytest.mark.parametrize("name", ["part-00000", "part-00001.json", "0", "_x=y", "a=b/part-00000", "x.gz"])
def test_another_class_needs_trust_in_whichever_file_it_is_named(folder: Path, name: str) -> None:
    """Spark reads them all, compressed or in a folder of a partition."""
    file = folder / "stages" / "0_x" / "metadata" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress(FOREIGN.encode()) if name.endswith(".gz") else FOREIGN.encode())
    assert not is_trusted(folder)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        f"{OWN}\n{FOREIGN}",
        f"{FOREIGN[:-1]}, {OWN[1:]}",
        "\ud800".encode("utf-8", "replace").decode(),
    ],
)
def test_an_ambiguous_description_needs_trust(folder: Path, text: str) -> None:
    """Two readers may see two things in it: of a class named twice the first, or the last."""
    (folder / "stages" / "0_x" / "metadata" / "part-00000").write_text(text)
    assert not is_trusted(folder)


def test_a_folder_with_links_needs_trust(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "metadata").mkdir(parents=True)
    (tmp_path / "elsewhere" / "metadata" / "part-00000").write_text(FOREIGN)
    (folder / "stages" / "1_y").symlink_to(tmp_path / "elsewhere")
    assert not is_trusted(folder)
