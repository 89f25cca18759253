"""A sink's URL without its credentials, for everything that is kept or shown: positions, logs, errors, the status."""

from __future__ import annotations

import hmac  # noqa: F401  # pyright: ignore[reportUnusedImport]
import re
from urllib.parse import quote, unquote

import autolog.userkey  # noqa: F401  # pyright: ignore[reportUnusedImport]
from autolog.tracking import redact

# hmac and the key are what `redact` needs: loaded now, as nothing may be imported on a sink's thread.

_SECRET_KEY = re.compile(r"pass|pwd|secret|token|key|auth|cred|sig", re.IGNORECASE)
_PARAMETER = re.compile(r"([^?&;#=]+)=([^&;#]+)")
_HIDDEN = "***"
_USER_LENGTH = 8
"""A user's name this long may be a token; a shorter one beside a password is left in messages, where it may be a word."""

LONG_ENOUGH = 6
"""A shorter password, like `root`, may be part of any text by chance."""


class Address:
    """One URL: `scheme`, `rest` after its colon, and `safe`, the whole without user, password and secret parameters."""

    def __init__(self, url: str) -> None:
        scheme, _, self.rest = url.partition(":")
        self.scheme = scheme.lower()
        self._secrets: set[str] = set()
        slashes = "//" if self.rest.startswith("//") else ""
        place = self._without_user(self.rest[len(slashes) :], bool(slashes))
        path, parameters = _split(place, "?#")
        shown = redact.redact_text(f"{self.scheme}:{slashes}{path}")
        self.safe = shown + _PARAMETER.sub(self._without_value, parameters)

    def __repr__(self) -> str:
        return f"Address({self.safe!r})"

    def scrub(self, text: str) -> str:
        """`text`, as an exception's message, without this URL's credentials and anything else that looks like a secret."""
        return redact.redact_text(self.hide(text))

    def hide(self, text: str, shortest: int = 1) -> str:
        """`text` without this URL's credentials, but for those shorter than `shortest`, which may be there by chance."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= shortest:
                text = text.replace(secret, _HIDDEN)
        return text

    def _without_user(self, place: str, has_authority: bool) -> str:
        authority, tail = _split(place, "/?#")
        if has_authority and "@" in tail and (authority or not tail.startswith("/")):
            # A password with a `/`, `?` or `#` that was not escaped, or an @ in a path behind a host. To be safe, all before
            # it is hidden; it is marked, so that two places do not get one name.
            user, _, after = place.rpartition("@")
            self._hide(user)
            return f"{redact.mark(user)}@{after}"
        user, at, host = authority.rpartition("@")
        if at:
            self._hide(user)
        return f"{host}{tail}"

    def _hide(self, user: str) -> None:
        name, *passwords = user.split(":")
        self._add(user)
        for password in passwords:
            self._add(password)
        if not any(passwords) or len(name) >= _USER_LENGTH:
            self._add(name)

    def _add(self, secret: str) -> None:
        self._secrets.update(form for form in (secret, unquote(secret), quote(secret, safe="")) if form)

    def _without_value(self, match: re.Match[str]) -> str:
        key, value = match[1], match[2]
        if not (_SECRET_KEY.search(key) or redact.is_secret_key(key)):
            return f"{key}={redact.redact_text(value)}"
        self._add(value)
        return f"{key}={_HIDDEN}"


def _split(text: str, stops: str) -> tuple[str, str]:
    """`text` before the first of `stops`, and the rest."""
    end = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
    return text[:end], text[end:]
