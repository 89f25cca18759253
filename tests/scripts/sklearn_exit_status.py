# needs: sklearn; in CI: none
"""A script that says by its exit status that a model is not good enough."""

import sys

from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import autolog

autolog.autolog()


def main():
    model = DecisionTreeClassifier(max_depth=1).fit(*load_iris(return_X_y=True))
    score = model.score(*load_iris(return_X_y=True))
    print("score", score)
    return 3 if score < 0.9 else 0


if __name__ == "__main__":
    sys.exit(main())
