# needs: sklearn; in CI: as written
"""A program that waits for all other threads, as tutorials show it, and tells how many there are."""

import threading

from sklearn.datasets import load_iris
from sklearn.linear_model import Perceptron

import autolog

autolog.autolog()

results = {}


def train(alpha):
    results[alpha] = Perceptron(alpha=alpha, random_state=0).fit(*load_iris(return_X_y=True)).coef_.sum()


train(0.1)
for alpha in (0.2, 0.3):
    threading.Thread(target=train, args=(alpha,)).start()
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
print(sorted(results.items()), threading.active_count(), [thread.name for thread in threading.enumerate()])
