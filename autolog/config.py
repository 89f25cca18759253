"""The settings, and where they come from: the call's arguments, then `AUTOLOG_*` in the environment, then `[tool.autolog]` in
the nearest pyproject.toml or autolog.toml, then the defaults.

What the caller got wrong raises ValueError, naming what is valid and what is near. What a file or the environment got wrong
is said once and left out: it must not stop a training.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast


class Config(NamedTuple):
    """One session's settings; replaced whole when one changes."""

    experiment: str = "default"
    """What new runs belong to."""
    include: tuple[str, ...] | None = None
    """Only these integrations; all that are installed if None."""
    exclude: tuple[str, ...] = ()
    """Not these integrations."""
    tags: dict[str, str] = {}
    """Put on every root run."""
    sinks: tuple[str, ...] = ()
    """URLs of where events go on to."""
    silent: bool = False
    """No line on standard error at the end of a run."""
    exit_timeout: float = 5.0
    """The most seconds the interpreter's exit waits for what is not yet on the disk or not yet with the sinks."""
    options: dict[str, Any] = {}
    """Options of all integrations."""
    integrations: dict[str, dict[str, Any]] = {}
    """Options of one integration, by its name."""


SETTINGS = ("experiment", "include", "exclude", "tags", "sinks", "silent", "exit_timeout")
_NOT_SETTINGS = ("DIR", "DISABLED", "STRICT", "CHILDREN", "DEBUG", "CONFIG_DIR")


def is_disabled() -> bool:
    """`AUTOLOG_DISABLED=1`: `autolog()` does nothing at all."""
    return _true(os.environ.get("AUTOLOG_DISABLED", ""))


def load(
    given: Mapping[str, Any], base: Config | None, option_names: Iterable[str], names: Iterable[str]
) -> tuple[Config, list[str]]:
    """The settings with `given` on top, and the complaints about file and environment.

    `base` is what holds already (then file and environment were read before); `option_names` are the options common to all
    integrations, `names` the integrations there are. Raises ValueError for what is wrong in `given`.
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
    """` Did you mean …?`, or nothing."""
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
    """A setting's value as the setting holds it. Raises ValueError; unless `strict`, text is read as what is meant."""
    if key in ("include", "exclude"):
        if value is None:
            return None
        value = tuple(value.split(",")) if isinstance(value, str) else tuple(value)
        for name in value:
            if name not in names:
                raise ValueError(
                    f"{key}: there is no integration {name!r}.{nearest(str(name), names)}"
                    f" Installed are: {', '.join(sorted(names)) or 'none'}."
                )
        return value
    if key == "sinks":
        parts: Any = value.split(",") if isinstance(value, str) else value
        urls = list(cast("Iterable[Any]", parts)) if isinstance(parts, Iterable) else [parts]
        if not all(isinstance(url, str) and url.strip() for url in urls):
            # What was given is not repeated: it may contain a password.
            raise ValueError("sinks must be URLs, as 'console:' or 'jsonl:events.jsonl'.")
        return tuple(url.strip() for url in urls)
    if key == "tags":
        if isinstance(value, Mapping):
            return {str(k): str(v) for k, v in cast(Mapping[Any, Any], value).items()}
        raise ValueError(f"tags must be a mapping of names to texts, not {value!r}.")
    kind, wanted = {
        "experiment": (str, "a name"), "silent": (bool, "true or false"), "exit_timeout": ((int, float), "a number of seconds"),
    }[key]  # fmt: skip
    if not strict and isinstance(value, str) and key == "exit_timeout":
        try:
            value = float(value)
        except ValueError:
            pass
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{key}={value!r} is not valid: it must be {wanted}.")
    return value


# -- the environment


def _from_environment(common: tuple[str, ...], names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in os.environ.items():
        if not variable.startswith("AUTOLOG_"):
            continue
        key = variable[8:]
        if key in _NOT_SETTINGS:
            continue
        key = key.lower()
        name = next((name for name in names if key.startswith(f"{name}_")), None)
        if key in ("include", "exclude", "sinks"):
            found[key] = tuple(part.strip() for part in text.split(",") if part.strip())
        elif key == "tags":
            found[key] = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
        elif name is not None and key not in common:
            found.setdefault(name, {})[key[len(name) + 1 :]] = text
        else:
            found[key] = _true(text) if text.lower() in _BOOLEANS else text
    return found


_BOOLEANS = {"1", "0", "true", "false", "yes", "no", "on", "off"}


def _true(text: str) -> bool:
    return text.strip().lower() in ("1", "true", "yes", "on")


# -- files


def _from_files(complaints: list[str]) -> tuple[str, dict[str, Any]]:
    """The nearest autolog.toml or pyproject.toml with `[tool.autolog]`, at or above the working directory."""
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
            try:
                table = _toml(data.decode())
                values = table.get("tool", {}).get("autolog", {}) if name == "pyproject.toml" else table
                return path, dict(values)
            except (AttributeError, TypeError, ValueError) as error:
                complaints.append(f"{path} cannot be read: {error}.")
                return path, {}
        above = os.path.dirname(folder)
        if above == folder:
            return "", {}
        folder = above


def _toml(text: str) -> dict[str, Any]:
    try:
        from tomllib import loads  # pyright: ignore
    except ImportError:  # Python 3.10
        from tomli import loads  # pyright: ignore
    return loads(text)  # pyright: ignore
