"""What is measured after a fit goes to the run of the model that made the prediction.

Models and predictions are known by identity and held weakly. A prediction is also known through its views, as
`probabilities[:, 1]` is one of `probabilities`.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from autolog import Call, Run, current_run
from autolog.instrument.identity import IdentityMap
from autolog_sklearn.about import last_step

CURVE_POINTS = 200
MAX_CLASSES = 100


class After:
    def __init__(self) -> None:
        self._models: IdentityMap[Run] = IdentityMap()
        self._predictions: IdentityMap[tuple[Run, str]] = IdentityMap()

    def remember_model(self, estimator: Any, run: Run, X: Any) -> None:
        self._models.set(estimator, run)
        learnt = last_step(estimator)
        if learnt is not estimator:
            self._models.set(learnt, run)
        best = getattr(estimator, "__dict__", {}).get("best_estimator_")
        if best is not None:
            self._models.set(best, run)
        labels = getattr(learnt, "__dict__", {}).get("labels_")
        if labels is not None:
            self.remember_prediction(labels, run, "")

    def remember_prediction(self, prediction: Any, run: Run, name: str) -> None:
        if getattr(prediction, "shape", None):
            self._predictions.set(prediction, (run, name))

    def observe_prediction(self, call: Call) -> Generator[None, Any, None]:
        run = self._models.get(call.instance)
        if run is None:
            return
        name = _name_of_first_argument()
        result = yield
        self.remember_prediction(result, run, name)

    def observe_score(self, call: Call) -> Generator[None, Any, None]:
        run = self._models.get(call.instance)
        if run is None:
            return
        name = _name_of_first_argument()
        result = yield
        run.log_metrics({_key("score", name): result})

    def observe_metric(self, call: Call) -> Generator[None, Any, None]:
        result = yield
        run, name = self._find((*call.args, *call.kwargs.values()))
        if run is None:
            # Inside an explicit run, what the user measures belongs to it.
            run = current_run()
        if run is None:
            return
        if isinstance(result, tuple) or getattr(result, "ndim", 0) == 2:
            data = _curve(call.name, result)
            if data is not None:
                run.log_json(f"{_key(call.name, name)}.json", data)
        else:
            run.log_metrics({_key(call.name, name): result})

    def _find(self, values: tuple[Any, ...]) -> tuple[Run | None, str]:
        for value in values:
            for _ in range(4):
                found = self._predictions.get(value)
                if found is not None:
                    return found
                value = getattr(value, "base", None)
                if value is None:
                    break
        return None, ""


def _key(metric: str, data: str) -> str:
    """`accuracy_score_X_test`, as MLflow names it: the metric and the name of the data that was predicted."""
    return f"{metric}_{data}" if data else metric


def _curve(function: str, result: Any) -> dict[str, Any] | None:
    if function == "confusion_matrix":
        return {"matrix": result.tolist()} if len(result) <= MAX_CLASSES else None
    if not isinstance(result, tuple) or len(result) != 3:
        return None
    first, second, thresholds = (_thinned(values) for values in result)
    names = ("fpr", "tpr") if function == "roc_curve" else ("precision", "recall")
    return {names[0]: first, names[1]: second, "thresholds": thresholds}


def _thinned(values: Any) -> list[Any]:
    from autolog.tracking.values import number_of

    step = max(1, -(-len(values) // CURVE_POINTS))
    return [number_of(float(value)) for value in values[::step]]


def _name_of_first_argument() -> str:
    """The variable that the user passed first: `X_test` of `model.predict(X_test)`. Read from the code of the call, because
    reading a frame's variables would keep them alive.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("autolog"):
        frame = frame.f_back
    return _first_argument(frame.f_code, frame.f_lasti) if frame is not None else ""


@lru_cache(maxsize=4096)
def _first_argument(code: CodeType, lasti: int) -> str:
    import dis

    before: list[dis.Instruction] = []
    call: dis.Instruction | None = None
    for instruction in dis.get_instructions(code):
        if instruction.offset == lasti:
            call = instruction
            break
        if instruction.opname not in ("PRECALL", "CACHE", "EXTENDED_ARG", "NOP"):
            before.append(instruction)
    if call is None or call.opname not in ("CALL", "CALL_METHOD", "CALL_FUNCTION") or not call.arg:
        return ""
    names: list[str] = []
    for instruction in reversed(before):
        if not instruction.opname.startswith("LOAD_") or instruction.opname == "LOAD_CONST":
            return ""
        value = instruction.argval
        names[:0] = [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
        if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            return ""
        if len(names) >= call.arg:
            name = names[len(names) - call.arg]
            return name if name.isidentifier() else ""
    return ""
