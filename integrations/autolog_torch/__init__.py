"""Records PyTorch loops that their users have written: nobody calls us, so what happens is seen by its traces.

What a run holds:

    kind        train; from an optimizer's first step until the block around it, the next training or the process ends
    params      optimizer, optimizer.<setting>, optimizer.group<n>.<setting> where it differs, optimizer2 and so on;
                scheduler, scheduler.<setting>; model, model.{parameters,trainable_parameters,dtype,device,wrappers,compiled};
                data.{dataset,size,batch_size,sampler,workers,drop_last,pin_memory}; loss, amp, grad_scaler,
                backwards_per_step, world_size, backend
    metrics     see `recording`
    artifacts   model, as it is when the run ends or the model dies; checkpoints/<name>, what the script saved by torch.save
    datasets    train, of a TensorDataset

Data flows one way: `hooks` notes `events`; `tracker` gives them to `reducer`, which decides whose they are, `passes` telling
training from evaluation, and `recording` how it is called; the tracker carries out what follows. `sites` and `naming` say what
the script calls a value. Only `hooks`, `tracker`, `about`, `final` and `values` know torch.

Nothing of torch is imported before the user has imported it.
"""

from __future__ import annotations

from collections.abc import Iterable

from autolog.integration import FastPatch, Hook, Integration, OnImport
from autolog_torch.options import TorchOptions


class TorchIntegration(Integration):
    """See the module."""

    name = "torch"
    supports = "torch>=2.3"
    engines = ("torch.multiprocessing",)
    tested = "2.3.1 to 2.13.0"
    Options = TorchOptions

    def patches(self) -> Iterable[FastPatch | Hook | OnImport]:
        from autolog_torch.hooks import Hooks

        return Hooks(self).patches()
