"""The names that authors of integrations import; `integrations/README.md` is the tutorial. Users' names are in `autolog`.

    an integration    Integration, Options, Call, Patch, SubclassPatch, FastPatch, Watch, Hook,
                      OnImport
    its runs          Run, current_run, lineage, observe_prediction, observe_score
    its models        Captured, Staging, StagedFile, Source, PickleFlavor, pickled, ModelError, ModelNotSaved, ModelNotLoaded,
                      UntrustedModel
    its callbacks     callback_settings, of_kind, BY_MODE
    its data          ArraySpec, ModelInput, infer_signature, look_at, number_of, plain, weakly
    its own code      IdentityMap, Inside, reraise_if_signal, suppress_warnings

Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autolog.lazily import names

if TYPE_CHECKING:
    from autolog.api import current_run, lineage, observe_prediction, observe_score
    from autolog.instrument.calls import Call
    from autolog.instrument.fast import Watch
    from autolog.instrument.identity import IdentityMap
    from autolog.instrument.inside import Inside
    from autolog.instrument.integration import Integration, Options
    from autolog.instrument.interrupts import reraise_if_signal
    from autolog.instrument.patches import FastPatch, Hook, OnImport, Patch, SubclassPatch
    from autolog.instrument.quiet import suppress_warnings
    from autolog.models import pickled
    from autolog.models.errors import ModelError, ModelNotLoaded, ModelNotSaved, UntrustedModel
    from autolog.models.given import ModelInput, look_at
    from autolog.models.pickled import PickleFlavor
    from autolog.models.signature import ArraySpec, infer_signature
    from autolog.models.source import Source
    from autolog.models.staging import StagedFile, Staging
    from autolog.models.types import Captured
    from autolog.tracking.callbacks import BY_MODE, callback_settings, of_kind
    from autolog.tracking.run import Run
    from autolog.tracking.values import number_of, plain, weakly

__all__ = [
    "BY_MODE",
    "ArraySpec",
    "Call",
    "Captured",
    "FastPatch",
    "Hook",
    "IdentityMap",
    "Inside",
    "Integration",
    "ModelError",
    "ModelInput",
    "ModelNotLoaded",
    "ModelNotSaved",
    "OnImport",
    "Options",
    "Patch",
    "PickleFlavor",
    "Run",
    "Source",
    "StagedFile",
    "Staging",
    "SubclassPatch",
    "UntrustedModel",
    "Watch",
    "callback_settings",
    "current_run",
    "infer_signature",
    "lineage",
    "look_at",
    "number_of",
    "observe_prediction",
    "observe_score",
    "of_kind",
    "pickled",
    "plain",
    "reraise_if_signal",
    "suppress_warnings",
    "weakly",
]  # fmt: skip

__getattr__, __dir__ = names(
    globals(),
    {
        "autolog.api": ("current_run", "lineage", "observe_prediction", "observe_score"),
        "autolog.instrument.calls": ("Call",),
        "autolog.instrument.fast": ("Watch",),
        "autolog.instrument.identity": ("IdentityMap",),
        "autolog.instrument.inside": ("Inside",),
        "autolog.instrument.integration": ("Integration", "Options"),
        "autolog.instrument.interrupts": ("reraise_if_signal",),
        "autolog.instrument.patches": ("FastPatch", "Hook", "OnImport", "Patch", "SubclassPatch"),
        "autolog.instrument.quiet": ("suppress_warnings",),
        "autolog.models.errors": ("ModelError", "ModelNotLoaded", "ModelNotSaved", "UntrustedModel"),
        "autolog.models.types": ("Captured",),
        "autolog.models.given": ("ModelInput", "look_at"),
        "autolog.models.source": ("Source",),
        "autolog.models.staging": ("Staging", "StagedFile"),
        "autolog.models.pickled": ("PickleFlavor", "pickled"),
        "autolog.models.signature": ("ArraySpec", "infer_signature"),
        "autolog.tracking.callbacks": ("BY_MODE", "callback_settings", "of_kind"),
        "autolog.tracking.run": ("Run",),
        "autolog.tracking.values": ("number_of", "plain", "weakly"),
    },
)
