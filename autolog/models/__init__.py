"""Models saved as folders in the open "MLflow Model" layout, and loaded again, without importing mlflow.

    training thread     capture.snapshot()     ->  Snapshot        the model as bytes, before `fit` returns
    background thread   folder.write()         ->  model folder    MLmodel, requirements, payload
    later, anywhere     load.load_model()                          the native object, or a Predictor

This package knows nothing of runs, stores or configuration, and imports no framework: what is specific to one is in its flavor,
which is found by name when it is needed (see `flavors`).
"""
