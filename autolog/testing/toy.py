"""An invented framework, `toy`, for testing patches and integrations without a machine learning library.

It has what makes real frameworks hard to patch: a base class with subclasses; a `fit` from a mixin, one that calls its
parent's, a decorated one, and one that trains other models; class and static methods; a function under two names; a function
that is loaded at its first use; callbacks; a coroutine that trains; global listeners; a draw from the global random stream.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

NAME = "toy"

FILES = {
    "__init__.py": '''
"""A toy framework. Its models have one weight."""

from toy.core import Careful, Committee, Mean, Model, Slope
from toy.training import train

__version__ = "1.2"


def __getattr__(name):
    if name == "tune":
        from toy.tuning import tune

        return tune
    raise AttributeError(f"module 'toy' has no attribute {name!r}")
''',
    "core.py": '''
"""Models that predict `weight * x`."""

import functools
import random


class Model:
    """The base of all models."""

    def __init__(self, rate=0.1, rounds=5):
        self.rate = rate
        self.rounds = rounds

    def predict(self, X):
        return [self.weight * x for x in X]


class MeanFit:
    """A mixin that is no model itself."""

    def fit(self, X, y, callbacks=()):
        """Fit by one division, in one round."""
        self.weight = sum(y) / sum(X)
        for callback in callbacks or ():
            callback.after_round(0, loss(self.weight, X, y))
        return self


class Mean(MeanFit, Model):
    """Inherits `fit` from the mixin."""


def checked(method):
    """Check the arguments of `fit`."""

    @functools.wraps(method)
    def check(self, X, y, *args, **kwargs):
        if len(X) != len(y):
            raise ValueError(f"{len(X)} values and {len(y)} targets")
        return method(self, X, y, *args, **kwargs)

    return check


class Slope(Model):
    """Fits by gradient descent."""

    @checked
    def fit(self, X, y, callbacks=(), *, noise=0.0):
        """Start at a draw from the global random stream."""
        self.weight = noise * random.random()
        for number in range(self.rounds):
            gradient = sum((self.weight * x - t) * x for x, t in zip(X, y)) / len(X)
            self.weight -= self.rate * gradient
            for callback in callbacks or ():
                callback.after_round(number, loss(self.weight, X, y))
        return self


class Careful(Slope):
    """Calls its parent's `fit`."""

    def fit(self, X, y, callbacks=(), *, noise=0.0):
        return super().fit(X, y, callbacks, noise=noise)


class Committee(Model):
    """Trains member models."""

    def fit(self, X, y, callbacks=()):
        self.members = [Slope(rate, self.rounds).fit(X, y) for rate in (0.01, 0.02, 0.03)]
        self.weight = sum(member.weight for member in self.members) / 3
        return self

    @classmethod
    def trained(cls, X, y, **settings):
        """Return a fitted committee."""
        return cls(**settings).fit(X, y)

    @staticmethod
    def error(weight, X, y):
        """Return the mean squared error."""
        return loss(weight, X, y)


def loss(weight, X, y):
    return sum((weight * x - t) ** 2 for x, t in zip(X, y)) / len(X)
''',
    "training.py": '''
"""Training by a function. `toy.train` is `toy.training.train`."""

from toy.core import Slope


def train(settings, X, y, rounds=5, callbacks=()):
    """Return a fitted Slope."""
    return Slope(**settings, rounds=rounds).fit(X, y, callbacks)
''',
    "service.py": '''
"""Training in a service: `await toy.service.learn(X, y)`."""

import asyncio

from toy import events
from toy.core import Slope, loss


async def learn(X, y, rounds=5, rate=0.1):
    """Return a fitted Slope. Let other tasks run between the rounds."""
    model = Slope(rate, rounds)
    model.weight = 0.0
    for number in range(rounds):
        model.weight -= rate * sum((model.weight * x - t) * x for x, t in zip(X, y)) / len(X)
        events.publish(number, loss(model.weight, X, y))
        await asyncio.sleep(0)
    return model
''',
    "events.py": '''
"""Events for subscribed listeners."""

listeners = []


def subscribe(listener):
    listeners.append(listener)


def unsubscribe(listener):
    listeners.remove(listener)


def publish(number, loss):
    for listener in list(listeners):
        listener(number, loss)
''',
    "tuning.py": '''
"""A search, loaded at its first use."""

from toy.core import Model, loss


def tune(model: type[Model], rates, X, y):
    """Return the model with the best of these rates."""
    tried = [model(rate).fit(X, y) for rate in rates]
    return min(tried, key=lambda one: loss(one.weight, X, y))
''',
}


def write_toy(folder: str | Path) -> None:
    """Write the framework as a package into `folder`."""
    package = Path(folder) / NAME
    package.mkdir(parents=True, exist_ok=True)
    for name, source in FILES.items():
        (package / name).write_text(source.lstrip(), encoding="utf-8")


@contextmanager
def fake_framework() -> Generator[ModuleType, None, None]:
    """Import the framework `toy` anew, and remove it after the block."""
    from importlib import import_module, invalidate_caches

    with tempfile.TemporaryDirectory() as folder:
        write_toy(folder)
        before = _forget()
        sys.path.insert(0, folder)
        invalidate_caches()
        try:
            yield import_module(NAME)
        finally:
            sys.path.remove(folder)
            _forget()
            sys.modules.update(before)


def _forget() -> dict[str, ModuleType]:
    """Remove the framework's modules from `sys.modules`, and return them."""
    names = [name for name in sys.modules if name == NAME or name.startswith(f"{NAME}.")]
    return {name: sys.modules.pop(name) for name in names}
