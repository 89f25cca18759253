# needs: sklearn; in CI: as written
"""Exit functions that train: one registered before `autolog()`, which is called after autolog's own, and one after it."""

import atexit

from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier


def last(neighbours):
    model = KNeighborsClassifier(neighbours).fit(*load_iris(return_X_y=True))
    print(neighbours, model.score(*load_iris(return_X_y=True)))


def fails():
    last(2)
    raise ValueError("in an exit function")


atexit.register(last, 1)

import autolog  # noqa: E402

autolog.autolog()

atexit.register(last, 3)
atexit.register(fails)
last(5)
