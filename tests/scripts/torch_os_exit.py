# needs: torch; in CI: none
"""The process leaves from within its second loop without Python's ending."""

import os

import torch

import autolog

autolog.autolog()


def train(steps, last):
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(steps):
        loss = model(torch.rand(4, 2)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if number == last:
            print(loss.item(), flush=True)
            os._exit(5)


torch.manual_seed(0)
train(20, None)
train(100, 50)
