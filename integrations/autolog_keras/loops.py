"""Loops that the user has written: of `train_on_batch`. Each is one run.

A run begins with the first batch. A model that was made before joins it, as a GAN's two do; one that was made later is another
training, and ends it. It ends too with the block around it, or with the process.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from autolog import IdentityMap, Run
from autolog_keras import about, data

if TYPE_CHECKING:
    from autolog_keras import KerasIntegration

RATE_EVERY = 100
"""Steps from one look at the learning rate to the next: it is a variable, which may be on a device."""


class Member:
    """A model that a loop trains; `example` is like its batches, and empty."""

    def __init__(self, run: Run, prefix: str, example: Any) -> None:
        self.run = run
        self.prefix = prefix
        self.example = example
        self.steps = 0

    def step(self, values: dict[str, Any], optimizer: Any) -> None:
        if self.steps % RATE_EVERY == 0:
            values = {**values, **about.learning_rates(optimizer)}
        self.run.log_metrics(
            {f"{self.prefix}{name}": value for name, value in values.items()}, step=self.steps
        )
        self.steps += 1


class Loop:
    """One run, and what it trains. `born` is the time at which it began."""

    def __init__(self, born: int) -> None:
        self.born = born
        self.run: Run | None = None
        self.members: IdentityMap[Member] = IdentityMap()


class Loops:
    """Those of all threads."""

    def __init__(self, integration: KerasIntegration) -> None:
        self._integration = integration
        self._made: IdentityMap[int] = IdentityMap()
        self._clock = 0
        self._threads = threading.local()
        self._logs: IdentityMap[dict[str, Any]] = IdentityMap()

    # -- what is seen

    def model_is_made(self, model: Any, *_: Any, **__: Any) -> None:
        self._clock += 1
        self._made.set(model, self._clock)

    def result_is_named(self, model: Any, logs: Any) -> None:
        self._logs.set(model, logs)

    def batch_is_trained(
        self, _: Any, result: Any, model: Any, x: Any = None, y: Any = None, *__: Any, **___: Any
    ) -> None:
        member = self._member(model, x)
        if member is None:
            return
        member.step(self._values(model, result), getattr(model, "optimizer", None))

    def _values(self, model: Any, result: Any) -> dict[str, Any]:
        logs = self._logs.pop(model)
        if isinstance(result, dict) or logs is not None:
            return about.flat(result if isinstance(result, dict) else logs)
        values = result if isinstance(result, (list, tuple)) else [result]
        return dict(zip(model.metrics_names, values, strict=False))

    # -- runs

    def _member(self, model: Any, x: Any) -> Member | None:
        """The model as a part of this thread's loop, or of a new one."""
        loop: Loop | None = getattr(self._threads, "loop", None)
        if loop is not None and loop.run is not None:
            member = loop.members.get(model)
            if member is not None:
                return member
            if (self._made.get(model) or 0) <= loop.born:
                return self._join(loop, model, f"{model.name}_", x)
            self._integration.end_run(loop.run)
        self._clock += 1
        loop = self._threads.loop = Loop(self._clock)
        loop.run = self._integration.start_run(
            lambda: self._closing(loop), kind="train_on_batch", estimator=about.path_of(model)
        )
        return None if loop.run is None else self._join(loop, model, "", x)

    def _join(self, loop: Loop, model: Any, prefix: str, x: Any) -> Member:
        assert loop.run is not None
        member = Member(loop.run, prefix, data.like(x))
        loop.members.set(model, member)
        self._say(loop.run, model, prefix, x)
        return member

    def _say(self, run: Run, model: Any, prefix: str, x: Any) -> None:
        params = about.compiled_params(model)
        if hasattr(x, "shape") and len(x.shape):
            params["batch_size"] = x.shape[0]
        run.log_params({f"{prefix}{name}": value for name, value in params.items()})
        run.trained(model, describe=self._integration.options.log_datasets)

    def _closing(self, loop: Loop) -> None:
        """The run ends: the models as they are now."""
        run, loop.run = loop.run, None
        if run is None:
            return
        options = self._integration.options
        for model, member in loop.members.items():
            size = about.size_params(model)
            run.log_params({f"{member.prefix}{name}": value for name, value in size.items()})
            if options.log_models:
                about.save(run, model, options, f"{member.prefix}model", member.example)
