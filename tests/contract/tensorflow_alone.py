"""TensorFlow, imported without Keras, which it would import: what fresh processes have beneath, see `autolog.testing.fresh`."""

import contextlib
import sys

sys.modules["keras"] = None  # TensorFlow goes on without it, and looks again when it is asked for `tf.keras`
try:
    import tensorflow  # noqa: F401
finally:
    del sys.modules["keras"]

with contextlib.suppress(ImportError):  # which Keras imports where it is installed
    import sklearn  # noqa: F401
