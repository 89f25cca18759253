"""Records into a separate store with a separate client, so that a test sees only its own runs."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from autolog import process
from autolog.client import Client
from autolog.config import Config
from autolog.instrument.calls import current
from autolog.instrument.integration import Integration
from autolog.manager import IntegrationState
from autolog.recording.scope import last_run
from autolog.registry import Entry, installed
from autolog.store.layout import Layout
from autolog.store.records import RunRecord, Runs, Store

FLUSH_SECONDS = 30.0


class Recorded:
    """The runs of a `recorded()` block. They can be read inside the block and after it."""

    def __init__(self, here: Client, folder: str) -> None:
        self.folder = folder
        self._client = here
        self._store = Store(here.layout)
        self._closed = False
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def client(self) -> Client:
        """The client of the block."""
        return self._client

    @property
    def runs(self) -> Runs:
        """The runs without child runs, in order of their start."""
        return self._read(children=False)

    @property
    def all_runs(self) -> Runs:
        """The runs and their children, in order of their start."""
        return self._read(children=True)

    @property
    def run(self) -> RunRecord:
        """The only run. Raises AssertionError if there is none, or more than one."""
        runs = self.runs
        assert len(runs) == 1, f"expected one run, found {len(runs)}: {runs!r}"
        return runs[0]

    def close(self) -> None:
        """Stop recording. Raises AssertionError if the runs cannot be written in time."""
        self._closed = True
        assert self._client.finish(FLUSH_SECONDS), "the runs could not be written in time"

    def _read(self, children: bool) -> Runs:
        if not self._closed:
            assert self._client.flush(FLUSH_SECONDS), "the runs could not be written in time"
        return self._store.runs(order_by="started", children=children)


@contextmanager
def recorded(
    *integrations: str | type[Integration], strict: bool = True, **settings: Any
) -> Generator[Recorded, None, None]:
    """Record the trainings inside the block, with these integrations (default: all installed ones).

    An integration may also be a class, whose entry point need not be installed. `settings` are those of `autolog.autolog()`.
    Configuration files and the environment have no effect, and `overhead_budget` is 1, so that slow machines record everything,
    too. With `strict`, errors of the integration are raised where they happen. Without it, the training continues as it does
    for users. After the block, client, patches and store are as before.
    """
    folder = tempfile.mkdtemp(prefix="autolog-test-")
    here = Client(Layout(os.path.join(folder, ".autolog")), Config(silent=True, overhead_budget=1.0), strict)
    here.output.keeps_code = False  # the code is that of the tests
    known = installed()
    names = [one if isinstance(one, str) else one.name for one in integrations] or list(known)
    for one in integrations:
        if not isinstance(one, str):
            modules = known[one.name].modules if one.name in known else (one.name,)
            here.manager.states[one.name] = IntegrationState(Entry(one.name, modules, loaded=one))
    before, frame, last = process.get(), current.set(None), last_run.set(None)
    paused = before is not None and before.active
    if before is not None:
        before.active = False
    seen = Recorded(here, folder)
    try:
        process.put(here)
        here.configure(settings)
        here.output.start()
        for name in names:
            here.enable(name)
        yield seen
    finally:
        try:
            here.disable()
        finally:
            process.put(before)
            if before is not None:
                before.active = paused and not before.abandoned
            last_run.reset(last)
            current.reset(frame)
            seen.close()
