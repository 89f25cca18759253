"""The promise: a secret is nowhere in the store, and what only looks a little like one is left as it is."""

from __future__ import annotations

import re
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolog.tracking.redact import is_secret_key, is_switch, mark, redact_arguments, redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9Oi\n" * 20 + "-----END RSA PRIVATE KEY-----"
)  # fmt: skip
MARK = re.compile(r"<redacted:[0-9a-f]{4}>")

# Put together here, so that no scanner of repositories takes this file for a leak.
SHAPES = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ASIA" + "Y34FZKBOKMUTVV7A",
    JWT,
    PEM,
    "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_" + "11ABCDEFG0abcdefghijkl_0123456789abcdefghijklmnop",
    "glpat-" + "x7K2mQ9vRt4LpZ8sWn3B",
    "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
    "sk-" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7bC9dE1fG3",
    "sk-proj-" + "Zk3-pQ9_xY7vB2nM4cL6wE8rT0yU1iO5aS",
    "sk-ant-api03-" + "R2D2-c3po_bb8AbCdEfGhIjKlMnOpQrStUvWxYzAA",
    "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh",
    "AIza" + "SyA1bC2dE3fG4hI5jK6lM7nO8pQ9rS0tU1v",
    "pypi-" + "AgEIcHlwaS5vcmcCJDU1ZTk4N2ZkLTA1ZjktNGI3ZS1iZGI0LWQ4",
    "SG." + "ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
]


@pytest.mark.parametrize("secret", SHAPES, ids=lambda s: s[:12])
@pytest.mark.parametrize(
    "around", ["{}", "use {} here", "a={}&b=1", "'{}'", "path/{}/x", '{{"k": "{}"}}', "x_{}"]
)
def test_a_known_shape_is_replaced_wherever_it_stands(secret: str, around: str) -> None:
    found: set[str] = set()
    text = redact_text(around.format(secret), found)
    assert MARK.sub("S", text) == around.format("S")
    assert found == {secret}


def test_a_truncated_private_key_is_redacted() -> None:
    assert MARK.sub("S", redact_text(f"key: {PEM[:300]}")) == "key: S"


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("postgres://user:pw@host/db", "postgres://S@host/db"),
        (
            "postgresql+psycopg2://u:s3cr%21t@db.example.org:5432/ml",
            "postgresql+psycopg2://S@db.example.org:5432/ml",
        ),
        ("https://x:y@host/a?b=c", "https://S@host/a?b=c"),
        ("redis://:only-password@cache:6379/0", "redis://S@cache:6379/0"),
        ("mongodb+srv://u:p@ss@cluster/x", "mongodb+srv://S@cluster/x"),
        ("https://user@host/a:b", "https://user@host/a:b"),
        ("git clone https://0123456789abcdef0123@host/a", "git clone https://S@host/a"),
        ("ssh://a-much-longer-user-name@host/", "ssh://S@host/"),
        ("https://medium.com/@somebody-with-a-long-name", "https://medium.com/@somebody-with-a-long-name"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("see https://host/, or mail me@there.org: soon", "see https://host/, or mail me@there.org: soon"),
        ("s3://bucket/key@v1", "s3://bucket/key@v1"),
        (
            "https://api.example.org/v1?access_token=abc123&q=1",
            "https://api.example.org/v1?access_token=S&q=1",
        ),
        ("https://acc.blob.core/x?sv=1&sig=a%2Bb%3D&se=2", "https://acc.blob.core/x?sv=1&sig=S&se=2"),
        ("https://host/x?q=token&max_tokens=5", "https://host/x?q=token&max_tokens=5"),
    ],
)
def test_a_url_loses_its_credentials_only(url: str, redacted: str) -> None:
    """User and password before the host, and secret query parameters; the rest of the address stays readable."""
    assert MARK.sub("S", redact_text(url)) == redacted


@pytest.mark.parametrize(
    "name",
    """password passwd db_password dbPassword DB_PASSWORD user.password pwd passphrase secret client_secret clientSecret
    secrets credentials api_key apiKey APIKEY apikey api-key OPENAI_API_KEY x-api-key access_key AWS_SECRET_ACCESS_KEY
    accessKey accesskey secretkey privatekey sshkey token TOKEN hf_token HF_TOKEN access_token accessToken accesstoken
    auth_token authtoken hub_token push_to_hub_token authorization Authorization private_key ssh_key connection_string
    encryption_key account_key AccountKey signing_key auth_header bearer cookie session_cookie password1 model__api_key
    step.params.password sas_token db_pass""".split(),
)  # fmt: skip
def test_a_name_can_say_that_its_value_is_secret(name: str) -> None:
    assert is_secret_key(name)


@pytest.mark.parametrize(
    "name",
    """max_tokens n_tokens tokens token_pattern tokenizer tokenize token_ids token_type_ids num_token pad_token eos_token
    bos_token unk_token cls_token sep_token mask_token image_token next_token additional_special_tokens pad_token_id
    tokens_per_second author author_name authors keyboard monkey key keys key_dim num_keys sort_key primary_key foreign_key
    public_key group_key kv_cache secretary secretariat passes passthrough n_passes forward_pass compass bypass
    access api account private connection connections string cookies_eaten_per_hour signature sign C alpha
    return_dict hash sha commit auth_score""".split(),
)  # fmt: skip
def test_the_value_of_an_ordinary_name_is_not_redacted(name: str) -> None:
    assert not is_secret_key(name)


@pytest.mark.parametrize(
    "text",
    [
        "lbfgs",
        r"(?u)\b\w\w+\b",
        "941d1021ed5edc638fdb1bcdefae5124df1654cd",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "550e8400-e29b-41d4-a716-446655440000",
        "01JDABCDEFGHJKMNPQRSTVWXYZ",
        "/home/me@work/data:v2/train.csv",
        "C:\\Users\\me\\data.csv",
        "ada.lovelace@example.org",
        "git@github.com:owner/project.git",
        "sk-logistic-regression-baseline-v2",
        "sk-learn-contrib-imbalanced",
        "risk-assessment-of-the-portfolio",
        "sklearn.linear_model._logistic.LogisticRegression",
        "meta-llama/Llama-3.1-8B-Instruct",
        "hf_internal_testing/tiny-random-bert",
        "SG.some_module.another",
        "eyJust a word",
        "pypi-stats",
        "Pipeline(steps=[('scale', StandardScaler()), ('clf', LogisticRegression(C=0.1))])",
        "max_tokens=512, eos_token='</s>', pad_token: <pad>",
        "the secretary's keyboard: a monkey",
        "token = next(tokens)",
        "token: str | None = None",
        "def login(password: str, token: Optional[str] = None) -> None:",
        'api_key = os.environ["API_KEY"]',
        "password=getpass.getpass()",
        "password = ${DB_PASSWORD}",
        "api_key: {{ vault.key }}",
        "token=self.token, key=args.api_key",
        "token = None",
        "for token in tokens: print(token)",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "a -> b: token; c => d",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    found: set[str] = set()
    assert redact_text(text, found) == text
    assert found == set()


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ('password = "hunter2"', 'password = "S"'),
        ("password='hunter2'", "password='S'"),
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=S"),
        ("+export API_KEY=abc123", "+export API_KEY=S"),
        ("-    api_key: abc123  # old", "-    api_key: S  # old"),
        ('    "client_secret": "abc,123;x",', '    "client_secret": "S",'),
        ('{\\"password\\": \\"hunter2\\"}', '{\\"password\\": \\"S\\"}'),
        ('os.environ["HF_TOKEN"] = "abc def"', 'os.environ["HF_TOKEN"] = "S"'),
        ("os.environ['HF_TOKEN']='abc def'", "os.environ['HF_TOKEN']='S'"),
        ('token: str = "abc123"', 'token: str = "S"'),
        ('password: Optional[str] = "abc123"', 'password: Optional[str] = "S"'),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer S"),
        ("'Authorization': 'Basic dXNlcjpwdw=='", "'Authorization': 'Basic S'"),
        ('curl -H "Authorization: token abc123"', 'curl -H "Authorization: token S"'),
        ("mysql --password hunter2 -h db", "mysql --password S -h db"),
        ("env: DB_PASSWORD=hunter2", "env: DB_PASSWORD=S"),
        ("config=password=hunter2", "config=password=S"),
        ("a=1 b=2 secret=3xy c=4", "a=1 b=2 secret=S c=4"),
        ("DefaultEndpointsProtocol=https;AccountName=x;AccountKey=ab+c/d==;E=y", "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=S;E=y"),  # noqa: E501
        ("host=db user=me password=hunter2 dbname=x", "host=db user=me password=S dbname=x"),
        ("password=hunter2\npassword=hunter2\nlr=0.1", "password=S\npassword=S\nlr=0.1"),
        ("login(password='hunter2', user='me')", "login(password='S', user='me')"),
        ("PASSWORD = r'hunter2'", "PASSWORD = r'S'"),
        ('password = f"hunter2"', 'password = f"S"'),
        ("password: 12345678", "password: S"),
    ],
)  # fmt: skip
def test_a_secret_beside_its_name_is_redacted_in_code_and_diffs(text: str, redacted: str) -> None:
    assert MARK.sub("S", redact_text(text)) == redacted


@pytest.mark.parametrize(
    ("arguments", "redacted"),
    [
        (["train.py", "--password", "hunter2"], ["train.py", "--password", "S"]),
        (["train.py", "--password=hunter2"], ["train.py", "--password=S"]),
        (["train.py", "--password=p&ss;w,o'r\"d }"], ["train.py", "--password=S"]),
        (["train.py", "--password", "a b"], ["train.py", "--password", "S"]),
        (["train.py", "--password", "x"], ["train.py", "--password", "S"]),
        (["train.py", "-api-key", "abc"], ["train.py", "-api-key", "S"]),
        (["train.py", "db.password=hunter2", "+wandb.api_key=abc"], ["train.py", "db.password=S", "+wandb.api_key=S"]),
        (["train.py", "--env", "API_KEY=abc"], ["train.py", "--env", "API_KEY=S"]),
        (["train.py", "--env=API_KEY=abc"], ["train.py", "--env=API_KEY=S"]),
        (["train.py", "--header", "Authorization: Bearer abcdef"], ["train.py", "--header", "Authorization: Bearer S"]),
        (["train.py", "--db", "postgres://u:pw@host/db"], ["train.py", "--db", "postgres://S@host/db"]),
        (["train.py", "--json", '{"token": "abc"}'], ["train.py", "--json", '{"token": "S"}']),
        (["train.py", SHAPES[0]], ["train.py", "S"]),
        (["train.py", "--hub-token", "--lr", "0.1"], ["train.py", "--hub-token", "--lr", "0.1"]),
        (["train.py", "--use-auth-token", "false"], ["train.py", "--use-auth-token", "false"]),
        (["train.py", "--max-tokens", "512", "--eos-token", "</s>"], ["train.py", "--max-tokens", "512", "--eos-token", "</s>"]),  # noqa: E501
        (["train.py", "--password"], ["train.py", "--password"]),
        (["train.py", "--password="], ["train.py", "--password="]),
        (["", "a\0b", "\udcff"], ["", "a\0b", "\udcff"]),
    ],
)  # fmt: skip
def test_values_of_secret_flags_are_redacted_in_a_command_line(
    arguments: list[str], redacted: list[str]
) -> None:
    """Whatever characters the value has, in the same argument or the next; the number of arguments stays."""
    assert [MARK.sub("S", argument) for argument in redact_arguments(arguments)] == redacted


def test_equal_secrets_look_equal_and_different_ones_differ() -> None:
    assert mark("hunter2") == mark("hunter2") != mark("hunter3")
    assert MARK.fullmatch(mark("hunter2"))


def test_the_mark_depends_on_the_users_key(tmp_path, monkeypatch) -> None:
    """Nobody else can find out a short password by trying."""
    from autolog.tracking import redact

    marks = set()
    for user in ("ada", "bob", "cyd"):
        monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / user))
        redact._key.cache_clear()
        marks.add(tuple(mark(secret) for secret in ("a", "b", "c")))
    assert len(marks) == 3


def test_without_a_place_for_a_key_secrets_are_still_replaced(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "file" / "below"))
    assert MARK.fullmatch(mark("hunter2"))
    assert mark("hunter2") == mark("hunter2")


SECRETS = st.text(string.ascii_letters + string.digits, min_size=6, max_size=30).filter(
    lambda s: not is_switch(s)
)


@given(st.text(max_size=60), SECRETS, st.sampled_from(["password={}", '"api_key": "{}"', "--token={}", "pwd: {}"]), st.text(max_size=60))  # fmt: skip # noqa: E501
def test_an_assigned_secret_never_survives(before: str, secret: str, how: str, after: str) -> None:
    text = f"{before}\n{how.format(secret)}\n{after}"
    hidden = redact_text(text)
    assert secret not in hidden.replace(before, "").replace(after, "")
    assert MARK.search(hidden)


@given(st.text(max_size=300))
def test_any_text_can_be_redacted_and_doing_it_twice_changes_nothing(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@pytest.mark.parametrize(
    "word",
    [
        "0123456789abcdef",
        "-eyJ-",
        "a.key.",
        "key=",
        "token:",
        "://:",
        'password="',
        "password : ",
        "sk-",
        "Bearer ",
        "secret  ",
    ],
)
def test_the_time_for_redaction_is_linear(word: str) -> None:
    """A minified file in a diff: eight times the text takes about eight times as long, not sixty-four."""

    def seconds(length: int) -> float:
        text = word * (length // len(word))
        began = time.thread_time()
        redact_text(text)
        return time.thread_time() - began

    short = min(seconds(10_000) for _ in range(3))
    assert min(seconds(80_000) for _ in range(3)) < 30 * max(short, 0.0005)
