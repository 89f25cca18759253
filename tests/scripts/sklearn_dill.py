# needs: sklearn, dill; in CI: as written
"""dill, which holds the main module, pickles a model, functions of the script, and all that is in it."""

import hashlib

import dill
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler

import autolog

autolog.autolog()

X, y = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=500).fit(X, y)


def scaled(rows):
    return MinMaxScaler().fit_transform(rows)


def score(rows, truth):
    return model.score(scaled(rows), truth)


for one in (model, scaled, score):
    pickled = dill.dumps(one, recurse=True)
    print(type(one).__name__, len(pickled), hashlib.sha256(pickled).hexdigest())
copy = dill.loads(dill.dumps(score))
print(score(X, y), copy(X, y))
