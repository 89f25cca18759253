# needs: lightning, torch; in CI: none
"""Ctrl-C in a step, which Lightning makes an exit of its own; first a fit that comes to its end, with an evaluation."""

import lightning as L
import torch
from torch.utils.data import DataLoader

import autolog

autolog.autolog()


class Model(L.LightningModule):
    stop = 100

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, number):
        if number == self.stop:
            raise KeyboardInterrupt
        return self.layer(batch).square().mean()

    def validation_step(self, batch, _):
        self.log("val_loss", self.layer(batch).square().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


def trainer():
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return L.Trainer(max_epochs=2, accelerator="cpu", **quiet)


if __name__ == "__main__":
    L.seed_everything(0)
    data = DataLoader(torch.rand(16, 2), batch_size=4)
    model = Model()
    trainer().fit(model, data, data)
    print(trainer().validate(model, data, verbose=False))
    model.stop = 2
    trainer().fit(model, data)
    print("after it")
