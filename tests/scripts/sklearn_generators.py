# needs: sklearn; in CI: none; masked: order
"""Generators that are left open, one of them within a training, and a coroutine that is never awaited."""

import asyncio

import numpy as np
from sklearn.linear_model import SGDClassifier

import autolog

autolog.autolog()


def batches(name):
    rng = np.random.default_rng(1)
    try:
        while True:
            X = rng.normal(size=(20, 2))
            yield X, (X[:, 0] > 0).astype(int)
    finally:
        print(name, "is closed")


def partial_fits(model):
    with open("log.txt", "w") as log:
        for X, y in batches("inner"):
            yield model.partial_fit(X, y, classes=[0, 1]).coef_.round(4).tolist()
            print("went on", file=log)


async def train():
    await asyncio.sleep(0)
    X, y = next(batches("in a coroutine"))
    return SGDClassifier(random_state=0).fit(X, y).score(X, y)


fits = partial_fits(SGDClassifier(random_state=0))
print([next(fits) for _ in range(3)])
left_open = batches("left open")
print(next(left_open)[0].sum(), asyncio.run(train()))
never_awaited = train()
