# needs: keras, tensorflow; in CI: none
"""Models in functions, one of the user's own class with a step of its own; they are gone when their function is over."""

import gc
import os
import weakref

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
import keras
import tensorflow as tf

import autolog

autolog.autolog()


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer = keras.layers.Dense(1)

    def call(self, inputs):
        return self.layer(inputs)


def train(model):
    rows = tf.reshape(tf.range(24.0) / 24, (12, 2))
    data = tf.data.Dataset.from_tensor_slices((rows, rows[:, :1])).batch(4)
    model.compile("sgd", "mse")
    losses = model.fit(data, epochs=2, verbose=0).history["loss"]
    weakref.finalize(model, print, type(model).__name__, "is gone")
    return losses


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    for make in (Own, lambda: keras.Sequential([keras.layers.Dense(1)])):
        print(train(make()))
        gc.collect()
        print("next", tf.random.uniform([1]).numpy())
