"""Says what a run is made with, and saves its models and checkpoints."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autolog_torch import about
from autolog_torch.checkpoints import Checkpoints
from autolog_torch.final import FinalModel

if TYPE_CHECKING:
    from autolog.integration import Integration, Run
    from autolog_torch.options import TorchOptions
    from autolog_torch.recording import Recording
    from autolog_torch.seen import Seen

MODELS = 20
"""Of one run. An optimizer may be given the parts of a model that is no module."""


class Describer:
    """One thread's. A fault in it costs a part of the record, not the hooks."""

    def __init__(self, integration: Integration, seen: Seen) -> None:
        self._integration = integration
        self._options: TorchOptions = integration.options
        self._seen = seen
        self.facts: dict[str, Any] = {}
        """What the next run's params are to say, as the script says itself."""
        self.last_began_at = 0
        """When the run before this one began, by the clock of what was made."""
        self._began_at = 0
        self._run: Run | None = None
        self._finals: list[FinalModel] = []
        self._models: list[weakref.ref[Any]] = []
        """Those that the run's params are about."""
        self._checkpoints = Checkpoints(self._options)

    def hparams(self, values: dict[str, Any]) -> None:
        """The script's own params."""
        if self._run is not None:
            self._run.log_params(values)
        else:
            self.facts.update(values)

    def saved(self, path: str) -> None:
        """The script has written a checkpoint."""
        if self._run is not None:
            self._checkpoints.saved(self._run, path)

    def begin(
        self, recording: Recording, began_at: int, optimizer: Any, whole: Any, epoch: Any,
        made_with: dict[str, Any],
    ) -> None:  # fmt: skip
        run = self._run = recording.run
        self._began_at = began_at
        self._finals, self._models = [], []
        if recording.owned:
            self._attempt(self._describe, run, optimizer, epoch, made_with)
            if whole is not None:
                self._attempt(self._keep, run, whole)
            if optimizer is not None:
                self._attempt(self._keep_all, run, optimizer)

    def join(self, run: Run, optimizer: Any, number: int) -> None:
        """The run has another optimizer."""
        run.log_params(
            about.optimizer_params(optimizer, f"optimizer{number + 1}", self._seen.rates.get(optimizer))
        )
        self._attempt(self._keep_all, run, optimizer)

    def refresh(self) -> None:
        for final in self._finals:
            self._attempt(final.refresh)

    def finish(self, recording: Recording) -> None:
        for final in self._finals:
            final.save()
        self._checkpoints.keep(recording.run)
        self._run, self._finals, self._models = None, [], []
        self.last_began_at = self._began_at

    def _describe(self, run: Run, optimizer: Any, epoch: Any, made_with: dict[str, Any]) -> None:
        params: dict[str, Any] = {}
        if optimizer is not None:
            params.update(about.optimizer_params(optimizer, "optimizer", self._seen.rates.get(optimizer)))
            held = self._seen.schedulers.get(optimizer)
            scheduler = held() if held is not None else None
            if scheduler is not None:
                params.update(about.scheduler_params(scheduler))
        else:
            params["optimizer"] = "by hand"
        if epoch is not None and epoch.is_loader:
            params.update(epoch.described)
            tensors = about.dataset_tensors(epoch.sources[0]())
            if tensors is not None and self._options.log_datasets:
                run.log_dataset(*tensors)
        processes = about.distribution()
        if processes.get("world_size", 1) > 1:
            run.note(f"The metrics are those of the first of {processes['world_size']} processes.")
        amp = made_with["amp"]
        # It may have been entered long ago, around several trainings.
        if amp is None and optimizer is not None:
            amp = about.autocast(about.first_param(optimizer))
        facts = {**made_with, "amp": None if amp is None else str(amp).removeprefix("torch.")}
        params.update({name: value for name, value in facts.items() if value is not None})
        params.update({**self.facts, **processes})
        self.facts = {}
        run.log_params(params)

    def _attempt(self, work: Callable[..., None], *args: Any) -> None:
        """An error while a run is described, as of an object that is like no other, costs that run a part of its record. It
        must not leave the hook: that would be off, and later runs be lost.
        """
        try:
            work(*args)
        except Exception as error:
            handler = self._integration.handler
            if handler is not None:
                handler.failed(self._integration.name, "in describing a run", error)

    def _keep_all(self, run: Run, optimizer: Any) -> None:
        """The models that an optimizer trains, and that the run does not know of yet, are the run's."""
        roots, are_all = self._seen.modules.roots_of(optimizer)
        for whole in roots:
            root, _ = about.unwrapped(whole)
            if all(one() is not root for one in self._models):
                if len(self._models) == MODELS:
                    are_all = False
                    break
                self._attempt(self._keep, run, whole)
        if not are_all:
            run.note(f"{type(optimizer).__name__} trains more than the models that are recorded here.")

    def _keep(self, run: Run, whole: Any) -> None:
        """This model is one of the run's: it is saved when the run ends, or when it dies."""
        root, wrappers = about.unwrapped(whole)
        self._models.append(weakref.ref(root))
        path = "model" if len(self._models) == 1 else f"model{len(self._models)}"
        run.log_params(about.model_params(whole, path))
        if self._options.log_models:
            limit = self._options.max_model_bytes
            self._finals.append(FinalModel(run, path, root, wrappers, limit, self._integration.guarded))
