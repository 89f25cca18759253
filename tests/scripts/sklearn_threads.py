# needs: sklearn; in CI: autolog, framework, helpers
"""Threads: a pool's, one that trains on after the main thread has ended, and one that nobody waits for."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

import autolog

autolog.autolog()

X, y = load_iris(return_X_y=True)


def train(smoothing):
    return GaussianNB(var_smoothing=smoothing).fit(X, y).score(X, y)


def train_on():
    threading.main_thread().join()
    print("after the main thread", train(0.5))


def train_and_wait(trained):
    train(0.1)
    trained.set()
    threading.Event().wait()


with ThreadPoolExecutor(3) as pool:
    print(list(pool.map(train, [1e-9, 1e-3, 1.0])))
trained = threading.Event()
threading.Thread(target=train_and_wait, args=(trained,), daemon=True).start()
trained.wait()
threading.Thread(target=train_on).start()
print("the main thread ends")
