# needs: torch, tqdm, torchmetrics; in CI: as written
"""Bars on standard error over epochs and batches, with torchmetrics."""

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAccuracy
from tqdm import tqdm

import autolog

autolog.autolog()

torch.manual_seed(0)
X = torch.randn(60, 2)
loader = DataLoader(TensorDataset(X, (X[:, :1] > 0).float()), batch_size=20)
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
accuracy, mean = BinaryAccuracy(), MeanMetric()
for epoch in range(2):
    bar = tqdm(loader, f"epoch {epoch}", bar_format="{desc} {n}/{total}{postfix}", mininterval=0)
    for inputs, target in bar:
        output = model(inputs)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean.update(loss)
        accuracy.update(output, target)
        bar.set_postfix(loss=f"{mean.compute().item():.4f}")
    print(epoch, accuracy.compute().item(), mean.compute().item())
    accuracy.reset()
