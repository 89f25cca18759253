"""What a script reads from tensors: which numbers are metrics, and under which names.

Must not know torch: `recording` logs what is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autolog_torch.losses import free_name
from autolog_torch.passes import Pass
from autolog_torch.values import Mean, same

if TYPE_CHECKING:
    from autolog_torch.sites import Site

MANY = 64
"""Names of what a script reads."""


class StepReads:
    """What is read between steps without a DataLoader, by place."""

    def __init__(self) -> None:
        self._of_steps: dict[Site, Mean] = {}
        self._of_epoch: dict[Site, Mean] = {}
        self._first: dict[Site, int] = {}
        """After how many steps each place was met first."""
        self._names: dict[Site, str] = {}
        self._before_steps: set[Site] = set()
        """Places that are met before the step that they are of."""
        self.coming: dict[Site, Mean] = {}
        """What was read there since the last step."""

    def add(self, site: Site, value: float, steps: int, sure: bool) -> None:
        """A number that was read after so many steps. `sure`: also if no step follows."""
        if not self._knows(site, -1 if sure else steps):
            return
        for reads in (self.coming,) if site in self._before_steps else (self._of_steps, self._of_epoch):
            mean = reads.get(site)
            if mean is None:
                mean = reads[site] = Mean()
            mean.add(value)

    def begin(self, site: Site, mean: Mean) -> None:
        """What was read before the first step was made: it is of that one."""
        if self._knows(site, -1):
            self._before_steps.add(site)
            if mean.count:
                self._take({site: mean})

    def step(self) -> None:
        """The step is made that was to come."""
        self._take(self.coming)
        self.coming = {}

    def _take(self, means: dict[Site, Mean]) -> None:
        for reads in (self._of_steps, self._of_epoch):
            for site, mean in means.items():
                reads.setdefault(site, Mean()).take_in(mean)

    def _knows(self, site: Site, first: int) -> bool:
        if site not in self._first:
            if len(self._first) >= MANY:
                return False
            self._first[site] = first
            # Another place of that name in the same epoch is another metric; one of a notebook's cell that is run again is not.
            self._names[site] = free_name(site.name, {self._names[one] for one in self._of_epoch})
        return True

    def end_steps(self, values: dict[str, Mean | float]) -> None:
        """Add those since the last time to what is logged of a step."""
        if self._of_steps:
            reads, self._of_steps = self._of_steps, {}
            self._add(values, reads, "_step")

    def end_epoch(self, values: dict[str, Mean | float]) -> None:
        reads, self._of_epoch = self._of_epoch, {}
        self._add(values, reads, "")

    def _add(self, values: dict[str, Mean | float], reads: dict[Site, Mean], end: str) -> None:
        """But for the losses, and for a number that is read at two places."""
        for site, mean in reads.items():
            known = [one for one in values.values() if type(one) is Mean and one.late is None]
            if not site.is_loss and not any(_close(one.value, mean.value) for one in known):
                values[f"reads/{self._names[site]}{end}"] = mean

    def forget_late(self, steps: int) -> None:
        """What is read for the first time when no step follows is of no training."""
        for site, first in self._first.items():
            if first == steps:
                self._of_steps.pop(site, None)
                self._of_epoch.pop(site, None)


def add_reads(values: dict[str, Mean | float], done: Pass, prefix: str, known: list[Mean]) -> None:
    """Add what was read during a pass to what is logged of it, but for what is `known` already."""
    for site, read in done.reads.items():
        mean = read.mean
        if read.are_counts and site in done.late and mean.count > 1:
            continue  # no summary of the pass, but numbers of something else, as of words
        if site.is_loss and not prefix and not (done.samples and site.is_summary):
            continue
        is_counted = bool(done.samples) and (read.are_counts or site.reduction == "sum")
        value = mean.total / done.samples if is_counted else mean.value
        if any(one.late is None and _close(one.value, value) for one in known):
            continue  # the loss, read once more
        # What says itself that it is of the training may be read after the evaluation.
        where = site.phase or ("" if "train" in site.name.lower() else prefix)
        plain = f"{where}reads/{site.name}"
        before = values.get(plain)
        is_known = before is not None and _close(before.value if type(before) is Mean else before, value)
        if is_known and not (is_counted and read.are_counts):  # counts are equal by chance
            continue  # read at two places
        values[free_name(plain, values)] = value if is_counted else mean  # another place of that name


def _close(one: float, other: float) -> bool:
    return same(one, other) or abs(one - other) <= 1e-6 * max(abs(one), abs(other))
