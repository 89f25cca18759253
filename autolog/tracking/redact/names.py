"""What names say of their values, and what values say of themselves. Knows no text around them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from autolog.tracking.redact import rules

# -- a project's own rules


class Own(NamedTuple):
    """What a project adds, from texts as `acme_[a-z0-9]{32}` (a shape), `badge=` (a name), and `!demo-[a-z]+` (no secret)."""

    shapes: tuple[re.Pattern[str], ...] = ()
    names: frozenset[tuple[str, ...]] = frozenset()
    """Words at the end of a name."""
    innocent: tuple[re.Pattern[str], ...] = ()


def own_rules(texts: Iterable[str]) -> Own:
    """Raises ValueError for what is no rule."""
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
            raise ValueError(f"secrets: {text!r} is no regular expression: {error}.") from None
        if pattern.match(""):
            raise ValueError(f"secrets: {text!r} matches the empty text, and so everything.")
        (innocent if text.startswith("!") else shapes).append(pattern)
    return Own(tuple(shapes), frozenset(names), tuple(innocent))


_own = Own()


def use(own: Own) -> None:
    """From now on, in this process."""
    global _own
    if own == _own:
        return
    _own = own
    verdict.cache_clear()


def own() -> Own:
    """The rules of the project that are in use."""
    return _own


# -- names

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
CERTAIN, LIKELY, NOT = 2, 1, 0


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def is_secret_key(key: str) -> bool:
    """Whether a value under this name is a secret whatever it looks like: `hf_token` is, `max_tokens`, `pad_token` and
    `token_pattern` are not.
    """
    return verdict(key) == CERTAIN


@lru_cache(maxsize=4096)
def verdict(key: str) -> int:
    """What a name says of its value: `CERTAIN`ly a secret, `LIKELY` if it looks like one, or nothing."""
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
    """What is said of one part of a dotted name holds for what is below it: `credentials.id`."""
    return bool(words) and words[-1] not in rules.CERTAIN_LAST and _is_certain(words)


def _is_certain(words: list[str], within: bool = False) -> bool:
    """`within`: only the pairs of words count that lie across the dots, as in `wandb.key`."""
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
    """Whether a text looks like a password or a key: letters and digits in one word, characters that are in no name, or three
    words and more without spaces. A word, a sentence, numbers, dates, paths and `strict-12` do not.
    """
    if len(text) < _LEAST or text.startswith(("/", "./", "~")):
        return False
    changes = len(_CASES.findall(text))
    is_mixed = changes >= 5 and changes > 0.35 * len(text)  # unlike the case of names as LogisticRegressionCV
    return is_mixed or bool(SPECIAL.search(text) or MIXED.search(text) or _PASSPHRASE.match(text))


def looks_random(text: str) -> bool:
    """Whether a text looks like a key that somebody was given: a long piece of letters and digits without an order, which is
    no digest.
    """
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
    """Whether a value is a secret by the name that it has."""
    said = verdict(key)
    if said == NOT or not value or is_switch(value) or is_innocent(value):
        return False
    return said == CERTAIN or is_likely(value, key)


def is_innocent(value: str) -> bool:
    return any(pattern.fullmatch(value) for pattern in _own.innocent)


# What stands where a secret would, and is not one: code that refers to it, a placeholder, a type, a switch.
SWITCHES = (
    r"(?:none|null|true|false|auto|default|optional|required|disabled|enabled|string|str|bytes|int|float|bool|basic|digest|"
    r"bearer)(?![\w-])"
)
PLACEHOLDERS = r"<[\w:/ |-]*> | \[[A-Z]+\] | (?:\*|x|\.){3,}(?!\w)"
_SWITCH = re.compile(rf"(?: {SWITCHES} | {PLACEHOLDERS} )?\Z", re.VERBOSE | re.IGNORECASE)


def is_switch(text: str) -> bool:
    """Whether what stands under a secret's name is no secret: a switch, a placeholder, or nothing."""
    return _SWITCH.match(text) is not None
