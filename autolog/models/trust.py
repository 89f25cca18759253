"""Signatures with the user's own key: what this user wrote can be told from what others made.

It knows of a model's files no more than their checksums.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from autolog.userkey import config_dir as config_dir
from autolog.userkey import user_key as user_key


def signed_message(flavor: str, entry: Mapping[str, Any], files: Mapping[str, Any]) -> bytes:
    """What the keyed signature vouches for: the files' checksums, and how they are to be read."""
    return b"autolog model 1\n" + json.dumps([flavor, entry, files], sort_keys=True).encode()


def sign(message: bytes, key: bytes) -> str:
    """The HMAC-SHA256 of a message, in hexadecimal."""
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def verify(message: bytes, signature: str, key: bytes) -> bool:
    """Whether the signature is this key's for this message, found out in constant time."""
    return hmac.compare_digest(sign(message, key).encode(), signature.encode("utf-8", "replace"))
