"""Signatures with the user's own key: they tell what this user wrote from what others made.

Knows no more of a model's files than their checksums.
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
    """Return the message that the keyed signature covers: the files' checksums, and how the files are to be read."""
    return b"autolog model 1\n" + json.dumps([flavor, entry, files], sort_keys=True).encode()


def sign(message: bytes, key: bytes) -> str:
    """Return the HMAC-SHA256 of a message, in hexadecimal."""
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def verify(message: bytes, signature: str, key: bytes) -> bool:
    """Return whether the signature is this key's for this message, in constant time."""
    return hmac.compare_digest(sign(message, key).encode(), signature.encode("utf-8", "replace"))
