"""What is watched in torch, and how: each target with what it tells a thread's machine. The hot ones are plain functions.

Everything here runs in the user's loop: a few microseconds a step in all. Dynamo must not see it: see `dynamo`.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog.integration import FastPatch, Hook, IdentityMap, OnImport
from autolog_torch import about, dynamo
from autolog_torch.epochs import Flow, Pass
from autolog_torch.own_names import OwnNames
from autolog_torch.recording import Loss
from autolog_torch.runs import Machine, Seen
from autolog_torch.sites import Sites
from autolog_torch.values import same

if TYPE_CHECKING:
    from autolog.integration import Integration


class Threads(threading.local):
    """Each thread's machine: made anew, as all of this, for each thread that looks."""

    def __init__(self, integration: Integration, seen: Seen) -> None:
        self.machine = Machine(integration, seen)


class Hooks:
    """One integration's. What is called at each step takes the machine from `_threads` itself: a call less."""

    def __init__(self, integration: Integration) -> None:
        import torch

        self._integration = integration
        self._compiling = torch.compiler.is_dynamo_compiling
        self._tensor = torch.Tensor
        self._format = torch.Tensor.__format__.__code__
        self._grad_enabled = torch.is_grad_enabled
        self._seen = Seen()
        self._sites = Sites()
        self._threads = Threads(integration, self._seen)
        self._loaders: IdentityMap[dict[str, Any]] = IdentityMap()
        """What was told of them, as they are iterated again and again."""

    def patches(self) -> Iterator[FastPatch | Hook | OnImport]:
        found = list(self._watched())
        wrappers = self._integration.hook_code()
        # What Python calls when something dies is within these.
        observers = [*_observers(found), Flow.began, about.weakly, IdentityMap.set]
        yield from found
        yield OnImport(
            target="torch._dynamo.eval_frame",
            call=lambda module: dynamo.keep_out(module, wrappers, observers),
        )

    def _watched(self) -> Iterator[FastPatch | Hook]:
        yield Hook(target="torch.optim.optimizer:register_optimizer_step_post_hook", hook=self.after_step)
        yield Hook(
            target="torch.nn.modules.module:register_module_module_registration_hook",
            hook=self._seen.modules.registered,
            unless=self._compiling,
        )
        yield Hook(
            target="torch.nn.modules.module:register_module_parameter_registration_hook",
            hook=self._seen.modules.holds,
            unless=self._compiling,
        )
        yield self._fast(
            "torch.autograd:backward", before=self.before_backward, after=self.after_backward,
            raised=self.backward_raised,
        )  # fmt: skip
        yield self._fast("torch.amp.grad_scaler:GradScaler.scale", before=None, after=self.after_scale)
        loader = "torch.utils.data.dataloader"
        yield self._fast(f"{loader}:DataLoader.__iter__", after=self.after_iter)
        yield self._fast(
            f"{loader}:_BaseDataLoaderIter.__next__", before=self.before_next, after=self.after_next,
            raised=self.after_last,
        )  # fmt: skip
        yield self._fast("torch.nn.modules.module:Module.train", before=self.before_train)
        yield self._fast("torch.nn.modules.loss:_Loss.__call__", after=self.after_criterion)
        if self._integration.options.capture_reads:
            yield self._fast("torch:Tensor.item", after=self.after_item)
        yield self._fast("torch.amp.autocast_mode:autocast.__enter__", before=self.before_autocast)
        yield self._fast("torch.optim.optimizer:Optimizer.__init__", before=self.before_optimizer)
        schedulers = "torch.optim.lr_scheduler"
        yield self._fast(f"{schedulers}:LRScheduler.__init__", before=self.before_scheduler)
        yield self._fast(f"{schedulers}:ReduceLROnPlateau.__init__", before=self.before_scheduler)
        # Those that hold others call no parent's.
        yield self._fast(f"{schedulers}:SequentialLR.__init__", before=self.before_scheduler)
        yield self._fast(f"{schedulers}:ChainedScheduler.__init__", before=self.before_chained)
        if self._integration.options.log_checkpoints:
            yield self._fast("torch:save", aliases=("torch.serialization:save",), after=self.after_save)
        # Its optimizers update parameters themselves, and its loops are Keras's.
        keras = "keras.src.optimizers.base_optimizer:BaseOptimizer.apply"
        yield self._fast(keras, after=self.after_keras, optional=True)
        yield from OwnNames(lambda: self.machine, self._sites).patches(self._fast)

    def _fast(self, target: str, **watching: Any) -> FastPatch:
        return FastPatch(target=target, unless=self._compiling, **watching)

    @property
    def machine(self) -> Machine:
        """This thread's."""
        return self._threads.machine

    # -- optimizers

    def after_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        self._threads.machine.stepped(optimizer, closure is not None)

    def after_keras(self, *_: Any, **__: Any) -> None:
        self._threads.machine.stepped_elsewhere()

    def before_optimizer(self, optimizer: Any, params: Any = None, *_: Any, **__: Any) -> None:
        self._seen.optimizer(optimizer, params)

    def before_scheduler(self, scheduler: Any, optimizer: Any = None, *_: Any, **__: Any) -> None:
        if optimizer is not None:
            self._seen.schedulers.set(optimizer, weakref.ref(scheduler))

    def before_chained(self, scheduler: Any, schedulers: Any = (), optimizer: Any = None, **_: Any) -> None:
        if optimizer is None and isinstance(schedulers, (list, tuple)) and schedulers:
            optimizer = about.told(schedulers[0], "optimizer")
        self.before_scheduler(scheduler, optimizer)

    # -- losses

    def before_backward(self, tensors: Any = None, *_: Any, **__: Any) -> list[Loss]:
        site = self._sites.of_user(sys._getframe(2), "backward")
        machine = self._threads.machine
        if site is None:
            losses = []
        elif isinstance(tensors, self._tensor):
            loss = machine.noted(tensors, site)
            losses = [] if loss is None else [loss]
        else:
            # Whatever else the user gives, torch is to say what is wrong with it.
            given = tensors if isinstance(tensors, (list, tuple)) else ()
            found = [machine.noted(one, site) for one in given if isinstance(one, self._tensor)]
            losses = [loss for loss in found if loss is not None]
        machine.backward(losses)
        return losses

    def after_backward(self, _: list[Loss], *__: Any, **___: Any) -> None:
        self._threads.machine.backward_done()

    def backward_raised(self, losses: list[Loss], *_: Any, **__: Any) -> None:
        self._threads.machine.backward_failed(losses)

    def after_scale(self, _: Any, scaled: Any, scaler: Any, outputs: Any) -> None:
        if isinstance(outputs, self._tensor) and scaled is not outputs:
            self.machine.scaled(scaled, outputs)

    def before_autocast(self, autocast: Any) -> None:
        machine = self._threads.machine
        if machine.amp is None and autocast._enabled and self._grad_enabled():
            machine.amp = autocast.fast_dtype

    def after_criterion(self, _: Any, result: Any, criterion: Any, *args: Any, **kwargs: Any) -> None:
        machine = self._threads.machine
        if machine.backward_tells(criterion):
            return
        given = args[0] if args else kwargs.get("input")
        rows = about.rows_of(given) or 1
        reduction = about.told(criterion, "reduction") or "mean"
        if reduction != "none" and isinstance(result, self._tensor):
            machine.criterion(type(criterion).__name__, result, reduction, rows)

    def after_item(self, _: Any, value: Any, tensor: Any, *__: Any, **___: Any) -> None:
        machine = self._threads.machine
        last = machine.last_loss
        if last is not None and last[0] == id(tensor) and same(last[1], value):
            return  # read once more: it is recorded
        if (type(value) is float or type(value) is int) and type(tensor) is self._tensor:
            frame = sys._getframe(2)
            if frame.f_code is self._format and frame.f_back is not None:
                site = self._sites.formatted(frame.f_back)
            else:
                site = self._sites.at(frame, "item")
            if not site.library and site.name:
                machine.read(site, value)

    # -- data and phases

    def after_iter(self, _: Any, iterator: Any, loader: Any) -> None:
        machine = self.machine
        name = self._sites.loop(sys._getframe(2))
        data = (id(loader.dataset), id(loader)), (about.weakly(loader.dataset), about.weakly(loader))
        # Now: a loader that is made in the head of a loop is gone at once, its data set is not.
        described = self._loaders.get(loader)
        if described is None:
            described = about.loader_params(loader)
            self._loaders.set(loader, described)
        # What it takes from may have grown since.
        machine.flow.began(iterator, Pass(name, *data, {**described, **about.size_params(loader.dataset)}))

    def before_next(self, iterator: Any) -> float:
        return perf_counter()

    def after_next(self, began: float, batch: Any, iterator: Any) -> None:
        now = perf_counter()
        flow = self._threads.machine.flow
        flow.gave(iterator, began, now, about.rows_of(batch), not self._grad_enabled())

    def after_last(self, _: float, error: BaseException, iterator: Any) -> None:
        self.machine.flow.ended(iterator)

    def before_train(self, module: Any, mode: Any = True) -> None:
        self._threads.machine.mode_is_set(module, bool(mode))

    # -- files

    def after_save(self, _: Any, __: Any, obj: Any = None, f: Any = None, *___: Any, **____: Any) -> None:
        path: Any = f
        if not isinstance(f, (str, os.PathLike)):
            path = getattr(f, "name", None) if isinstance(f, io.IOBase) else about.told(f, "name")
        if isinstance(path, (str, os.PathLike)):
            self.machine.checkpoint(os.path.abspath(os.fspath(path)))


def _observers(patches: list[FastPatch | Hook]) -> list[Callable[..., Any]]:
    found: list[Callable[..., Any] | None] = []
    for patch in patches:
        found += [patch.hook] if isinstance(patch, Hook) else [patch.before, patch.after, patch.raised]
    return [one for one in found if one is not None]
