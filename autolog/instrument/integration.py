"""What a framework's integration is: a name, what it supports and claims, its options and its patches.

The base class for built-in and third-party integrations alike; `integrations/README.md` teaches it. It must not know what
becomes of the calls it observes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from autolog.instrument.patching import Patch, SubclassPatch


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options every integration has; an integration adds its own in a subclass."""

    log_models: bool = True
    """Save the final model."""
    log_datasets: bool = True
    """Describe the data: kind, shape, columns, a digest of a sample. The data itself is never stored."""
    log_signatures: bool = True
    """Save the model's input and output schema with it."""
    max_model_bytes: int = 2_000_000_000
    """Models larger than this are not saved; the run says so."""


class Integration:
    """One framework's knowledge.

    `name` is what users call it; `supports` the versions it is made for, as a requirement of the module's own version
    (`"scikit-learn>=1.3"`); `tested` the range a recorded run of the matrix showed, if any; `claims` are prefixes of module
    names whose classes are this integration's even where another one's base class matches.
    """

    name: ClassVar[str]
    supports: ClassVar[str]
    tested: ClassVar[str] = ""
    claims: ClassVar[tuple[str, ...]] = ()
    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: Any) -> None:
        self.options = options
        self._module = ""

    def patches(self) -> Iterable[Patch | SubclassPatch]:
        """The patches to install; called once the framework has been imported."""
        raise NotImplementedError

    def awake_as(self, module: str) -> None:
        """The framework has been imported under this name."""
        self._module = module

    def version(self) -> str:
        """The imported framework's version. A distribution may have several names; its module has one version."""
        return str(getattr(sys.modules.get(self._module), "__version__", ""))
