# needs: sklearn; in CI: as written
"""Each model dies at the end of its function: autolog holds none of them a moment longer."""

import weakref

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

import autolog

autolog.autolog()


def train(model, X, y):
    model.fit(X, y)
    weakref.finalize(model, print, type(model).__name__, "is gone")
    return float(model.score(X, y))


def main():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4))
    y = X @ [1.0, 2.0, 3.0, 4.0]
    for model in (Ridge(), RandomForestRegressor(n_estimators=5, random_state=0)):
        print(type(model).__name__, train(model, X, y))
        del model
        print("next", rng.random())


if __name__ == "__main__":
    main()
