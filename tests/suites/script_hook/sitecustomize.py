"""Imported by Python before a script of scripts.py: switches on what SCRIPT_WITH names, seeds the random streams, and writes
at exit where they stand and what the models in the script's own names hold. Only in the first process; children run plain.
"""

import atexit
import contextlib
import hashlib
import importlib
import json
import os
import random
import sys
from collections.abc import Callable
from typing import Any

WITH, SEED, REPORT = (os.environ.pop(f"SCRIPT_{name}", "") for name in ("WITH", "SEED", "REPORT"))

# How what a fitted model holds is told, by the module and the class that it is of. A search also keeps times.
CONTENT: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("torch.nn", "Module", lambda m: [(k, t.detach().cpu().numpy().tobytes()) for k, t in m.state_dict().items()]),
    ("keras", "Model", lambda m: [weight.tobytes() for weight in m.get_weights()]),
    ("xgboost", "Booster", lambda m: bytes(m.save_raw("ubj"))),
    ("lightgbm", "Booster", lambda m: m.model_to_string()),
    ("sklearn.base", "BaseEstimator", lambda m: _joblib_hash(getattr(m, "best_estimator_", m))),
]  # fmt: skip


def _joblib_hash(model: Any) -> Any:
    return importlib.import_module("joblib").hash(model)


def digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def models() -> dict[str, str]:
    """A digest of each fitted model that the script's names hold at its end."""
    found: dict[str, str] = {}
    for name, value in sorted(vars(sys.modules["__main__"]).items()):
        for module, kind, content in CONTENT:
            with contextlib.suppress(Exception):
                if module in sys.modules and isinstance(value, getattr(sys.modules[module], kind)):
                    found[name] = digest(content(value))
                    break
    return found


def streams() -> dict[str, str]:
    """Where each global random stream stands."""
    found = {"random": digest(random.getstate())}
    if numpy := sys.modules.get("numpy"):
        name, keys, *rest = numpy.random.get_state()
        found["numpy"] = digest((name, keys.tobytes(), rest))
    if torch := sys.modules.get("torch"):
        found["torch"] = digest(torch.get_rng_state().numpy().tobytes())
    return found


def report() -> None:
    with open(REPORT, "w") as file:
        json.dump({"streams": streams(), "models": models()}, file)


def seed() -> None:
    """Many scripts do not seed what they draw from."""
    random.seed(0)
    for name in SEED.split():
        module = importlib.import_module(name)
        {
            "numpy": lambda m: m.random.seed(0),
            "torch": lambda m: m.manual_seed(0),
            "keras": lambda m: m.utils.set_random_seed(0),
        }[name](module)


if REPORT:
    atexit.register(report)
    if WITH == "autolog":
        importlib.import_module("autolog").autolog(silent=True)
    elif WITH == "mlflow":
        importlib.import_module("mlflow").autolog(silent=True)
    seed()
