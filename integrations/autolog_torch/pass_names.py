"""What the data of an evaluation is called.

Must not know torch.
"""

from __future__ import annotations

import re

from autolog_torch.passes import OF_TRAINING, Pass


class PassNames:
    """What the data of an evaluation is called: val, test, val2, or train_eval for the training's own."""

    def __init__(self) -> None:
        self.trained: Pass | None = None
        """The last epoch over a loader."""
        self._known: dict[tuple[int, int], tuple[str, Pass]] = {}
        self._used: dict[str, int] = {}
        """The number of steps when each was evaluated last."""

    def of(self, done: Pass, steps: int) -> str:
        """The same data has the same name: the same loader; a new loader of the same data set, or over the same name in the
        script, of which the one before is gone or has not been evaluated since the last step.
        """
        if self._is_the_trainings(done):
            return "train_eval"
        name = self._known_as(done, steps) or self._new(done)
        self._known[done.data] = name, done
        self._used[name] = steps
        return name

    def _is_the_trainings(self, done: Pass) -> bool:
        if done.data == OF_TRAINING:
            return True
        trained = self.trained
        if trained is None or trained.data != done.data:
            return False
        # Or its ids are another one's by now, whichever was first.
        return not (trained.is_gone_before(done) or done.is_gone_before(trained))

    def _known_as(self, done: Pass, steps: int) -> str:
        name, before = self._known.get(done.data, ("", done))
        if name and not before.is_gone_before(done):
            return name
        gone = [(data, one) for data, (_, one) in self._known.items() if one.is_gone_before(done)]
        same = next((data for data, _ in gone if data[0] == done.data[0]), None)
        if same is None:
            same = next(
                (data for data, one in gone if one.name == done.name and self._waits(data, steps)), None
            )
        if same is None and done.is_loader:
            # Its loader lives, and so does the new one: of two that are evaluated in turn, each is known by itself.
            same = next(
                (
                    data for data, (_, one) in self._known.items()
                    if data[0] == done.data[0] and one.name == done.name and self._waits(data, steps)
                ),
                None,
            )  # fmt: skip
        return "" if same is None else self._known.pop(same)[0]

    def _waits(self, data: tuple[int, int], steps: int) -> bool:
        return self._used[self._known[data][0]] < steps

    def _new(self, done: Pass) -> str:
        others = [name for name, _ in self._known.values()]
        name = "test" if others and "test" in done.name.lower() else "val"
        return name if name not in others else f"val{len(others) + 1}"


PHASES = frozenset("train training val valid validation test eval evaluation dev".split())


def says_phase(name: str) -> bool:
    """Whether a name says itself what it was measured on, as `val_acc` does."""
    return not PHASES.isdisjoint(re.split("[^a-z]+", name.lower()))
