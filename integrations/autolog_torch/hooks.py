"""What is watched in torch, and how: each target with what is noted of it. The hot ones are plain functions.

Everything here runs in the user's loop: some microseconds a step in all. Dynamo must not see it: see `dynamo`.
"""

from __future__ import annotations

import io
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from time import perf_counter
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
    Skipped,
)
from autolog_torch.numbers import Numbers
from autolog_torch.own_names import OwnNames
from autolog_torch.passes import Pass
from autolog_torch.seen import Seen
from autolog_torch.sites import Site, Sites
from autolog_torch.tracker import BY_HAND, MANY, TIMED, Threads, Tracker

if TYPE_CHECKING:
    from autolog.integration import Integration, Watch


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
        wrappers = self._integration.hook_code(found)
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
        yield self._fast("torch.autograd:backward", around=of_losses.around_backward)
        yield self._fast("torch.amp.grad_scaler:GradScaler.scale", after=of_losses.after_scale)
        yield self._fast(
            "torch.amp.grad_scaler:GradScaler.step", before=of_steps.before_scaled_step,
            after=of_steps.after_scaled_step,
        )  # fmt: skip
        yield self._fast(f"{loader}:DataLoader.__iter__", after=of_data.after_iter)
        yield self._fast(f"{loader}:_BaseDataLoaderIter.__next__", around=of_data.around_next)
        yield self._fast(f"{modules}.module:Module.train", before=of_data.before_train)
        yield self._fast(f"{modules}.loss:_Loss.__call__", around=of_losses.around_criterion)
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
        closure = args[1] if len(args) > 1 else kwargs.get("closure") if kwargs else None
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
    """Losses, and what they are computed with."""

    def __init__(self, threads: Threads, sites: Sites) -> None:
        import torch

        self._threads = threads
        self._sites = sites
        self._tensor = torch.Tensor
        self._grad_enabled = torch.is_grad_enabled

    def around_backward(self, original: Any, watch: Watch) -> Callable[..., Any]:
        reading, scope, started, switch, handler = watch.asks
        recorded, threads = watch.recorded, self._threads
        of_backward, getframe = self._sites.of_backward, sys._getframe
        tensor, method = self._tensor, self._tensor.backward.__code__
        last: tuple[Any, int, Site | None] = (None, 0, None)
        """The code and instruction of the last `loss.backward()`, and what it is called."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal last
            __tracebackhide__ = True
            if (reading() or scope() or started or not (switch.on and handler.active)) and not recorded():
                return original(*args, **kwargs)
            try:
                tracker, noted = threads.tracker, None
                began = perf_counter() if len(tracker.log) < TIMED else 0.0
                # Nearly always it is `loss.backward()`, at the place where it was the last time.
                frame = getframe(1)
                back = frame.f_back
                if frame.f_code is method and back is not None:
                    code, instruction, site = last
                    if back.f_code is not code or back.f_lasti != instruction:
                        site = of_backward(back)
                        if site is not None and back.f_code is site.code:
                            last = back.f_code, back.f_lasti, site
                else:
                    site = of_backward(frame)
                if tracker.given:
                    tracker.given, tracker.trained = tracker.trained, tracker.given
                    tracker.given.clear()
                loss = args[0] if args else kwargs.get("tensors")
                if type(loss) is tensor and site is not None:
                    noted = tracker.loss(loss, site)
                if noted is None:
                    noted = self._several(loss, site)
                tracker.log.append(noted)
                if began:
                    tracker.spent += perf_counter() - began
            except Exception as error:
                watch.failed(error, "before")
                return original(*args, **kwargs)
            try:
                result = original(*args, **kwargs)
            except BaseException:
                if switch.on:
                    try:
                        tracker.note(BackwardFailed((noted,) if type(noted) is Loss else noted.losses))
                    except Exception as ours:
                        watch.failed(ours, "after")
                raise
            tracker.backwards += 1
            if (tracker.by_hand or tracker.backwards >= BY_HAND) and switch.on:
                try:
                    tracker.backward_without_step()
                except Exception as error:
                    watch.failed(error, "after")
            return result

        return wrapper

    def _several(self, tensors: Any, site: Site | None) -> Backward:
        """A backward of anything but one plain tensor with a value. Whatever else the user gives, torch is to say what is wrong
        with it.
        """
        given = [tensors] if isinstance(tensors, self._tensor) else tensors
        if site is None or not isinstance(given, (list, tuple)) or type(tensors) is self._tensor:
            return Backward(())
        tracker = self._threads.tracker
        found = [tracker.loss(one, site) for one in given if isinstance(one, self._tensor)]
        return Backward(tuple(loss for loss in found if loss is not None))

    def after_scale(self, _: Any, scaled: Any, scaler: Any, outputs: Any) -> None:
        if isinstance(outputs, self._tensor) and scaled is not outputs:
            tracker = self._threads.tracker
            value = tracker.reader.read(outputs)
            if value is not None:
                tracker.scaled = weakref.ref(scaled), value, tracker.divisor(outputs)
                tracker.scales = True

    def before_autocast(self, autocast: Any) -> None:
        tracker = self._threads.tracker
        if tracker.amp is None and autocast._enabled and self._grad_enabled():
            tracker.amp = autocast.fast_dtype

    def around_criterion(self, original: Any, watch: Watch) -> Callable[..., Any]:
        reading, scope, started, switch, handler = watch.asks
        recorded, threads, grad_enabled = watch.recorded, self._threads, self._grad_enabled

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if (reading() or scope() or started or not (switch.on and handler.active)) and not recorded():
                return original(*args, **kwargs)
            result = original(*args, **kwargs)
            if not switch.on:
                return result
            try:
                tracker = threads.tracker
                began = perf_counter() if len(tracker.log) < TIMED else 0.0
                grad, given = grad_enabled(), tracker.given
                is_known = grad and tracker.is_steady and tracker.criterion
                # Nearly always its backward tells all.
                if (
                    not is_known or (given and given[-1] not in tracker.trained)
                ) and not tracker.backward_tells(args[0], grad):
                    self._computed(args[0], result, args[1] if len(args) > 1 else kwargs.get("input"))
                if began:
                    tracker.spent += perf_counter() - began
            except Exception as error:
                watch.failed(error, "after")
            return result

        return wrapper

    def _computed(self, criterion: Any, result: Any, given: Any) -> None:
        tracker = self._threads.tracker
        rows = about.rows_of(given) or 1
        reduction = about.told(criterion, "reduction") or "mean"
        if reduction != "none" and isinstance(result, self._tensor):
            value = tracker.reader.read(result)
            if value is not None:
                name = type(criterion).__name__
                tracker.note(Criterion(name, value, reduction == "sum", rows, tracker.place()))


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

    def around_next(self, original: Any, watch: Watch) -> Callable[..., Any]:
        reading, scope, started, switch, handler = watch.asks
        recorded, threads, grad_enabled = watch.recorded, self._threads, self._grad_enabled
        tensor = self._tensor

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if (reading() or scope() or started or not (switch.on and handler.active)) and not recorded():
                return original(*args, **kwargs)
            try:
                tracker = threads.tracker
                tracker.is_fetching = True
            except Exception as error:
                watch.failed(error, "before")
                return original(*args, **kwargs)
            asked = perf_counter()
            try:
                batch = original(*args, **kwargs)
            except BaseException:
                tracker.is_fetching = False
                if switch.on:
                    try:
                        self._ended(args[0])
                    except Exception as ours:
                        watch.failed(ours, "after")
                raise
            given = perf_counter()
            tracker.is_fetching = False
            if not switch.on:
                return batch
            try:
                number = id(args[0])
                iterators, log = tracker.given, tracker.log
                if not iterators or iterators[-1] != number:
                    iterators.append(number)
                    if len(iterators) > 8:
                        del iterators[0]
                first = batch[0] if type(batch) in (list, tuple) and batch else None
                rows = first.size(0) if type(first) is tensor and first.ndim else about.rows_of(batch)
                log.append(Batch(number, rows, asked, given, grad_enabled()))
                if len(log) < TIMED:
                    tracker.spent += perf_counter() - given
                elif len(log) >= MANY:
                    tracker.drain()
            except Exception as error:
                watch.failed(error, "after")
            return batch

        return wrapper

    def _ended(self, iterator: Any) -> None:
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
            tracker.note(PutToEvaluation(self._sites.evaluated(sys._getframe(2))))

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
    called = [
        Losses._several, Losses._computed, Numbers._item, Data._ended, Sites.of_backward, Tracker.loss,
        Tracker.backward_tells, Tracker.backward_without_step, Tracker.drain, Tracker.note, about.rows_of,
    ]  # fmt: skip
    """By what is around an original."""
    return [one for one in found if one is not None] + called
