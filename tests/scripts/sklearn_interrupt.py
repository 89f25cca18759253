# needs: sklearn; in CI: none
"""Ctrl-C while a model of the user's own is trained: the process ends by the signal."""

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier

import autolog

autolog.autolog()


class Stops(ClassifierMixin, BaseEstimator):
    left = 3

    def fit(self, X, y):
        self.classes_ = sorted(set(y))
        Stops.left -= 1
        print(Stops.left, "left", flush=True)
        if not Stops.left:
            raise KeyboardInterrupt
        return self


try:
    BaggingClassifier(Stops(), n_estimators=5, random_state=0).fit(*load_iris(return_X_y=True))
finally:
    print("cleaned up")
