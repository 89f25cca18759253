"""Describes the data of a training. It never makes a Dataset read or bin its data before LightGBM does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from autolog.integration import IdentityMap, Inside, ModelInput, Options, Run, look_at

MAX_NAMES = 200

# Arguments of `fit` with values per row or per validation set. They are recorded as "given".
_ROWS = (
    "sample_weight", "init_score", "group", "eval_sample_weight", "eval_init_score", "eval_group", "eval_class_weight",
)  # fmt: skip
_DATA = ("X", "y", "eval_set", "eval_X", "eval_y", "callbacks")


def raw(dataset: Any) -> Any:
    """Return the table that a Dataset was made from; None for a file, a Sequence or a list of parts, or if it is released."""
    held = getattr(dataset, "data", None)
    return held if hasattr(type(held), "shape") else None


class Datasets:
    """Inputs of Datasets, inspected before LightGBM bins and releases their tables."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._seen: IdentityMap[ModelInput] = IdentityMap()
        self.of_another = Inside()
        """Active while LightGBM makes Datasets of data that is already inspected."""

    def is_read(self, dataset: Any, *_: Any, **__: Any) -> None:
        """Inspect a Dataset that LightGBM is about to bin."""
        if not self.of_another and vars(dataset).get("_handle") is None and raw(dataset) is not None:
            self.seen(dataset)

    def seen(self, dataset: Any) -> ModelInput:
        """Return the input of a model that is trained on this Dataset."""
        known = self._seen.get(dataset)
        if known is None:
            known = self._look(dataset)
            self._seen.set(dataset, known)
        return known

    def _look(self, dataset: Any) -> ModelInput:
        options, table = self.options, raw(dataset)
        if table is not None:
            return look_at(table, options)
        unsigned = "the Dataset holds no table" if options.log_signatures else ""
        unexampled = "the Dataset holds no table" if options.log_input_examples else ""
        if getattr(dataset, "used_indices", None) is None:
            return ModelInput(unsigned=unsigned, unexampled=unexampled)
        whole = self.seen(dataset.reference)  # this Dataset holds some of its rows
        return whole._replace(example=None, unexampled=unexampled)


Waiting = list[tuple[Any, str, dict[str, Any]]]


def log_sets(run: Run, arguments: dict[str, Any]) -> Waiting:
    """Describe the Datasets with tables. Return the others: they can be described once LightGBM has read them."""
    waiting: Waiting = []
    for context, name, dataset in _sets(arguments):
        known = {"name": name} if name else {}
        table = raw(dataset)
        if table is not None:
            run.log_dataset(table, dataset.label, context=context, known=known)
            continue
        held = getattr(dataset, "data", None)
        if isinstance(held, (str, PurePath)):
            known["file"] = str(held)
        waiting.append((dataset, context, known))
    return waiting


def log_read(run: Run, waiting: Waiting) -> None:
    """Describe Datasets that LightGBM has read: rows, columns, names."""
    for dataset, context, known in waiting:
        columns = dataset.num_feature()
        names = {"names": dataset.get_feature_name()} if columns <= MAX_NAMES else {}
        known = {**known, "rows": dataset.num_data(), "columns": columns, **names}
        run.log_dataset(dataset, context=context, known=known)


def _sets(arguments: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield context, name and Dataset of each set, with LightGBM's names."""
    train_set, valid_sets, names = (
        arguments.get(name) for name in ("train_set", "valid_sets", "valid_names")
    )
    yield "train", "", train_set
    if valid_sets is not None:
        names = [names] if isinstance(names, str) else names or ()
        for i, dataset in enumerate(valid_sets if isinstance(valid_sets, (list, tuple)) else [valid_sets]):
            if dataset is not train_set:
                yield "validation", names[i] if i < len(names) else f"valid_{i}", dataset


def log_fit(run: Run, arguments: dict[str, Any]) -> None:
    """Describe the data given to `fit` of the scikit-learn API."""
    X, y = arguments.get("X"), arguments.get("y")
    run.log_dataset(X, y)
    names = arguments.get("eval_names") or ()
    for i, (one, target) in enumerate(_eval_sets(arguments)):
        if one is not X:
            known = {"name": names[i] if i < len(names) else f"valid_{i}"}
            run.log_dataset(one, target, context="validation", known=known)


def _eval_sets(arguments: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Return the validation sets, given as `eval_set` (one or a list) or as `eval_X` and `eval_y` (one or a tuple of each)."""
    given = arguments.get("eval_set")
    if given is None:
        X, y = arguments.get("eval_X"), arguments.get("eval_y")
        if X is None or y is None:
            return []
        given = list(zip(X, y, strict=False)) if isinstance(X, tuple) else [(X, y)]
    return [given] if isinstance(given, tuple) else given


def fit_params(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of `fit` other than the data as `fit.<name>`."""
    return {
        f"fit.{name}": "given" if name in _ROWS else value
        for name, value in arguments.items()
        if name not in _DATA and value is not None
    }


def train_params(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of `train` or `cv` other than the data. The content of `params` keeps its own names."""
    no_params = ("params", "train_set", "valid_sets", "valid_names", "callbacks", "folds")
    rest = {name: value for name, value in arguments.items() if name not in no_params}
    return {**rest, **(arguments.get("params") or {})}
