"""A scalar tensor's value without making the device wait, and means of such values.

On the CPU a value is there. On a device it is copied into a slot of a ring there, one small kernel; a full ring goes to the
host in one asynchronous copy, and is read when the device says that it has arrived. Nothing here is part of a graph, and
nothing of the user's is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

SLOTS = 256
UNREADABLE = frozenset(("meta", "xla"))
"""Devices whose tensors have no value, or cannot give one without running what is waiting to be compiled."""


class Batch:
    """A ring's worth of values on their way to the host."""

    __slots__ = ("_event", "_handler", "slots", "used", "values")

    def __init__(self, slots: Any) -> None:
        self.slots = slots
        self.used = 0
        self.values: list[float] | None = None
        self._handler: Any = None
        self._event: Any = None

    def send(self) -> None:
        import torch

        if self.slots is None or self._handler is not None:
            return
        device = self.slots.device
        self._handler = torch.empty(SLOTS, dtype=self.slots.dtype, pin_memory=device.type == "cuda")
        self._handler.copy_(self.slots, non_blocking=True)
        module = getattr(torch, device.type, None)
        if hasattr(module, "Event"):
            self._event = module.Event()
            self._event.record()
        self.slots = None

    def arrived(self, wait: bool) -> bool:
        if self.values is None:
            self.send()
            if self._event is not None:
                if wait:
                    self._event.synchronize()
                elif not self._event.query():
                    return False
            self.values = self._handler.tolist()
            self._handler = self._event = None
        return True


class Late:
    """A value that will be known later."""

    __slots__ = ("batch", "index")

    def __init__(self, batch: Batch, index: int) -> None:
        self.batch = batch
        self.index = index


Value = float | Late


class Reader:
    """Reads scalar tensors; one for each thread."""

    def __init__(self) -> None:
        import torch

        self._tensor = torch.Tensor
        self._item: Callable[[Any], Any] = vars(torch._C.TensorBase)["item"]
        self._plain_dispatch = torch.Tensor.__torch_dispatch__
        self._dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
        self._function_modes: Callable[[], int] = torch._C._len_torch_function_stack
        self._without_functions: Any = torch._C.DisableTorchFunction
        self._capturing: Callable[[], bool] = (
            torch.cuda.is_current_stream_capturing if torch.cuda.is_available() else lambda: False
        )
        self._rings: dict[Any, tuple[Batch, list[Any]]] = {}

    def read(self, tensor: Any) -> Value | None:
        """The value of a tensor with one element; None if it has none that can be read without disturbing anything."""
        plain = type(tensor) is self._tensor
        if self._dispatch_modes():
            return None
        if plain and not self._function_modes():
            if tensor.is_cpu and tensor.numel() == 1:  # as nearly always
                value = self._item(tensor)
                if type(value) is float:
                    return value
            return self._value(tensor)
        if not plain and not (
            isinstance(tensor, self._tensor) and type(tensor).__torch_dispatch__ is self._plain_dispatch
        ):
            return None
        with self._without_functions():
            return self._value(tensor)

    def _value(self, tensor: Any) -> Value | None:
        if tensor.numel() != 1:
            return None
        if tensor.is_cpu:
            value = self._item(tensor)
            return value if type(value) is float else None if type(value) is complex else float(value)
        if tensor.is_complex() or tensor.device.type in UNREADABLE or self._capturing():
            return None
        return self._put(tensor)

    def _put(self, tensor: Any) -> Late:
        import torch

        found = self._rings.get(tensor.device)
        if found is None or found[0].used == SLOTS or found[0].slots is None:
            if found is not None:
                found[0].send()
            whole = torch.empty(SLOTS, dtype=torch.float32, device=tensor.device)
            found = self._rings[tensor.device] = Batch(whole), list(whole.unbind())
        batch, slots = found
        slot = slots[batch.used]
        value = tensor.detach()
        slot.copy_(value if value.ndim == 0 else value.reshape(()))
        late = Late(batch, batch.used)
        batch.used += 1
        return late


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, or both no number."""
    return one == other or (one != one and other != other)


class Mean:
    """The mean of values, each with a weight."""

    __slots__ = ("count", "late", "total", "weight")

    def __init__(self) -> None:
        self.total = 0.0
        self.weight = 0.0
        self.count = 0
        self.late: list[tuple[Late, float, float]] | None = None

    def add(self, value: Value, factor: float = 1.0, weight: float = 1.0) -> None:
        """Add `value * factor`, which counts as `weight` values."""
        if type(value) is Late:
            if self.late is None:
                self.late = []
            self.late.append((value, factor, weight))
        else:
            self.total += value * factor  # type: ignore[operator]
        self.weight += weight
        self.count += 1

    def take_in(self, other: Mean) -> None:
        """Add all the values of another mean."""
        self.total += other.total
        self.weight += other.weight
        self.count += other.count
        if other.late is not None:
            self.late = [*(self.late or ()), *other.late]

    def settled(self, wait: bool) -> bool:
        """Whether all values are known now."""
        if self.late is None:
            return True
        if not all(late.batch.arrived(wait) for late, _, _ in self.late):
            return False
        for late, factor, _ in self.late:
            assert late.batch.values is not None
            self.total += late.batch.values[late.index] * factor
        self.late = None
        return True

    @property
    def value(self) -> float:
        return self.total / self.weight if self.weight else math.nan
