"""Describes models, optimizers and arguments without making them compute anything."""

from __future__ import annotations

import math
import sys
from inspect import signature
from typing import Any

from autolog.integration import ModelInput, Run, suppress_warnings
from autolog_keras import data

_DATA = ("x", "y", "validation_data", "sample_weight", "callbacks")
BATCH_SIZE = 32
"""Keras's default for arrays."""


def model_of(callback: Any) -> Any:
    """Return the model of a callback or of a list of callbacks. The public property would make JAX move all variables."""
    held = vars(callback)
    return held.get("_model", held.get("model"))  # Keras 3; Keras 2


def package_of(one: Any) -> str:
    """Return the package of an object: `keras` or `tf_keras`."""
    tops = (cls.__module__.partition(".")[0] for cls in type(one).__mro__)
    return next((top for top in tops if top in ("keras", "tf_keras")), "keras")


def backend_of(one: Any) -> str:
    return str(sys.modules[package_of(one)].backend.backend())


def is_keras_2(one: Any) -> bool:
    package = package_of(one)
    return package == "tf_keras" or str(sys.modules[package].__version__).startswith("2.")


def variables_of(model: Any) -> set[int]:
    """Return the ids of a model's variables."""
    return {id(one) for one in model.weights} if getattr(model, "built", False) else set()


# -- params


def fit_params(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `fit` without data and callbacks. Sample weights become the text "given"."""
    params = {name: value for name, value in arguments.items() if name not in _DATA and value is not None}
    if params.get("batch_size") is None and is_array(arguments.get("x")):
        params["batch_size"] = BATCH_SIZE
    if arguments.get("sample_weight") is not None:
        params["sample_weight"] = "given"
    return params


def is_array(x: Any) -> bool:
    """Return whether Keras itself splits the data into batches: an array, a frame, or several."""
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple)):
        return bool(x)
    return hasattr(x, "shape")


def compiled_params(model: Any) -> dict[str, Any]:
    """Return the arguments of `compile`, the backend and the distribution."""
    config = getattr(getattr(model, "_compile_config", None), "config", None) or {}
    params: dict[str, Any] = {
        "loss": named(config.get("loss", getattr(model, "loss", None))),
        "loss_weights": config.get("loss_weights"),
        "metrics": named(config.get("metrics")),
        "weighted_metrics": named(config.get("weighted_metrics")),
        **{
            name: plain_number(getattr(model, name, None))
            for name in ("run_eagerly", "jit_compile", "steps_per_execution")
        },
        "backend": backend_of(model),
        "dtype_policy": getattr(getattr(model, "dtype_policy", None), "name", None),
        **distribution(model),
    }
    for name, optimizer in optimizers_of(model).items():
        said = optimizer_params(optimizer)
        params |= {one.replace("optimizer", name, 1): value for one, value in said.items()}
    return {name: value for name, value in params.items() if value is not None}


def optimizers_of(model: Any) -> dict[str, Any]:
    """Return a model's optimizers: the compiled one, and those in its attributes by name, as a GAN has them. If the model's own
    `compile` takes them, Keras also creates a default optimizer that trains nothing. That one is left out.
    """
    compiled = getattr(model, "optimizer", None)
    own = {
        name: one for name, one in vars(model).items()
        if one is not compiled and not name.startswith("_") and _is_optimizer(one)
    }  # fmt: skip
    made_by_default = type(compiled).__name__ == "RMSprop" and not _is_keras_own(type(model).compile)
    if own and (compiled is None or made_by_default):
        return own
    return {"optimizer": compiled, **own}


def _is_keras_own(function: Any) -> bool:
    return str(function.__module__).partition(".")[0] in ("keras", "tf_keras")


def _is_optimizer(one: Any) -> bool:
    names = {cls.__name__ for cls in type(one).__mro__}
    return not names.isdisjoint(("BaseOptimizer", "_BaseOptimizer", "OptimizerV2"))


def applied_params(optimizer: Any, models: list[Any]) -> dict[str, Any]:
    """Return the params of an optimizer that the user applies directly, and of the models that it trains."""
    model = models[0] if models else None
    params = {
        "backend": backend_of(optimizer),
        "dtype_policy": getattr(getattr(model, "dtype_policy", None), "name", None),
        **({} if model is None else distribution(model)),
        **optimizer_params(optimizer),
    }
    return {name: value for name, value in params.items() if value is not None}


def distribution(model: Any) -> dict[str, Any]:
    """Return the model's TensorFlow strategy, or Keras's distribution; {} without one."""
    held = vars(model)
    strategy = held.get("_distribute_strategy", held.get("_distribution_strategy"))  # Keras 3; Keras 2
    if strategy is not None:
        return {"distribution_strategy": type(strategy).__name__, "replicas": strategy.num_replicas_in_sync}
    spread = getattr(sys.modules.get("keras"), "distribution", None)
    current = spread.distribution() if hasattr(spread, "distribution") else None
    if current is None:
        return {}
    return {
        "distribution_strategy": type(current).__name__,
        "replicas": math.prod(current.device_mesh.shape),
    }


def plain_number(value: Any) -> Any:
    """Return a plain number. Keras 2 holds some settings in variables."""
    return value.numpy() if hasattr(value, "numpy") else value


def named(value: Any) -> Any:
    """Return losses and metrics by the user's names: texts, names of functions, names of objects."""
    if isinstance(value, dict):
        return {name: named(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [named(one) for one in value]
    if value is None or isinstance(value, str):
        return value
    return getattr(value, "__name__", None) or getattr(value, "name", None) or type(value).__name__


def optimizer_params(optimizer: Any) -> dict[str, Any]:
    """Return an optimizer's class and settings. A schedule gives its class as `optimizer_learning_rate`, and its settings as
    `optimizer_learning_rate.<setting>`. Reads attributes, because `get_config` makes Keras import TensorFlow.
    """
    if optimizer is None:
        return {}
    inner = getattr(optimizer, "inner_optimizer", None)
    params: dict[str, Any] = {"optimizer": type(optimizer if inner is None else inner).__name__}
    if inner is not None:
        params["optimizer_wrapper"] = type(optimizer).__name__
        optimizer = inner
    schedule = vars(optimizer).get("_learning_rate")
    if hasattr(schedule, "get_config"):
        params["optimizer_learning_rate"] = type(schedule).__name__
        params |= {f"optimizer_learning_rate.{name}": one for name, one in _settings(vars(schedule)).items()}
    else:
        rates = learning_rates(optimizer)
        params |= {f"optimizer_{name}": rate for name, rate in rates.items()}
    names = {name for cls in type(optimizer).__mro__[:-1] for name in signature(cls.__init__).parameters}
    known = {name: getattr(optimizer, name, None) for name in sorted(names - {"learning_rate"})}
    return params | {f"optimizer_{name}": value for name, value in _settings(known).items()}


def _settings(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that are plain values, without the name."""
    return {
        name: value
        for name, value in values.items()
        if type(value) in (bool, int, float, str) and not name.startswith("_") and name != "name"
    }


def shortest(value: Any) -> Any:
    """Return the shortest number that a 32-bit variable holds: 0.001 for 0.0010000000474974513."""
    if type(value) is not float:
        return value
    single = sys.modules["numpy"].float32(value)
    return float(str(single)) if float(single) == value else value


def training_params(callbacks: Any) -> dict[str, Any]:
    """Return the steps per epoch that Keras computed, and the classes of the user's callbacks."""
    steps = (callbacks.params or {}).get("steps")
    params: dict[str, Any] = {} if steps is None else {"steps_per_epoch": steps}
    given = [
        type(one).__name__
        for one in callbacks.callbacks
        if type(one).__name__ not in ("History", "ProgbarLogger")
    ]
    return {**params, "callbacks": given} if given else params


def size_params(model: Any) -> dict[str, Any]:
    """Return the numbers of layers and parameters."""
    layers = getattr(model, "layers", None)  # a layer that trains is no model and has none
    return {
        **({} if layers is None else {"model.layers": len(layers)}),
        "model.parameters": _count(model.weights),
        "model.trainable_parameters": _count(model.trainable_weights),
    }


def bytes_of(model: Any) -> int:
    """Return the approximate size of a model's weights in bytes."""
    return 4 * _count(model.weights) if getattr(model, "built", False) else 0


def _count(weights: Any) -> int:
    return sum(math.prod(one.shape) for one in weights)


# -- metrics


def learning_rates_of(model: Any) -> dict[str, float]:
    """Return `learning_rate`, and `learning_rate_<attribute>` for each optimizer in the model's attributes."""
    found: dict[str, float] = {}
    for name, optimizer in optimizers_of(model).items():
        end = "" if name == "optimizer" else f"_{name}"
        found |= {f"{rate}{end}": value for rate, value in learning_rates(optimizer).items()}
    return found


def learning_rates(optimizer: Any) -> dict[str, float]:
    """Return `learning_rate`, or `learning_rate_<name>` for each part of a combined optimizer."""
    if optimizer is None:
        return {}
    with suppress_warnings():
        return _learning_rates(optimizer)


def _learning_rates(optimizer: Any) -> dict[str, float]:
    several = getattr(optimizer, "optimizers", None)
    if isinstance(several, (list, tuple)):
        return {f"learning_rate_{one.name}": number(one.learning_rate) for one in several}
    rate = getattr(optimizer, "learning_rate", None)
    return {} if rate is None else {"learning_rate": number(rate)}


def number(value: Any) -> float:
    if hasattr(value, "numpy") and not hasattr(
        value, "detach"
    ):  # a variable, but not a torch tensor, which may be on a device
        value = value.numpy()
    return shortest(float(value))


def flat(logs: Any) -> dict[str, Any]:
    """Return logs with those of nested metrics in one mapping."""
    found: dict[str, Any] = {}
    for name, value in (logs or {}).items():
        found |= flat(value) if isinstance(value, dict) else {name: value}
    return found


# -- files


def save(run: Run, model: Any, path: str, seen: ModelInput) -> None:
    """Save the model with `seen`, its input before the training."""
    flavor = "tensorflow" if is_keras_2(model) else "keras"
    run.save_model(model, flavor, path=path, data=seen, output=data.output_of(model))


def log_summary(run: Run, model: Any) -> None:
    """Log the table of layers as Keras prints it, by Keras's own method even if the user overrides it."""
    if not getattr(model, "built", False):
        return
    base = next(cls for cls in type(model).__mro__ if cls.__name__ == "Model" and "summary" in vars(cls))
    lines: list[str] = []
    with suppress_warnings():
        base.summary(model, line_length=100, print_fn=lambda text, **_: lines.append(text))
    run.log_text("model_summary.txt", "\n".join(lines) + "\n")
