# needs: sklearn; in CI: none
"""Trainings in processes: a pool's by fork, a pool's by spawn that is never closed, and joblib's."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from joblib import Parallel, delayed
from sklearn.datasets import load_iris
from sklearn.linear_model import RidgeClassifier

import autolog

autolog.autolog()


def train(alpha):
    X, y = load_iris(return_X_y=True)
    return RidgeClassifier(alpha=alpha).fit(X, y).score(X, y)


if __name__ == "__main__":
    print(train(1.0))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        print(list(pool.map(train, [0.1, 1.0])))
    print(Parallel(n_jobs=2)(delayed(train)(alpha) for alpha in (0.1, 1.0)))
    left_open = multiprocessing.get_context("spawn").Pool(1)
    print(left_open.map(train, [10.0]))
    left_open.close()
