"""A sink's URL without its credentials, for all that is kept or shown: positions, logs, errors, the status."""

from __future__ import annotations

import hmac  # noqa: F401  # pyright: ignore[reportUnusedImport]
import re
from urllib.parse import quote, unquote

import autolog.userkey  # noqa: F401  # pyright: ignore[reportUnusedImport]
from autolog.tracking import redact

# `redact` needs hmac and the key. They are loaded now, because a sink's thread must not import anything.

_SECRET_KEY = re.compile(r"pass|pwd|secret|token|key|auth|cred|sig", re.IGNORECASE)
_PARAMETER = re.compile(r"([^?&;#=]+)=([^&;#]+)")
_HIDDEN = "***"
_USER_LENGTH = 8
"""A user name of this length may be a token, so it is hidden. A shorter one beside a password may be an ordinary word."""

LONG_ENOUGH = 6
"""A shorter password, such as `root`, may occur in any text by chance."""


class Address:
    """One URL: its `scheme`, the `rest` after the colon, and `safe`, the URL without user, password and secret parameters."""

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
        """Return a text, such as an exception's message, without this URL's credentials and other secrets."""
        return redact.redact_text(self.hide(text))

    def hide(self, text: str, shortest: int = 1) -> str:
        """Return `text` without this URL's credentials. Those shorter than `shortest` stay: they may be there by chance."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= shortest:
                text = text.replace(secret, _HIDDEN)
        return text

    def _without_user(self, place: str, has_authority: bool) -> str:
        authority, tail = _split(place, "/?#")
        if has_authority and "@" in tail and (authority or not tail.startswith("/")):
            # An unescaped `/`, `?` or `#` in a password, or an @ in a path after the host. To be safe, hide everything before
            # the @. The mark keeps two different places apart.
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
    """Return `text` before the first of `stops`, and the rest."""
    end = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
    return text[:end], text[end:]
