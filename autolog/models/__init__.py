"""Models saved as folders in the open "MLflow Model" layout, and loaded again, without importing mlflow.

    training thread     snapshot()  ->  Snapshot         the model as bytes, before `fit` returns
    background thread   write()     ->  model folder     MLmodel, requirements, payload
    later, anywhere     load_model()                     the native object, or a Predictor

This package knows nothing of runs, stores or configuration, and imports no framework: what is particular to one is a
flavor, a module found by name when it is needed (see `flavors`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autolog.models.capture import Snapshot, snapshot
    from autolog.models.errors import (
        DamagedModel,
        InputMismatch,
        ModelError,
        ModelNotLoaded,
        ModelNotSaved,
        NoUserKey,
        UntrustedModel,
    )
    from autolog.models.flavors import Flavor
    from autolog.models.folder import write
    from autolog.models.given import ModelInput, look_at
    from autolog.models.load import load as load_model
    from autolog.models.payload import Spool, contains
    from autolog.models.predictor import Predictor
    from autolog.models.signature import ArraySpec
    from autolog.models.signature import infer as infer_signature
    from autolog.models.trust import user_key

__all__ = [
    "ArraySpec",
    "DamagedModel",
    "Flavor",
    "InputMismatch",
    "ModelError",
    "ModelInput",
    "ModelNotLoaded",
    "ModelNotSaved",
    "NoUserKey",
    "Predictor",
    "Snapshot",
    "Spool",
    "UntrustedModel",
    "contains",
    "infer_signature",
    "load_model",
    "look_at",
    "snapshot",
    "user_key",
    "write",
]

# Where each name is kept, and under which name there: most callers need one of them, and none of them at import.
_HOMES = {
    "ArraySpec": "signature",
    "DamagedModel": "errors",
    "Flavor": "flavors",
    "InputMismatch": "errors",
    "ModelError": "errors",
    "ModelInput": "given",
    "ModelNotLoaded": "errors",
    "ModelNotSaved": "errors",
    "NoUserKey": "errors",
    "Predictor": "predictor",
    "Snapshot": "capture",
    "Spool": "payload",
    "UntrustedModel": "errors",
    "contains": "payload",
    "infer_signature": "signature:infer",
    "load_model": "load:load",
    "look_at": "given",
    "snapshot": "capture",
    "user_key": "trust",
    "write": "folder",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = home.partition(":")
    value: object = getattr(import_module(f"{__name__}.{module}"), attribute or name)
    globals()[name] = value
    return value
