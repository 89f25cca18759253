"""The errors about models, as a tree. Every message is a sentence that says what to do.

ModelError
├── ModelNotSaved     the model cannot be written: unpicklable, too large, a library is missing
├── ModelNotLoaded    the folder cannot be read: no MLmodel, unknown flavor, a module is missing
│   ├── DamagedModel      the payload is not what was saved
│   └── UntrustedModel    loading would run code that nobody vouches for
└── InputMismatch     what was given to predict does not fit the model's signature; a ValueError too

NoUserKey (this user has no key to sign with, and none can be made) is not in the tree: it is from `autolog.userkey`.
"""

from __future__ import annotations

from autolog.tracking.values import clean_lines
from autolog.userkey import NoUserKey as NoUserKey


class ModelError(Exception):
    """Base of all errors about models. A folder may be somebody else's, so the message cannot act on a terminal."""

    def __str__(self) -> str:
        return clean_lines(super().__str__())


class ModelNotSaved(ModelError):
    """A model that cannot be saved; the message is the reason, as one readable sentence."""


class ModelNotLoaded(ModelError):
    """A model folder that cannot be loaded."""


class DamagedModel(ModelNotLoaded):
    """A payload whose checksum differs from the one taken when it was saved."""


class UntrustedModel(ModelNotLoaded):
    """A model whose loading would run code, from a place that this user's key does not vouch for."""


class InputMismatch(ModelError, ValueError):
    """Data that does not fit the signature of the model it was given to."""
