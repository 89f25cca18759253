"""Which integrations are on: enables and disables them, wakes them when their framework is imported, and knows which one a
class belongs to.

It installs the patches for a `CallHandler` that it is given, and knows nothing of runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from autolog.config import nearest
from autolog.instrument.identity import IdentityMap
from autolog.instrument.imports import ImportHooks
from autolog.registry import Entry, installed

if TYPE_CHECKING:
    from autolog.instrument.calls import CallHandler, Switch
    from autolog.instrument.integration import Integration, Options
    from autolog.instrument.patching import Installation
    from autolog.output import Output

# The MRO of a class, whatever its metaclass says.
_bases_of: Any = type.__dict__["__mro__"].__get__

ON = ("active", "waiting for import")


class IntegrationState:
    """One installed integration, as it stands in this process.

    `state` is `waiting for import`, `active`, `disabled`, `unsupported` or `failed`; `reason` says why.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.state = "disabled"
        self.reason = ""
        self.integration: Integration | None = None
        self.installations: list[Installation] = []
        self.watched: list[tuple[str, Any]] = []


class Manager:
    """See the module. `handler` returns what patches are installed for; it is not called before a framework is imported."""

    def __init__(self, output: Output, handler: Callable[[], CallHandler]) -> None:
        self.states = {name: IntegrationState(entry) for name, entry in installed().items()}
        self.hooks = ImportHooks(lambda module, error: handler().failed(module, "after its import", error))
        self.switched_off: set[str] = set()
        """The integrations that the user has disabled by name."""
        self._output = output
        self._handler = handler
        self._claimants: IdentityMap[str] = IdentityMap()

    # -- switching on and off

    def enable(self, name: str) -> None:
        """Enable an integration: now if its framework is imported, else when it is."""
        state = self.states[name]
        if state.state in ON:
            sweep(self.put_back(name, []))
        state.state = "waiting for import"
        state.reason = ""
        for module in state.entry.modules:

            def wake(module: ModuleType, state: IntegrationState = state) -> None:
                self._wake(state, module)

            state.watched.append((module, wake))
            self.hooks.when_imported(module, wake)

    def put_back(self, name: str, failures: list[tuple[Installation, Exception]]) -> set[Switch]:
        """Disable an integration and put back what it has replaced. Return its wrappers' switches, for `sweep`."""
        state = self.states[name]
        for module, wake in state.watched:
            self.hooks.forget(module, wake)
        state.watched.clear()
        switches = self.take_out(state.installations, failures)
        state.installations.clear()
        state.integration = None
        self._claimants = IdentityMap()
        state.state = "disabled"
        return switches

    @staticmethod
    def take_out(
        installations: list[Installation], failures: list[tuple[Installation, Exception]] | None = None
    ) -> set[Switch]:
        """Remove patches and return their switches. If one fails, the others are removed all the same."""
        for installation in reversed(installations):
            try:
                installation.remove()
            except Exception as error:
                if failures is not None:
                    failures.append((installation, error))
        return {installation.switch for installation in installations}

    def _wake(self, state: IntegrationState, module: ModuleType) -> None:
        """Install the patches: the framework has been imported, or imported anew."""
        if state.integration is not None:
            return
        from autolog.instrument.patching import Installation

        name = state.entry.name
        handler = self._handler()
        try:
            cls = state.entry.load()
            complaints: list[str] = []
            config = self._output.config
            given = {**config.options, **config.integrations.get(name, {})}
            # A caller of `enable()` has been told of wrong options: these come from a file or the environment.
            integration = cls(make_options(cls.Options, valid_options(cls.Options, given, complaints)))
            for complaint in complaints:
                self._output.warn(f"{name}: {complaint}")
            integration.handler = handler
            integration.awake_as(module.__name__)
            refusal = _refusal(integration)
            if refusal:
                state.state, state.reason = "unsupported", refusal
                self._output.warn(refusal)
                return
            state.integration = integration
            self._claimants = IdentityMap()
            _preload(cls.name)
            for patch in integration.patches():
                installation = Installation(patch, cls.name, handler, self.hooks)
                state.installations.append(installation)
                installation.install()
            state.state = "active"
        except Exception as error:
            sweep(self.put_back(name, []))  # half of the patches would record half
            state.state, state.reason = "failed", f"{type(error).__name__}: {error}"
            handler.failed(name, "switching on", error)

    # -- queries

    @property
    def switched_on(self) -> list[str]:
        """The integrations that record, or will when their framework is imported."""
        return [name for name, one in self.states.items() if one.state in ON]

    @property
    def is_any_active(self) -> bool:
        return any(one.state == "active" for one in self.states.values())

    @property
    def unrecorded(self) -> list[str]:
        """The integrations whose framework is imported, if no integration at all is on or has been tried; else none."""
        if any(one.state != "disabled" for one in self.states.values()):
            return []
        return [
            name
            for name, one in self.states.items()
            if any(module in sys.modules for module in one.entry.modules)
        ]

    @property
    def packages(self) -> frozenset[str]:
        """The top-level packages of the frameworks: calls that these make themselves are not the user's."""
        return frozenset(name.partition(".")[0] for one in self.states.values() for name in one.entry.modules)

    def engines(self) -> Iterable[str]:
        """Yield the modules of the active integrations' frameworks that start processes on behalf of their caller."""
        for one in self.states.values():
            if one.integration is not None:
                yield from one.integration.engines

    def version_of(self, name: str) -> str | None:
        """Return the imported framework's version; None if the integration is not active."""
        state = self.states.get(name)
        return state.integration.version() if state is not None and state.integration is not None else None

    def options_of(self, name: str | None) -> Options | None:
        """Return the options of an integration; None if it is not active."""
        state = self.states.get(name or "")
        return state.integration.options if state is not None and state.integration is not None else None

    def claimant_of(self, instance: object) -> str:
        """Return the integration that claims the class of an instance, or else the nearest of its base classes; "" if none
        does. This reads the type: asking the object itself for its class may run the user's code.
        """
        kind = type(instance)
        cls: Any = instance if issubclass(kind, type) else kind
        claimant = self._claimants.get(cls)
        if claimant is None:
            claimant = ""
            known = [one.integration for one in self.states.values() if one.integration is not None]
            for base in _bases_of(cls):
                module: object = getattr(base, "__module__", None)
                claimants = [k.name for k in known if isinstance(module, str) and _begins(module, k.claims)]
                if claimants:
                    claimant = claimants[0]
                    break
            self._claimants.set(cls, claimant)
        return claimant

    def known(self, name: str) -> str:
        """Return the integration of that name, or that a module of that name wakes. Raises ValueError, naming the nearest."""
        for known, state in self.states.items():
            if name == known or name in state.entry.modules:
                return known
        valid = sorted(self.states)
        raise ValueError(
            f"There is no integration {name!r}.{nearest(str(name), valid)} Installed are: {', '.join(valid) or 'none'}."
        )


def sweep(switches: set[Switch]) -> None:
    """Put the originals back into all modules that hold wrappers with these switches. Slow: call it once for all switches."""
    if switches:
        from autolog.instrument.modules import sweep_modules

        sweep_modules(switches)


def make_options(cls: type[Options], given: dict[str, Any]) -> Options:
    """Return options made from names and values. Raises ValueError, naming the valid ones and the nearest match."""
    import msgspec

    for name in given:
        if name not in cls.__struct_fields__:
            valid = cls.__struct_fields__
            raise ValueError(
                f"There is no option {name!r}.{nearest(name, valid)} Valid are: {', '.join(valid)}."
            )
    try:
        return msgspec.convert(given, cls)
    except msgspec.ValidationError:
        pass
    checked: dict[str, Any] = {}
    for name, value in given.items():
        try:  # values from the environment are text
            checked[name] = getattr(msgspec.convert({name: value}, cls, strict=False), name)
        except msgspec.ValidationError:
            kinds = _kinds(next(one.type for one in msgspec.structs.fields(cls) if one.name == name))
            *most, last = kinds
            takes = f"{', '.join(most)} or {last}" if most else last
            raise ValueError(f"The option {name} cannot be {value!r}. It takes {takes}.") from None
    return cls(**checked)


def _kinds(annotation: Any) -> list[str]:
    """Return what a field takes, in words."""
    from typing import Literal, get_args, get_origin

    if get_origin(annotation) is Literal:
        return [repr(one) for one in get_args(annotation)]
    parts = get_args(annotation)
    if parts and not isinstance(annotation, type):
        return [kind for part in parts for kind in _kinds(part)]
    words = {bool: ["True", "False"], int: ["a whole number"], float: ["a number"], str: ["a text"]}
    return words.get(annotation, [getattr(annotation, "__name__", str(annotation))])


def valid_options(cls: type[Options], given: dict[str, Any], complaints: list[str]) -> dict[str, Any]:
    """Return those that are valid. Add what is wrong with the others to `complaints`."""
    kept: dict[str, Any] = {}
    for name, value in given.items():
        try:
            make_options(cls, {name: value})
            kept[name] = value
        except ValueError as error:
            complaints.append(f"{error} It is left out.")
    return kept


def _preload(flavor: str) -> None:
    """Load now what the first run would load otherwise: the flavor, if there is one of that name."""
    from autolog.models import pickling  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from autolog.models.errors import ModelError
    from autolog.models.flavors import find

    try:
        find(flavor)
    except ModelError:
        pass


def _begins(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def _refusal(integration: Integration) -> str:
    """Return why this version of the framework is not supported, or ""."""
    from packaging.requirements import Requirement
    from packaging.version import InvalidVersion, Version

    text = integration.version()
    try:
        version = Version(text)
    except InvalidVersion:
        return ""
    requirement = Requirement(integration.supports)
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"autolog does not record {integration.name} {text}: it needs {integration.supports}."
