"""Keeps secrets out of the store. Called where events are made, so that no sink and no reader has to.

A value whose name or shape says that it is a secret becomes `<redacted:abcd>`: four hex digits of a keyed hash, so that equal
secrets still look equal within one user's runs and nothing can be looked up from it.

Every pattern here takes time proportional to the text's length, and long texts are read line by line: a regular expression
holds the interpreter's lock, and the training waits.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

# -- names

_SECRET_WORDS = frozenset(
    """password passwd passphrase pwd secret secrets credential credentials bearer apikey accesskey secretkey privatekey
    sshkey authtoken accesstoken""".split()
)
_SECRET_LAST_WORDS = frozenset(("token", "authorization", "cookie"))
_SECRET_PAIRS = frozenset(
    (first, "key") for first in ("api", "access", "private", "secret", "encryption", "signing", "account", "ssh")
) | frozenset(
    (first, "pass") for first in ("db", "user", "smtp", "mysql", "redis", "ftp")
) | {("connection", "string"), ("auth", "header")}  # fmt: skip
# What stands before `_token` where it is a piece of text, as tokenizers and language models have them.
_PLAIN_TOKENS = frozenset(
    """pad eos bos sos eod eot unk cls sep mask special additional num n per max min total next prev previous first last current
    start end stop begin new image audio video text word sub each single decoder forced prefix suffix middle fim
    tool think query class boi eoi""".split()
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Whether a value under this name is a secret whatever it looks like: `hf_token` is, `max_tokens`, `pad_token` and
    `token_pattern` are not.
    """
    words = [word.lower() for word in _WORD.findall(key[-200:])]
    if not words:
        return False
    pairs = list(zip(words, words[1:], strict=False))  # noqa: RUF007
    if words[-1] in _SECRET_LAST_WORDS:
        return words[-1] != "token" or not pairs or pairs[-1][0] not in _PLAIN_TOKENS
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(pairs)


# -- shapes

_PEM = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
# Without one of these, there is no need to look closer.
_LITERALS = (
    "AKIA", "ASIA", "ABIA", "ACCA", "eyJ", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "sk-",
    "hf_", "AIza", "pypi-AgE", "SG.", "k_live_", "://", "sig=", "Signature=", "earer ",
)  # fmt: skip
_SHAPE = re.compile(
    r"""
      (?<![A-Za-z0-9])(?:
          (?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![A-Za-z0-9])           # AWS access key id
        | eyJ[\w-]{8,400}\.[\w-]{8,}\.[\w-]*                         # JSON web token
        | (?:gh[pousr]_|github_pat_)\w{20,}                            # GitHub
        | glpat-[\w-]{20,}                                             # GitLab
        | xox[abeoprs]-[\w-]{10,}                                      # Slack
        | sk-(?:proj|ant|or|svcacct|admin|lf)-[\w-]{20,}               # OpenAI, Anthropic, OpenRouter, Langfuse
        | sk-(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{20,}                      # OpenAI, DeepSeek
        | hf_[A-Za-z0-9]{20,}                                          # Hugging Face
        | AIza[\w-]{35}                                                # Google
        | pypi-AgE[\w-]{40,}                                           # PyPI
        | SG\.[\w-]{22}\.[\w-]{43}                                     # SendGrid
        | [rs]k_live_\w{16,}                                           # Stripe
      )
    | (?<=://)[^\s/@:"'<>]*:[^\s/?\#"'<>]+(?=@)                        # user:password in a URL
    | (?<=://)[^\s/@:?\#"'<>]{20,200}(?=@)                            # a user's name so long is a token
    | (?<=[?&]sig=)[^\s&\#"'<>]{3,} | (?<=Signature=)[^\s&\#"'<>]{16,} # signed URLs
    | (?<=earer[ ])(?=[A-Za-z._~+/=-]{0,200}\d)[\w.~+/=-]{16,}         # Authorization: Bearer …
    """,
    re.VERBOSE,
)

# -- names with values, in code, diffs, configuration, command lines and connection strings

_STEMS = ("pass", "pwd", "secret", "credential", "key", "token", "auth", "connection", "bearer", "cookie")
_NAMED = re.compile(
    r"""
    (?<![\w.-]) (?P<name> [\w.-]{3,} ) \\?["']?\]?
    (?P<between>
        [ ]{0,8} : [ ]{0,8} (?: [\w.]{1,60} \[ )? (?:str|bytes|SecretStr|Any)\b [\]|\w ]{0,60} = (?!=) [ ]{0,8}   # x: str = …
      | [ ]{0,8} (?: => | := | [=:] (?![=:]) ) [ ]{0,8}
      | (?P<flag> [ ]{1,8} (?!-) )
    )
    """,
    re.VERBOSE,
)
_VALUE = re.compile(
    r"""
    (?: [rbfuRBFU]{0,2} (?P<quote> \\?["'] ) )?
    (?: (?i: bearer|basic|digest|token|apikey ) [ ]+ )?
    (?P<value> (?(quote) (?: (?! (?P=quote) ) [^\n] )+ | [^\s"',;&)}\]]{3,} ) )
    """,
    re.VERBOSE,
)
_TO_END = re.compile(r"""[^\s"']+""")
_LINE_START = re.compile(r"[+\- \t]*(?:(?:export|set|ENV|ARG)[ ]+)?\Z")
# What stands where a secret would, and is not one: code that refers to it, a placeholder, a type, a switch.
_SWITCHES = r"(?:none|null|true|false|auto|default|optional|required|disabled|enabled)(?![\w-])"
_PLACEHOLDERS = r"<[\w:/ |-]*> | (?:\*|x|\.){3,}(?!\w)"
_SWITCH = re.compile(rf"(?: {_SWITCHES} | {_PLACEHOLDERS} )?\Z", re.VERBOSE | re.IGNORECASE)
_REFERENCE = re.compile(
    rf"""
      \$\{{ | \$\( | \$[A-Z_][A-Z0-9_]*(?![a-z]) | \{{\{{ | \{{[\w.]*\}} | %\( | %s | \\n | {_SWITCHES} | {_PLACEHOLDERS}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CODE = re.compile(
    r"""
      [\w.]*[(\[]
    | (?: self|cls|os|args|config|cfg|conf|settings|options|opt|hparams|params|env|environ|secrets|kwargs )\.\w
    | (?: str|bytes|int|bool|float|Any|Optional|object|Tensor )(?![\w-])
    """,
    re.VERBOSE,
)
_WORDS_ONLY = re.compile(r"[A-Za-z_.]+\Z")

_SMALL = 2_000
_TELLING = 6
"""Shorter secrets are replaced too, but not reported: a model's file may contain three letters for other reasons."""


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


def replacement(secret: str, found: set[str] | None = None) -> str:
    """The mark of a secret, which is added to `found`."""
    if found is not None and len(secret) >= _TELLING:
        found.add(secret)
    return mark(secret)


def is_switch(text: str) -> bool:
    """Whether what stands under a secret's name is no secret: a switch, a placeholder, or nothing."""
    return _SWITCH.match(text) is not None


def redact_text(text: str, found: set[str] | None = None) -> str:
    """`text` with every secret in it replaced: by its shape, or by the name beside it. Adds the secrets to `found`, but for
    very short ones.
    """
    if len(text) < 8:
        return text
    if "-----BEGIN " in text:
        text = _PEM.sub(lambda match: replacement(match[0], found), text)
    if len(text) <= _SMALL:
        return _redact_line(text, found)
    return "".join([_redact_line(line, found) for line in text.splitlines(keepends=True)])


def _redact_line(text: str, found: set[str] | None) -> str:
    for literal in _LITERALS:
        if literal in text:
            text = _SHAPE.sub(lambda match: replacement(match[0], found), text)
            break
    if "=" in text or ":" in text or "--" in text:
        lowered = text.lower()
        for stem in _STEMS:
            if stem in lowered:
                return _redact_named(text, found)
    return text


def _redact_named(text: str, found: set[str] | None) -> str:
    parts: list[str] = []
    done = at = 0
    while named := _NAMED.search(text, at):
        # Only the name is behind us: what looked like its value may be the name of the next.
        at = named.end("name")
        name = named["name"]
        if not is_secret_key(name) or (named["flag"] and not name.startswith("--")):
            continue
        match = _VALUE.match(text, named.end())
        if match is None or _REFERENCE.match(text, match.start("value")):
            continue
        start, end = match.span("value")
        if not match["quote"]:
            if _CODE.match(text, start):
                continue
            if name[-5:].lower() == "token" and " " in named["between"] and _WORDS_ONLY.match(match["value"]):
                continue  # `token = word` is a line of a program
            line_start = text.rfind("\n", 0, named.start()) + 1
            whole = _TO_END.match(text, start)
            if whole is not None and _LINE_START.match(text[line_start : named.start()][:80]):
                end = start + len(whole[0].rstrip(",;)"))  # `PASSWORD=a,b;c` in a file of settings
        parts += text[done:start], replacement(text[start:end], found)
        done = at = end
    return "".join([*parts, text[done:]]) if parts else text


# -- command lines

_FLAG = re.compile(r"[-+~]{0,2}[\w./@-]+\Z")


def redact_arguments(arguments: list[str]) -> list[str]:
    """A command line, argument by argument: `--password X` and `--password=X` both lose their X, whatever is in it."""
    redacted: list[str] = []
    secret_follows = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if secret_follows and not argument.startswith("-") and not is_switch(argument):
            redacted.append(mark(argument))
        elif equals and _FLAG.match(name) and is_secret_key(name) and not is_switch(value):
            redacted.append(f"{name}={mark(value)}")
        else:
            redacted.append(redact_text(argument))
        secret_follows = not equals and argument.startswith("-") and is_secret_key(argument)
    return redacted
