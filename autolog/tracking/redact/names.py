"""Decides by a name, or by the value itself, whether a value is a secret. This module does not know the text around them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from autolog.tracking.redact import rules

# -- a project's own rules


class Own(NamedTuple):
    """A project's own rules, from texts such as `acme_[a-z0-9]{32}` (a shape), `badge=` (a name), `!demo-.+` (no secret)."""

    shapes: tuple[re.Pattern[str], ...] = ()
    names: frozenset[tuple[str, ...]] = frozenset()
    """The last words of a name."""
    innocent: tuple[re.Pattern[str], ...] = ()


def own_rules(texts: Iterable[str]) -> Own:
    """Parse a project's rules. Raises ValueError for an invalid one."""
    shapes: list[re.Pattern[str]] = []
    innocent: list[re.Pattern[str]] = []
    names: set[tuple[str, ...]] = set()
    for text in texts:
        if re.fullmatch(r"[\w.-]+=", text):
            names.add(tuple(_words(text)))
            continue
        try:
            pattern = re.compile(text.removeprefix("!"))
        except re.error as error:
            raise ValueError(f"secrets: {text!r} is not a regular expression: {error}.") from None
        if pattern.match(""):
            raise ValueError(f"secrets: {text!r} matches the empty text, and so every text.")
        (innocent if text.startswith("!") else shapes).append(pattern)
    return Own(tuple(shapes), frozenset(names), tuple(innocent))


_own = Own()


def use(own: Own) -> None:
    """Use these rules from now on, in this process."""
    global _own
    if own == _own:
        return
    _own = own
    verdict.cache_clear()


def own() -> Own:
    """Return the project's rules that are in use."""
    return _own


# -- names

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
CERTAIN, LIKELY, NOT = 2, 1, 0


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def is_secret_key(key: str) -> bool:
    """Return whether any value under this name is a secret. `hf_token` is such a name; `max_tokens`, `pad_token` and
    `token_pattern` are not.
    """
    return verdict(key) == CERTAIN


@lru_cache(maxsize=4096)
def verdict(key: str) -> int:
    """Return what a name says about its value: `CERTAIN` for a secret, `LIKELY` for one if it looks like one, or `NOT`."""
    key = key[-200:]
    parts = [part for part in key.split(".") if part]
    if not parts:
        return NOT
    last = _words(parts[-1])
    if _is_certain(last) or (len(parts) > 1 and _is_certain(_words(key), within=True)):
        return CERTAIN
    if any(_is_strong(_words(part)) for part in parts[:-1]):
        return CERTAIN
    names = [part.strip("-_").lower() for part in parts]
    if not rules.LIKELY.isdisjoint(names) or tuple(last[-2:]) in rules.LIKELY_PAIRS:
        return LIKELY
    return NOT


def _is_strong(words: list[str]) -> bool:
    """Return whether a part of a dotted name makes everything below it secret, as in `credentials.id`."""
    return bool(words) and words[-1] not in rules.CERTAIN_LAST and _is_certain(words)


def _is_certain(words: list[str], within: bool = False) -> bool:
    """Return whether the words name a secret. With `within`, count only pairs across the dots, as in `wandb.key`."""
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in rules.VARIANTS or words[-1] == "v"):
        words = words[:-1]
    if not words:
        return False
    *before, last = words
    first = before[-1] if before else ""
    if (
        last in ("key", "keys")
        and (first in rules.KEYS or (first == "app" and not rules.VENDORS.isdisjoint(before)))
    ) or (last in ("token", "tokens") and within and first in rules.VENDORS):
        return True
    if within:
        return False
    if last == "pass" and first in rules.PASSES:
        return True
    if _own.names and any(tuple(words[-len(own) :]) == own for own in _own.names):
        return True
    if last in rules.ABOUT:
        return False
    if last in rules.CERTAIN_LAST:
        return last != "token" or first not in rules.PLAIN_TOKENS
    if last == "tokens" and first in rules.TOKENS:
        return True
    if not rules.CERTAIN.isdisjoint(words) or last.endswith(rules.CERTAIN_ENDS):
        return True
    pairs = set(pairwise(words))
    if not rules.PAIRS.isdisjoint(pairs) or any(two == "key" and one in rules.KEYS for one, two in pairs):
        return True
    return (last.endswith("token") and last[:-5] in rules.TOKENS) or (
        last.endswith("pass") and last[:-4] in rules.PASSES
    )


# -- values

_LEAST = 8
MIXED = re.compile(r"[A-Za-z](?=\d)|\d(?=[A-Za-z])")
_SEPARATORS = re.compile(r"[\W_]+")
_HEX = re.compile(r"[0-9a-fA-F]+")
_CASES = re.compile("[a-z](?=[A-Z])|[A-Z](?=[a-z])")
_PASSPHRASE = re.compile(r"(?=[\w-]{20})[A-Za-z]+(?:[_-][A-Za-z]+){2,}\Z")
SPECIAL = re.compile(r"[!#$%^&*?@]")
USER = re.compile(r"[^\s:/]+:(?!\d{1,5}\Z)[^\s/]{1,}\Z")


def is_made_up(text: str) -> bool:
    """Return whether a text looks like a password or a key: letters and digits mixed in one word, characters that names do
    not have, or three or more words joined without spaces. Words, sentences, numbers, dates, paths and `strict-12` do not.
    """
    if len(text) < _LEAST or text.startswith(("/", "./", "~")):
        return False
    changes = len(_CASES.findall(text))
    is_mixed = changes >= 5 and changes > 0.35 * len(text)  # LogisticRegressionCV has fewer changes
    return is_mixed or bool(SPECIAL.search(text) or MIXED.search(text) or _PASSPHRASE.match(text))


def looks_random(text: str) -> bool:
    """Return whether a text looks like a generated key: a long, irregular piece of letters and digits that is no hex digest."""
    return any(
        len(piece) >= 16
        and _HEX.fullmatch(piece) is None
        and sum(map(str.isdigit, piece)) >= 2
        and (len(MIXED.findall(piece)) >= 3 or (piece.lower() != piece != piece.upper()))
        for piece in _SEPARATORS.split(text)
    )


def is_likely(text: str, name: str) -> bool:
    name = name.lower()
    if looks_random(text) or ("hook" in name and text.startswith("http")):
        return True
    is_login = "auth" in name or "login" in name or "pass" in name
    return is_login and (USER.match(text) is not None or is_made_up(text))


def is_secret(value: str, key: str) -> bool:
    """Return whether a value is a secret, judged by its name."""
    said = verdict(key)
    if said == NOT or not value or is_switch(value) or is_innocent(value):
        return False
    return said == CERTAIN or is_likely(value, key)


def is_innocent(value: str) -> bool:
    return any(pattern.fullmatch(value) for pattern in _own.innocent)


# Values in a secret's place that are no secrets: placeholders, types, switches.
SWITCHES = (
    r"(?:none|null|true|false|auto|default|optional|required|disabled|enabled|string|str|bytes|int|float|bool|basic|digest|"
    r"bearer)(?![\w-])"
)
PLACEHOLDERS = r"<[\w:/ |-]*> | \[[A-Z]+\] | (?:\*|x|\.){3,}(?!\w)"
_SWITCH = re.compile(rf"(?: {SWITCHES} | {PLACEHOLDERS} )?\Z", re.VERBOSE | re.IGNORECASE)


def is_switch(text: str) -> bool:
    """Return whether a value under a secret's name is a switch, a placeholder or empty, and so no secret."""
    return _SWITCH.match(text) is not None
