"""What the user has named himself: scalars written to TensorBoard, and what metrics of torchmetrics compute.

Both are watched where they are imported, and only then. A metric that is part of another, or computed for one batch by
`forward`, is not called by the user and not recorded; nor is a result that is asked for again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from autolog.integration import FastPatch

if TYPE_CHECKING:
    from autolog_torch.sites import Sites
    from autolog_torch.tracker import Tracker

WRITERS = ("torch.utils.tensorboard.writer", "tensorboardX.writer")
SAYING_NOTHING = frozenset(("metric", "metrics", "m", "self"))


class OwnNames:
    """Tells a thread's tracker of them."""

    def __init__(self, tracker: Callable[[], Tracker], sites: Sites) -> None:
        self._tracker = tracker
        self._sites = sites

    def patches(self, fast: Callable[..., FastPatch]) -> Iterator[FastPatch]:
        for writer in WRITERS:
            yield fast(f"{writer}:SummaryWriter.add_scalar", after=self.after_scalar)
            yield fast(f"{writer}:SummaryWriter.add_scalars", after=self.after_scalars)
            yield fast(f"{writer}:SummaryWriter.add_hparams", after=self.after_hparams)
        # Each metric computes through a closure of its own. This is what they all give their result to.
        yield fast("torchmetrics.metric:_squeeze_if_scalar", after=self.after_metric)
        yield fast("torchmetrics.collections:MetricCollection.compute", after=self.after_collection)

        # Frameworks around the loop.
        yield fast("ignite.metrics.metric:Metric.completed", after=self.after_ignite)
        yield fast("skorch.history:History.record", before=self.before_skorch)

    # -- TensorBoard

    def after_scalar(
        self, _: Any, __: Any, writer: Any, tag: Any, scalar_value: Any, global_step: Any = None, *___: Any, **____: Any
    ) -> None:  # fmt: skip
        self._tracker().named({str(tag): scalar_value}, global_step)

    def after_scalars(
        self, _: Any, __: Any, writer: Any, main_tag: Any, tag_scalar_dict: Any, global_step: Any = None, *___: Any, **____: Any
    ) -> None:  # fmt: skip
        values = {f"{main_tag}/{tag}": value for tag, value in tag_scalar_dict.items()}
        self._tracker().named(values, global_step)

    def after_hparams(self, _: Any, __: Any, writer: Any, hparam_dict: Any, *___: Any, **____: Any) -> None:
        """Its metrics are written by `add_scalar`."""
        self._tracker().describer.hparams(dict(hparam_dict))

    # -- torchmetrics

    def after_metric(self, _: Any, value: Any, *__: Any, **___: Any) -> None:
        frame = sys._getframe(2)
        metric = frame.f_locals.get("self")
        if frame.f_back is None or metric is None:
            return
        site = self._sites.at(frame.f_back, "compute")
        if not site.library:
            name = site.name
            if name in SAYING_NOTHING or name.startswith("line_"):
                name = type(metric).__name__
            self._tracker().named(value if isinstance(value, dict) else {name: value}, None, computed=True)

    def after_collection(self, _: Any, values: Any, *__: Any, **___: Any) -> None:
        if not self._sites.at(sys._getframe(2), "compute").library:
            self._tracker().named(values, None, computed=True)

    # -- ignite and skorch

    def after_ignite(
        self, _: Any, __: Any, metric: Any, engine: Any, name: Any, *___: Any, **____: Any
    ) -> None:
        value = engine.state.metrics.get(name)
        if isinstance(value, float) or hasattr(value, "requires_grad"):
            self._tracker().named({str(name): value}, None, computed=True)

    def before_skorch(self, history: Any, attr: Any = None, value: Any = None, *_: Any, **__: Any) -> None:
        """Its scores; the losses are known, and how long it took is no metric."""
        if isinstance(value, float) and not str(attr).endswith(("_loss", "dur")):
            self._tracker().named({str(attr): value}, None, computed=True)
