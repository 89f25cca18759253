"""The promise: a key of the user's own, made once, known to nobody else, that tells what this user signed from all the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import python
from hypothesis import given
from hypothesis import strategies as st

from autolog.models.errors import NoUserKey
from autolog.models.trust import config_dir, sign, user_key, verify

posix = pytest.mark.skipif(os.name == "nt", reason="Windows keeps others out by access lists")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config" / "autolog"
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(folder))
    return folder


def test_the_first_call_makes_the_key_and_later_ones_read_it(config: Path) -> None:
    key = user_key()
    assert (len(key), user_key(), (config / "key").read_bytes()) == (32, key, key)
    assert os.listdir(config) == ["key"]


@posix
def test_nobody_else_can_read_the_key_whatever_the_umask(config: Path) -> None:
    before = os.umask(0)
    try:
        user_key()
    finally:
        os.umask(before)
    assert ((config / "key").stat().st_mode & 0o777, config.stat().st_mode & 0o777) == (0o600, 0o700)


def test_processes_that_start_together_agree_on_one_key(config: Path) -> None:
    code = (
        "import sys; from autolog.models.trust import user_key; input(); sys.stdout.write(user_key().hex())"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    keys = {racer.communicate()[0] for racer in racers}
    assert keys == {(config / "key").read_bytes().hex()}
    assert os.listdir(config) == ["key"]


def test_a_key_that_another_process_has_made_meanwhile_is_kept(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = os.urandom
    overtaken: list[str] = []

    def slowly(length: int) -> bytes:
        if not overtaken:
            code = "from autolog.models.trust import user_key; print(user_key().hex(), end='')"
            overtaken.append("")
            overtaken[0] = python(code).stdout
        return draw(length)

    monkeypatch.setattr(os, "urandom", slowly)
    assert (user_key().hex(), (config / "key").read_bytes().hex()) == (overtaken[0], overtaken[0])


@posix
@pytest.mark.parametrize(
    ("content", "mode", "owner", "message"),
    [
        (bytes(32), 0o640, None, "chmod 600"),
        (bytes(32), 0o604, None, "chmod 600"),
        (bytes(32), 0o666, None, "chmod 600"),
        (bytes(32), 0o600, 12345, "another user"),
        (b"", 0o600, None, "damaged"),
        (bytes(31), 0o600, None, "damaged"),
        (bytes(33), 0o600, None, "damaged"),
    ],
)
def test_a_key_that_is_damaged_or_of_others_or_readable_by_them_is_not_used(
    config: Path, content: bytes, mode: int, owner: int | None, message: str
) -> None:
    """The message says why, and how to repair it."""
    config.mkdir(parents=True)
    (config / "key").write_bytes(content)
    (config / "key").chmod(mode)
    if owner is not None:
        if os.geteuid() != 0:
            pytest.skip("takes root to give a file away")
        os.chown(config / "key", owner, owner)
    with pytest.raises(NoUserKey, match=message):
        user_key()


def test_a_configuration_folder_that_cannot_be_made_is_a_no_user_key_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "file" / "autolog"))
    with pytest.raises(NoUserKey, match="no key can be kept at"):
        user_key()


@pytest.mark.skipif(sys.platform != "linux", reason="the rule of Linux desktops")
def test_the_key_lives_where_the_platform_keeps_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CONFIG_HOME is honoured, ~/.config is the default."""
    monkeypatch.delenv("AUTOLOG_CONFIG_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    default = config_dir()
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/ada")
    assert (default, config_dir()) == ("/home/ada/.config/autolog", "/etc/ada/autolog")


@given(st.binary(), st.binary(min_size=32, max_size=32))
def test_a_signature_is_recognised(message: bytes, key: bytes) -> None:
    assert verify(message, sign(message, key), key)


@given(st.binary(), st.binary(), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_signature_holds_for_one_message_and_one_key(a: bytes, b: bytes, key: bytes, other: bytes) -> None:
    assert verify(b, sign(a, key), key) == (a == b)
    assert verify(a, sign(a, other), key) == (key == other)


@given(st.text())
def test_any_text_as_a_signature_is_refused(signature: str) -> None:
    assert not verify(b"message", signature, bytes(32))
