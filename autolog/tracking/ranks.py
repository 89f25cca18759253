"""Finds this process's rank in a distributed job, from the environment that its launcher set and without a collective call."""

from __future__ import annotations

import os

# (rank, world size) under the names of torchrun and Lightning, Open MPI, MPICH and Intel MPI, and Slurm. The size is read
# because ordinary single-process jobs may set the rank, too.
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


def rank() -> int:
    """Return this process's rank, 0 outside a distributed job. Lightning's own launcher sets only LOCAL_RANK and NODE_RANK."""
    environ = os.environ
    for name, size in _LAUNCHERS:
        if name in environ and environ.get(size, "1") != "1":
            return _int(environ[name])
    if "LOCAL_RANK" in environ:
        return _int(environ["LOCAL_RANK"]) + _int(environ.get("NODE_RANK", "0"))
    return 0


def _int(text: str) -> int:
    try:
        return max(0, int(text))  # -1 means: not distributed
    except ValueError:
        return 0
