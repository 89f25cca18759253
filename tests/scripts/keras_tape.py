# needs: keras, tensorflow; in CI: autolog, framework, helpers
"""A loop with a GradientTape at module level, left by `sys.exit(3)`, with an exit function that evaluates."""

import atexit
import os
import sys

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
import keras
import tensorflow as tf

import autolog

autolog.autolog()

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.1)
rows = tf.reshape(tf.range(24.0) / 24, (12, 2))
atexit.register(lambda: print("at exit", model(rows[:1]).numpy()))


@tf.function
def step(batch):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(batch) - batch[:, :1]))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


for number, batch in enumerate(tf.data.Dataset.from_tensor_slices(rows).batch(4).repeat()):
    print(number, step(batch).numpy())
    if number == 5:
        sys.exit(3)
