# needs: keras, tensorflow; in CI: none
"""A callback of the user's fails, and a generator of batches is left open; Keras shortens the traceback by itself."""

import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
import keras
import numpy as np

import autolog

autolog.autolog()


class Fails(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        print("epoch", epoch)
        if epoch == 1:
            raise LookupError("in the second epoch")


def batches():
    rng = np.random.default_rng(0)
    while True:
        X = rng.normal(size=(8, 2)).astype("float32")
        yield X, X[:, :1]


keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
data = batches()
model.fit(data, steps_per_epoch=2, epochs=3, verbose=0, callbacks=[Fails()])
