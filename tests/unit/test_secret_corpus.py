"""The promise: of 170 secrets, in every place where people write them, nothing is left; 120 innocents stay as they are."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import quote

import pytest
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from secrets_corpus import BARE, INNOCENTS, PLACES, SECRETS, VOCABULARY, Secret, notebook

from autolog.tracking import redact
from autolog.tracking.redact import is_telling, own_rules, redact_arguments, redact_diff, redact_text, use
from autolog.tracking.values import plain, plain_params

SHAPED = [secret for secret in SECRETS if secret.has_shape]
MARK = re.compile(r"<redacted:....>")


def left_of(secret: str, shown: str) -> bool:
    """Whether ten characters in a row of a secret, or all of a shorter one, can still be read."""
    return any(secret[at : at + 10] in shown for at in range(max(1, len(secret) - 9)))


def text_of(template: str, secret: Secret) -> str:
    return template.format(name=secret.name, s=secret.value, url=quote(secret.value, safe=""))


def test_the_corpus_has_as_many_entries_as_it_says_and_no_duplicates() -> None:
    assert len({secret.value for secret in SECRETS}) == len(SECRETS) >= 170
    assert len(set(INNOCENTS)) == len(INNOCENTS) >= 120
    assert len(PLACES) + len(BARE) >= 60


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_beside_its_name_is_redacted(place: str) -> None:
    """In code, configuration, diffs, command lines, URLs, headers, exceptions; also as a cell of a notebook's file."""
    texts = {secret: text_of(PLACES[place], secret) for secret in SECRETS}
    left = [secret.name for secret, text in texts.items() if left_of(secret.value, redact_text(text))]
    assert left == []
    left = [
        secret.name for secret, text in texts.items() if left_of(secret.value, redact_text(notebook(text)))
    ]
    assert left == []


@pytest.mark.parametrize("place", BARE)
def test_a_secret_of_a_known_shape_is_redacted_under_any_name(place: str) -> None:
    for secret in SHAPED:
        found: set[str] = set()
        shown = redact_text(text_of(BARE[place], secret), found)
        assert not left_of(secret.value, shown), secret
        assert MARK.search(shown)
        assert any(secret.value in one or one in secret.value for one in found), secret


@pytest.mark.parametrize("before", [0, 1_900, 30_000])
def test_secrets_in_long_texts_are_redacted(before: int) -> None:
    """Long texts are read in parts; no part ends between a name and its value."""
    around = "".join(f"lr_{number} = 0.1  # of many\n" for number in range(before // 20))
    for place in ("yaml over two lines", "yaml rows", "parentheses", "click", "assignment"):
        for secret in SECRETS[::6]:
            text = f"{around}{text_of(PLACES[place], secret)}\n{around}"
            assert not left_of(secret.value, redact_text(text)), (place, secret)


@pytest.mark.parametrize("innocent", INNOCENTS)
def test_text_without_secrets_is_not_changed(innocent: str) -> None:
    found: set[str] = set()
    assert redact_text(innocent, found) == innocent
    assert plain(innocent, "note", found) == innocent
    assert plain_params({"a": {"b": [innocent]}, "vocabulary": {innocent: 1}}, found)["a.b"] == [innocent]
    assert found == set()


HARMLESS: dict[str, Any] = {
    "oov_token": "unknown", "cookie": "chocolate", "pwd": "/home/ann/project", "password_policy": "strict-12",
    "connection_string_length": 80, "max_tokens": 512, "pad_token": "<pad>", "token_pattern": r"(?u)\b\w\w+\b", "n_keys": 3,
    "tokens": ["the", "quick"], "token": "word", "secret_name": "database-1", "key": "customer_id", "keys": ["a1", "b2"],
    "author": "Ada", "passthrough": True, "auth": "basic", "public_key": "ed25519", "token_budget": 4096, "passes": 2,
    "tokenizer": "bert-base-uncased", "password_length": 12, "login": "ann", "license_key_column": "key_1",
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_name_costs_no_model(name: str) -> None:
    """A name alone may take a text out of the record; what a model is searched for looks like a secret itself."""
    found: set[str] = set()
    plain_params({name: HARMLESS[name], "words": VOCABULARY}, found)
    assert [value for value in found if is_telling(value)] == []


NESTED: dict[str, Any] = {
    "a name": lambda name, s: {name: s},
    "below another": lambda name, s: {"db": {"main": {name: s}}},
    "in a list": lambda name, s: {"rows": [1, {name: s}]},
    "below a secret's name": lambda name, s: {"credentials": {"user": "ann", "x": [s]}},
    "a pair": lambda name, s: {"options": [("lr", 0.1), (name, s)]},
    "a row": lambda name, s: {"env": [{"name": name, "value": s}]},
    "a row of a mapping": lambda name, s: {"row": {"key": name, "value": s}},
    "a command line": lambda name, s: {"command": ["train.py", f"--{name}", s]},
    "a command line in one": lambda name, s: {"command": f"train.py --{name} {s}"},
    "an option with equal sign": lambda name, s: {"overrides": [f"db.{name}={s}"]},
    "a user and a password": lambda name, s: {"auth": ("ann", s)},
    "json": lambda name, s: {"config": json.dumps({"a": {name: s}})},
    "yaml": lambda name, s: {"config": f"db:\n  {name}: {s}\n"},
    "a url": lambda name, s: {"url": f"https://ann:{quote(s, safe='')}@example.org/"},
    "an object's text": lambda name, s: {"path": __import__("pathlib").PurePosixPath(f"/x/{name}={s}")},
}  # fmt: skip


@pytest.mark.parametrize("place", NESTED)
def test_secrets_in_nested_params_are_redacted(place: str) -> None:
    for secret in SECRETS:
        found: set[str] = set()
        params = plain_params(NESTED[place](secret.name, secret.value), found)
        assert not left_of(secret.value, json.dumps(params)), (secret, params)
        assert found


def test_code_keeps_its_variables() -> None:
    """What is given by another name is no secret; in a diff, each file is read as what it is."""
    code = "self.api_key = api_key\npassword = given\ntoken: Token\nsecret = found.secret\nauth_token = 'a1b2c3d4'\n"
    shown = (
        "self.api_key = api_key\npassword = given\ntoken: Token\nsecret = found.secret\nauth_token = 'S'\n"
    )
    assert MARK.sub("S", redact_text(code, python=True)) == shown
    diff = "diff --git a/x.py b/x.py\n+password = given\ndiff --git a/x.ini b/x.ini\n+password = given\n"
    assert MARK.sub("S", redact_diff(diff)) == diff[:-6] + "S\n"


COMMANDS = [text for text in INNOCENTS if text.startswith(("-p ", "docker ", "srun ", "python ", "git"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_line_without_secrets_is_not_changed(command: str) -> None:
    assert redact_arguments(command.split(" ")) == command.split(" ")


def test_tokens_of_services_and_tokens_of_text_are_told_apart() -> None:
    """By what they look like, where the name may mean either."""
    key = "aB3dE5fG7hI9jK1lM3nO5pQ7"
    shown = plain_params(
        {"tokens": {"hf": key, "pad": "<pad>"}, "keys": [key, "customer"], "auth": "ann:secret-1"}
    )
    marked = json.loads(MARK.sub("S", json.dumps(shown)))
    assert marked == {"tokens.hf": "S", "tokens.pad": "<pad>", "keys": ["S", "customer"], "auth": "S"}


def test_a_command_line_loses_only_its_secrets() -> None:
    arguments = [
        "--pass",
        "x",
        "-p",
        "S3cr3t!pw",
        "-p",
        "8080",
        "-u",
        "ann:pw",
        "-u",
        "1000:1000",
        "--auth",
        "ann:pw",
        "-p",
        "gpu",
    ]
    shown = [MARK.sub("S", argument) for argument in redact_arguments(arguments)]
    assert shown == [
        "--pass",
        "S",
        "-p",
        "S",
        "-p",
        "8080",
        "-u",
        "ann:S",
        "-u",
        "1000:1000",
        "--auth",
        "ann:S",
        "-p",
        "gpu",
    ]


AROUND = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=80)
QUOTES = st.sampled_from(["'", '"', '\\"', '"""', "`"])


@settings(max_examples=examples(600), deadline=None)
@given(
    AROUND, AROUND, st.sampled_from(SECRETS), QUOTES, st.sampled_from([" = ", "=", ": ", ":", " => ", " := "]),
    st.sampled_from(["", " ", "    ", "\t", "+", "-    "]), st.sampled_from(["\n", "\r\n", "\n\n"]),
)  # fmt: skip
def test_a_secret_in_any_text_is_redacted(
    before: str, after: str, secret: Secret, quotes: str, joined: str, indent: str, end: str
) -> None:
    line = f"{indent}{secret.name}{joined}{quotes}{secret.value}{quotes}"
    shown = redact_text(f"{before}{end}{line}{end}{after}")
    assert not left_of(secret.value, shown)


@settings(max_examples=examples(300), deadline=None)
@given(AROUND, AROUND, st.sampled_from(SHAPED))
def test_a_shape_is_found_in_any_text(before: str, after: str, secret: Secret) -> None:
    """Where neither letters nor digits touch it."""
    assert not left_of(secret.value, redact_text(f"{before} {secret.value} {after}"))


@settings(max_examples=examples(300), deadline=None)
@given(
    st.recursive(
        st.one_of(AROUND, st.integers(), st.none()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(AROUND, inner)),
        max_leaves=20,
    )
)
def test_redaction_takes_any_value(value: Any) -> None:
    found: set[str] = set()
    plain_params({"x": value}, found)
    assert all(isinstance(one, str) for one in found)


# -- a project's own rules


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Any:
    yield lambda *rules: use(own_rules(rules))
    use(own_rules(()))


def test_a_project_may_add_shapes_and_names_and_exclude_texts(own: Any) -> None:
    texts = [
        "see acme_0123abcd here",
        "badge: 4711-x",
        "employee_badge = 'x-4711'",
        "password = 'demo-only'",
        "hf_" + "a1" * 20,
    ]
    own(r"acme_[0-9a-f]{8}", "badge=", "!demo-.*", "!hf_(a1)+")
    assert [MARK.sub("S", redact_text(text)) for text in texts] == [
        "see S here", "badge: S", "employee_badge = 'S'", "password = 'demo-only'", "hf_" + "a1" * 20,
    ]  # fmt: skip
    assert plain_params({"badge": "ann", "password": "demo-1"}) == {
        "badge": redact.mark("ann"),
        "password": "demo-1",
    }
    own()
    assert redact_text(texts[0]) == texts[0]
    assert MARK.search(redact_text(texts[-1]))


@pytest.mark.parametrize(
    ("rule", "said"),
    [("(", "is not a regular expression"), ("a*", "matches the empty text"), ("!", "matches the empty text")],
)
def test_an_invalid_rule_is_an_error_that_names_it(rule: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        own_rules([rule])
    assert repr(rule) in str(caught.value)


def test_the_params_of_a_usual_run_cost_little() -> None:
    """40 params, a model's and its pipeline's, beside what it costs to write them as JSON; measured 8 to 13 times that."""
    one: dict[str, Any] = {
        "learning_rate": 0.1, "max_depth": 6, "solver": "lbfgs", "objective": "reg:squarederror", "path": "/data/train.csv",
        "columns": ["age", "income", "city"], "name": "distilbert-base-uncased-finetuned-sst-2-english", "seed": 42,
        "tokenizer": "bert-base-uncased", "verbose": None,
    }  # fmt: skip
    params = {f"step_{number}__{name}": value for number in range(4) for name, value in one.items()}

    def seconds(work: Any) -> float:
        began = time.thread_time()
        work(params)
        return time.thread_time() - began

    assert min(seconds(plain_params) for _ in range(20)) < 40 * min(seconds(json.dumps) for _ in range(20))
