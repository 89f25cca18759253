"""Passes over data, and which of them are epochs of training.

A pass is one iteration of a DataLoader, or what happens between two of them. One during which `backward()` is called is an
epoch; another is an evaluation if a loss or a metric was computed in it. Both are over not when their loader is exhausted,
since some prefetch a batch and users compute means afterwards, but when the next training begins.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog_torch.values import Mean

if TYPE_CHECKING:
    from autolog_torch.sites import Site


NO_DATA = (0, 0)


class Pass:
    """What happened during one pass. `loader` is None for a stretch without one."""

    __slots__ = (
        "batches", "began", "beside", "criteria", "data", "described", "evaluates", "fetched", "last", "losses", "moved",
        "name", "named", "over", "reads", "samples", "sources", "steps", "tested", "wait",
    )  # fmt: skip

    def __init__(
        self, name: str = "", data: tuple[int, int] = NO_DATA, sources: tuple[Callable[[], Any], ...] = (),
        described: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.data = data
        """The ids of the data set and its loader."""
        self.sources = sources
        """Give these while they live, see `about.weakly`."""
        self.described = described or {}
        """The loader, as a run's params."""
        self.began = self.last = perf_counter()
        self.batches = self.samples = self.steps = 0
        self.wait = 0.0
        self.moved = False
        """Has given a batch since the last backward."""
        self.beside = False
        """Gives batches of the same training as the epoch's loader does."""
        self.evaluates = False
        self.tested = False
        """The model was in evaluation mode during it: whatever gave the batches had gradients on."""
        self.over = False
        self.fetched = False
        """It was over before the first backward: its batches were kept."""
        self.losses: dict[Any, Mean] = {}
        self.criteria: dict[str, Mean] = {}
        self.reads: dict[Site, Read] = {}
        self.named: dict[str, Mean] = {}
        """What the user has recorded himself: it is not recorded again where he reads it."""

    @property
    def is_loader(self) -> bool:
        return self.data is not NO_DATA

    def is_gone_before(self, other: Pass) -> bool:
        """Whether its data had died when another pass began, and what it was known by may be something else's."""
        deaths = [getattr(source, "died", None) for source in self.sources]
        return any(died is not None and died < other.began for died in deaths)

    @property
    def is_empty(self) -> bool:
        return not self.criteria and not self.reads and not self.named


class Read:
    """Values that the user has read by one name."""

    __slots__ = ("counts", "mean")

    def __init__(self) -> None:
        self.mean = Mean()
        self.counts = True
        """All of them were whole numbers: they are counted, and taken for each sample."""


class Flow:
    """One thread's passes."""

    def __init__(self) -> None:
        self.epoch: Pass | None = None
        """The epoch of training."""
        self.current: Pass | None = None
        """The pass that gave a batch last, or the stretch since."""
        self.others: list[Pass] = []
        """Begun since the epoch did, and not known to be training."""
        self._live: dict[int, tuple[weakref.ref[Any], Pass]] = {}

    # -- the loaders

    def began(self, iterator: Any, found: Pass) -> None:
        """A loader is iterated. A persistent iterator is the same object each time."""
        self.ended(iterator)
        live, number = self._live, id(iterator)

        def dropped(reference: weakref.ref[Any]) -> None:  # a loop that was left by `break`
            entry = live.get(number)
            if entry is not None and entry[0] is reference:
                del live[number]
                entry[1].over = True

        live[number] = weakref.ref(iterator, dropped), found
        if len(self.others) > 100:  # nothing but evaluations
            del self.others[:50]
        self.others.append(found)

    def gave(self, iterator: Any, asked: float, now: float, samples: int, evaluates: bool) -> None:
        """A batch of `samples`, which was asked for at a time and is there now; `evaluates`: gradients are off."""
        entry = self._live.get(id(iterator))
        if entry is None:
            return
        found = entry[1]
        found.batches += 1
        found.samples += samples
        found.wait += now - asked
        found.last = now
        found.moved = True
        found.evaluates = evaluates
        if not found.beside:
            self.current = found

    def ended(self, iterator: Any) -> None:
        entry = self._live.pop(id(iterator), None)
        if entry is not None:
            entry[1].over = True
            entry[1].last = perf_counter()

    # -- training and evaluation

    def trained(self) -> bool:
        """A backward: whether a new epoch begins with it, which is `epoch` then."""
        epoch = self.epoch
        if epoch is not None and not self.others:
            epoch.moved = False
            return False
        chosen = None
        if epoch is None or not epoch.moved:
            chosen = self._begun(epoch)
        else:
            epoch.moved = False
            self._go_beside(epoch)
        if chosen is not None and chosen.is_loader:
            self._go_beside(chosen)
        for one in self.others:
            one.moved = False
        if chosen is None:
            return False
        chosen.moved = False
        if chosen in self.others:
            self.others.remove(chosen)
        self.epoch = chosen
        chosen.fetched = chosen.over
        if not chosen.is_loader:
            self.current = chosen
        return True

    def _go_beside(self, epoch: Pass) -> None:
        """Other loaders that have given a batch for the same backward, as of unlabelled data: what is computed is training."""
        for one in self.others:
            if one.moved and one is not epoch and not (one.over or one.evaluates or one.tested or epoch.over):
                one.beside = True
                one.criteria, one.reads = {}, {}
                self.current = epoch

    def _begun(self, epoch: Pass | None) -> Pass | None:
        """The pass that this backward makes an epoch; None while the last one goes on."""
        given = [one for one in self.others if one.moved and not one.evaluates]
        if epoch is not None and epoch.is_loader and not epoch.over:
            # Of loaders that are iterated side by side, the first that gives a batch counts. One that is iterated anew has left
            # the iterator before for good, as that of a search for a learning rate.
            return next((one for one in given if one.data == epoch.data and not one.over), None)
        if given:
            # One that is over gave its batches to something else, as statistics, unless all were fetched in advance. Of two
            # passes over the same data the first was a look at one batch.
            going = [one for one in given if not one.over] or given
            going = sorted({one.data: one for one in going}.values(), key=lambda one: one.last)
            return next((one for one in going if not one.tested), going[0])
        evaluated = any(one.evaluates for one in self.others)
        if epoch is not None and not evaluated:
            return None
        last = self.others[-1] if self.others else None
        return last if last is not None and not last.is_loader and not last.evaluates else Pass()

    def stretch(self) -> Pass:
        """A run begins without a pass of its own: what is computed from now on is no more of the last run's."""
        epoch = self.epoch = Pass()
        if self.current is None or self.current.over or not self.current.is_loader:
            self.current = epoch
        return epoch

    def here(self, evaluates: bool) -> Pass:
        """The pass that a loss or a metric computed now belongs to."""
        current = self.current
        if current is None or (not current.is_loader and current.evaluates != evaluates) or (
            evaluates and current.over and current is self.epoch
        ):  # fmt: skip
            current = Pass()
            current.evaluates = evaluates
            self.others.append(current)
            self.current = current
        return current

    def split(self) -> None:
        """The model is put to evaluation anew: without a loader, that is another pass."""
        current = self.current
        if current is not None and not current.is_loader and current is not self.epoch:
            self.current = None

    def evaluations(self, last: bool = False) -> list[Pass]:
        """The evaluations that are over (with `last`, all), in order; they are forgotten here."""
        done = [one for one in self.others if not one.is_empty and (last or one.evaluates or one.over)]
        self.others = [one for one in self.others if one not in done and not one.over]
        return done
