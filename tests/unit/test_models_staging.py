"""The promise: a model's files are held in memory only while small, given up early when too large, and searched for secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolog.models.errors import ModelNotSaved
from autolog.models.staging import StagedFile, Staging, _forms, contains
from autolog.models.types import Snapshot


def holding(content: bytes | Path) -> Snapshot:
    return Snapshot(
        flavor="toy", model_class="Toy", files={"a": b"", "b": content}, entry={}, python_function=None,
        modules=frozenset(),
    )  # fmt: skip


@given(st.lists(st.binary(max_size=40)), st.integers(0, 100))
def test_staging_holds_the_bytes_that_are_written(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], limit: int
) -> None:
    """Up to the limit in memory, beyond it in a file of the staging folder: the same bytes."""
    folder = tmp_path_factory.mktemp("staging")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autolog.models.staging.MEMORY_LIMIT", limit)
        file = StagedFile(folder, None)
        for part in parts:
            file.write(part)
        content = file.content()
    whole = b"".join(parts)
    assert isinstance(content, Path) == (len(whole) > limit)
    assert (content.read_bytes() if isinstance(content, Path) else content, file.size) == (whole, len(whole))
    file.discard()
    assert list(folder.iterdir()) == []


def test_a_file_can_be_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autolog.models.staging.MEMORY_LIMIT", 3)
    file = StagedFile(tmp_path, None)
    file.write(b"first try")
    file.restart()
    file.write(b"2nd")
    assert (file.content(), list(tmp_path.iterdir())) == (b"2nd", [])


def test_files_that_a_framework_writes_are_held_like_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small in memory, large where it was put, too large not at all; nothing is left behind."""
    monkeypatch.setattr("autolog.models.staging.MEMORY_LIMIT", 3)
    staging = Staging(tmp_path / "staging", 5)
    small, large = staging.place("data/a.keras"), staging.place("data/b.keras")
    assert (small.suffix, small.parent) == (".keras", tmp_path / "staging")
    small.write_bytes(b"123")
    large.write_bytes(b"12345")
    assert staging.content() == {"data/a.keras": b"123", "data/b.keras": large}
    assert not small.exists()
    other = Staging(tmp_path / "staging", 5)
    other.place("c").write_bytes(b"123456")
    with pytest.raises(ModelNotSaved, match="larger than the limit of 5 bytes"):
        other.content()
    staging.discard()
    other.discard()
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_file_over_the_limit_is_refused_before_it_is_written(tmp_path: Path) -> None:
    staging = Staging(tmp_path, 10)
    file = staging.open("model.pkl")
    file.write(b"0123456789")
    with pytest.raises(ModelNotSaved, match="larger than the limit of 10 bytes"):
        file.write(b"!")
    assert staging.content() == {"model.pkl": b"0123456789"}


@given(st.binary(max_size=60), st.binary(min_size=1, max_size=8), st.integers(1, 9))
def test_a_secret_is_found_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, needle: bytes, chunk: int
) -> None:
    """In memory and in a file, across the borders of what is read at once, exactly if it is there."""
    path = tmp_path_factory.mktemp("staging") / "model"
    path.write_bytes(content)
    needles = [needle]
    expected = any(form in content for form in _forms(needle))
    assert expected >= (needle in content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autolog.models.staging.CHUNK", chunk)
        assert (contains(holding(content).files, needles), contains(holding(path).files, needles)) == (
            expected,
            expected,
        )


@given(st.text(min_size=1, max_size=8))
def test_a_secret_is_found_in_every_encoding_that_files_have(secret: str) -> None:
    """As UTF-8, as NumPy stores text, inside JSON, and inside JSON inside JSON."""
    secret = secret.encode("utf-8", "ignore").decode() or "x"
    inner = json.dumps({"key": secret})
    forms = (secret.encode(), secret.encode("utf-32-le"), inner.encode(), json.dumps({"key": inner}).encode())
    assert [contains(holding(b"<" + form + b">").files, [secret.encode()]) for form in forms] == [True] * 4


@pytest.mark.parametrize("needles", [[], [b""], [b"absent"], [b"", b"\xff\xfe"]])
def test_a_text_that_is_not_there_is_not_found(needles: list[bytes]) -> None:
    assert not contains(holding(b"some content").files, needles)
