"""Finds a name's value in code, diffs, configuration, command lines, URLs, headers and messages.

Every pattern takes time proportional to the text's length, because every repetition in it is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from autolog.tracking.redact.names import (
    CERTAIN,
    NOT,
    PLACEHOLDERS,
    SWITCHES,
    is_made_up,
    looks_random,
    verdict,
)

_QUOTED = r"""
    [rbfuRBFU]{0,2} (?P<quote> (?: \\{0,3} \" ){3} | (?: \\{0,3} ' ){3} | \\{0,3} ["'`] )
    (?: (?i: bearer|basic|digest|token|apikey ) [ ]+ )?
    (?P<value> (?: (?! (?P=quote) ) (?: \\[^\n] | [^\n] ) )+ ) (?P=quote)?
"""
_GAP = r"""(?: \s | \\n (?: ["'],\s{0,20}["'] )? ){0,60}"""
"""White space. In a notebook's file, where each line of a cell is a string, that includes the end of such a string."""
_VALUE = rf"""
    (?: {_QUOTED}
      | (?: (?i: bearer|basic|digest|token|apikey ) [ ]+ )? (?P<bare> (?![|>]) [^\s"'`,;&)}}\]]{{3,1024}} ) )
"""


_MOST_ITEMS = 100


class _Pattern:
    """A regular expression that is compiled at its first use: compiling all takes longer than the rest of autolog's start."""

    __slots__ = ("_text", "match", "search")

    def __init__(self, text: str) -> None:
        self._text = text
        self.match: Callable[..., re.Match[str] | None] = lambda *given: self._compile().match(*given)
        self.search: Callable[..., re.Match[str] | None] = lambda *given: self._compile().search(*given)

    def _compile(self) -> re.Pattern[str]:
        compiled = re.compile(self._text, re.VERBOSE)
        self.match, self.search = compiled.match, compiled.search
        return compiled


# Each begins where a name ends.
_ASSIGNED = _Pattern(
    rf"""
    (?P<closed> \\{{0,3}} ["'`] )? \]? [ \t]{{0,40}}
    (?: (?(closed)(?!)) : [^\n"'=]{{1,100}} = (?!=)   # x: str = …
      | => | := | :- | (?P<equal> [=!]= ) | [=:] (?![=:]) )
    (?P<space> [ \t]{{0,40}} ) (?: ![\w/]+ [ ]{{1,4}} )? {_VALUE}
    """
)
_MORE = _Pattern(rf"{_GAP} [+]? {_GAP} {_QUOTED}")
"""The next part of a string that is split, with or without a plus sign."""
_FALLBACK = _Pattern(
    rf"(?: [^\n\"'#] | \"[^\"\n]{{0,80}}\" | '[^'\n]{{0,80}}' ){{0,160}}? \b (?: or|else ) [ ]{{1,4}} {_QUOTED}"
)
_WRAPPED = _Pattern(
    rf"(?: [\w.]*\. )? (?: Option|Argument|Field|field|Secret|SecretStr|SecretBytes|str|bytes|b64decode ) \( {_GAP}"
    rf"(?: default [ ]{{0,4}} = [ ]{{0,4}} )? {_QUOTED}"
)
_NEXT_LINE = _Pattern(
    rf"""
    ["']? [ \t]{{0,8}} : [ \t]{{0,8}} (?P<block> [|>][+-]?\d? )? [ \t]{{0,8}}
    (?: \n | \\n ["'],\s{{0,20}}["'] ) [+\-]? [ \t]{{1,60}}
    (?: {_QUOTED} | (?P<bare> [^\s#"'\[{{-] (?: (?! \\n["'] ) [^\n] )* ) )
    """
)
_FLAG_VALUE = _Pattern(rf"(?: [ \t] | \\\n ){{1,12}} (?! -{{1,2}}[A-Za-z] ) {_VALUE}")
_LIST = _Pattern(r"""\\{0,3} ["'`]? \]? [ ]{0,40} [:=] [ ]{0,40} [\[({] """)
_ITEM = _Pattern(
    rf"""{_GAP} (?: \\{{0,3}} ["'] [^"'\n\\]{{1,60}} \\{{0,3}} ["'] [ ]{{0,8}} : [ ]{{0,8}} )? {_QUOTED} {_GAP} ,?"""
)
_NEXT_ITEM = _Pattern(rf"""\\{{0,3}} ["'`] {_GAP} , {_GAP} {_QUOTED}""")
_IN_ROW = _Pattern(
    rf"""
    \\{{0,3}} ["'`]? (?: \s{{0,8}} \{{ )?
    (?: [^()\[\]{{}}"'] | \\n["'],\s{{0,20}}["'] | "[^"\n]{{0,200}}" | '[^'\n]{{0,200}}' | \[[^\[\]\n]{{0,80}}\]
      | \([^()\n]{{0,80}}\) ){{0,160}}? [\s,"'<]
    (?: default|value|val|content|const ) \\{{0,3}} ["'`]? \s{{0,8}} [:=] \s{{0,8}} {_VALUE}
    """
)
_OR_ELSE = _Pattern(
    rf"""\\{{0,3}} ["'`] \s{{0,8}} [)\]] \s{{0,8}} (?: or | \?\? | \|\| ) \s{{0,8}} {_QUOTED}"""
)
_ELEMENT = _Pattern(
    r"(?: (?: [ ] [^<>\n]{0,80} )? > | </name> \s{0,60} <value> ) \s{0,60} (?: <!\[CDATA\[ )?"
    r"(?P<bare> [^<\n\]]{1,400} ) (?: \]\]> )? \s{0,60} </"
)
_SAID = _Pattern(
    rf"[ ]{{1,3}} (?: (?: is|was|of|provided|given|used )? :? [ ]{{1,3}} )?"
    rf"(?: {_QUOTED} | (?P<bare> [^\s\"'`,;&)}}\]]{{8,200}} ) )"
)
_LAST_ARGUMENT = _Pattern(rf"\( [^()\n]{{0,160}}? {_QUOTED} {_GAP} ,? {_GAP} \)")
# Each ends where a name begins.
_CALLED = re.compile(
    r"""(?:name|key|id|env|header|variable|field)\\{0,3}["'`]?\s{0,8}[:=]\s{0,8}\\{0,3}["'`]?\Z"""
)
_BEFORE = _Pattern(
    rf"""
    [\s,"'`{{(] (?: default|value|val|content ) \\{{0,3}} ["'`]? \s{{0,8}} [:=] \s{{0,8}} {_VALUE}
    \s{{0,8}} ,? {_GAP} \\{{0,3}} ["'`]? (?: name|key|id|env|header ) \\{{0,3}} ["'`]?
    \s{{0,8}} [:=] \s{{0,8}} \\{{0,3}} ["'`]? \Z
    """
)
_SPACED = re.compile(r"(?:login[ \t]+\S+\s+|(?:\A|\s|%)(?:ENV|ARG|env|configure[ ]set)[ ]+)\Z")
"""Contexts where only a space separates name and value: .netrc, Dockerfiles, magics of notebooks, the AWS command."""
_CALL = re.compile(
    r"(?:(?:set|with|add|use|Secret|SetEnv)(?![a-z])|.*(?:[Ll]ogin|[Aa]uth|Credentials?)\Z)", re.ASCII
)
_TARGETS = re.compile(r"[+\- \t\"']*(?:[\w.]+[ ]*,[ ]*)+\Z")

_TO_END = re.compile(r"""[^\s"']+""")
_LINE = re.compile(r"""[^\n"']+""")
_LINE_START = re.compile(r"[+\- \t]*(?:(?:export|set|ENV|ARG)[ ]+)?\Z")
_STATEMENT = re.compile(
    r"[+\- \t]*(?:if|elif|else|while|for|with|def|class|return|assert|lambda|try|except)\b"
)
REFERENCE = re.compile(
    rf"""
      \$\{{ | \$\( | \{{\{{ | %\( | \\n\Z
    | (?: (?-i: \$[A-Z_][A-Z0-9_]* | [A-Z]+(?:_[A-Z]+)+ ) | %s | [rbf]?\{{[^{{}}\n]*\}} | {SWITCHES} | {PLACEHOLDERS} )
      [.,:;]? \Z
    """,
    re.VERBOSE | re.IGNORECASE,
)
CUT_MARK = re.compile(r"<redacted:....>[%\w]")
"""The end of a URL-escaped secret of which a shape has matched only the start."""
_CODE = re.compile(
    r"""
      [\w.]*[(\[]
    | (?: await|yield|not|lambda|if|in|or|and|new|return )(?![\w-])
    | \d{1,5}\Z | -?\d*\.\d+\Z
    | (?: self|cls|os|args|config|cfg|conf|settings|options|opt|hparams|params|env|environ|secrets|kwargs )\.\w
    | (?: str|bytes|int|bool|float|Any|Optional|object|Tensor )(?![\w-])
    """,
    re.VERBOSE,
)
_WORDS_ONLY = re.compile(r"[A-Za-z_.]+\Z")
_KEY_OR_CODE = re.compile(r"[\w.-]+[ ]*[:=(]|-[ ]")
_LOGIN = re.compile("(?i)auth|login|credential")
_DIGIT = re.compile(r"\d")
_NAME_ONLY = re.compile(r"[A-Za-z_][\w.]*\Z")


def values(text: str, name: str, at: tuple[int, int], said: int, python: bool) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each possible value of the name `at` this span. `said` is the name's verdict. In `python`
    code, a value without quotes is a variable.
    """
    start, end = at
    before = text[max(0, start - 240) : start]
    line = before[before.rfind("\n") + 1 :]
    quoted = before[-1:] in ("'", '"', "`")
    called = _CALLED.search(before) is not None
    if called and (match := _BEFORE.search(before)):
        shift = start - len(before)
        first, last = match.span("value" if match["value"] else "bare")
        yield first + shift, last + shift
    if match := _ASSIGNED.match(text, end):
        found = _assigned(text, name, match, line, said, python)
        if found:
            yield from found
            return
    if match := _LIST.match(text, end):
        yield from _items(text, match, name)
        return
    dotted = name.rpartition(".")[2]
    for pattern, applies in (
        (_NEXT_LINE, not _STATEMENT.match(line)),
        (_FLAG_VALUE, name.startswith("--") or bool(_SPACED.search(before))),
        (_IN_ROW, quoted or called),
        (_NEXT_ITEM, quoted),
        (_OR_ELSE, quoted),
        (_ELEMENT, before.endswith(("<", "<name>")) or "<name>" in line),
        (_SAID, not quoted),
        (_LAST_ARGUMENT, bool(_CALL.match(dotted))),
    ):
        match = pattern.match(text, end) if applies else None
        if match is None:
            continue
        groups = match.groupdict()
        span = match.span("value" if groups.get("value") else "bare")
        value = text[span[0] : span[1]]
        is_bare = not groups.get("value")
        if (
            pattern is _NEXT_LINE
            and is_bare
            and not groups["block"]
            and (" " in value or _KEY_OR_CODE.match(value))
        ):
            return
        if pattern is _NEXT_ITEM and not _is_pair(text, before, match, value):
            continue
        is_word = pattern is _SAID and (is_bare or name.lower().endswith("token"))
        if (is_word and not is_made_up(value)) or (pattern is _SAID and value.startswith(" ")):
            continue
        if is_bare and (_CODE.match(value) or not value.strip()):
            continue
        yield span
        return


Span = tuple[int, int]


def _assigned(
    text: str, name: str, match: re.Match[str], line: str, said: int, python: bool
) -> list[Span]:  # fmt: skip
    """Return the spans of the value that is assigned to a name. Return none if the value is code."""
    if match["value"]:
        if not match["closed"] and match["quote"] == line[-1:]:
            return []  # the quote ends the string that contains the name, as in `getpass("Password: ")`
        if match["equal"] and name[-5:].lower() == "token" and _WORDS_ONLY.match(match["value"]):
            return []  # a comparison with a token of text
        spans = [match.span("value")]
        if _TARGETS.match(line):  # `user, password = "ann", "x"`
            given = [item.span("value") for item in _each(text, match.end("space"), _ITEM)]
            return given[line.count(",") :][:1]
        while more := _MORE.match(text, match.end()):
            match = more
            spans.append(more.span("value"))
        return spans
    start, end = match.span("bare")
    if wrapped := _WRAPPED.match(text, start):
        return [wrapped.span("value")]
    if match["equal"]:
        return []
    if _CODE.match(match["bare"]):
        fallback = _FALLBACK.match(text, start)
        return [fallback.span("value")] if fallback else []
    if name[-5:].lower() == "token" and " " in match["space"] and _WORDS_ONLY.match(match["bare"]):
        return []  # `token = word` is a line of code
    if _NAME_ONLY.match(match["bare"]) and not (is_made_up(match["bare"]) and _DIGIT.search(match["bare"])):
        is_itself = match["bare"].lower().rpartition(".")[2] == name.lower().rpartition(".")[2]
        if python or is_itself or line.count("(") > line.count(")"):
            return []  # `self.password = password` and `login(password=given)` are code, too
    if name.lower().endswith("cookie") and (whole := _LINE.match(text, start)):
        return [(start, start + len(whole[0].rstrip()))]
    to_end = (end - start > 1000 and said == CERTAIN) or _LINE_START.match(line[:80])
    whole = _TO_END.match(text, start) if to_end else None
    if whole is not None:
        end = start + len(whole[0].rstrip(",;)"))  # `PASSWORD=a,b;c` in a settings file
    return [(start, end)]


def _each(text: str, at: int, pattern: _Pattern) -> Iterator[re.Match[str]]:
    for _ in range(_MOST_ITEMS):
        item = pattern.match(text, at)
        if item is None:
            return
        yield item
        at = item.end()


def _items(text: str, opened: re.Match[str], name: str) -> Iterator[Span]:
    """Yield the secrets in a list, tuple or mapping: items that look like one, a single item, a password after a user."""
    items = list(_each(text, opened.end(), _ITEM))
    for at, item in enumerate(items):
        value = item["value"]
        is_second = len(items) == 2 and at == 1 and _LOGIN.search(name) is not None
        if len(items) == 1 or is_second or is_made_up(value) or looks_random(value):
            yield item.span("value")


def _is_pair(text: str, before: str, match: re.Match[str], value: str) -> bool:
    """Return whether two adjacent strings are a name and its value, rather than two items of a list of names."""
    if re.match(r"\s{0,20}:", text[match.end() :][:21]):
        return False  # a key of a mapping
    if is_made_up(value) or looks_random(value):
        return True
    if before.rstrip("\"'`\\ \n").endswith("[") and _WORDS_ONLY.match(value):
        return False  # `keys = ["password", "user"]`
    alone = re.search(r"""[(\[{:]\s{0,60}[rbfuRBFU]?\\{0,3}["'`]\Z""", before) is not None
    return (
        alone
        and verdict(value) == NOT
        and re.match(r"""\s{0,60},\s{0,60}["'`]""", text[match.end() :][:130]) is None
    )
