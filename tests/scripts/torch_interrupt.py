# needs: torch; in CI: none
"""Ctrl-C in the second epoch: caught once, the second time not."""

import torch

import autolog

autolog.autolog()

torch.manual_seed(0)
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters())


def train(stop):
    for epoch in range(5):
        loss = model(torch.rand(4, 2)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(epoch, loss.item())
        if epoch == stop:
            raise KeyboardInterrupt


try:
    train(2)
except KeyboardInterrupt:
    print("once more")
train(1)
