# needs: keras, torch; in CI: none
"""Keras on PyTorch: a fit, then a loop of `train_on_batch`, which Ctrl-C ends."""

import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np

import autolog

autolog.autolog()

keras.utils.set_random_seed(0)
X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
model.compile("adam", "mse")
print(model.fit(X, X[:, 0], epochs=2, verbose=2 if X.size == 0 else 0).history)
for number in range(10):
    print(number, float(model.train_on_batch(X[:8], X[:8, 0])))
    if number == 3:
        raise KeyboardInterrupt
