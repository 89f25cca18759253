# needs: keras, tensorflow; in CI: helpers, autolog, framework; masked: times
"""Keras on TensorFlow with its bar on standard output, all at module level. The times of the bar are masked; how
often it is drawn within an epoch depends on them too, so that each epoch is one batch."""

import os

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
import keras
import numpy as np

import autolog

autolog.autolog()


class Losses(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print("epoch", epoch, logs["loss"])

    def __del__(self):
        print("the callback is gone")


keras.utils.set_random_seed(0)
X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
callbacks = [Losses(), keras.callbacks.EarlyStopping("loss", patience=1)]
history = model.fit(X, X[:, 0], batch_size=64, epochs=3, validation_split=0.25, callbacks=callbacks)
print(history.history, model.evaluate(X, X[:, 0], verbose=0, return_dict=True))
