# needs: lightning, torch; in CI: as written
"""A callback of the user's leaves the program in the second epoch; model and trainer are at module level."""

import atexit
import sys
import weakref

import lightning as L
import torch
from torch.utils.data import DataLoader

import autolog

autolog.autolog()


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, _):
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Leaves(L.Callback):
    def on_train_epoch_end(self, trainer, module):
        print(trainer.current_epoch, module.layer.weight.sum().item())
        if trainer.current_epoch == 1:
            sys.exit(3)


L.seed_everything(0)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = L.Trainer(max_epochs=3, accelerator="cpu", callbacks=[Leaves()], **quiet)
model = Model()
weakref.finalize(model, print, "the model is gone")
atexit.register(lambda: print(trainer.state, model.training))
trainer.fit(model, DataLoader(torch.rand(16, 2), batch_size=8))
