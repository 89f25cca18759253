"""Carries out what the reducer decides: opens and ends runs, and answers what it asks of optimizers and models. With
`describer` and `final` the only code that knows both runs and torch.
"""

from __future__ import annotations

import sys
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from autolog_torch import about
from autolog_torch.events import NO_OPTIMIZER
from autolog_torch.recording import Recording
from autolog_torch.reducer import Relation

if TYPE_CHECKING:
    from autolog.integration import Integration, Run
    from autolog_torch.seen import Seen


class Runs:
    """The reducer's `World`, of one thread."""

    def __init__(self, integration: Integration, seen: Seen, tracker: Any) -> None:
        self._integration = integration
        self._seen = seen
        self._tracker = tracker
        self._uncaught = 0
        """The id of the last exception that nobody had caught when the run began."""
        self._recording: Recording | None = None

    def clock(self) -> int:
        return self._seen.clock

    def _optimizer(self, number: int) -> Any:
        held = self._tracker.stepping.get(number)
        if held is not None:
            return held()
        return next((one for one, known in self._seen.created.items() if known == number), None)

    def was_interrupted(self) -> bool:
        return self._interruption() is not None

    def _interruption(self) -> BaseException | None:
        """The exception that has come out of the training since the run began, as of a notebook's cell."""
        error: BaseException | None = getattr(sys, "last_value", None)
        if error is None or id(error) == self._uncaught:
            return None
        places = self._recording.losses.places if self._recording is not None else ()
        codes = {site.code for site, _ in places}
        found = error.__traceback__
        while found is not None and found.tb_frame.f_code not in codes:
            found = found.tb_next
        return None if found is None else error

    def relation(self, optimizer: int, members: list[int]) -> Relation:
        own = about.ids_of(self._optimizer(optimizer))
        living = [held for one in members if (held := self._optimizer(one)) is not None]
        theirs = [about.ids_of(one) for one in living]
        if own in theirs:
            return Relation.ALIAS
        root = self._tracker.root()
        if any(own & some for some in theirs) or (
            root is not None and any(id(p) in own for p in root.parameters())
        ):
            return Relation.SHARES
        return Relation.STRANGER if living else Relation.ALONE

    def open(self, optimizer: int, began_at: int, now: int) -> Recording | None:
        found = None if optimizer == NO_OPTIMIZER else self._optimizer(optimizer)
        whole = self._tracker.hidden.root if found is None else self._seen.modules.root_of(found)
        self._seen.unused.pop(found)
        root, _ = about.unwrapped(whole)
        recording = Recording(partial(self._expects_others, began_at))
        run: Run | None = None
        if about.is_first_process():
            closing = partial(self._close, recording)
            run = self._integration.start_run(closing, kind="train", estimator=_named(root))
        if run is None:
            self._tracker.met = {optimizer}
            return None
        self._recording = recording
        recording.run = run
        recording.owned = run.framework == self._integration.name
        self._uncaught = id(getattr(sys, "last_value", None))
        self._tracker.met = {optimizer}
        if found is not None and optimizer not in self._tracker.stepping:
            self._tracker.watch(optimizer, found)
        self._tracker.undivided = recording.losses.undivided
        self._tracker.root = _nothing if root is None else weakref.ref(root)
        self._tracker.kind = None if root is None else type(root)
        self._tracker.trains_in_eval = root is not None and not root.training
        if found is not None:
            before = about.made_before(found, self._seen.schedulers.get(found), now)
            recording.first_step, recording.epochs = before
        epoch = self._tracker.reducer.passes.epoch
        made_with = self._tracker.made_with()
        self._tracker.describer.begin(recording, began_at, found, whole, epoch, made_with)
        return recording

    def joined(self, recording: Recording, optimizer: int, number: int, alias: bool) -> None:
        found = self._optimizer(optimizer)
        self._tracker.met.add(optimizer)
        if found is not None:
            self._seen.unused.pop(found)
            if not alias and recording.owned:
                self._tracker.describer.join(recording.run, found, number)

    def leads(self, optimizer: int, by_hand: bool) -> None:
        self._tracker.lead = self._tracker.stepping.get(optimizer, _nothing)
        self._tracker.lead_number, self._tracker.by_hand = optimizer, by_hand

    def _expects_others(self, began_at: int) -> bool:
        """Whether optimizers that have not stepped yet are to join this run."""
        own = {
            n
            for number in self._tracker.met
            if (one := self._optimizer(number)) is not None
            for n in about.ids_of(one)
        }
        here = threading.get_ident()
        return bool(own) and any(
            thread == here
            and self._tracker.describer.last_began_at < (self._seen.created.get(optimizer) or 0) <= began_at
            and own.isdisjoint(about.ids_of(optimizer))
            for optimizer, thread in self._seen.unused.items()
        )

    def began_epoch(self) -> None:
        self._tracker.describer.refresh()

    def _close(self, recording: Recording) -> None:
        """The run is about to end."""
        self._tracker.drain()
        self._tracker.reducer.close(recording)

    def finished(self, recording: Recording) -> None:
        self._recording = None
        self._tracker.describer.finish(recording)
        self._tracker.lead, self._tracker.met, self._tracker.by_hand = _nothing, set(), False
        self._tracker.root, self._tracker.kind, self._tracker.undivided = _nothing, None, set()

    def end(self, recording: Recording) -> None:
        self._integration.end_run(recording.run, self._interruption())


def _named(root: Any) -> Any:
    """The model, or the name of its class where torch has given it one that is derived from the script's."""
    cls = None if root is None else about.class_of(root)
    return root if cls is None or cls is type(root) else f"{cls.__module__}.{cls.__qualname__}"


def _nothing() -> None:
    return None
