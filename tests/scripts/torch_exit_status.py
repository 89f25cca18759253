# needs: torch; in CI: python -m
"""`sys.exit(3)` from within an epoch, with a generator left open and an exit function of the user's that evaluates."""

import atexit
import sys

import torch

import autolog

autolog.autolog()

torch.manual_seed(0)
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


@atexit.register
def evaluate():
    with torch.no_grad():
        print("at exit", model.eval()(torch.ones(1, 2)).item())


def steps():
    try:
        while True:
            yield model(torch.rand(4, 2)).square().mean()
    finally:
        print("closed")


for number, loss in enumerate(steps()):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(number, loss.item())
    if number == 3:
        sys.exit(3)
