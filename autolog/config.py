"""Reads the settings: the call's arguments, then `AUTOLOG_*` in the environment, then the nearest autolog.toml, or
pyproject.toml with `[tool.autolog]`, then the defaults.

A mistake of the caller raises ValueError, naming what is valid and what is near. A mistake in a file or the environment is
reported once and left out: it must not stop a training.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from autolog.store.layout import is_anybodys


class Config(NamedTuple):
    """One client's settings. Any change makes a new object."""

    experiment: str = "default"
    """The experiment to which new runs belong."""
    include: tuple[str, ...] | None = None
    """Only these integrations; None for all that are installed."""
    exclude: tuple[str, ...] = ()
    """Not these integrations."""
    tags: dict[str, str] = {}
    """Put on every run that is no child."""
    sinks: tuple[str, ...] = ()
    """URLs to which events are sent."""
    silent: bool = False
    """Write no line to standard error at the end of a run."""
    overhead_budget: float = 0.01
    """The share of a training's time that optional parts may cost, beyond the first 100 ms of autolog's own time: metrics of
    the training data that nobody has asked for, points of single steps. What would cost more is left out or thinned, and the
    run says so.
    """
    exit_timeout: float = 5.0
    """Maximum seconds that the interpreter's exit waits for what is not yet on disk or not yet delivered to the sinks."""
    secrets: tuple[str, ...] = ()
    """The project's own rules for secrets: see `redact.Own`."""
    options: dict[str, Any] = {}
    """Options of all integrations."""
    integrations: dict[str, dict[str, Any]] = {}
    """Options of one integration, by its name."""


SETTINGS = (
    "experiment", "include", "exclude", "tags", "sinks", "silent", "overhead_budget", "exit_timeout", "secrets",
)  # fmt: skip
_NUMBERS = {
    "overhead_budget": "a share of the training's time, as 0.01",
    "exit_timeout": "a number of seconds, 0 or more",
}
_NOT_SETTINGS = ("DIR", "DISABLED", "STRICT", "CHILDREN", "DEBUG", "CONFIG_DIR")


def is_disabled() -> bool:
    """Return whether `AUTOLOG_DISABLED=1` is set: `autolog()` then does nothing at all."""
    return _true(os.environ.get("AUTOLOG_DISABLED", ""))


def load(
    given: Mapping[str, Any], base: Config | None, option_names: Iterable[str], names: Iterable[str]
) -> tuple[Config, list[str]]:
    """Return the settings with `given` on top, and the complaints about file and environment.

    `base` is what holds already; None to read file and environment first. `option_names` are the options common to all
    integrations, `names` the integrations. Raises ValueError for what is wrong in `given`.
    """
    complaints: list[str] = []
    common, known = tuple(option_names), tuple(names)
    if base is None:
        base = Config()
        for where, values in (_from_files(complaints), ("the environment", _from_environment(common, known))):
            for key, value in values.items():
                try:
                    base = _merge(base, {key: value}, common, known, strict=False)
                except ValueError as error:
                    complaints.append(f"{where}: {error} It is left out.")
    return _merge(base, given, common, known, strict=True), complaints


def nearest(word: str, words: Iterable[str]) -> str:
    """Return ` Did you mean …?`, or ""."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(words), 1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _merge(
    config: Config, given: Mapping[str, Any], common: tuple[str, ...], names: tuple[str, ...], *, strict: bool
) -> Config:
    changes: dict[str, Any] = {}
    options = dict(config.options)
    integrations = {name: dict(values) for name, values in config.integrations.items()}
    for key, value in given.items():
        if key in SETTINGS:
            if value is not None or key == "include":
                changes[key] = _checked(key, value, strict, names)
        elif key in common:
            options[key] = value
        elif key in names and isinstance(value, Mapping):
            integrations.setdefault(key, {}).update(cast(Mapping[str, Any], value))
        else:
            valid = sorted((*SETTINGS, *common))
            raise ValueError(
                f"{key!r} is not a setting or an option common to all integrations.{nearest(key, valid)}"
                f" Valid are: {', '.join(valid)}. Options of one integration are given to enable()."
            )
    return config._replace(**changes, options=options, integrations=integrations)


def _checked(key: str, value: Any, strict: bool, names: tuple[str, ...]) -> Any:
    """Return a setting's value in the setting's own type. Raises ValueError. Unless `strict`, text is read as a number."""
    if key in ("include", "exclude"):
        if value is None:
            return None
        if not isinstance(value, Iterable):
            raise ValueError(f"{key}={value!r} is not valid: it must be names of integrations.")
        chosen: tuple[Any, ...] = tuple(
            _parts(value) if isinstance(value, str) else cast(Iterable[Any], value)
        )
        for name in chosen:
            if name not in names:
                raise ValueError(
                    f"{key}: there is no integration {name!r}.{nearest(str(name), names)}"
                    f" Installed are: {', '.join(sorted(names)) or 'none'}."
                )
        return chosen
    if key == "secrets":
        texts: Any = value.split() if isinstance(value, str) else value
        if not isinstance(texts, Iterable) or not all(
            isinstance(text, str) for text in cast(Iterable[Any], texts)
        ):
            raise ValueError(
                "secrets must be a list of texts, as ['acme_[a-z0-9]{32}', 'badge=', '!demo-.*']."
            )
        return tuple(cast("Iterable[str]", texts))
    if key == "sinks":
        parts: Any = value.split(",") if isinstance(value, str) else value
        urls = list(cast("Iterable[Any]", parts)) if isinstance(parts, Iterable) else [parts]
        if not all(isinstance(url, str) and url.strip() for url in urls):
            # The value is not repeated: it may contain a password.
            raise ValueError("sinks must be URLs, as 'console:' or 'jsonl:events.jsonl'.")
        return tuple(url.strip() for url in urls)
    if key == "tags":
        if isinstance(value, Mapping):
            return {str(k): str(v) for k, v in cast(Mapping[Any, Any], value).items()}
        raise ValueError(f"tags must be a mapping of names to texts, not {value!r}.")
    if key in _NUMBERS and isinstance(value, str) and not strict:
        try:
            value = float(value)
        except ValueError:
            pass
    if key == "experiment":
        wanted, valid = "a name", isinstance(value, str)
    elif key == "silent":
        wanted, valid = "true or false", isinstance(value, bool)
    else:
        wanted = _NUMBERS[key]
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    if not valid:
        raise ValueError(f"{key}={value!r} is not valid: it must be {wanted}.")
    return value


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


# -- the environment


def _from_environment(common: tuple[str, ...], names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    prefixes = {f"{re.sub('[^a-z0-9]', '_', name.lower())}_": name for name in names}
    for variable, text in os.environ.items():
        key = variable.removeprefix("AUTOLOG_").lower()
        if not variable.startswith("AUTOLOG_") or key.upper() in _NOT_SETTINGS or not text.strip():
            continue
        # The longest prefix, since one integration's name may begin with another's.
        prefix = max((prefix for prefix in prefixes if key.startswith(prefix)), key=len, default=None)
        if key in ("include", "exclude", "sinks"):
            found[key] = tuple(_parts(text))
        elif key == "tags":
            pairs = (part.partition("=") for part in _parts(text) if "=" in part)
            found[key] = {name.strip(): value.strip() for name, _, value in pairs}
        elif key in ("experiment", "secrets", *_NUMBERS):
            found[key] = text
        elif key == "silent":
            found[key] = _WORDS.get(text.strip().lower(), {"1": True, "0": False}.get(text.strip(), text))
        # Only the integration knows the type by which an option's text is read: `1` may be a number.
        elif prefix is not None and key not in common:
            found.setdefault(prefixes[prefix], {})[key[len(prefix) :]] = _WORDS.get(
                text.strip().lower(), text
            )
        else:
            found[key] = _WORDS.get(text.strip().lower(), text)
    return found


_WORDS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}


def _true(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "yes", "on")


# -- files


def _from_files(complaints: list[str]) -> tuple[str, dict[str, Any]]:
    """Read the nearest autolog.toml, or pyproject.toml with `[tool.autolog]`, at or above the working directory."""
    try:
        folder = os.getcwd()
    except OSError:
        return "", {}
    while True:
        for name in ("autolog.toml", "pyproject.toml"):
            path = os.path.join(folder, name)
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except OSError:
                continue
            if name == "pyproject.toml" and b"tool.autolog" not in data:
                continue
            if is_anybodys(path):
                complaints.append(f"{path} belongs to another user. It is left out.")
                continue
            try:
                table = _toml(data.decode("utf-8-sig"))
                if name == "pyproject.toml":
                    table = table.get("tool", {}).get("autolog")
                if table is not None:
                    return path, dict(table)
            except Exception as error:
                complaints.append(f"{path} cannot be read: {type(error).__name__}: {error}.")
                return path, {}
        above = os.path.dirname(folder)
        if above == folder:
            return "", {}
        folder = above


def _toml(text: str) -> Any:
    try:
        from tomllib import loads  # pyright: ignore
    except ImportError:  # Python 3.10
        from tomli import loads  # pyright: ignore
    return loads(text)  # pyright: ignore
