# needs: sklearn, tqdm; in CI: as written
"""A bar on standard error around a loop of trainings."""

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

import autolog

autolog.autolog()

X, y = load_iris(return_X_y=True)
bar = tqdm([0.01, 0.1, 1.0, 10.0], bar_format="{percentage:.0f} %{postfix}", mininterval=0)
for C in bar:
    model = LogisticRegression(C=C, max_iter=500).fit(X, y)
    bar.set_postfix(score=model.score(X, y))
print("done")
