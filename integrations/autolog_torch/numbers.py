"""What is watched of the numbers that the script reads from tensors, and of those that it computes without one.

Notes them as `Read`. Decides nothing but which of them are losses that are noted already. Runs in the user's loop, as `hooks`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any

from autolog.integration import FastPatch
from autolog_torch.events import Place, Read
from autolog_torch.naming import SCORES
from autolog_torch.sites import Site, Sites
from autolog_torch.tracker import TIMED, Threads

if TYPE_CHECKING:
    from autolog.integration import Watch


class Numbers:
    """Numbers that the script reads from tensors, and those that it computes without one."""

    def __init__(self, threads: Threads, sites: Sites) -> None:
        import torch

        self._threads = threads
        self._sites = sites
        self._tensor = torch.Tensor
        self._format = torch.Tensor.__format__.__code__

    def patches(self, fast: Callable[..., FastPatch]) -> Iterator[FastPatch]:
        yield fast("torch:Tensor.item", around=self.around_item)
        yield fast("torch:Tensor.tolist", after=self.after_tolist)
        yield fast("torch:Tensor.__float__", after=self.after_float, as_caller=True)
        yield fast("torch:Tensor.numpy", after=self.after_numpy)
        plateau = "torch.optim.lr_scheduler:ReduceLROnPlateau.step"
        yield fast(plateau, before=self.before_plateau)
        for name in sorted(SCORES):
            yield fast(f"sklearn.metrics:{name}", after=Score(self, name).after, optional=True)

    def around_item(self, original: Any, watch: Watch) -> Callable[..., Any]:
        reading, scope, started, switch, handler = watch.asks
        recorded, threads, getframe = watch.recorded, self._threads, sys._getframe
        last: tuple[Any, int, int] = (None, 0, 0)
        """The code and instruction where a loss was read last, and how many names losses had then."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal last
            __tracebackhide__ = True
            if (reading() or scope() or started or not (switch.on and handler.active)) and not recorded():
                return original(*args, **kwargs)
            value = original(*args, **kwargs)
            try:
                tracker, tensor = threads.tracker, args[0]
                began = perf_counter() if len(tracker.log) < TIMED else 0.0
                frame, loss = getframe(1), tracker.last_loss
                if loss is None or loss[1] != value or loss[0] != id(tensor):
                    self._item(value, tensor, frame)
                else:
                    code, instruction, names = last
                    here = frame.f_lasti, len(tracker.loss_names)
                    is_known = frame.f_code is code and here == (instruction, names)
                    if not is_known and self._item(value, tensor, frame):
                        last = frame.f_code, *here
                if began:
                    tracker.spent += perf_counter() - began
            except Exception as error:
                watch.failed(error, "after")
            return value

        return wrapper

    def _item(self, value: Any, tensor: Any, frame: FrameType) -> bool:
        """Whether what is read there is a loss that is recorded."""
        if (type(value) is float or type(value) is int) and type(tensor) is self._tensor:
            if frame.f_code is self._format and frame.f_back is not None:
                tensor, frame = frame.f_locals.get("self"), frame.f_back  # it formats a detached copy
                return self._note(self._sites.formatted(frame), frame, value, tensor)
            return self._note(self._sites.at(frame, "item"), frame, value, tensor)
        return False

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

    def _note(self, site: Site, frame: FrameType, value: float, tensor: Any) -> bool:
        """Whether it is nothing to note, since it is a loss that is recorded, or is not the script's."""
        tracker = self._threads.tracker
        if site.names and not site.library:
            site = self._sites.named(site, frame, tensor)
        if site.library or not site.name:
            return True
        if tracker.is_fetching:
            return False
        if tracker.is_a_loss(tensor, value):
            site.is_loss = site.is_loss or site.name in tracker.loss_names
            if not site.is_summary:
                return True
        place = tracker.place()
        if place.grad and not place.in_eval:
            if site.is_loss and not site.is_summary:
                if tensor is None or tensor.requires_grad:
                    return False  # a loss of another step: the mean of some reads would be wrong
                place = Place(grad=False)  # of an evaluation, read when gradients are on again
            if site.keys:
                site = self._sites.split(site, frame, keys=True)
            tracker.last_read = site, value, id(tensor)
        elif site.splits and not place.grad:
            site = self._sites.split(site, frame)
        weight = self._sites.weight(site, frame) if site.weight and not tracker.given else 0
        tracker.note(Read(site, value, place, weight))
        return False


class Score:
    """What a function of scikit-learn computes while something is trained."""

    def __init__(self, numbers: Numbers, name: str) -> None:
        self._numbers = numbers
        self._name = name

    def after(self, _: Any, value: Any, *__: Any, **___: Any) -> None:
        self._numbers.computed(value, self._name, sys._getframe(2))
