# needs: lightning, torch; in CI: none
"""An exception in a step, in a function; the loader is a generator's that is left open."""

import lightning as L
import torch

import autolog

autolog.autolog()


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, number):
        print(number)
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Batches:
    def __iter__(self):
        try:
            yield torch.rand(4, 2)
            yield torch.rand(4, 2)
            yield torch.rand(4, 3)
        finally:
            print("closed")


def main():
    L.seed_everything(0)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    L.Trainer(max_steps=5, accelerator="cpu", **quiet).fit(Model(), Batches())


main()
