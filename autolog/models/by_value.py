"""Has cloudpickle write the classes and functions of the user's script with their code, in each of its processes."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_SPAWNED = "__mp_main__"
"""What Python calls the script's module in a process that the script has spawned."""


@contextmanager
def script_by_value(cloudpickle: Any) -> Generator[None]:
    """Without this, cloudpickle writes them by name in a spawned process, and they load nowhere else."""
    module = sys.modules.get(_SPAWNED)
    if module is None or _SPAWNED in cloudpickle.list_registry_pickle_by_value():
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)
