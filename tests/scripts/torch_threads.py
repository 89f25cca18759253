# needs: torch; in CI: none
"""A loop in a thread that goes on after the main thread has ended, and one in a thread that nobody waits for and that waits."""

import threading

import torch

import autolog

autolog.autolog()

torch.set_num_threads(1)


def train(seed, steps, started, ends=True):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(steps):
        X = torch.rand(8, 2, generator=generator)
        loss = (X @ weight - X[:, 0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    started.set()
    while not ends:
        threading.Event().wait()
    return loss.item()


def train_on(started):
    train(1, 5, started)
    threading.main_thread().join()
    print("after the main thread", train(1, 50, started))


in_progress = threading.Event()
threading.Thread(target=train, args=(2, 5, in_progress, False), daemon=True).start()
in_progress.wait()
threading.Thread(target=train_on, args=(in_progress,)).start()
print(train(3, 20, threading.Event()))
