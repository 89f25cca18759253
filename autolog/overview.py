"""What is recorded in this process, as data and as a table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from autolog import config, process, registry

if TYPE_CHECKING:
    from autolog.sinks.live import SinkState


class PatchPoint(NamedTuple):
    """One place that is replaced: `state` is `found`, `missing` or `waiting` for its module."""

    target: str
    state: str


class IntegrationStatus(NamedTuple):
    """One integration. `state` is `active`, `waiting for import`, `disabled`, `unsupported` or `failed`; or `not recorded` for
    a known framework that has none.
    """

    name: str
    state: str
    framework_version: str | None
    supports: str
    tested: str
    reason: str
    patches: tuple[PatchPoint, ...]


class Status(Sequence[IntegrationStatus]):
    """All integrations, and the sinks. Prints as a table."""

    def __init__(
        self,
        integrations: list[IntegrationStatus],
        store: str,
        recording: bool,
        sinks: tuple[SinkState, ...] = (),
    ) -> None:
        self.integrations = integrations
        self.sinks = sinks
        self.store = store
        self.recording = recording

    def __len__(self) -> int:
        return len(self.integrations)

    @overload
    def __getitem__(self, index: int) -> IntegrationStatus: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[IntegrationStatus]: ...
    def __getitem__(self, index: int | slice) -> IntegrationStatus | Sequence[IntegrationStatus]:
        return self.integrations[index]

    def __iter__(self) -> Iterator[IntegrationStatus]:
        return iter(self.integrations)

    def __repr__(self) -> str:
        head = ("integration", "version", "tested", "state", "patches")
        rows = [head, *(_row(one) for one in self)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        state = "recording into" if self.recording else "not recording; the store is"
        sinks = [
            f"sink {one.url}  {one.state}, {one.delivered} events" + (f"; {one.error}" if one.error else "")
            for one in self.sinks
        ]
        return "\n".join([f"autolog: {state} {self.store}", *lines, *sinks])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as `autolog status --json` prints it."""
        return {
            "store": self.store,
            "recording": self.recording,
            "integrations": [
                {**one._asdict(), "patches": [point._asdict() for point in one.patches]} for one in self
            ],
            "sinks": [one._asdict() for one in self.sinks],
        }


def _row(one: IntegrationStatus) -> tuple[str, ...]:
    found = sum(point.state == "found" for point in one.patches)
    missing = [point.target for point in one.patches if point.state == "missing"]
    patches = f"{found} of {len(one.patches)}" if one.patches else "–"
    if missing:
        patches += f", missing: {', '.join(missing)}"
    state = f"{one.state}: {one.reason}" if one.reason else one.state
    return one.name, one.framework_version or "–", one.tested or one.supports, state, patches


def unrecorded(module: str, title: str) -> IntegrationStatus:
    """Return the status of a known framework that nobody records."""
    return IntegrationStatus(
        module, "not recorded", None, "", "", f"autolog has no integration for {title} yet", ()
    )


def status() -> Status:
    """See `autolog.status`."""
    here = process.get_or_make()
    here.manager.hooks.settle()
    found: list[IntegrationStatus] = []
    for name, active in here.manager.states.items():
        try:
            cls = active.entry.load()
            supports, tested = cls.supports, cls.tested
        except Exception as error:
            found.append(
                IntegrationStatus(name, "failed", None, "", "", f"{type(error).__name__}: {error}", ())
            )
            continue
        version = active.integration.version() if active.integration is not None else None
        points = tuple(PatchPoint(one.patch.target, one.state) for one in active.installations)
        found.append(IntegrationStatus(name, active.state, version, supports, tested, active.reason, points))
    found += [
        unrecorded(module, title) for module, title in registry.unrecorded().items() if module in sys.modules
    ]
    recording = (
        here.active
        and not config.is_disabled()
        and any(one.state in ("active", "waiting for import") for one in found)
    )
    return Status(found, str(here.layout.root), recording, here.output.sink_states)
