# needs: sklearn; in CI: none
"""Warnings of the framework: shown once for each place, recorded, and turned into errors."""

import warnings

from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

import autolog

autolog.autolog()

X, y = load_iris(return_X_y=True)
warnings.simplefilter("default")
for _ in range(3):
    MLPClassifier(max_iter=2, random_state=0).fit(X, y)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    LogisticRegression(max_iter=2).fit(X, y)
print([(one.category.__name__, one.lineno, one.filename.rpartition("/")[2]) for one in caught])
warnings.simplefilter("error", ConvergenceWarning)
try:
    LogisticRegression(max_iter=3).fit(X, y)
except ConvergenceWarning as error:
    print(type(error).__name__, str(error).splitlines()[0])
