"""Records loops that apply gradients themselves: with a TensorFlow tape, eagerly or in a `tf.function`, or on PyTorch.

The hooks observe that an optimizer applies gradients, and what was differentiated before. In a `tf.function` they observe both
only while the graph is built. From then on, each call of the function is a step of its optimizers, and its result is recorded.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from typing import Any

from autolog.integration import IdentityMap
from autolog_keras import values
from autolog_keras.loops import Loop, Loops, Member

REPLICA = "_MirroredReplicaThread"
"""The class of the threads in which TensorFlow builds the graphs of a strategy's replicas."""
LIBRARIES = ("keras", "tf_keras", "tensorflow")


class Traced:
    """A `tf.function` that trains: its optimizers, their models, and the user's names of the values that it returns."""

    def __init__(self, function: Any) -> None:
        self.parts: list[tuple[weakref.ref[Any], list[weakref.ref[Any]]]] = []
        self.names = _returned(function)

    def add(self, optimizer: Any, models: list[Any]) -> None:
        if all(known() is not optimizer for known, _ in self.parts):
            self.parts.append((weakref.ref(optimizer), [weakref.ref(model) for model in models]))


class Applied:
    """The hooks for such loops."""

    def __init__(self, loops: Loops) -> None:
        self._loops = loops
        self._traced: IdentityMap[Traced] = IdentityMap()
        self._running: list[tuple[int, Any]] = []
        """The outermost `tf.function` that each thread runs."""

    # -- eagerly

    def differentiated(self, _: Any, target: Any, sources: Any = (), *__: Any, **___: Any) -> None:
        """Note the target of a tape's `gradient` call."""
        here = self._loops.here
        if not here.inside and len(here.losses) < 64:
            here.losses.append((values.scalar(target), frozenset(map(id, _flat(sources)))))

    def goes_backward(self, tensors: Any, *_: Any, **__: Any) -> None:
        """Note the loss of a PyTorch `backward` call."""
        here = self._loops.here
        if not here.inside and len(here.losses) < 64:
            loss = values.scalar(tensors) if hasattr(tensors, "detach") else None
            here.losses.append((loss, frozenset()))

    def is_applied(self, optimizer: Any, grads: Any = None, variables: Any = None, *_: Any, **__: Any) -> Any:
        """Return the ids of the variables to which an optimizer is about to apply gradients."""
        if self._loops.here.inside:
            return None
        if isinstance(grads, (list, tuple)) and grads and isinstance(grads[0], tuple):  # Keras 2
            variables = [pair[1] for pair in grads]
        if not isinstance(variables, (list, tuple)):
            variables = getattr(optimizer, "_trainable_variables", None)
        if isinstance(variables, (list, tuple)):
            return {id(one) for one in variables}
        losses = self._loops.here.losses
        return set[int]().union(*(sources for _, sources in losses))

    def was_applied(self, variables: Any, _: Any, optimizer: Any, *__: Any, **___: Any) -> None:
        """Record a step. While a graph is built, only note the optimizer in its `tf.function`."""
        loops = self._loops
        if variables is None or loops.here.inside:
            return
        losses, loops.here.losses = loops.here.losses, []
        if not values.executes_eagerly():
            function = self._function_here()
            if function is not None:
                traced = self._traced.get(function)
                if traced is None:
                    traced = Traced(function)
                    self._traced.set(function, traced)
                traced.add(optimizer, loops.models_of(variables))
            return
        if type(threading.current_thread()).__name__ == REPLICA:
            return
        own = [loss for loss, sources in losses if not sources or sources & variables]
        loops.here.losses = [one for one in losses if one[1] and not one[1] & variables]
        member = self._member(optimizer, lambda: loops.models_of(variables))
        if member is not None:
            known = [loss for loss in own if loss is not None]
            self._step(member, {"loss": _mean(known)} if known else {}, optimizer)

    # -- inside of a graph

    def function_begins(self, function: Any, *_: Any, **__: Any) -> bool:
        """Return whether the function is the outermost one of its thread."""
        thread = threading.get_ident()
        if self._loops.here.inside or any(one == thread for one, _ in self._running):
            return False
        self._running.append((thread, function))
        return True

    def function_failed(self, outermost: Any, _: Any, function: Any, *__: Any, **___: Any) -> None:
        if outermost:
            thread = threading.get_ident()
            self._running = [one for one in self._running if one[0] != thread]

    def function_ends(self, outermost: Any, result: Any, function: Any, *args: Any, **kwargs: Any) -> None:
        if not outermost:
            return
        self.function_failed(outermost, None, function)
        traced = self._traced.get(function)
        if traced is None or not values.executes_eagerly():
            return
        for number, (reference, models) in enumerate(traced.parts):
            optimizer = reference()
            if optimizer is None:
                continue
            known = [model for one in models if (model := one()) is not None]
            member = self._member(optimizer, lambda known=known: known)
            if member is not None:
                self._step(member, _named(result, traced.names) if number == 0 else {}, optimizer)

    def _function_here(self) -> Any:
        thread = threading.get_ident()
        mine = [function for one, function in self._running if one == thread]
        if mine or type(threading.current_thread()).__name__ != REPLICA:
            return mine[0] if mine else None
        return self._running[-1][1] if self._running else None

    # -- steps

    def _member(self, optimizer: Any, models: Any) -> Member | None:
        loop = self._loops.here.loop
        known = loop.by_key.get(optimizer) if loop is not None and loop.run is not None else None
        if known is not None:
            return known
        trained = models()
        prefix = f"{trained[0].name if trained else optimizer.name}_"
        return self._loops.member(optimizer, trained, lambda: prefix, "train")

    def _step(self, member: Member, found: dict[str, Any], optimizer: Any) -> None:
        loop = self._loops.here.loop
        assert loop is not None
        if loop.data is None and self._loops.here.iterated is not None:
            self._says_data(loop)
        member.step(found, optimizer, None if loop.data is None else loop.epoch)

    # -- data and the user's metrics

    def _says_data(self, loop: Loop) -> None:
        loop.data, self._loops.here.iterated = self._loops.here.iterated, None
        dataset = None if loop.data is None else loop.data()
        if dataset is not None and loop.run is not None:
            self._loops.says_data(loop.run, dataset)

    def is_iterated(self, dataset: Any, *_: Any, **__: Any) -> None:
        """Note that the user starts a pass over a data set."""
        if self._loops.here.inside or not values.executes_eagerly():
            return
        here = self._loops.here
        loop = here.loop
        if loop is None or loop.run is None or loop.data is None or loop.lead is None:
            here.iterated = weakref.ref(dataset)
        elif loop.data() is dataset and loop.lead.steps > loop.steps_before:
            loop.epoch += 1
            loop.steps_before = loop.lead.steps

    def metric_is_read(self, _: Any, result: Any, metric: Any, *__: Any, **___: Any) -> None:
        """Record the value of a metric that the user reads, at the last step."""
        loop = self._loops.here.loop
        if loop is None or loop.run is None or loop.lead is None or loop.lead.steps == 0:
            return
        if self._loops.here.inside or _is_of_a_batch(sys._getframe(2)):
            return
        step = loop.lead.steps - 1
        name, last = loop.read.get(metric) or (_free(str(metric.name), loop.names), -1)
        if last == step:
            return
        value = values.scalar(result)
        if value is not None:
            loop.read.set(metric, (name, step))
            loop.lead.log({name: value}, step, None if loop.data is None else loop.epoch)


def _is_of_a_batch(frame: Any) -> bool:
    """Return whether the metric's own `__call__` reads its value, and not the user."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] not in LIBRARIES:
            return False
        if frame.f_code.co_name == "__call__" and ".metrics." in module:
            return True
        frame = frame.f_back
    return True


def _flat(sources: Any) -> list[Any]:
    if isinstance(sources, dict):
        sources = list(sources.values())
    if isinstance(sources, (list, tuple)):
        return [one for part in sources for one in _flat(part)]
    return [sources]


def _mean(losses: list[Any]) -> Any:
    """Return the mean of several losses before one step, as with accumulated gradients."""
    if len(losses) == 1:
        return losses[0]
    return sum(map(values.number, losses)) / len(losses)


def _free(name: str, taken: set[str]) -> str:
    """Return the name, with a number if it is taken: two metrics of one class have the same name."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def _named(result: Any, names: list[str]) -> dict[str, Any]:
    """Return a function's result by name: a loss, several values by the user's names, or a mapping."""
    if isinstance(result, dict):
        found = result
    elif isinstance(result, (list, tuple)):
        own = names if len(names) == len(result) else [f"value{n}" for n in range(1, len(result) + 1)]
        found = dict(zip(own, result, strict=True))
    else:
        found = {"loss": result}
    known = {str(name): values.scalar(value) for name, value in found.items()}
    return {name: value for name, value in known.items() if value is not None}


def _returned(function: Any) -> list[str]:
    """Return the names in a function's last `return`, if all its values are variables."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function.python_function)))
    except (OSError, TypeError, SyntaxError, AttributeError, ValueError):
        return []
    given = [one.value for one in _returns(tree.body[0])]
    parts = given[-1].elts if given and isinstance(given[-1], ast.Tuple) else []
    names = [one.id for one in parts if isinstance(one, ast.Name)]
    return names if len(names) == len(parts) else []


def _returns(function: ast.AST) -> Iterator[ast.Return]:
    """A function's own `return` statements, in the order of the source; not those of functions within it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield from _returns(node)
