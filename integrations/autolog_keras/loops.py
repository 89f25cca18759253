"""Records loops that the user writes, with `train_on_batch` or by applying gradients. Each is one run.

A run begins with the first step. Models and optimizers that exist by then join it, such as a GAN's two models. A later
optimizer of the same model joins it, too. Any other later one is a new training and ends the run. The block around the loop and
the process end it as well.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autolog.integration import IdentityMap, ModelInput, Run
from autolog_keras import about, data, values

if TYPE_CHECKING:
    from autolog.integration import Integration

RATE_EVERY = 100
"""Read the learning rate every so many steps: it is a variable that may be on a device."""
HELD = 64
"""Read the values of so many steps from a device together."""
SMALL = 64 << 20
"""The largest model, in bytes, that is kept alive until it is saved at the end of its run, even if the user's function has
returned. A larger one is only saved if it still exists.
"""


class Member:
    """A model, or an optimizer with its models, that a loop trains. `seen` describes the input in their first batch."""

    def __init__(self, run: Run, prefix: str, models: list[Any], seen: ModelInput) -> None:
        self.run = run
        self.prefix = prefix
        self.models = [_kept(model) for model in models]
        self.seen = seen
        self.steps = 0
        self._held: list[tuple[int, int, dict[str, Any]]] = []

    def let_go(self) -> None:
        """Stop keeping the models alive: the run has ended."""
        self.models = [weakref.ref(one) for held in self.models if (one := held()) is not None]

    def trains(self, models: list[Any]) -> bool:
        return any(one() is model for one in self.models for model in models)

    def step(self, found: dict[str, Any], optimizer: Any, epoch: int | None = None) -> None:
        if self.steps % RATE_EVERY == 0:
            found = {**found, **about.learning_rates(optimizer)}
        self.log(found, self.steps, epoch)
        self.steps += 1

    def log(self, found: dict[str, Any], step: int, epoch: int | None) -> None:
        """Log values now, or together with later ones if they are on a device."""
        self._held.append((step, epoch, {f"{self.prefix}{name}": value for name, value in found.items()}))
        if len(self._held) >= HELD or not any(values.is_on_device(one) for one in found.values()):
            self.send()

    def send(self) -> None:
        held, self._held = self._held, []
        for step, epoch, found in held:
            known = {name: values.number(one) for name, one in found.items()}
            self.run.log_metrics(known, step=step, epoch=epoch)


class Loop:
    """One run, and what it trains. `born` is the clock's value at its start, and `data` the data set that the user iterates."""

    def __init__(self, born: int) -> None:
        self.born = born
        self.run: Run | None = None
        self.members: list[Member] = []
        self.by_key: IdentityMap[Member] = IdentityMap()
        """Members by their model or optimizer."""
        self.lead: Member | None = None
        self.data: Callable[[], Any] | None = None
        self.epoch = 0
        self.steps_before = 0
        """The number of steps in completed epochs."""
        self.read: IdentityMap[tuple[str, int]] = IdentityMap()
        """For each of the user's metrics, its name and the step at which it was last read."""
        self.names: set[str] = set()


class ThisThread(threading.local):
    """A thread's loop and its state."""

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.inside = 0
        """The number of Keras's own calls in progress. Steps inside them belong to them."""
        self.losses: list[tuple[Any, frozenset[int]]] = []
        """Losses that were differentiated since the last step, with the ids of their variables. Ids keep no object alive."""
        self.iterated: Callable[[], Any] | None = None


class Loops:
    """The loops of all threads."""

    def __init__(self, integration: Integration) -> None:
        self._integration = integration
        self.made: IdentityMap[int] = IdentityMap()
        """Models and optimizers, with the clock's value when each was created."""
        self._models: IdentityMap[bool] = IdentityMap()
        self._clock = 0
        self.here = ThisThread()
        self._logs: IdentityMap[dict[str, Any]] = IdentityMap()

    # -- hooks

    def model_is_made(self, model: Any, *_: Any, **__: Any) -> None:
        self._models.set(model, True)
        self.optimizer_is_made(model)

    def optimizer_is_made(self, optimizer: Any, *_: Any, **__: Any) -> None:
        self._clock += 1
        self.made.set(optimizer, self._clock)

    def result_is_named(self, model: Any, logs: Any) -> None:
        self._logs.set(model, logs)

    @contextmanager
    def set_aside(self) -> Generator[None, None, None]:
        """Mark the block as a call of Keras's own."""
        here = self.here
        here.inside += 1
        try:
            yield
        finally:
            here.inside -= 1

    def batch_begins(self, *_: Any, **__: Any) -> None:
        self.here.inside += 1

    def batch_is_over(self, *_: Any, **__: Any) -> None:
        self.here.inside -= 1

    def batch_is_trained(
        self, _: Any, result: Any, model: Any, x: Any = None, y: Any = None, *__: Any, **___: Any
    ) -> None:
        self.here.inside -= 1
        if self.here.inside:
            return
        optimizer = getattr(model, "optimizer", None)
        member = self.member(model, [model], lambda: f"{model.name}_", "train_on_batch", x)
        if member is not None:
            member.step(self._values(model, result), optimizer)

    def _values(self, model: Any, result: Any) -> dict[str, Any]:
        logs = self._logs.pop(model)
        if isinstance(result, dict) or logs is not None:
            return about.flat(result if isinstance(result, dict) else logs)
        found = result if isinstance(result, (list, tuple)) else [result]
        return dict(zip(model.metrics_names, found, strict=False))

    # -- runs

    def member(
        self, key: Any, models: list[Any], prefix: Callable[[], str], kind: str, x: Any = None
    ) -> Member | None:
        """Return the member of a model or optimizer in this thread's loop or a new one; None if nothing is recorded."""
        loop = self.here.loop
        if loop is not None and loop.run is not None:
            member = loop.by_key.get(key)
            if member is not None:
                return member
            shared = [one for one in loop.members if one.trains(models)]
            living = [one for _, one in loop.by_key.items()]
            succeeded = [one for one in shared if one not in living]
            if succeeded:  # another optimizer continues with the model
                return self._join(loop, key, models, "", x, succeeded[0])
            if shared or (self.made.get(key) or 0) <= loop.born:
                return self._join(loop, key, models, prefix(), x)
            self._integration.end_run(loop.run)
        self._clock += 1
        loop = self.here.loop = Loop(self._clock)
        estimator = models[0] if models else None
        loop.run = self._integration.start_run(lambda: self._closing(loop), kind=kind, estimator=estimator)
        if loop.run is None:
            return None
        loop.lead = self._join(loop, key, models, "", x)
        return loop.lead

    def _join(
        self, loop: Loop, key: Any, models: list[Any], prefix: str, x: Any, member: Member | None = None
    ) -> Member:
        assert loop.run is not None
        if member is None:
            like = x if x is not None else data.input_of(models[0]) if models else None
            member = Member(loop.run, prefix, models, data.look(like, self._integration.options))
            loop.members.append(member)
        else:
            prefix = f"{member.prefix}next_"
        loop.by_key.set(key, member)
        is_model = any(key is one for one in models)
        params = about.compiled_params(key) if is_model else about.applied_params(key, models)
        if hasattr(x, "shape") and len(x.shape):
            params["batch_size"] = x.shape[0]
        loop.run.log_params({f"{prefix}{name}": value for name, value in params.items()})
        for model in models:
            loop.run.trained(model, describe=self._integration.options.log_datasets)
        return member

    def says_data(self, run: Run, dataset: Any) -> None:
        if self._integration.options.log_datasets:
            data.log(run, dataset, None, "train")

    def models_of(self, variables: set[int]) -> list[Any]:
        """Return the models that hold the variables with these ids: as few and as small ones as possible."""
        found: list[Any] = []
        known = [(model, about.variables_of(model)) for model, _ in self._models.items()]
        while variables:
            model, own = max(
                known, key=lambda one: (len(variables & one[1]), -len(one[1])), default=(None, set[int]())
            )
            if not variables & own:
                break
            found.append(model)
            variables = variables - own
        return found

    def _closing(self, loop: Loop) -> None:
        """Save the models as they are now, at the end of the run."""
        run, loop.run = loop.run, None
        if run is None:
            return
        options = self._integration.options
        saved: list[Any] = []
        members, loop.members = loop.members, []
        for member in members:
            member.send()
            for number, reference in enumerate(member.models):
                model = reference()
                if model is None:
                    run.model_not_saved("it no longer existed at the end of its run.")
                elif all(model is not one for one in saved):
                    saved.append(model)
                    prefix = member.prefix if number == 0 else f"{model.name}_"
                    size = about.size_params(model)
                    run.log_params({f"{prefix}{name}": value for name, value in size.items()})
                    if options.log_models:
                        seen = data.completed(member.seen, model, None)
                        about.save(run, model, f"{prefix}model", seen)
            member.let_go()


def _kept(model: Any) -> Callable[[], Any]:
    if about.bytes_of(model) <= SMALL:
        return lambda: model
    return weakref.ref(model)
