"""The promise: of a distributed job, one process makes the run, found out without asking the others."""

from __future__ import annotations

import os

import pytest

from autolog.tracking.ranks import rank

# As the launchers set them, from their documentation.
TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1"}
LIGHTNING = {"LOCAL_RANK": "1", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
SLURM = {"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "7"}
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
INTEL_MPI = {"PMI_RANK": "1", "PMI_SIZE": "2"}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in {**TORCHRUN, **LIGHTNING, **SLURM, **OPEN_MPI, **INTEL_MPI}:
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, 0),
        (TORCHRUN, 3),
        ({**TORCHRUN, "RANK": "0", "LOCAL_RANK": "0"}, 0),
        (LIGHTNING, 1),
        ({**LIGHTNING, "LOCAL_RANK": "0"}, 0),
        ({**LIGHTNING, "LOCAL_RANK": "0", "NODE_RANK": "1"}, 1),
        (SLURM, 2),
        ({**SLURM, "SLURM_PROCID": "0"}, 0),
        (OPEN_MPI, 1),
        (INTEL_MPI, 1),
        ({**SLURM, **TORCHRUN, "RANK": "0", "LOCAL_RANK": "0"}, 0),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, 0),
    ],
)
def test_the_rank_of_each_launcher_is_found(
    environ: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun inside Slurm counts as torchrun: it is what started this process."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert rank() == expected


@pytest.mark.parametrize(
    "environ",
    [
        {"RANK": "5"},
        {"RANK": "5", "WORLD_SIZE": "1"},
        {"RANK": "captain", "WORLD_SIZE": "4"},
        {"RANK": "", "WORLD_SIZE": "4"},
        {"LOCAL_RANK": "x"},
        {"RANK": "-1", "WORLD_SIZE": "4"},
        {"LOCAL_RANK": "-1"},
        {"SLURM_PROCID": "1"},
        {"SLURM_PROCID": "3", "SLURM_NTASKS": "1"},
        {"OMPI_COMM_WORLD_RANK": "1"},
    ],
)
def test_an_ordinary_process_is_not_taken_for_a_rank(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of that name, without a size or without sense, must not switch recording off."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert rank() == 0
