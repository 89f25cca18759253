# needs: torch; in CI: none
"""Loops in processes, forked and spawned, beside one in the main process that has begun before."""

import torch
from torch import multiprocessing

import autolog

autolog.autolog()


def train(seed):
    torch.manual_seed(seed)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        loss = model(torch.rand(4, 2)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def train_and_say(number, queue):
    queue.put((number, train(number)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(train(0))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(train, [1, 2]))
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    multiprocessing.spawn(train_and_say, (queue,), nprocs=1)
    print(queue.get(), train(0))
