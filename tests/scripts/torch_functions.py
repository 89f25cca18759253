# needs: torch; in CI: none
"""Two models, one after the other, in functions: each is gone, with its optimizer, when its function is over."""

import weakref

import torch
from torch import nn

import autolog

autolog.autolog()


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, x):
        return self.layers(x)


def train(width):
    model = Net(width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    weakref.finalize(model, print, "model", width, "is gone")
    weakref.finalize(optimizer, print, "optimizer", width, "is gone")
    X = torch.rand(32, 2)
    for _ in range(20):
        loss = nn.functional.mse_loss(model(X), X.prod(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


if __name__ == "__main__":
    torch.manual_seed(0)
    for width in (2, 5):
        print(width, train(width))
        print("random", torch.rand(1).item())
