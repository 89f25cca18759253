"""Passes over data, and which of them are epochs of training. A pure reducer: knows neither torch nor runs.

A pass is one iteration of a DataLoader, or the stretch between two of them:

    what happens in it                                              it is
    backward() or a step, the first since another pass               an epoch of training
    backward(), while another loader's epoch goes on                 data beside that epoch
    a loss or a metric, with gradients off or the model in its       an evaluation
      evaluation mode, or over a loader after the training began
    none of these                                                    nothing

A pass is not over when its loader is exhausted, since some loaders prefetch a batch and users compute means afterwards, but
when the next training begins. Batches that `next(iter(loader))` fetches one by one are one epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog_torch.values import Mean

if TYPE_CHECKING:
    from autolog_torch.sites import Site

NO_DATA = (0, 0)
OF_TRAINING, OF_TEST = (1, 0), (2, 0)
"""The data of an evaluation without a loader, where the script says so."""


class Pass:
    """What happened during one pass. `data` is `NO_DATA` for a stretch without a loader."""

    __slots__ = (
        "batch_size", "batches", "began", "beside", "complete", "criteria", "data", "described", "evaluates", "exhausted",
        "fetched", "last", "late", "losses", "moved", "name", "named", "over", "reads", "samples", "sources", "steps", "tested",
        "wait",
    )  # fmt: skip

    def __init__(
        self, name: str = "", data: tuple[int, int] = NO_DATA, sources: tuple[Callable[[], Any], ...] = (),
        described: dict[str, Any] | None = None, evaluates: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        """What the script iterates over, as it stands in the code."""
        self.data = data
        """The ids of the data set and its loader."""
        self.sources = sources
        """Return these while they live, see `about.weakly`."""
        self.described = described or {}
        """The loader, as a run's params."""
        self.began = self.last = perf_counter()
        self.batches = self.samples = self.steps = self.batch_size = 0
        self.wait = 0.0
        self.moved = False
        """Has given a batch since the last backward."""
        self.beside = False
        """Gives batches of the same training as the epoch's loader does."""
        self.evaluates = evaluates
        """Gradients are off."""
        self.tested = False
        """The model was in evaluation mode during it, though gradients may be on."""
        self.over = False
        self.exhausted = False
        """It has given all its batches."""
        self.fetched = False
        """It was over before the first backward: its batches were kept."""
        self.losses: dict[Any, Mean] = {}
        self.criteria: dict[str, Mean] = {}
        self.complete: set[str] = set()
        """Those that were computed of each batch when its loader came to its end."""
        self.reads: dict[Site, Reads] = {}
        self.late: set[Site] = set()
        """What was read for the first time when its loader had come to its end."""
        self.named: dict[str, Mean] = {}
        """What the script records itself. It is not recorded again where the script reads it."""

    @property
    def is_loader(self) -> bool:
        return self.data[1] != 0

    @property
    def is_empty(self) -> bool:
        return not self.criteria and not self.reads and not self.named

    def is_gone_before(self, other: Pass) -> bool:
        """Whether its data died before another pass began: then its ids may be something else's."""
        deaths = [getattr(source, "died", None) for source in self.sources]
        return any(died is not None and died < other.began for died in deaths)

    def is_left_for(self, others: list[Pass]) -> bool:
        """Whether its loop was left with a batch in hand, as that of a search for a learning rate, and another one goes on."""
        return self.over and not self.exhausted and any(one.moved and not one.over for one in others)

    def is_a_single_batch_of(self, other: Pass) -> bool:
        """Whether both are batches that the script fetches one by one from the same loader, by `next(iter(loader))`."""
        return (
            all(
                one.is_loader and one.over and not one.exhausted and one.data == self.data
                for one in (self, other)
            )
            and self.batches == 1
        )


class Reads:
    """Values that the script has read under one name."""

    __slots__ = ("are_counts", "mean")

    def __init__(self) -> None:
        self.mean = Mean()
        self.are_counts = True
        """All of them are whole numbers: they are counted, and taken for each sample."""


class Passes:
    """One thread's passes."""

    def __init__(self) -> None:
        self.epoch: Pass | None = None
        """The epoch of training."""
        self.current: Pass | None = None
        """The pass that gave a batch last, or the stretch since."""
        self.others: list[Pass] = []
        """Begun since the epoch did, and not known to be training."""
        self._live: dict[int, Pass] = {}
        self._of = ""
        """What the model was put to evaluation for, where the script says so."""

    # -- the loaders

    def began(self, iterator: int, found: Pass) -> None:
        """A loader is iterated. A persistent iterator is the same object each time."""
        self.ended(iterator, found.began, True)
        self._live[iterator] = found
        if len(self.others) > 100:  # nothing but evaluations
            del self.others[:50]
        self.others.append(found)

    def gave(self, batch: Any) -> None:
        """See `events.Batch`."""
        found = self._live.get(batch.iterator)
        if found is None:
            return
        found.batches += 1
        found.samples += batch.rows
        found.batch_size = batch.rows
        found.wait += batch.given - batch.asked
        found.last = batch.given
        found.moved = True
        found.evaluates = not batch.grad
        if not found.beside:
            self.current = found

    def ended(self, iterator: int, at: float, dropped: bool) -> None:
        found = self._live.pop(iterator, None)
        if found is not None:
            found.over = True
            found.exhausted = not dropped
            if not dropped:
                found.last = at
                found.complete = {
                    name
                    for name, mean in found.criteria.items()
                    if found.batches and mean.count % found.batches == 0
                }

    # -- training and evaluation

    def trained(self) -> bool:
        """A backward, or a step without one: whether a new epoch begins with it, which is `epoch` then."""
        epoch = self.epoch
        if epoch is not None and not self.others:
            epoch.moved = False
            return False
        self._of = ""
        chosen = None
        if epoch is None or not epoch.moved or epoch.is_left_for(self.others):
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
        if epoch is not None and given and all(one.is_a_single_batch_of(epoch) for one in given):
            self._go_on(epoch, given)
            return None
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

    def _go_on(self, epoch: Pass, given: list[Pass]) -> None:
        for one in given:
            epoch.batches += one.batches
            epoch.samples += one.samples
            self.others.remove(one)
        if self.current in given:
            self.current = epoch

    def stretch(self) -> Pass:
        """A run begins without a pass of its own: what is computed from now on is no more of the last run's."""
        epoch = self.epoch = Pass()
        if self.current is None or self.current.over or not self.current.is_loader:
            self.current = epoch
        return epoch

    def here(self, evaluates: bool, anew: bool = False) -> Pass:
        """The pass that a loss or a metric computed now belongs to; `anew`: none of those before."""
        current = self.current
        if (
            anew
            or current is None
            or (not current.is_loader and current.evaluates != evaluates)
            or (evaluates and self.is_epoch_over)
        ):
            of = self._of if evaluates else ""
            data = OF_TRAINING if of == "train" else OF_TEST if of == "test" else NO_DATA
            current = Pass(of, data, evaluates=evaluates)
            self.others.append(current)
            self.current = current
        return current

    @property
    def is_epoch_over(self) -> bool:
        """Whether nothing has given a batch since the epoch's loader has come to its end."""
        return self.current is not None and self.current is self.epoch and self.current.over

    @property
    def is_evaluation(self) -> bool:
        """Whether the current pass is one, so far."""
        current = self.current
        return (
            current is not None
            and current is not self.epoch
            and not current.beside
            and (current.is_loader or current.evaluates)
        )

    def split(self, of: str = "") -> None:
        """The model is put to evaluation anew: without a loader, that is another pass."""
        self._of = of
        current = self.current
        if current is not None and not current.is_loader and current is not self.epoch:
            self.current = None

    def forget(self) -> None:
        """The run has ended: what has begun since belongs to the next one."""
        if self.epoch is not None and (self.epoch.steps or self.epoch.losses):
            self.epoch = None

    def evaluations(self, last: bool = False) -> list[Pass]:
        """The evaluations that are over (with `last`, all), in order; they are forgotten here."""
        done = [one for one in self.others if not one.is_empty and (last or one.evaluates or one.over)]
        self.others = [one for one in self.others if one not in done and not one.over]
        return done
