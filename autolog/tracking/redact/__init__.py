"""Keeps secrets out of the store. It runs where events are made, so that sinks and readers need no redaction.

A value is a secret by its shape, or by the name beside it. It becomes `<redacted:abcd>`, with four hex digits of a keyed hash:
equal secrets look equal within one user's runs, and the digits do not reveal the secret.

    rules     shapes and words, as data
    names     what a name says about its value, what a value looks like, and a project's own rules
    places    where a name and its value are in a text
    here      texts, command lines, marks

A secret's name is enough to redact a text. A model is kept out of the store only if a value itself looks like a secret
(`is_telling`).

Every pattern takes time proportional to the text's length, and long texts are read in blocks of lines: a regular expression
holds the GIL, and the training waits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache, lru_cache

from autolog.tracking.redact import rules
from autolog.tracking.redact.names import (
    LIKELY,
    MIXED,
    SPECIAL,
    USER,
    Own,
    is_innocent,
    is_likely,
    is_made_up,
    is_secret,
    is_secret_key,
    is_switch,
    looks_random,
    own,
    own_rules,
    use,
    verdict,
)
from autolog.tracking.redact.places import CUT_MARK, REFERENCE, values

__all__ = (
    "Own", "is_secret", "is_secret_key", "is_switch", "is_telling", "looks_random", "mark", "own", "own_rules",
    "redact_arguments", "redact_diff", "redact_text", "replacement", "use",
)  # fmt: skip

_TELLING = 6
"""Shorter secrets are replaced, too, but not reported: a model's file may contain three letters by chance."""


@lru_cache(maxsize=1)
def _key() -> bytes:
    try:
        from autolog.userkey import user_key

        return user_key()
    except Exception:  # the key cannot be stored: marks are then comparable within this process only
        return os.urandom(32)


def mark(secret: str) -> str:
    """Return the text that replaces a secret: `<redacted:abcd>`."""
    import hashlib
    import hmac

    digest = hmac.new(_key(), secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"<redacted:{digest.hexdigest()[:4]}>"


def replacement(secret: str, found: set[str] | None = None) -> str:
    """Return the mark of a secret. Add the secret to `found` unless it is very short."""
    if found is not None and len(secret) >= _TELLING:
        found.add(secret)
    return mark(secret)


def is_telling(secret: str) -> bool:
    """Return whether a value also looks like a secret: it has a secret's shape, or it looks like a password or key. Models are
    searched only for such values.
    """
    return is_made_up(secret) or _shapes(secret, None) != secret or "PRIVATE KEY" in secret


# -- texts

_KEY_LINE = r"[A-Z0-9_\x20-]{0,100}PRIVATE\x20KEY(?:\x20BLOCK)?-----"
# A key up to its end line. If that is cut off, all lines that look like the key. Code that only searches for the first line has
# no such lines.
_PEM = re.compile(
    rf"""
    -----BEGIN\x20{_KEY_LINE}
    (?: [A-Za-z0-9+/=\s\\"',:.()-]{{0,20000}}? -----END\x20{_KEY_LINE}
      | (?: (?: \s | \\n )* [A-Za-z0-9+/=]{{16,}} )+ (?: (?: \s | \\n )* [A-Za-z0-9+/=]* \Z )? )
    """,
    re.VERBOSE,
)
_BLOCK = 2_000
_LONGEST_BLOCK = 8_000


def redact_text(text: str, found: set[str] | None = None, *, python: bool = False) -> str:
    """Return `text` with every secret replaced, and add the secrets to `found`, except for very short ones.

    In `python` code, variables stay: `password = given` has no secret.
    """
    if len(text) < 8:
        return text
    if "-----BEGIN " in text:
        text = _PEM.sub(lambda match: replacement(match[0], found), text)
    if len(text) <= _BLOCK:
        return _redact_block(text, found, python)
    return "".join([_redact_block(block, found, python) for block in _blocks(text)])


def redact_diff(text: str) -> str:
    """Return git's diff without secrets. Files of Python are treated as code."""
    parts = re.split(r"(?m)^(?=diff --git )", text)
    return "".join([redact_text(part, python=part.partition("\n")[0].endswith(".py")) for part in parts])


def _blocks(text: str) -> Iterator[str]:
    """Yield blocks of lines. A name at the end of a line stays together with its value on the next line."""
    lines: list[str] = []
    length = 0
    for line in text.splitlines(keepends=True):
        lines.append(line)
        length += len(line)
        goes_on = (
            line.rstrip().endswith((":", ",", "(", "=", "|", ">", "-", "[", "{", "\\")) or not line.strip()
        )
        if length >= _BLOCK and (not goes_on or length >= _LONGEST_BLOCK):
            yield "".join(lines)
            lines, length = [], 0
    yield "".join(lines)


def _redact_block(text: str, found: set[str] | None, python: bool) -> str:
    text = _shapes(text, found)
    if _PARTED.search(text) is None:
        return text  # only a name
    lowered = text.lower()
    for stem in rules.STEMS:
        if stem in lowered:
            break
    else:
        if not own().names and " -" not in text:
            return text
    return _commands(_named(text, lowered, found, python), found)


_PARTED = re.compile(r"[=:\"'`\s>(]")
# Secrets with a shape have at least this length, except in URLs.
_LONG = re.compile(r"[\w.~+/=:$%|-]{16}")
# The first three characters at each place where a secret may begin.
_STARTS = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z0-9][\s\S]{2}))")


@lru_cache(maxsize=1)
def _index() -> tuple[dict[str, list[int]], list[tuple[str, int]]]:
    """Return the numbers of the shapes by their first three characters, and the literals of the other shapes."""
    starts: dict[str, list[int]] = {}
    anywhere: list[tuple[str, int]] = []
    for number, shape in enumerate(rules.SHAPES):
        for literal in shape.literals:
            if shape.begins and len(literal) >= 3:
                starts.setdefault(literal[:3], []).append(number)
            else:
                anywhere.append((literal, number))
    return starts, anywhere


@cache  # one by one: compiling all of them takes longer than the rest of autolog's start
def _compiled(number: int) -> re.Pattern[str]:
    return re.compile(rules.SHAPES[number].pattern)


def _shapes(text: str, found: set[str] | None) -> str:
    def replaced(match: re.Match[str]) -> str:
        return match[0] if is_innocent(match[0]) else replacement(match[0], found)

    for pattern in own().shapes:
        text = pattern.sub(replaced, text)
    if "://" not in text and _LONG.search(text) is None:
        return text
    starts, anywhere = _index()
    numbers = {number for literal, number in anywhere if literal in text}
    for start in starts.keys() & _STARTS.findall(text):
        numbers.update(starts[start])
    for number in sorted(numbers):
        text = _compiled(number).sub(replaced, text)
    return text


# -- names with values


@lru_cache(maxsize=4)
def _candidates(own_names: frozenset[tuple[str, ...]]) -> re.Pattern[str]:
    """Return the pattern of names that may mark a secret."""
    stems = (*rules.STEMS, *(re.escape(words[-1]) for words in own_names))
    return re.compile(rf"(?<![\w.-])(?=[\w.-]*?(?:{'|'.join(stems)}))[\w.-]{{2,}}")


def _named(text: str, lowered: str, found: set[str] | None, python: bool) -> str:
    parts: list[str] = []
    done = 0
    if len(lowered) != len(text):  # the lower case of some letters has two characters
        lowered = "".join([character.lower()[0] for character in text])
    for candidate in _candidates(own().names).finditer(lowered):
        # Continue right after the name: its supposed value may be the next name.
        at = candidate.span()
        name = text[at[0] : at[1]]
        if at[0] < done or not (said := verdict(name)):
            continue
        for start, end in values(text, name, at, said, python):
            value = text[start:end]
            if start < done or (REFERENCE.match(value) and not CUT_MARK.match(value)) or is_innocent(value):
                continue
            if said == LIKELY and not (len(value) < 300 and is_likely(value, name)):
                continue
            parts += text[done:start], replacement(value, found)
            done = end
    return "".join([*parts, text[done:]]) if parts else text


_CLIENTS = (
    "mysql", "mysqldump", "mariadb", "sshpass", "docker login", "podman login", "ldapsearch", "redis-cli", "htpasswd", "7z",
    "unzip",
)  # fmt: skip


@lru_cache(maxsize=1)
def _user_and_password() -> re.Pattern[str]:
    return re.compile(
        r"""(?:\b(?:curl|wget|https?|xh|ab)\b[^\n|;]{0,200}?[ ]-u|(?<![\w-])--(?:user|userpwd|auth|basic-auth))"""
        r"""(?:[ ]{1,4}|=)["']?[\w.@-]{1,60}:(?!\d{1,5}\b)([^\s"']{1,200})"""
    )


@lru_cache(maxsize=1)
def _password_of_client() -> re.Pattern[str]:
    return re.compile(
        rf"""\b(?:{"|".join(_CLIENTS)})\b[^\n|;&]{{0,200}}?[ ]-(?:p|a|w|P)[ ]?["']?([^\s"'-][^\s"']{{2,200}})"""
    )


_COMMANDS = (
    ((" -u", "--user", "--auth", "--basic-auth"), _user_and_password),
    (_CLIENTS, _password_of_client),
)


def _commands(text: str, found: set[str] | None) -> str:
    """Redact passwords after one-letter flags in command lines."""
    if " -" in text:
        for words, pattern in _COMMANDS:
            if any(word in text for word in words):
                text = pattern().sub(lambda match: _with(match, found), text)
    return text


def _with(match: re.Match[str], found: set[str] | None) -> str:
    if REFERENCE.match(match[1]):
        return match[0]
    at = match.start(1) - match.start()
    return f"{match[0][:at]}{replacement(match[1], found)}{match[0][at + len(match[1]) :]}"


# -- command lines

_FLAG = re.compile(r"[-+~]{0,2}[\w./@-]+\Z")
_USER_FLAGS = frozenset(("-u", "--user", "--userpwd", "--auth", "--basic-auth", "--login", "--credentials"))


def redact_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments of a command line without secrets. `--password X` and `--password=X` lose any X."""
    redacted: list[str] = []
    flag = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and _FLAG.match(name) and (shown := _argument(name, value)) is not None:
            redacted.append(f"{name}={shown}")
        elif flag and not argument.startswith("-") and (shown := _argument(flag, argument)) is not None:
            redacted.append(shown)
        else:
            redacted.append(redact_text(argument))
        flag = argument if argument.startswith("-") and not equals else ""
    return redacted


def _argument(flag: str, value: str) -> str | None:
    """Return a flag's value without its secret, or None if the flag does not mark it as one."""
    if flag in _USER_FLAGS and USER.match(value):
        user, _, password = value.partition(":")
        return f"{user}:{mark(password)}"
    if (
        is_secret(value, flag)
        or (flag == "--pass" and not is_switch(value))
        or (flag == "-p" and _is_password(value))
    ):
        return mark(value)
    return None


def _is_password(value: str) -> bool:
    """Return whether the value of `-p` is a password, rather than a port, path, name or version."""
    return is_telling(value) and (len(MIXED.findall(value)) > 1 or SPECIAL.search(value) is not None)
