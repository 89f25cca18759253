"""Describes an estimator without calling its methods, which may be the user's and change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

Held = dict[Any, Any]


def held(stage: Any, extra: Mapping[Any, Any] = {}) -> Held:
    """Return the values of its params by name: defaults, those that are set, those of a param map. Return {} if the user's
    class does not call the base's constructor.
    """
    if not is_stage(stage):
        return {}
    maps = (stage._defaultParamMap, stage._paramMap)
    values = {param.name: value for one in maps for param, value in one.items()}
    for param, value in extra.items():
        if getattr(param, "parent", None) == stage.uid:
            values[param.name] = value
    return values


def is_stage(value: Any) -> bool:
    return hasattr(value, "_paramMap") and hasattr(value, "_defaultParamMap") and hasattr(value, "uid")


def parts(value: Any) -> list[Any]:
    """Return the stages in a param's value: one, or a list of them."""
    if type(value) in (list, tuple):
        return [one for one in value if is_stage(one)]
    return [value] if is_stage(value) else []


def all_stages(stage: Any) -> Iterator[Any]:
    """Yield the stage and all stages that it holds, depth first, each once."""
    seen: set[int] = set()
    waiting = [stage]
    while waiting:
        one = waiting.pop(0)
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting[:0] = [part for value in held(one).values() for part in parts(value)]


def names_of(stage: Any) -> dict[str, str]:
    """Return a name for each stage by its uid: its class, with a number if several stages have it."""
    stages = list(all_stages(stage))
    several = Counter(type(one).__name__ for one in stages)
    count: Counter[str] = Counter()
    names: dict[str, str] = {}
    for one in stages:
        name = type(one).__name__
        count[name] += 1
        names[getattr(one, "uid", "")] = name if several[name] == 1 else f"{name}_{count[name]}"
    return names


def params_of(estimator: Any, extra: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the params of an estimator and of all its parts, with those of a param map."""
    names = names_of(estimator)
    params: dict[str, Any] = {}
    for stage in all_stages(estimator):
        prefix = "" if stage is estimator else f"{names[stage.uid]}."
        for name, value in held(stage, extra).items():
            if name == "estimatorParamMaps":
                continue  # the candidates are child runs
            if is_stage(value):
                value = names[value.uid]
            elif inside := parts(value):
                value = [names[one.uid] for one in inside]
            params[prefix + name] = value
    return params


def is_search(estimator: Any) -> bool:
    """Return whether it tries param maps, as a CrossValidator and a TrainValidationSplit do."""
    return hasattr(type(estimator), "estimatorParamMaps")


def trains_others(estimator: Any) -> bool:
    """Return whether it fits copies of another estimator, as searches and OneVsRest do."""
    return is_search(estimator) or any(
        hasattr(value, "fit") and is_stage(value) for value in held(estimator).values()
    )


def trains(estimator: Any) -> bool:
    """Return whether fitting this is a training. Preparing features is not. A pipeline's fit is if that of a stage is."""
    stages = held(estimator).get("stages")
    if stages is not None:
        return any(trains(stage) for stage in parts(stages) if hasattr(stage, "fit"))
    cls = type(estimator)
    if any(base.__module__.startswith("pyspark.ml.feature") for base in cls.__mro__):
        return False
    return hasattr(cls, "predictionCol") or not (hasattr(cls, "outputCol") or hasattr(cls, "outputCols"))
