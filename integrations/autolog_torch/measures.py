"""What a script computes, reads and names itself, and of which pass it is. A pure reducer.

Must not know torch; of runs it knows the `Recording` that it is given.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from autolog_torch.passes import Pass, Passes, Reads
from autolog_torch.reads import MANY
from autolog_torch.values import Late, Mean

if TYPE_CHECKING:
    from autolog_torch.events import Criterion, Named, Place, Read
    from autolog_torch.recording import Recording
    from autolog_torch.sites import Site


class Measures:
    """What is computed, read and named, and of which pass it is."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self.held: deque[tuple[dict[str, Any], Any, Pass | None]] = deque(maxlen=MANY)
        """What the script has named, until it is known which run it is of."""
        self.early: dict[Site, Mean] = {}
        """What was read between the first backward and the first step."""
        self._before: dict[Site, Mean] = {}
        """What was read before the first backward, by place: it is of the training if it is read there again."""

    def criterion(self, event: Criterion) -> None:
        """A loss module's result where `backward` does not tell it: in an evaluation."""
        evaluates = event.place.in_eval or not event.place.grad
        found = self._place(evaluates, event.place)
        if _is_of_other_data(event, found):
            self._passes.here(evaluates, anew=True)
            found = self._place(evaluates, event.place)
        mean = found.criteria.setdefault(event.name, Mean())
        mean.add(event.value, 1.0 if event.is_sum else float(event.rows), event.rows)

    def read(self, event: Read, recording: Recording | None) -> None:
        """The script has read a number."""
        site, value, place, current = event.site, event.value, event.place, self._passes.current
        if site.reduction == "sum" and type(value) is float and value.is_integer():
            value = int(value)  # a count, though of floats
        is_data = current is not None and current.is_loader
        evaluates = place.in_eval or (not place.grad and (is_data or self._passes.is_evaluation))
        is_over = is_data and evaluates and self._passes.is_epoch_over
        if type(value) is int and (not is_data or is_over) and site.reduction != "sum":
            return  # an action that was chosen, say, or the number of a word
        if evaluates and type(value) is int and not (is_data or place.put_to_eval):
            evaluates = False
        if not evaluates and not is_data:
            if recording is not None:
                before = self._before.pop(site, None)
                if before is not None:
                    recording.reads.begin(site, before)
                recording.reads.add(site, value, recording.steps, sure=not place.grad)
            elif site in self.early or len(self.early) < MANY:
                self.early.setdefault(site, Mean()).add(value)
            return
        found = self._counted_in(site) or self._place(evaluates, place)
        reads = found.reads
        read = reads.get(site)
        if read is None:
            if len(reads) >= MANY:
                return
            read = reads[site] = Reads()
            if found.over:
                found.late.add(site)
        if type(value) is not int:
            read.are_counts = False
        weight = event.weight or found.batch_size
        if site.reduction == "weighted" and weight:
            read.mean.add(value, weight, weight)
        else:
            read.mean.add(value)

    def _counted_in(self, site: Site) -> Pass | None:
        """The epoch, if its loop is what a value was summed up in, though it is read after a later loop."""
        epoch = self._passes.epoch
        return (
            epoch if epoch is not None and epoch.is_loader and site.loop and site.loop == epoch.name else None
        )

    def _place(self, evaluates: bool, place: Place) -> Pass:
        found = self._passes.here(evaluates)
        if evaluates and not found.tested:
            found.tested = place.in_eval
        return found

    def named(self, event: Named) -> None:
        """Values that the script records itself, at its own step."""
        place = None if event.evaluates is None else self._passes.here(event.evaluates)
        known = dict(event.values)
        for name, value in event.values.items():
            if type(value) is Late:
                known[name] = Mean()
                known[name].add(value)
            told = place or self._passes.current
            if (
                type(value) in (float, Late)
                and told is not None
                and (name in told.named or len(told.named) < MANY)
            ):
                told.named.setdefault(name, Mean()).add(value)
        self.held.append((known, event.step, place))

    def release(self, recording: Recording) -> None:
        self._tell_trained(recording)
        while self.held:
            values, step, place = self.held.popleft()
            evaluates = place is not None and (
                place.evaluates or (place is not self._passes.epoch and not place.losses)
            )
            recording.named(values, step, place, evaluates)

    def _tell_trained(self, recording: Recording) -> None:
        epoch = self._passes.epoch
        if epoch is not None and epoch.is_loader:
            recording.names.trained = epoch

    def begins(self) -> None:
        """The first backward of what may be a training: what is read before it is not of it, or it is read again."""
        self._before, self.early = self.early, {}

    def release_early(self, recording: Recording, steps: int = 1) -> None:
        """The run's first steps are made; of several it is not known which of them each number is of."""
        for site, mean in self.early.items():
            recording.reads.begin(site, mean if steps == 1 else Mean())
        self.early = {}

    def take_held(self) -> deque[tuple[dict[str, Any], Any, Pass | None]]:
        held, self.held = self.held, deque(maxlen=MANY)
        return held

    def log_evaluations(self, recording: Recording, last: bool = False, before: bool = False) -> bool:
        """Whether there are any. `before`: the run has only begun, and a look at the data was no evaluation."""
        found = self._passes.evaluations(last)
        if found:
            self._tell_trained(recording)
        for done in found:
            if not before or done.evaluates or done.tested or done.criteria or done.named:
                recording.evaluated(done)
        return bool(found)


def _is_of_other_data(event: Criterion, done: Pass) -> bool:
    """Whether a loss is none of a pass that has come to its end, as that of averaged weights after the last validation. It may
    be the pass's own once more, computed of all batches together.
    """
    if event.name not in done.complete:
        return False
    mean, value = done.criteria[event.name], event.value
    if event.rows != done.samples or type(value) is not float or mean.late is not None:
        return event.rows != done.samples
    return abs((value / event.rows if event.is_sum else value) - mean.value) > 1e-3 * abs(mean.value)
