# needs: sklearn; in CI: autolog, framework
"""A wrong call that nobody catches: the same traceback, but for autolog's own frames."""

from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression

import autolog

autolog.autolog()

X, y = load_iris(return_X_y=True)
model = LinearRegression().fit(X, y)
print(model.coef_.round(6).tolist())


def refit(rows):
    return LinearRegression().fit(X[:rows], y)


refit(10)
print("never")
