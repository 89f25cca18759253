# needs: torch; in CI: none
"""A batch of the wrong shape, in the middle of an epoch: nobody catches it."""

import torch
from torch.utils.data import DataLoader

import autolog

autolog.autolog()


def batches():
    try:
        yield from DataLoader(torch.rand(12, 3, generator=torch.Generator().manual_seed(0)), batch_size=4)
        yield torch.rand(4, 5)
    finally:
        print("the batches are closed")


def main():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    for batch in batches():
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())


main()
