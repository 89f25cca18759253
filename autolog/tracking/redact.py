"""Keeps secrets out of the store. Called where events are made, so that no sink and no reader has to.

A value whose key or shape says that it is a secret becomes `<redacted:abcd>`: four hex digits of a keyed hash, so that equal
secrets still look equal within one user's runs and nothing can be looked up from it.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

_SECRET_WORDS = frozenset(
    ("password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials", "apikey")
)
_SECRET_PAIRS = frozenset(
    (first, "key") for first in ("api", "access", "private", "secret", "encryption", "signing", "account", "ssh")
) | {("connection", "string"), ("auth", "header")}  # fmt: skip

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Shapes of secrets, wherever they stand. Each is anchored by a literal that is rare in ordinary text.
_SHAPE = re.compile(
    r"""
      \b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b                          # AWS access key id
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                                # JSON web token
    | \b(?:gh[pousr]_|github_pat_)\w{20,}                              # GitHub
    | \bglpat-[\w-]{20,}                                               # GitLab
    | \bxox[abeoprs]-[\w-]{10,}                                        # Slack
    | \bsk-[\w-]{20,}                                                  # OpenAI, Anthropic
    | \bhf_[A-Za-z0-9]{20,}                                            # Hugging Face
    | \bAIza[\w-]{35}                                                  # Google
    | \bpypi-[\w-]{40,}                                                # PyPI
    | \bSG\.[\w-]{16,}\.[\w-]{16,}                                     # SendGrid
    | \b[rs]k_live_\w{16,}                                             # Stripe
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\s\S]*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | (?<=://)[^\s/@:]*:[^\s/@]+(?=@)                                  # user:password in a URL
    """,
    re.VERBOSE,
)
# `password = "…"`, `--api-key …`, `Authorization: Bearer …`: the name says it, the value may look like anything. NUL stands
# between the arguments of a command line.
_ASSIGNED = re.compile(
    r"""(?x)
    ( (?P<name> [\w.-]{2,80} ) ["']?\]?
      (?: [ ]*(?::[ ]*\w+[ ]*)?[=:][ ]* | (?<=\w)\x00 )
      (?: (?i:bearer|basic)[ ]+ )? )
    (?P<value> "[^"\n]{3,}" | '[^'\n]{3,}' | [^\s"',;&)}\]\x00-]{1}[^\s"',;&)}\]\x00]{2,} )
    """
)


@lru_cache(maxsize=1)
def _key() -> bytes:
    try:
        from autolog.userkey import user_key

        return user_key()
    except Exception:  # no place for a key: equality then shows within this process only
        return os.urandom(32)


def mark(secret: str) -> str:
    """What stands in a secret's place: `<redacted:abcd>`."""
    import hashlib
    import hmac

    digest = hmac.new(_key(), secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"<redacted:{digest.hexdigest()[:4]}>"


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Whether a value under this name is a secret whatever it looks like: `hf_token` is, `max_tokens` and
    `token_pattern` are not.
    """
    words = [w.lower() for w in _WORD.findall(key[:200])]
    if not words:
        return False
    return (
        not _SECRET_WORDS.isdisjoint(words)
        or words[-1] in ("token", "authorization")
        or any(pair in _SECRET_PAIRS for pair in zip(words, words[1:], strict=False))  # noqa: RUF007
    )


def redact_text(text: str, found: set[str] | None = None) -> str:
    """`text` with every secret in it replaced; the secrets themselves are added to `found`."""
    if len(text) < 8:
        return text

    def replace(match: re.Match[str]) -> str:
        secret = match.group(0)
        if found is not None:
            found.add(secret)
        return mark(secret)

    return _SHAPE.sub(replace, text)


def redact_source(text: str, found: set[str] | None = None) -> str:
    """As `redact_text`, for code, diffs and command lines, where a name beside a value may be what gives it away."""

    def replace(match: re.Match[str]) -> str:
        value = match["value"]
        secret = value.strip("\"'")
        if secret.startswith("<redacted:") or not is_secret_key(match["name"]):
            return match[0]
        if found is not None:
            found.add(secret)
        return match[1] + value.replace(secret, mark(secret))

    return _ASSIGNED.sub(replace, redact_text(text, found))


def redact_arguments(arguments: list[str]) -> list[str]:
    """A command line, argument by argument: `--password X` and `--password=X` both lose their X."""
    # The arguments are joined by NUL, which no argument can contain, so that a flag and its value are seen together.
    return redact_source("\0".join(arguments)).split("\0")
