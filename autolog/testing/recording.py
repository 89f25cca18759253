"""Records into a store and a client of its own, so that a test sees its own runs and nothing else."""

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
    """What a `recorded()` block records; to be read inside the block and after it."""

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
        """The runs, child runs left out, in the order in which they began."""
        return self._read(children=False)

    @property
    def all_runs(self) -> Runs:
        """The runs and their children."""
        return self._read(children=True)

    @property
    def run(self) -> RunRecord:
        """The one run. Raises AssertionError if there are none or several."""
        runs = self.runs
        assert len(runs) == 1, f"there is not one run but {len(runs)}: {runs!r}"
        return runs[0]

    def close(self) -> None:
        """Stop recording. Raises AssertionError if what was recorded could not be written in time."""
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
    """Record what is trained inside the block, with these integrations (all that are installed by default).

    An integration may be given as its class, whether or not its entry point is installed. `settings` are those of
    `autolog.autolog()`; files and environment are not asked, and `overhead_budget` is all of the time, so that no machine is
    too slow to record everything. With `strict`, an error of the integration's own is raised where it happens; without, the
    training goes on as it does for users. Client, patches and store are as before after the block.
    """
    folder = tempfile.mkdtemp(prefix="autolog-test-")
    here = Client(Layout(os.path.join(folder, ".autolog")), Config(silent=True, overhead_budget=1.0), strict)
    here.output.keeps_code = False  # it is that of the tests
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
