# needs: sklearn; in CI: framework, helpers, autolog; masked: order
"""Objects of the user's that train and measure while Python takes everything apart."""

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Ridge

import autolog

autolog.autolog()


class Model:
    def __init__(self, estimator):
        self.estimator = estimator

    def __del__(self):
        try:
            self.estimator.fit([[0.0], [1.0]], [0, 1])
            said = "fitted again"
        except Exception as error:
            said = type(error).__name__
        print(type(self.estimator).__name__, said)


class Stub(Ridge):
    """Needs nothing of any module."""

    def fit(self, X, y):
        self.fitted_ = True
        return self


X = np.arange(20.0).reshape(-1, 1)
dummy = Model(DummyClassifier().fit(X, X[:, 0] > 9))
stub = Model(Stub().fit(X, X[:, 0]))
ring = [Model(Stub())]
ring.append(ring)
