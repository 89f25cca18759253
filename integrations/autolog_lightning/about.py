"""Describes a Trainer, a module and its data without making them compute anything."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from math import isfinite
from typing import Any

from autolog.integration import Run

_PLAIN = (bool, int, float, str)


def module_of(model: Any) -> Any:
    """Return the LightningModule, also of a compiled module."""
    return getattr(model, "__dict__", {}).get("_modules", {}).get("_orig_mod", model)


def without_compiler(module: Any) -> Any:
    """Return the module; for a compiled one, a shallow copy without the compiler's functions, which cannot be pickled."""
    compiled = vars(module).get("_compiler_ctx")
    if compiled is None:
        return module
    from copy import copy

    plain = copy(module)
    for name in compiled:
        vars(plain).pop(name.removeprefix("original_"), None)
    vars(plain)["_compiler_ctx"] = None
    return plain


def cause(error: BaseException | None, trainer: Any) -> BaseException | None:
    """Return the error that ended a call. Lightning turns Ctrl-C into `sys.exit(1)`; before 2.5, it swallows it."""
    if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
        return error.__context__
    if error is None and trainer.state.status == "interrupted":
        return KeyboardInterrupt()
    return error


# -- params


def data_module_of(arguments: dict[str, Any]) -> Any:
    """Return the data module that was given as `datamodule` or as loaders, or None."""
    given = (arguments.get(name) for name in ("datamodule", "train_dataloaders", "dataloaders"))
    return next((one for one in given if hasattr(one, "prepare_data")), None)


def hparams_of(module: Any) -> dict[str, Any]:
    """Return what `save_hyperparameters` saved. The property `hparams` would create them if there are none."""
    return dict(getattr(module, "__dict__", {}).get("_hparams") or {})


def settings_of(trainer: Any) -> dict[str, Any]:
    """Return the settings of a Trainer that was created before autolog was switched on. They include defaults."""
    values = {name: getattr(trainer, name, None) for name in signature(type(trainer).__init__).parameters}
    return {f"trainer.{name}": value for name, value in values.items() if type(value) in _PLAIN}


def setup_of(trainer: Any) -> dict[str, Any]:
    """Return the params that are known once the Trainer has set up everything."""
    weights = [
        one for one in trainer.lightning_module.parameters() if "Uninitialized" not in type(one).__name__
    ]
    loader = next(loaders(trainer.train_dataloader), None)
    params = {
        "accelerator": trainer.accelerator,
        "strategy": trainer.strategy,
        "devices": trainer.num_devices,
        "num_nodes": trainer.num_nodes,
        "world_size": trainer.world_size,
        "precision": trainer.precision,
        "model.parameters": sum(one.numel() for one in weights),
        "model.trainable_parameters": sum(one.numel() for one in weights if one.requires_grad),
        "data.batch_size": getattr(loader, "batch_size", None),
        "data.batches": batches if isfinite(batches := trainer.num_training_batches) else None,
    }
    # Without an optimizer, Lightning uses one that has no parameters.
    optimizers = [one for one in trainer.optimizers if one.param_groups]
    for number, optimizer in enumerate(optimizers, 1):
        params |= _optimizer_params("optimizer" if number == 1 else f"optimizer{number}", optimizer)
    for number, config in enumerate(trainer.lr_scheduler_configs, 1):
        prefix = "scheduler" if number == 1 else f"scheduler{number}"
        params[prefix] = type(config.scheduler).__name__
        params |= {f"{prefix}.{name}": getattr(config, name) for name in ("interval", "frequency", "monitor")}
        settings = {name: value for name, value in vars(config.scheduler).items() if name not in _PROGRESS}
        params |= {f"{prefix}.{name}": value for name, value in settings.items() if type(value) in _PLAIN}
    return {name: value for name, value in params.items() if value is not None and "._" not in name}


_PROGRESS = ("last_epoch", "num_bad_epochs", "cooldown_counter", "best", "T_cur", "verbose")


def _optimizer_params(prefix: str, optimizer: Any) -> dict[str, Any]:
    """Return an optimizer's class, the first group's settings, and how the other groups differ. Tensors, such as some learning
    rates, are left out: reading them may wait for a device.
    """
    first, *others = [
        {name: value for name, value in group.items() if type(value) in (*_PLAIN, tuple)}
        for group in optimizer.param_groups
    ]
    params = {prefix: type(optimizer).__name__} | {f"{prefix}.{name}": value for name, value in first.items()}
    for number, group in enumerate(others, 1):
        params |= {
            f"{prefix}.group{number}.{name}": value
            for name, value in group.items()
            if first.get(name) != value
        }
    return params


def learning_rates(trainer: Any) -> dict[str, float]:
    """Return learning rates with the names of Lightning's LearningRateMonitor: `lr-Adam`, `lr-Adam-1` for a second optimizer,
    `lr-Adam/pg2` for a group.
    """
    rates: dict[str, float] = {}
    kinds: dict[str, int] = {}
    for optimizer in trainer.optimizers:
        kind = type(optimizer).__name__
        number = kinds[kind] = kinds.get(kind, -1) + 1
        name = f"lr-{kind}-{number}" if number else f"lr-{kind}"
        groups = optimizer.param_groups
        for place, group in enumerate(groups, 1):
            rates[f"{name}/pg{place}" if len(groups) > 1 else name] = group["lr"]
    return {name: float(rate) for name, rate in rates.items()}


def last_metrics(trainer: Any) -> dict[str, Any]:
    """Return the values of `callback_metrics` without computing anything."""
    return dict(trainer._logger_connector._callback_metrics)


# -- data


def loaders(given: Any) -> Iterator[Any]:
    """Yield the loaders in an argument: one, a list, a dict."""
    if given is None:
        return
    if isinstance(given, (list, tuple)):
        for one in given:
            yield from loaders(one)
    elif isinstance(given, dict):
        yield from loaders(list(given.values()))
    else:
        yield given


def evaluated(trainer: Any) -> Any:
    """Return the loaders of `validate` or `test`."""
    return trainer.test_dataloaders if trainer.state.fn == "test" else trainer.val_dataloaders


def first_data(given: Any) -> Any:
    """Return the data set of the first loader."""
    return next((getattr(loader, "dataset", loader) for loader in loaders(given)), None)


def log_data(run: Run, given: Any, context: str) -> None:
    """Describe the data set of the first loader, by its tensors if it holds them."""
    data = first_data(given)
    tensors = getattr(data, "tensors", ())
    if isinstance(tensors, tuple) and tensors:
        run.log_dataset(*tensors[:2], context=context)
    elif data is not None:
        run.log_dataset(data, context=context)


def evaluates_within_epochs(trainer: Any) -> bool:
    """Return whether validation runs at other times than the ends of epochs."""
    every = trainer.val_check_batch
    return trainer.check_val_every_n_epoch is None or every is None or every < trainer.num_training_batches
