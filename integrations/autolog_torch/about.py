"""What can be told of optimizers, schedulers, models and loaders without asking them to do anything."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from inspect import getattr_static
from itertools import islice, zip_longest
from time import perf_counter
from types import FrameType, GeneratorType, MemberDescriptorType
from typing import Any

from autolog.integration import IdentityMap
from autolog_torch.values import Reader

# Wrappers around a model, and where they hold it.
WRAPPERS = {
    "DistributedDataParallel": "module", "DataParallel": "module", "FullyShardedDataParallel": "module",
    "OptimizedModule": "_orig_mod", "_FabricModule": "_original_module", "DeepSpeedEngine": "module",
}  # fmt: skip
SHARDED = frozenset(("FullyShardedDataParallel", "FSDPModule", "DeepSpeedEngine"))
MANY_PARENTS = 8
"""Of one module, as of an encoder that several models share."""


class Modules:
    """Which module is part of which, and whose parameters an optimizer was given."""

    def __init__(self) -> None:
        self._parents: IdentityMap[list[weakref.ref[Any]]] = IdentityMap()
        """All that a module has become part of, the last one last. A slice of a `ModuleList` is one for a moment, where a
        `forward` takes it.
        """
        self._holders: IdentityMap[bool] = IdentityMap()
        """Those with parameters of their own: one that is no part of another is found among them."""
        self._parts: weakref.WeakSet[type] = weakref.WeakSet()
        """Classes of modules that were part of another."""
        self._of_optimizers: IdentityMap[weakref.ref[Any]] = IdentityMap()

    def registered(self, parent: Any, _name: str, child: Any) -> None:
        """A module has become part of another."""
        if child is None:
            return
        before = self._parents.get(child)
        if before is None:
            self._parents.set(child, [weakref.ref(parent)])
            self._parts.add(type(child))
        else:
            living = [held for held in before if (one := held()) is not None and one is not parent]
            before[:] = [*living[-MANY_PARENTS:], weakref.ref(parent)]

    def _parent_of(self, module: Any) -> Any:
        """What it is a part of: the last one that still holds it."""
        for held in reversed(self._parents.get(module) or ()):
            parent = held()
            if parent is not None and _holds(parent, module):
                return parent
        return None

    def holds(self, module: Any, _name: str, _param: Any) -> None:
        """A parameter has become a module's."""
        if self._holders.get(module) is None:
            self._holders.set(module, True)

    def given(self, optimizer: Any, params: Any) -> None:
        """What an optimizer is made with: `model.parameters()` has not been asked for one yet, and knows its model."""
        group = params[0] if isinstance(params, (list, tuple)) and params else params
        if isinstance(group, dict):
            group = group.get("params")
        if isinstance(group, GeneratorType) and group.gi_frame is not None:
            module = group.gi_frame.f_locals.get("self")
            if isinstance(module, sys.modules["torch"].nn.Module):
                self._of_optimizers.set(optimizer, weakref.ref(module))

    def root_of(self, optimizer: Any) -> Any:
        """The outermost module that an optimizer trains a part of, None if none is known."""
        held = self._of_optimizers.get(optimizer)
        module = held() if held is not None else None
        if module is None:
            module = self._holder_of(first_param(optimizer))
        return None if module is None else self.outermost(module)

    def roots_of(self, optimizer: Any) -> tuple[list[Any], bool]:
        """The outermost modules that an optimizer trains a part of, that of its first parameter first; and whether these hold
        all that it trains.
        """
        first = self.root_of(optimizer)
        if first is None:
            return [], True
        roots = [first]
        left = ids_of(optimizer) - {id(p) for p in first.parameters()}
        for module in self._all_known() if left else ():
            if any(id(p) in left for p in module._parameters.values()):
                roots.append(self.outermost(module))
                left -= {id(p) for p in roots[-1].parameters()}
        return roots, not left

    def outermost(self, module: Any) -> Any:
        for _ in range(100):
            parent = self._parent_of(module)
            if parent is None and self._may_be_a_part(module):
                if self._was_seen_whole(module):
                    parent = next((one for one in self._all_known() if _holds(one, module)), None)
                else:
                    self._look_around(None)
                    parent = self._parent_of(module)
            if parent is None or any(cls.__name__ == "_Loss" for cls in type(parent).__mro__):
                return module
            module = parent
        return module

    def _may_be_a_part(self, module: Any) -> bool:
        """Though it was not registered, as a layer of a copied model into which adapters were put: modules of its class are
        parts of others. Of torch's own classes that says nothing.
        """
        cls = type(module)
        return cls in self._parts and not cls.__module__.startswith("torch.")

    def _was_seen_whole(self, module: Any) -> bool:
        """Whether it and its parts were made while we could see it, and are no copies: only `ModuleList.insert` and the like
        tell nobody then.
        """
        for part in module.modules():
            if self._holders.get(part) is None and any(p is not None for p in part._parameters.values()):
                return False
            for one in part._modules.values():
                parents = () if one is None else self._parents.get(one) or ()
                if one is not None and all(held() is not part for held in parents):
                    return False
        return True

    def _holder_of(self, param: Any) -> Any:
        """The module among those known that holds this parameter itself."""
        if param is None:
            return None
        for module in self._all_known():
            if any(one is param for one in module._parameters.values()):
                return module
        return self._look_around(param)

    def _look_around(self, param: Any) -> Any:
        """The module that holds a parameter, where modules were not registered while we could see it, as copies and those from
        a file: once for such a training, all that Python knows of are asked for their parts.
        """
        import gc

        module_type = sys.modules["torch"].nn.Module
        holder = None
        for one in gc.get_objects():
            if issubclass(type(one), module_type):
                held = vars(one)
                for child in held.get("_modules", {}).values():
                    if child is not None and self._parent_of(child) is None:
                        self._parents.set(child, [weakref.ref(one)])
                if holder is None and any(own is param for own in held.get("_parameters", {}).values()):
                    holder = one
        return holder

    def _all_known(self) -> Iterator[Any]:
        for child, parents in self._parents.items():
            yield child
            for held in parents:
                parent = held()
                if parent is not None:
                    yield parent
        for one in self._holders.items():
            yield one[0]

    def trained_by_hand(self, param: Any = None) -> Any:
        """The largest outermost module whose parameters have gradients; or the one that holds `param`, if none is known."""
        roots: dict[int, Any] = {}
        for known in self._parents.items():
            parent = self._parent_of(known[0])
            if parent is not None:
                root = self.outermost(parent)
                roots[id(root)] = root
        found = [one for one in roots.values() if any(p.grad is not None for p in one.parameters())]
        if found or param is None:
            return max(found, key=lambda one: sum(p.numel() for p in one.parameters()), default=None)
        module = self._holder_of(param)
        return None if module is None else self.outermost(module)


def _holds(parent: Any, module: Any) -> bool:
    return any(one is module for one in parent._modules.values())


def parameter_behind(loss: Any) -> Any:
    """One of the parameters that a loss depends on."""
    waiting, seen = [loss.grad_fn], 0
    kind = sys.modules["torch"].nn.Parameter
    while waiting and seen < 10_000:
        node = waiting.pop()
        seen += 1
        if node is not None:
            variable = getattr(node, "variable", None)
            if type(variable) is kind:
                return variable
            waiting += [before for before, _ in node.next_functions]
    return None


def inside_a_step() -> bool:
    """Whether an optimizer's step is under way, with a closure that has brought us here."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "wrapper" and frame.f_globals.get("__name__") == "torch.optim.optimizer":
            return True
        frame = frame.f_back
    return False


def params_of(optimizer: Any) -> Iterator[Any]:
    """The tensors that an optimizer steps."""
    for group in optimizer.param_groups:
        yield from group["params"]


def ids_of(optimizer: Any) -> set[int]:
    """Of these, while they live."""
    return {id(p) for p in params_of(optimizer)}


def first_param(optimizer: Any) -> Any:
    return next(params_of(optimizer), None)


def rates(optimizer: Any) -> tuple[Any, ...]:
    """The learning rate of each parameter group."""
    groups = optimizer.param_groups
    return (groups[0].get("lr"),) if len(groups) == 1 else tuple([group.get("lr") for group in groups])


def unwrapped(module: Any) -> tuple[Any, list[str]]:
    """The user's own module, and what it was wrapped in."""
    wrappers: list[str] = []
    while type(module).__name__ in WRAPPERS and len(wrappers) < 10:
        inner = getattr(module, WRAPPERS[type(module).__name__], None)
        if inner is None:
            break
        wrappers.append(type(module).__name__)
        module = inner
    cls = type(module)
    while _is_mixed(cls):
        wrappers.append(cls.__bases__[0].__name__)
        cls = cls.__bases__[-1]
    return module, wrappers


def class_of(module: Any) -> type[Any]:
    """The user's own class: `fully_shard` and `replicate` give a module one that is made of theirs and it."""
    cls = type(module)
    while _is_mixed(cls):
        cls = cls.__bases__[-1]
    return cls


def _is_mixed(cls: type[Any]) -> bool:
    module_type = sys.modules["torch"].nn.Module
    bases = cls.__bases__
    return (
        cls.__module__.startswith("torch.distributed.")
        and len(bases) == 2
        and issubclass(bases[1], module_type)
        and not issubclass(bases[0], module_type)
    )


def told(one: Any, name: str) -> Any:
    """An attribute, asked by no code of the user's: his `__getattr__` may raise anything, his property do anything."""
    held = getattr_static(one, name, None)
    if type(held) is MemberDescriptorType:  # of a class with slots
        try:
            return held.__get__(one)
        except AttributeError:
            return None
    return None if hasattr(type(held), "__get__") else held


def optimizer_params(optimizer: Any, prefix: str, made_with: tuple[Any, ...] | None) -> dict[str, Any]:
    """Class, the first group's settings, and what is different in the others. The learning rates are those that it was made
    with: a schedule or the script may have changed them since.
    """
    groups = [
        {**group, "lr": rate} if rate is not None and "lr" in group else group
        for group, rate in zip_longest(optimizer.param_groups, made_with or ())
        if group is not None
    ]
    said: dict[str, Any] = {prefix: type(optimizer).__name__}
    first = {
        name: value
        for name, value in groups[0].items()
        if name not in ("params", "initial_lr") and value is not None and _is_plain(value)
    }
    said.update({f"{prefix}.{name}": value for name, value in first.items()})
    if len(groups) > 1:
        said[f"{prefix}.groups"] = len(groups)
    for number, group in enumerate(groups[1:20], start=1):
        for name, value in group.items():
            if name in first and _is_plain(value) and value != first[name]:
                said[f"{prefix}.group{number}.{name}"] = value
    return said


def made_before(optimizer: Any, scheduler: Any, now: int) -> tuple[int, int]:
    """The steps and epochs that were made before, as the optimizer's state tells: all but the last `now` ones."""
    reader = Reader()
    made = 0
    for param in islice(params_of(optimizer), 10):
        step = dict.get(optimizer.state, param, {}).get("step") if isinstance(optimizer.state, dict) else None
        if isinstance(step, sys.modules["torch"].Tensor):
            step = reader.read(step) if step.is_cpu else None
        if isinstance(step, (int, float)):
            made = max(made, int(step))
    steps = max(0, made - now)
    held = scheduler() if scheduler is not None else None
    epoch = told(held, "last_epoch") if held is not None else 0
    # A schedule that goes on at each step counts steps.
    return steps, epoch if isinstance(epoch, int) and 0 < epoch < steps else 0


def scheduler_params(scheduler: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"scheduler": type(scheduler).__name__}
    for name, value in vars(scheduler).items():
        if (
            not name.startswith("_")
            and name not in ("last_epoch", "base_lrs", "best", "num_bad_epochs", "verbose")
            and _is_plain(value)
        ):
            said[f"scheduler.{name}"] = value
    inner, milestones = (vars(scheduler).get(name) for name in ("_schedulers", "_milestones"))
    if isinstance(inner, (list, tuple)):
        said["scheduler.schedulers"] = [type(one).__name__ for one in inner]
    if milestones and _is_plain(milestones):
        said["scheduler.milestones"] = list(milestones)
    return said


def model_params(whole: Any, prefix: str) -> dict[str, Any]:
    """What a model is, as the script calls it."""
    root, wrappers = unwrapped(whole)
    first = next(root.parameters(), None)
    said: dict[str, Any] = {prefix: class_of(root).__name__}
    sizes = _sizes(whole)
    if sizes is not None:
        said[f"{prefix}.parameters"], said[f"{prefix}.trainable_parameters"] = sizes
    if first is not None:
        said[f"{prefix}.dtype"] = str(first.dtype).removeprefix("torch.")
        said[f"{prefix}.device"] = str(first.device)
    if wrappers:
        said[f"{prefix}.wrappers"] = wrappers
    if "OptimizedModule" in wrappers or vars(root).get("_compiled_call_impl") is not None:
        said[f"{prefix}.compiled"] = True
    return said


def _sizes(whole: Any) -> tuple[int, int] | None:
    """How many numbers all its parameters have, and those that are trained; of a model that is sharded, those of the parts in
    all processes. None if that is not known.
    """
    flat = [
        vars(module).get("_handle")
        for module in whole.modules()
        if type(module).__name__ == "FullyShardedDataParallel"
    ]
    all_params: list[tuple[int, bool]] = []
    sharded: set[int] = set()
    try:
        for handle in flat:
            if handle is not None:  # it holds parameters itself
                held = handle.flat_param
                parts = held._params or [held] * len(held._numels)
                all_params += [(n, p.requires_grad) for n, p in zip(held._numels, parts, strict=True)]
                sharded.update(id(one) for one in (held, *(held._params or ())))
        for p in whole.parameters():
            if id(p) not in sharded:
                all_params.append((getattr(p, "ds_numel", None) or p.numel(), p.requires_grad))
    except (AttributeError, TypeError, ValueError):  # a torch that holds them in another way
        if flat:
            return None
        raise
    return sum(n for n, _ in all_params), sum(n for n, is_trained in all_params if is_trained)


def loader_params(loader: Any) -> dict[str, Any]:
    """What stays as it is as long as the loader lives."""
    dataset = told(loader, "dataset")
    # With a batch sampler of its own, as accelerate makes them, a loader's other settings say nothing.
    batches = told(loader, "batch_sampler")
    chosen = loader if told(loader, "batch_size") is not None or batches is None else batches
    said: dict[str, Any] = {
        "data.batch_size": told(chosen, "batch_size"),
        "data.dataset": type(dataset).__name__,
        "data.sampler": type(told(chosen, "sampler")).__name__,
        "data.workers": told(loader, "num_workers"),
        "data.drop_last": told(loader, "drop_last"),
        "data.pin_memory": told(loader, "pin_memory"),
    }
    return {name: value for name, value in said.items() if value is not None}


def size_params(dataset: Any) -> dict[str, Any]:
    size = size_of(dataset)
    return {} if size is None else {"data.size": size}


def size_of(dataset: Any) -> int | None:
    """Only of the kinds of data set whose length is known to be no code of the user's."""
    kind = type(dataset)
    if kind.__module__.startswith(("torch.utils.data.", "torchvision.")) and hasattr(kind, "__len__"):
        try:
            return len(dataset)
        except Exception:  # a part of it is the user's
            return None
    return None


def dataset_tensors(dataset: Any) -> tuple[Any, Any] | None:
    """Data and target of a `TensorDataset`."""
    if type(dataset) is sys.modules["torch"].utils.data.TensorDataset and dataset.tensors:
        tensors = dataset.tensors
        return tensors[0], tensors[1] if len(tensors) > 1 else None
    return None


class Held(weakref.ref[Any]):
    """A weak reference that knows when what it refers to has died."""

    died: float | None = None


def weakly(one: Any) -> Callable[[], Any]:
    """A weak reference, or for what cannot have one, something that never says that it has died."""

    # The clock is an argument: while Python ends, a module's globals may be None.
    def note(held: Held, now: Callable[[], float] = perf_counter) -> None:
        held.died = now()

    try:
        return Held(one, note)
    except TypeError:
        return _never_gone


def _never_gone() -> bool:
    return True


def rows_of(batch: Any, depth: int = 0) -> int:
    """The number of samples of a batch: the length of the first tensor in it, 0 if there is none."""
    tensor = sys.modules["torch"].Tensor
    if (type(batch) is list or type(batch) is tuple) and batch and type(batch[0]) is tensor:
        shape = batch[0].shape  # as nearly always
        return shape[0] if shape else 1
    listed = isinstance(batch, (list, tuple))
    first = batch[0] if listed and batch else batch
    if isinstance(first, tensor) or type(first).__module__ == "numpy":
        shape = getattr(first, "shape", ())
        return shape[0] if len(shape) else 1
    if not isinstance(first, (list, tuple, dict, str)):
        shape = told(first, "shape")
        if isinstance(shape, tuple) and shape and type(shape[0]) is int:
            return shape[0]
    if depth < 3:
        parts: Iterable[Any] = ()
        if listed:
            parts = batch[:2]
        elif isinstance(batch, dict):
            parts = dict.values(batch)
        for part in parts:
            rows = rows_of(part, depth + 1)
            if rows:
                return rows
    return 0


def distribution() -> dict[str, Any]:
    """World size and backend, if this is one process of several."""
    distributed = _group()
    if distributed is None:
        return {}
    return {"world_size": distributed.get_world_size(), "backend": str(distributed.get_backend())}


def is_first_process() -> bool:
    """Whether this is the first process of its job. A launcher that only calls the script's function, as `spawn` does, says it
    in no environment.
    """
    distributed = _group()
    return distributed is None or distributed.get_rank() == 0


def _group() -> Any:
    """`torch.distributed`, once this process has joined a job."""
    distributed = getattr(sys.modules["torch"], "distributed", None)
    return (
        distributed
        if distributed is not None and distributed.is_available() and distributed.is_initialized()
        else None
    )


def autocast(param: Any) -> Any:
    """What autocast computes with here and now on this parameter's device, None if it is off."""
    torch = sys.modules["torch"]
    kind = param.device.type
    if hasattr(torch, "get_autocast_dtype"):  # since torch 2.4
        if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
            return torch.get_autocast_dtype(kind)
    elif kind == "cpu" and torch.is_autocast_cpu_enabled():
        return torch.get_autocast_cpu_dtype()
    elif kind == "cuda" and torch.is_autocast_enabled():
        return torch.get_autocast_gpu_dtype()
    return None


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= 10 and all(_is_plain(one) for one in value)
    return value is None or isinstance(value, (bool, int, float, str))
