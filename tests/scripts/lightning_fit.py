# needs: lightning, torch, tqdm; in CI: helpers, autolog, framework; masked: times
"""A Trainer with its bar, its logger of CSV and its checkpoints. The times and rates of the bar are masked."""

import os
import warnings

import lightning as L
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

import autolog

autolog.autolog()

warnings.filterwarnings("ignore", ".*does not have many workers.*")


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, _):
        loss = (self.layer(batch[0]) - batch[1]).square().mean()
        self.log("loss", loss, prog_bar=True, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


L.seed_everything(0)
X = torch.rand(32, 2)
loader = DataLoader(TensorDataset(X, X.sum(1, keepdim=True)), batch_size=8)
bar = TQDMProgressBar(refresh_rate=100)
trainer = L.Trainer(
    max_epochs=2, accelerator="cpu", logger=CSVLogger("."), callbacks=[bar], log_every_n_steps=2
)
trainer.fit(Model(), loader)
print(
    trainer.callback_metrics,
    len(trainer.callbacks),
    sorted(os.listdir("lightning_logs/version_0/checkpoints")),
)
