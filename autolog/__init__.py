"""autolog records every training of a Python script: parameters, metrics, data, code, environment, the final model.

    import autolog
    autolog.autolog()

Everything public is here. Names are loaded when they are first used, so that importing autolog costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from autolog.api import (
        autolog,
        current_run,
        disable,
        enable,
        flush,
        last_run,
        load_model,
        observe_prediction,
        observe_score,
        provenance,
        run,
        runs,
        status,
        suspended,
    )
    from autolog.instrument.calls import Call
    from autolog.instrument.identity import IdentityMap
    from autolog.instrument.inside import Inside
    from autolog.instrument.integration import Integration, Options
    from autolog.instrument.interrupts import let_through
    from autolog.instrument.patching import FastPatch, Hook, OnImport, Patch, SubclassPatch
    from autolog.instrument.quiet import quiet
    from autolog.models import (
        ArraySpec,
        ModelError,
        ModelInput,
        ModelNotSaved,
        UntrustedModel,
        infer_signature,
        look_at,
    )
    from autolog.store.query import FilterError
    from autolog.store.records import Point, RunRecord, Runs, UnknownRun
    from autolog.tracking.run import Run
    from autolog.tracking.values import number_of, plain, weakly

_HOME = {
    **dict.fromkeys(("autolog", "current_run", "disable", "enable", "flush", "last_run"), "autolog.api"),
    **dict.fromkeys(("load_model", "run", "runs", "status", "suspended"), "autolog.api"),
    **dict.fromkeys(("observe_prediction", "observe_score", "provenance"), "autolog.api"),
    "Call": "autolog.instrument.calls",
    "IdentityMap": "autolog.instrument.identity",
    **dict.fromkeys(("Integration", "Options"), "autolog.instrument.integration"),
    "Inside": "autolog.instrument.inside",
    "let_through": "autolog.instrument.interrupts",
    **dict.fromkeys(("FastPatch", "Hook", "OnImport", "Patch", "SubclassPatch"), "autolog.instrument.patching"),
    "quiet": "autolog.instrument.quiet",
    **dict.fromkeys(("ModelError", "ModelNotSaved", "UntrustedModel"), "autolog.models"),
    **dict.fromkeys(("ArraySpec", "ModelInput", "infer_signature", "look_at"), "autolog.models"),
    "FilterError": "autolog.store.query",
    **dict.fromkeys(("Point", "RunRecord", "Runs", "UnknownRun"), "autolog.store.records"),
    "Run": "autolog.tracking.run",
    **dict.fromkeys(("number_of", "plain", "weakly"), "autolog.tracking.values"),
}  # fmt: skip

__all__ = [
    "ArraySpec", "Call", "FastPatch", "FilterError", "Hook", "IdentityMap", "Inside", "Integration", "ModelError",
    "ModelInput", "ModelNotSaved", "OnImport", "Options", "Patch", "Point", "Run", "RunRecord", "Runs", "SubclassPatch",
    "UnknownRun", "UntrustedModel", "autolog", "current_run", "disable", "enable", "flush", "infer_signature", "last_run",
    "let_through", "load_model", "look_at", "number_of", "observe_prediction", "observe_score", "plain", "provenance",
    "quiet", "run", "runs", "status", "suspended", "weakly",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'autolog' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
