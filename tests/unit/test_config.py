"""The promise: settings come from the call, the environment, a file, in this order; who is wrong is told, and a file or a
variable never stops a training.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolog import config
from autolog.config import Config, load, nearest

pytestmark = pytest.mark.usefixtures("own_folder")

COMMON = ("log_models", "log_datasets", "max_model_bytes")
NAMES = ("sklearn", "spark", "spark_ml", "xgboost")


def loaded(**given: Any) -> Config:
    """The settings of a call with `given`, where nothing else is wrong."""
    found, complaints = load(given, None, COMMON, NAMES)
    assert complaints == []
    return found


def complained(**given: Any) -> tuple[Config, list[str]]:
    return load(given, None, COMMON, NAMES)


# -- the order of the places


def test_no_setting_is_needed() -> None:
    assert loaded() == Config(
        experiment="default", include=None, exclude=(), tags={}, silent=False, overhead_budget=0.01, exit_timeout=5.0,
        options={}, integrations={},
    )  # fmt: skip


def test_a_call_wins_over_the_environment_and_that_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "autolog.toml").write_text(
        'experiment = "file"\nsilent = true\nexit_timeout = 1\nlog_models = false\n'
    )
    monkeypatch.setenv("AUTOLOG_EXPERIMENT", "environment")
    monkeypatch.setenv("AUTOLOG_EXIT_TIMEOUT", "2.5")
    found = loaded(experiment="call")
    assert (found.experiment, found.exit_timeout, found.silent, found.options) == (
        "call",
        2.5,
        True,
        {"log_models": False},
    )


def test_a_second_call_changes_only_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the environment are read once."""
    first = loaded(experiment="a", silent=True, log_models=False, sklearn={"log_datasets": False})
    monkeypatch.setenv("AUTOLOG_EXPERIMENT", "b")
    second, complaints = load({"tags": {"n": 1}, "sklearn": {"x": 1}}, first, COMMON, NAMES)
    assert complaints == []
    assert second == first._replace(
        tags={"n": "1"}, integrations={"sklearn": {"log_datasets": False, "x": 1}}
    )
    assert first.integrations == {"sklearn": {"log_datasets": False}}


# -- the call


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"experimnet": "x"}, "an option common to all integrations. Did you mean 'experiment'?"),
        ({"log_model": True}, "'log_model' is not a setting or an option common to all integrations. Did you mean"),
        ({"zzz": 1}, "Valid are: exclude, exit_timeout, experiment, include, log_datasets, log_models, max_"),
        ({"sklearn": True}, "'sklearn' is not a setting or an option common to all integrations."),
        ({"include": ["sklaern"]}, "there is no integration 'sklaern'. Did you mean 'sklearn'? Installed are: sklearn, spark"),
        ({"exclude": "xgbost"}, "exclude: there is no integration 'xgbost'. Did you mean 'xgboost'?"),
        ({"include": 5}, "include=5 is not valid: it must be names of integrations."),
        ({"exclude": [5]}, "exclude: there is no integration 5."),
        ({"experiment": 5}, "experiment=5 is not valid: it must be a name."),
        ({"silent": "yes"}, "silent='yes' is not valid: it must be true or false."),
        ({"exit_timeout": "5"}, "exit_timeout='5' is not valid: it must be a number of seconds, 0 or more."),
        ({"exit_timeout": True}, "exit_timeout=True is not valid"),
        ({"exit_timeout": -1}, "exit_timeout=-1 is not valid"),
        ({"exit_timeout": math.nan}, "exit_timeout=nan is not valid"),
        ({"tags": ["a"]}, "tags must be a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_a_value_error_that_names_what_is_valid(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as error:
        loaded(**given)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"include": "sklearn, xgboost"}, {"include": ("sklearn", "xgboost")}),
        ({"include": ["sklearn"]}, {"include": ("sklearn",)}),
        ({"include": []}, {"include": ()}),
        ({"exclude": (name for name in ("spark", "xgboost"))}, {"exclude": ("spark", "xgboost")}),
        ({"include": None}, {"include": None}),
        ({"secrets": "badge= !demo-.*"}, {"secrets": ("badge=", "!demo-.*")}),
        ({"exit_timeout": 0}, {"exit_timeout": 0}),
        ({"exit_timeout": math.inf}, {"exit_timeout": math.inf}),
        ({"tags": {1: 2.5, "a": None}}, {"tags": {"1": "2.5", "a": "None"}}),
        ({"log_models": False, "max_model_bytes": 5}, {"options": {"log_models": False, "max_model_bytes": 5}}),
        ({"experiment": None, "silent": None, "tags": None, "exclude": None}, {}),
    ],
)  # fmt: skip
def test_every_setting_may_be_an_argument(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert loaded(**given) == Config()._replace(**expected)


@pytest.mark.parametrize(
    ("word", "said"), [("sklaern", " Did you mean 'sklearn'?"), ("zzzzz", ""), ("", ""), ("SKLEARN", "")]
)
def test_the_nearest_word_is_named_only_if_it_is_near(word: str, said: str) -> None:
    assert nearest(word, NAMES) == said


# -- the environment


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("EXPERIMENT", "x", {"experiment": "x"}),
        ("EXPERIMENT", "1", {"experiment": "1"}),
        ("EXPERIMENT", "on", {"experiment": "on"}),
        ("EXPERIMENT", "", {}),
        ("INCLUDE", "sklearn, xgboost,", {"include": ("sklearn", "xgboost")}),
        ("INCLUDE", "", {}),
        ("EXCLUDE", "spark", {"exclude": ("spark",)}),
        ("TAGS", "team=blue, n = 3,url=a=b", {"tags": {"team": "blue", "n": "3", "url": "a=b"}}),
        ("SILENT", "1", {"silent": True}),
        ("SILENT", "No", {"silent": False}),
        ("EXIT_TIMEOUT", "2.5", {"exit_timeout": 2.5}),
        ("EXIT_TIMEOUT", "1", {"exit_timeout": 1.0}),
        ("EXIT_TIMEOUT", "0", {"exit_timeout": 0.0}),
        ("LOG_MODELS", "0", {"options": {"log_models": "0"}}),
        ("LOG_MODELS", "Off", {"options": {"log_models": False}}),
        ("MAX_MODEL_BYTES", "1", {"options": {"max_model_bytes": "1"}}),
        ("SKLEARN_LOG_MODELS", "0", {"integrations": {"sklearn": {"log_models": "0"}}}),
        ("SPARK_ML_LOG_MODELS", "0", {"integrations": {"spark_ml": {"log_models": "0"}}}),
        ("SPARK_MAX", "1", {"integrations": {"spark": {"max": "1"}}}),
        ("DIR", "/x", {}),
        ("STRICT", "1", {}),
        ("DISABLED", "0", {}),
        ("CHILDREN", "1", {}),
        ("DEBUG", "1", {}),
        ("CONFIG_DIR", "/x", {}),
    ],
)
def test_a_variable_is_read_by_the_type_of_its_setting(
    variable: str, text: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options are read by the integration, which knows their types."""
    monkeypatch.setenv(f"AUTOLOG_{variable}", text)
    assert loaded() == Config()._replace(**expected)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        (
            "EXPERIMNET",
            "x",
            "the environment: 'experimnet' is not a setting or an option common to all integrations.",
        ),
        (
            "INCLUDE",
            "sklaern",
            "the environment: include: there is no integration 'sklaern'. Did you mean 'sklearn'?",
        ),
        ("SILENT", "perhaps", "the environment: silent='perhaps' is not valid: it must be true or false."),
        ("EXIT_TIMEOUT", "soon", "the environment: exit_timeout='soon' is not valid"),
        ("EXIT_TIMEOUT", "nan", "the environment: exit_timeout=nan is not valid"),
    ],
)
def test_a_wrong_variable_is_warned_of_and_ignored(
    variable: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AUTOLOG_{variable}", text)
    monkeypatch.setenv("AUTOLOG_TAGS", "a=b")
    found, complaints = complained()
    assert found == Config(tags={"a": "b"})
    assert len(complaints) == 1
    assert complaints[0].startswith(message)
    assert complaints[0].endswith(" It is left out.")


@given(st.dictionaries(st.text(st.characters(codec="ascii", exclude_characters="=\0"), min_size=1), st.text(st.characters(codec="utf-8", exclude_characters="\0"))))  # fmt: skip # noqa: E501
def test_no_variable_raises(variables: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, text in variables.items():
            patch.setenv(f"AUTOLOG_{name}", text)
        complained()


@pytest.mark.parametrize(
    ("text", "disabled"),
    [("1", True), ("true", True), (" YES ", True), ("on", True), ("0", False), ("", False), ("no", False)],
)
def test_autolog_disabled_is_read(text: str, disabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOG_DISABLED", text)
    assert config.is_disabled() is disabled


# -- files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("autolog.toml", 'experiment = "x"\ninclude = ["sklearn"]\ntags = {a = 1}\nlog_models = false\n[sklearn]\nlog_datasets = false\n'),  # noqa: E501
        ("pyproject.toml", '[project]\nname = "p"\n[tool.autolog]\nexperiment = "x"\ninclude = ["sklearn"]\nlog_models = false\n[tool.autolog.tags]\na = 1\n[tool.autolog.sklearn]\nlog_datasets = false\n'),  # noqa: E501
        ("autolog.toml", '\ufeffexperiment = "x"\r\ninclude = "sklearn"\r\nlog_models = false\r\ntags.a = 1\r\nsklearn.log_datasets = false\r\n'),  # noqa: E501
    ],
)  # fmt: skip
def test_every_setting_may_be_in_a_file(name: str, text: str, tmp_path: Path) -> None:
    """The options of one integration stand in a table with its name."""
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert loaded() == Config(
        experiment="x", include=("sklearn",), tags={"a": "1"}, options={"log_models": False},
        integrations={"sklearn": {"log_datasets": False}},
    )  # fmt: skip


def test_the_nearest_file_with_settings_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """autolog.toml before pyproject.toml; a pyproject.toml that says nothing of autolog is passed by."""
    below = tmp_path / "a" / "b" / "c"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    (tmp_path / "autolog.toml").write_text('experiment = "top"')
    (below / "pyproject.toml").write_text("[project]\n# see tool.autolog\n[tool.black]\n")
    assert loaded().experiment == "top"
    (tmp_path / "a" / "pyproject.toml").write_text('[tool.autolog]\nexperiment = "project"')
    assert loaded().experiment == "project"
    (tmp_path / "a" / "autolog.toml").write_text('experiment = "own"')
    assert loaded().experiment == "own"
    (tmp_path / "a" / "b" / "autolog.toml").mkdir()
    assert loaded().experiment == "own"


def test_another_users_file_in_a_shared_folder_is_ignored_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could send all that is recorded elsewhere."""
    (tmp_path / "project").mkdir()
    (tmp_path / "autolog.toml").write_text('sinks = ["jsonl:theirs"]')
    tmp_path.chmod(0o1777)
    monkeypatch.chdir(tmp_path / "project")
    assert loaded().sinks == ("jsonl:theirs",)  # our own
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    config, complaints = load({}, None, (), ())
    assert (config, complaints) == (
        Config(),
        [f"{tmp_path / 'autolog.toml'} belongs to another user. It is left out."],
    )


BROKEN = {
    "no TOML": b"experiment = \n",
    "no UTF-8": b'experiment = "\xff"\n',
    "binary": bytes(range(256)) * 10,
    "too deep": b"x = " + b"[" * 20_000 + b"]" * 20_000,
    "a number for the table": b"[tool]\nautolog = 5 # tool.autolog\n",
    "a list for the tools": b"tool = [1] # tool.autolog\n",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", ["autolog.toml", "pyproject.toml"])
def test_a_broken_file_is_warned_of_once_and_ignored(kind: str, name: str, tmp_path: Path) -> None:
    data = BROKEN[kind]
    (tmp_path / name).write_bytes(data + b"\n# tool.autolog")
    found, complaints = complained(experiment="call")
    assert found.experiment == "call"
    assert len(complaints) == 1
    assert str(tmp_path / name) in complaints[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("include = 5", "include=5 is not valid: it must be names of integrations."),
        ("include = [[1], 2]", "include: there is no integration [1]."),
        ("include = {sklearn = true}", None),
        ("tags = 5", "tags must be a mapping of names to texts, not 5."),
        ('silent = "perhaps"', "silent='perhaps' is not valid: it must be true or false."),
        ("exit_timeout = nan", "exit_timeout=nan is not valid"),
        (
            "experiment = 2026-11-22",
            "experiment=datetime.date(2026, 11, 22) is not valid: it must be a name.",
        ),
        ("sklearn = 5", "'sklearn' is not a setting or an option common to all integrations."),
        ("nonsense = {a = 1}", "'nonsense' is not a setting or an option common to all integrations."),
    ],
)
def test_a_wrong_line_of_a_file_is_warned_of_and_ignored(
    line: str, message: str | None, tmp_path: Path
) -> None:
    (tmp_path / "autolog.toml").write_text(f"log_models = false\n{line}\n")
    found, complaints = complained()
    assert found.options == {"log_models": False}
    if message is not None:
        assert len(complaints) == 1
        assert complaints[0].startswith(f"{tmp_path / 'autolog.toml'}: {message}")


TOML = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="ascii", categories=["L", "N"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@given(st.dictionaries(st.sampled_from([*config.SETTINGS, *COMMON, *NAMES, "other"]), TOML))
def test_no_file_raises(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("file")
    (folder / "autolog.toml").write_text(
        "".join(f"{name} = {toml(value)}\n" for name, value in values.items())
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        complained()


def test_a_deleted_working_directory_means_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert loaded() == Config()
