"""Which of a distributed job's processes this is, from what its launcher put into the environment; no collective call."""

from __future__ import annotations

import os

# (rank, world size) as torchrun and Lightning, Open MPI, MPICH and Intel MPI, and Slurm name them. A size is asked for
# where the rank variable is also set in ordinary single-process jobs.
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


def rank() -> int:
    """This process's rank, 0 outside a distributed job. Lightning's own launcher sets only LOCAL_RANK and NODE_RANK."""
    environ = os.environ
    for name, size in _LAUNCHERS:
        if name in environ and environ.get(size, "1") != "1":
            return _int(environ[name])
    if "LOCAL_RANK" in environ:
        return _int(environ["LOCAL_RANK"]) + _int(environ.get("NODE_RANK", "0"))
    return 0


def _int(text: str) -> int:
    try:
        return max(0, int(text))  # -1 says: not distributed
    except ValueError:
        return 0
