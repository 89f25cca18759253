"""What is watched in torch, and how: each target with what is noted of it. The hot ones are plain functions.

Everything here runs in the user's loop: some microseconds a step in all. Dynamo must not see it: see `dynamo`.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any

from autolog.integration import FastPatch, Hook, IdentityMap, OnImport
from autolog_torch import about, dynamo
from autolog_torch.checkpoints import is_checkpoint
from autolog_torch.events import (
    Backward,
    BackwardFailed,
    Batch,
    Criterion,
    Elsewhere,
    LoaderBegan,
    LoaderEnded,
    Loss,
    PutToEvaluation,
    Read,
    Skipped,
)
from autolog_torch.naming import SCORES
from autolog_torch.own_names import OwnNames
from autolog_torch.passes import Pass
from autolog_torch.seen import Seen
from autolog_torch.sites import Site, Sites
from autolog_torch.tracker import BY_HAND, Tracker

if TYPE_CHECKING:
    from autolog.integration import Integration


class Threads(threading.local):
    """Each thread's tracker: made anew, as all of this, for each thread that looks."""

    def __init__(self, integration: Integration, seen: Seen) -> None:
        self.tracker = Tracker(integration, seen)


class Hooks:
    """One integration's."""

    def __init__(self, integration: Integration) -> None:
        import torch

        self._integration = integration
        self._compiling = torch.compiler.is_dynamo_compiling
        self._seen = Seen()
        self._sites = Sites()
        self._threads = Threads(integration, self._seen)

    def patches(self) -> Iterator[FastPatch | Hook | OnImport]:
        found = list(self._watched())
        wrappers = self._integration.hook_code()
        # What Python calls when something dies is within these.
        observers = [*_observers(found), Tracker.iterates, Tracker.watch, about.weakly, IdentityMap.set]
        yield from found
        yield OnImport(
            target="torch._dynamo.eval_frame",
            call=lambda module: dynamo.keep_out(module, wrappers, observers),
        )

    def _watched(self) -> Iterator[FastPatch | Hook]:
        threads, sites, seen = self._threads, self._sites, self._seen
        of_steps = Steps(threads, seen)
        of_losses = Losses(threads, sites)
        of_data = Data(threads, sites)
        modules = "torch.nn.modules"
        loader = "torch.utils.data.dataloader"
        schedulers = "torch.optim.lr_scheduler"
        yield Hook(target="torch.optim.optimizer:register_optimizer_step_post_hook", hook=of_steps.after_step)
        yield Hook(
            target=f"{modules}.module:register_module_module_registration_hook", hook=seen.modules.registered,
            unless=self._compiling,
        )  # fmt: skip
        yield Hook(
            target=f"{modules}.module:register_module_parameter_registration_hook", hook=seen.modules.holds,
            unless=self._compiling,
        )  # fmt: skip
        yield self._fast(
            "torch.autograd:backward", before=of_losses.before_backward, after=of_losses.after_backward,
            raised=of_losses.backward_raised,
        )  # fmt: skip
        yield self._fast("torch.amp.grad_scaler:GradScaler.scale", after=of_losses.after_scale)
        yield self._fast(
            "torch.amp.grad_scaler:GradScaler.step", before=of_steps.before_scaled_step,
            after=of_steps.after_scaled_step,
        )  # fmt: skip
        yield self._fast(f"{loader}:DataLoader.__iter__", after=of_data.after_iter)
        yield self._fast(
            f"{loader}:_BaseDataLoaderIter.__next__", before=of_data.before_next, after=of_data.after_next,
            raised=of_data.after_last,
        )  # fmt: skip
        yield self._fast(f"{modules}.module:Module.train", before=of_data.before_train)
        yield self._fast(f"{modules}.loss:_Loss.__call__", after=of_losses.after_criterion)
        if self._integration.options.capture_reads:
            yield from Numbers(threads, sites).patches(self._fast)
        yield self._fast("torch.amp.autocast_mode:autocast.__enter__", before=of_losses.before_autocast)
        yield self._fast(
            "torch.optim.optimizer:Optimizer.__init__", before=of_steps.before_optimizer,
            after=of_steps.after_optimizer,
        )  # fmt: skip
        yield self._fast(f"{schedulers}:LRScheduler.__init__", before=of_steps.before_scheduler)
        yield self._fast(f"{schedulers}:ReduceLROnPlateau.__init__", before=of_steps.before_scheduler)
        # Those that hold others call no parent's.
        yield self._fast(f"{schedulers}:SequentialLR.__init__", before=of_steps.before_scheduler)
        yield self._fast(f"{schedulers}:ChainedScheduler.__init__", before=of_steps.before_chained)
        if self._integration.options.log_checkpoints:
            yield self._fast("torch:save", aliases=("torch.serialization:save",), after=of_data.after_save)
        # Its optimizers update parameters themselves, and its loops are Keras's.
        keras = "keras.src.optimizers.base_optimizer:BaseOptimizer.apply"
        yield self._fast(keras, after=of_steps.after_keras, optional=True)
        yield from OwnNames(lambda: threads.tracker, sites).patches(self._fast)

    def _fast(self, target: str, **watching: Any) -> FastPatch:
        return FastPatch(target=target, unless=self._compiling, **watching)


class Steps:
    """Optimizers, schedulers and steps."""

    def __init__(self, threads: Threads, seen: Seen) -> None:
        self._threads = threads
        self._seen = seen

    def after_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        self._threads.tracker.stepped(optimizer, closure is not None)

    def before_scaled_step(self, *_: Any, **__: Any) -> int:
        tracker = self._threads.tracker
        return tracker.backwards

    def after_scaled_step(self, backwards: int, _: Any, *__: Any, **___: Any) -> None:
        tracker = self._threads.tracker
        if backwards and tracker.backwards == backwards:  # no optimizer has stepped within
            tracker.backwards = 0
            tracker.note(Skipped())

    def after_keras(self, *_: Any, **__: Any) -> None:
        tracker = self._threads.tracker
        tracker.backwards = 0
        tracker.note(Elsewhere())

    def before_optimizer(self, optimizer: Any, params: Any = None, *_: Any, **__: Any) -> None:
        self._seen.optimizer(optimizer, params)

    def after_optimizer(self, _: Any, __: Any, optimizer: Any, *___: Any, **____: Any) -> None:
        self._seen.rates.set(optimizer, about.rates(optimizer))

    def before_scheduler(self, scheduler: Any, optimizer: Any = None, *_: Any, **__: Any) -> None:
        if optimizer is not None:
            self._seen.schedulers.set(optimizer, weakref.ref(scheduler))

    def before_chained(self, scheduler: Any, schedulers: Any = (), optimizer: Any = None, **_: Any) -> None:
        if optimizer is None and isinstance(schedulers, (list, tuple)) and schedulers:
            optimizer = about.told(schedulers[0], "optimizer")
        self.before_scheduler(scheduler, optimizer)


class Losses:
    """Losses, and other numbers."""

    def __init__(self, threads: Threads, sites: Sites) -> None:
        import torch

        self._threads = threads
        self._sites = sites
        self._tensor = torch.Tensor
        self._grad_enabled = torch.is_grad_enabled
        self._method = torch.Tensor.backward.__code__
        self._last: tuple[Any, int, Site | None] = (None, 0, None)
        """The code and instruction of the last `loss.backward()`, and what it is called."""

    def before_backward(self, tensors: Any = None, *_: Any, **__: Any) -> tuple[Loss, ...]:
        # Nearly always it is `loss.backward()`, at the place where it was the last time.
        frame = sys._getframe(2)
        back = frame.f_back
        if frame.f_code is self._method and back is not None:
            last = self._last
            if back.f_code is last[0] and back.f_lasti == last[1]:
                site = last[2]
            else:
                site = self._sites.of_user(back, "backward")
                if site is not None and back.f_code is site.code:
                    self._last = back.f_code, back.f_lasti, site
        else:
            site = self._sites.of_user(frame, "backward")
        tracker = self._threads.tracker
        losses: tuple[Loss, ...] = ()
        if site is not None:
            if isinstance(tensors, self._tensor):
                loss = tracker.loss(tensors, site)
                losses = () if loss is None else (loss,)
            elif isinstance(tensors, (list, tuple)):
                # Whatever else the user gives, torch is to say what is wrong with it.
                found = [tracker.loss(one, site) for one in tensors if isinstance(one, self._tensor)]
                losses = tuple(loss for loss in found if loss is not None)
        tracker.log.append(Backward(losses))
        if tracker.given:
            tracker.trained, tracker.given = tracker.given, []
        return losses

    def after_backward(self, _: tuple[Loss, ...], *__: Any, **___: Any) -> None:
        tracker = self._threads.tracker
        tracker.backwards += 1
        if tracker.by_hand or tracker.backwards >= BY_HAND:
            tracker.backward_without_step()

    def backward_raised(self, losses: tuple[Loss, ...], *_: Any, **__: Any) -> None:
        self._threads.tracker.note(BackwardFailed(losses))

    def after_scale(self, _: Any, scaled: Any, scaler: Any, outputs: Any) -> None:
        if isinstance(outputs, self._tensor) and scaled is not outputs:
            tracker = self._threads.tracker
            value = tracker.reader.read(outputs)
            if value is not None:
                tracker.scaled = weakref.ref(scaled), value, tracker.divisor(outputs)
                tracker.describer.scales = True

    def before_autocast(self, autocast: Any) -> None:
        describer = self._threads.tracker.describer
        if describer.amp is None and autocast._enabled and self._grad_enabled():
            describer.amp = autocast.fast_dtype

    def after_criterion(self, _: Any, result: Any, criterion: Any, *args: Any, **kwargs: Any) -> None:
        tracker = self._threads.tracker
        if tracker.backward_tells(criterion, self._grad_enabled()):
            return
        given = args[0] if args else kwargs.get("input")
        rows = about.rows_of(given) or 1
        reduction = about.told(criterion, "reduction") or "mean"
        if reduction != "none" and isinstance(result, self._tensor):
            value = tracker.reader.read(result)
            if value is not None:
                name = type(criterion).__name__
                tracker.note(Criterion(name, value, reduction == "sum", rows, tracker.place()))


class Numbers:
    """Numbers that the script reads from tensors, and those that it computes without one."""

    def __init__(self, threads: Threads, sites: Sites) -> None:
        import torch

        self._threads = threads
        self._sites = sites
        self._tensor = torch.Tensor
        self._format = torch.Tensor.__format__.__code__

    def patches(self, fast: Callable[..., FastPatch]) -> Iterator[FastPatch]:
        yield fast("torch:Tensor.item", after=self.after_item)
        yield fast("torch:Tensor.tolist", after=self.after_tolist)
        yield fast("torch:Tensor.__float__", after=self.after_float, as_caller=True)
        yield fast("torch:Tensor.numpy", after=self.after_numpy)
        plateau = "torch.optim.lr_scheduler:ReduceLROnPlateau.step"
        yield fast(plateau, before=self.before_plateau)
        for name in sorted(SCORES):
            yield fast(f"sklearn.metrics:{name}", after=Score(self, name).after, optional=True)

    def after_item(self, _: Any, value: Any, tensor: Any, *__: Any, **___: Any) -> None:
        if (type(value) is float or type(value) is int) and type(tensor) is self._tensor:
            frame = sys._getframe(2)
            if frame.f_code is self._format and frame.f_back is not None:
                tensor, frame = frame.f_locals.get("self"), frame.f_back  # it formats a detached copy
                self._note(self._sites.formatted(frame), frame, value, tensor)
            else:
                self._note(self._sites.at(frame, "item"), frame, value, tensor)

    def after_tolist(self, _: Any, value: Any, tensor: Any, *__: Any, **___: Any) -> None:
        self._read(value, tensor, "tolist", sys._getframe(2))

    def after_float(self, _: Any, value: Any, tensor: Any, *__: Any, **___: Any) -> None:
        self._read(value, tensor, "float", sys._getframe(2))

    def _read(self, value: Any, tensor: Any, method: str, frame: FrameType) -> None:
        if (type(value) is float or type(value) is int) and type(tensor) is self._tensor:
            self._note(self._sites.at(frame, method), frame, value, tensor)

    def after_numpy(self, _: Any, array: Any, tensor: Any, *__: Any, **___: Any) -> None:
        if array.ndim == 0 and array.dtype.kind == "f":
            frame = sys._getframe(2)
            self._note(self._sites.at(frame, "numpy"), frame, float(array), tensor)

    def before_plateau(self, _: Any, metrics: Any = None, *__: Any, **___: Any) -> None:
        tracker = self._threads.tracker
        value = tracker.reader.read(metrics) if isinstance(metrics, self._tensor) else metrics
        self.computed(value, "step", sys._getframe(2))

    def computed(self, value: Any, method: str, frame: FrameType) -> None:
        """A number that did not come from a tensor here."""
        if isinstance(value, float) or type(value).__module__ == "numpy":
            self._note(self._sites.at(frame, method), frame, float(value), None)

    def _note(self, site: Site, frame: FrameType, value: float, tensor: Any) -> None:
        if site.names and not site.library:
            site = self._sites.named(site, frame, tensor)
        if site.library or not site.name:
            return
        tracker = self._threads.tracker
        if tracker.is_a_loss(tensor, value):
            site.is_loss = site.is_loss or site.name in tracker.loss_names
            return  # read once more: it is recorded
        place = tracker.place()
        if place.grad and not place.in_eval:
            if site.is_loss:
                return  # a loss of another step: the mean of some reads would be wrong
            tracker.last_read = site, value
        elif site.splits and not place.grad:
            site = self._sites.split(site, frame)
        tracker.note(Read(site, value, place))


class Score:
    """What a function of scikit-learn computes while something is trained."""

    def __init__(self, numbers: Numbers, name: str) -> None:
        self._numbers = numbers
        self._name = name

    def after(self, _: Any, value: Any, *__: Any, **___: Any) -> None:
        self._numbers.computed(value, self._name, sys._getframe(2))


class Data:
    """Data, modes and files."""

    def __init__(self, threads: Threads, sites: Sites) -> None:
        import torch

        self._threads = threads
        self._sites = sites
        self._tensor = torch.Tensor
        self._grad_enabled = torch.is_grad_enabled
        self._loaders: IdentityMap[dict[str, Any]] = IdentityMap()
        """What was told of them, as they are iterated again and again."""

    def after_iter(self, _: Any, iterator: Any, loader: Any) -> None:
        tracker = self._threads.tracker
        name = self._sites.loop(sys._getframe(2))
        data = (id(loader.dataset), id(loader)), (about.weakly(loader.dataset), about.weakly(loader))
        # Now: a loader that is made in the head of a loop is gone at once, its data set is not.
        described = self._loaders.get(loader)
        if described is None:
            described = about.loader_params(loader)
            self._loaders.set(loader, described)
        tracker.iterates(iterator)
        # What it takes from may have grown since.
        found = Pass(name, *data, {**described, **about.size_params(loader.dataset)})
        tracker.log.append(LoaderBegan(id(iterator), found))
        tracker.drain()

    def before_next(self, iterator: Any) -> float:
        return perf_counter()

    def after_next(self, asked: float, batch: Any, iterator: Any) -> None:
        tracker = self._threads.tracker
        number = id(iterator)
        given = tracker.given
        if not given or given[-1] != number:
            given.append(number)
            del given[:-8]
        first = batch[0] if type(batch) in (list, tuple) and batch else None
        rows = first.shape[0] if type(first) is self._tensor and first.ndim else about.rows_of(batch)
        tracker.note(Batch(number, rows, asked, perf_counter(), self._grad_enabled()))

    def after_last(self, _: float, error: BaseException, iterator: Any) -> None:
        tracker = self._threads.tracker
        tracker.given.clear()
        tracker.trained = []
        tracker.note(LoaderEnded(id(iterator), perf_counter()))

    def before_train(self, module: Any, mode: Any = True) -> None:
        tracker = self._threads.tracker
        tracker.evaluating = not mode
        tracker.is_steady = False
        # Or another one like it, as one that is loaded for the final test.
        if not mode and (module is tracker.root() or type(module) is tracker.kind):
            tracker.note(PutToEvaluation())

    def after_save(self, _: Any, __: Any, obj: Any = None, f: Any = None, *___: Any, **____: Any) -> None:
        path: Any = f
        if not isinstance(f, (str, os.PathLike)):
            path = getattr(f, "name", None) if isinstance(f, io.IOBase) else about.told(f, "name")
        if isinstance(path, (str, os.PathLike)) and is_checkpoint(obj, self._tensor):
            self._threads.tracker.describer.saved(os.path.abspath(os.fspath(path)))


def _observers(patches: list[FastPatch | Hook]) -> list[Callable[..., Any]]:
    found: list[Callable[..., Any] | None] = []
    for patch in patches:
        found += [patch.hook] if isinstance(patch, Hook) else [patch.before, patch.after, patch.raised]
    return [one for one in found if one is not None]
