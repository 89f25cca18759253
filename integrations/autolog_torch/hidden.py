"""Finds trainings whose steps cannot be seen: loops that update parameters by hand, and optimizers whose step is compiled."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autolog_torch import about
from autolog_torch.events import NO_OPTIMIZER, ByHand, Elsewhere

if TYPE_CHECKING:
    from autolog_torch.seen import Seen


class HiddenSteps:
    """Finds out whether parameters are updated by something else than the steps that can be seen."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._versions: list[tuple[weakref.ref[Any], int]] = []
        self.behind: Any = None
        """A parameter of what may be a loop that updates by hand, while that is found out."""
        self._root: Callable[[], Any] = _nothing

    @property
    def root(self) -> Any:
        """The model of such a loop."""
        return self._root()

    def look(self) -> ByHand | Elsewhere | None:
        """After some backwards without a step: whether they are steps, or no training at all; None while nothing tells that."""
        optimizers = [one for one, _ in self._seen.created.items()]
        if not optimizers:
            param, self.behind = self.behind, None
            root = self._seen.modules.trained_by_hand(param)
            if root is not None and not root.training:  # gradients of inputs, say
                return Elsewhere()
            self._root = _nothing if root is None else weakref.ref(root)
            return ByHand(NO_OPTIMIZER)
        before, self._versions = self._versions, []
        for optimizer in optimizers:
            param = about.first_param(optimizer)
            if param is not None and not param.is_inference():
                self._versions.append((weakref.ref(optimizer), param._version))
                if any(held() is optimizer and version != param._version for held, version in before):
                    self._versions = []
                    return ByHand(self._seen.number_of(optimizer))
        return None


def _nothing() -> None:
    return None
