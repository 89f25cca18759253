"""The user's own key: 32 random bytes, made once, kept in the user's configuration directory and readable by nobody else.

Its signature tells what this user made from what others made. Knows nothing of what is signed.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache

from platformdirs import user_config_dir

KEY_BYTES = 32


class NoUserKey(Exception):
    """There is no usable key file and none can be made."""


def config_dir() -> str:
    """Return AUTOLOG_CONFIG_DIR if set, else the platform's folder for a user's configuration. It need not exist."""
    return os.environ.get("AUTOLOG_CONFIG_DIR") or user_config_dir("autolog", appauthor=False, roaming=True)


def make_private(folder: str) -> None:
    """Make a folder and its missing parents, for this user alone."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_private(os.path.dirname(folder))
        make_private(folder)


def user_key() -> bytes:
    """Return this user's key; the first call ever makes it. Raises NoUserKey with the reason if that is impossible."""
    return _key(os.path.join(config_dir(), "key"))


@lru_cache(maxsize=4)
def _key(path: str) -> bytes:
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _create(path)
            return _read(path)
    except OSError as error:
        raise NoUserKey(f"no key can be kept at {path}: {error.strerror or error}") from None


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if os.name != "nt":  # Windows has no such bits; the folder's own access list keeps others out
            if status.st_uid != os.getuid():
                raise NoUserKey(f"{path} belongs to another user")
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise NoUserKey(
                    f"{path} is open to other users: chmod 600 it, or delete it if others may have read it"
                )
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise NoUserKey(f"{path} is damaged: delete it, a new one is made")
    return key


def _create(path: str) -> None:
    """Make the key file, complete and private from its first moment. If several processes make it, one wins."""
    make_private(os.path.dirname(path))
    draft = f"{path}.{os.urandom(8).hex()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
        # Neither replaces an existing file: Windows's rename fails then, and elsewhere link does.
        publish = os.rename if os.name == "nt" else os.link
        publish(draft, path)
    except FileExistsError:
        pass
    finally:
        try:
            os.unlink(draft)
        except FileNotFoundError:
            pass
