# needs: sklearn; in CI: none
"""The process leaves without Python's ending: no exit function is called."""

import atexit
import os
import sys

from sklearn.datasets import load_iris
from sklearn.svm import SVC

import autolog

autolog.autolog()

atexit.register(print, "never")
model = SVC().fit(*load_iris(return_X_y=True))
print(model.n_support_.tolist())
sys.stdout.flush()
os._exit(5)
