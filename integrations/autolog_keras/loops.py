"""Loops that the user has written: of `train_on_batch`, or applying gradients himself. Each is one run.

A run begins with the first step. What was made before joins it, as a GAN's two models do, and so does another optimizer of
the same model; one that was made later is another training, and ends it. It ends too with the block around it, or with the
process.
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
"""Steps from one look at the learning rate to the next: it is a variable, which may be on a device."""
HELD = 64
"""Steps whose values a device is asked for together."""
SMALL = 64 << 20
"""Bytes of a model that is kept for the end of its run, where it is saved, though the user may have let go of it before, as a
function does of its variables. A larger one is not kept.
"""


class Member:
    """What a loop trains: a model, or an optimizer of some models. `seen` is what was seen of their first batch."""

    def __init__(self, run: Run, prefix: str, models: list[Any], seen: ModelInput) -> None:
        self.run = run
        self.prefix = prefix
        self.models = [_kept(model) for model in models]
        self.seen = seen
        self.steps = 0
        self._held: list[tuple[int, int, dict[str, Any]]] = []

    def let_go(self) -> None:
        """The run has ended."""
        self.models = [weakref.ref(one) for held in self.models if (one := held()) is not None]

    def trains(self, models: list[Any]) -> bool:
        return any(one() is model for one in self.models for model in models)

    def step(self, found: dict[str, Any], optimizer: Any, epoch: int | None = None) -> None:
        if self.steps % RATE_EVERY == 0:
            found = {**found, **about.learning_rates(optimizer)}
        self.log(found, self.steps, epoch)
        self.steps += 1

    def log(self, found: dict[str, Any], step: int, epoch: int | None) -> None:
        """Now, or when more of them are asked for, if they are on a device."""
        self._held.append((step, epoch, {f"{self.prefix}{name}": value for name, value in found.items()}))
        if len(self._held) >= HELD or not any(values.is_on_device(one) for one in found.values()):
            self.send()

    def send(self) -> None:
        held, self._held = self._held, []
        for step, epoch, found in held:
            known = {name: values.number(one) for name, one in found.items()}
            self.run.log_metrics(known, step=step, epoch=epoch)


class Loop:
    """One run, and what it trains. `born` is the time at which it began; `data` what the user iterates over."""

    def __init__(self, born: int) -> None:
        self.born = born
        self.run: Run | None = None
        self.members: list[Member] = []
        self.by_key: IdentityMap[Member] = IdentityMap()
        """By the model or the optimizer that they are."""
        self.lead: Member | None = None
        self.data: Callable[[], Any] | None = None
        self.epoch = 0
        self.steps_before = 0
        """Steps of the epochs that are over."""
        self.read: IdentityMap[tuple[str, int]] = IdentityMap()
        """What the user's metrics are called, and when each was read last."""
        self.names: set[str] = set()


class ThisThread(threading.local):
    """A thread's loop, and what is under way in it."""

    def __init__(self) -> None:
        self.loop: Loop | None = None
        self.inside = 0
        """How many calls of Keras's own are under way: what is applied in there is a part of them."""
        self.losses: list[tuple[Any, frozenset[int]]] = []
        """Differentiated since the last step, and of which variables: by id, as nothing of the user's is kept."""
        self.iterated: Callable[[], Any] | None = None


class Loops:
    """Those of all threads."""

    def __init__(self, integration: Integration) -> None:
        self._integration = integration
        self.made: IdentityMap[int] = IdentityMap()
        """Models and optimizers, and when each was made."""
        self._models: IdentityMap[bool] = IdentityMap()
        self._clock = 0
        self.here = ThisThread()
        self._logs: IdentityMap[dict[str, Any]] = IdentityMap()

    # -- what is seen

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
        """A call of Keras's is under way inside."""
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
        """What `key`, a model or an optimizer, is of this thread's loop, or of a new one; None where nothing is recorded."""
        loop = self.here.loop
        if loop is not None and loop.run is not None:
            member = loop.by_key.get(key)
            if member is not None:
                return member
            shared = [one for one in loop.members if one.trains(models)]
            living = [one for _, one in loop.by_key.items()]
            succeeded = [one for one in shared if one not in living]
            if succeeded:  # another optimizer goes on with the model
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
        """The models whose variables, given by their ids, these are: as few as there must be, each as small as it can be."""
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
        """The run ends: the models as they are now."""
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
                    run.model_not_saved("it was gone before its run had ended.")
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
