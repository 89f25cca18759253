"""The promise: several processes of one job are one run, without a collective call of ours; and how a script's process ends is
how its run does.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

sys.path.insert(0, str(Path(__file__).parents[2]))

from helpers import environment, script, write_script

from autolog.store.records import Store
from autolog.testing import fresh

BENEATH = ("torch._dynamo",)
"""What processes find imported that no launcher of PyTorch's starts."""

DISTRIBUTED = """
import os, sys
import torch, torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
torch.set_num_threads(1)
if "on" in sys.argv:
    import autolog
    autolog.autolog(silent=True)
    calls = []
    for name in ("all_reduce", "all_gather", "broadcast", "barrier", "all_gather_object", "gather"):
        setattr(dist, name, lambda *a, name=name, **k: calls.append(name))
dist.init_process_group("gloo", init_method=os.environ.get("TEST_JOB"))
torch.manual_seed(dist.get_rank())
model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = torch.utils.data.TensorDataset(torch.randn(32, 4), torch.zeros(32).long())
sampler = torch.utils.data.DistributedSampler(data)
loader = torch.utils.data.DataLoader(data, batch_size=4, sampler=sampler)
means = []
for epoch in range(2):
    sampler.set_epoch(epoch)
    losses = []
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    means.append(sum(losses) / len(losses))
if "on" in sys.argv:
    assert calls == [], calls
if dist.get_rank() == 0:
    print([means, model.module[0].weight.detach().flatten().tolist()])
dist.destroy_process_group()
"""


def test_two_processes_of_a_job_are_one_run(tmp_path: Path) -> None:
    """By torchrun: same weights, no collective of ours, the first process's metrics, the model without its wrapper.

    Slow: the launcher and its two processes each import torch anew.
    """
    path = str(write_script(DISTRIBUTED, tmp_path))
    plain = _trained_by_two(path, tmp_path)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        path,
        "on",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=280,
        env=environment(tmp_path, OMP_NUM_THREADS="1", AUTOLOG_STRICT="1"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = ast.literal_eval(done.stdout.splitlines()[-1])
    assert said == plain
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.kind, run.estimator) == (
        "finished", "train", "torch.nn.modules.container.Sequential",
    )  # fmt: skip
    assert run.params == {
        "world_size": 2, "backend": "gloo", "model": "Sequential", "model.wrappers": ["DistributedDataParallel"],
        "model.parameters": 30, "model.trainable_parameters": 30, "model.dtype": "float32", "model.device": "cpu",
        "data.dataset": "TensorDataset", "data.size": 32, "data.batch_size": 4, "data.sampler": "DistributedSampler",
        "data.workers": 0, "data.drop_last": False, "data.pin_memory": False,
        "optimizer": "SGD", "optimizer.lr": 0.1, "optimizer.momentum": 0, "optimizer.dampening": 0,
        "optimizer.weight_decay": 0, "optimizer.nesterov": False, "optimizer.maximize": False,
        "optimizer.differentiable": False,
    }  # fmt: skip
    points = {name: [(point.step, point.epoch) for point in run.history(name)] for name in run.metrics}
    ends = [(3, 0), (7, 1)]
    assert points == {
        "train/loss": ends, "train/loss_step": [(step, step // 4) for step in range(8)], "lr": [(0, 0), *ends],
        "samples_per_second": ends, "data_wait": ends,
    }  # fmt: skip
    assert [point.value for point in run.history("train/loss")] == pytest.approx(said[0])
    assert [one["context"] for one in run.datasets] == ["train"]
    assert (run.models[0]["path"], run.notes) == (
        "model",
        ["The metrics are those of the first of 2 processes."],
    )


def _trained_by_two(path: str, folder: Path) -> Any:
    """What the first of two processes says without autolog. They are forked: which launcher starts them changes no number."""
    jobs = [f"file://{folder}/job?rank={rank}&world_size=2" for rank in range(2)]
    ranks = [
        fresh.start(
            "", file=path, folder=str(folder), beneath=BENEATH, environment=environment(folder, TEST_JOB=job)
        )
        for job in jobs
    ]
    (printed, said), (_, other) = [rank.communicate(280) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said + other
    return ast.literal_eval(printed.splitlines()[-1])


SHARDED = """
import os, sys
import autolog
autolog.autolog(silent=True)
import torch, torch.distributed as dist
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=os.environ["TEST_JOB"])
class Net(torch.nn.Sequential):
    pass
model = Net(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2), torch.nn.Linear(2, 2))
model[3].requires_grad_(False)
if sys.argv[1] == "FSDP2":
    from torch.distributed.fsdp import fully_shard
    mesh = torch.distributed.init_device_mesh("cpu", (dist.get_world_size(),))
    fully_shard(model[0], mesh=mesh)
    fully_shard(model, mesh=mesh)
else:
    from torch.distributed.fsdp import FullyShardedDataParallel
    frozen = {} if "of the originals" in sys.argv[1] else {"ignored_modules": [model[3]]}
    model = FullyShardedDataParallel(
        model, device_id=torch.device("cpu"), use_orig_params="of the originals" in sys.argv[1], **frozen
    )
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(torch.ones(8, 4)), torch.zeros(8).long())
    loss.backward()
    optimizer.step()
dist.destroy_process_group()
"""


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("kind", ["FSDP1", "FSDP1 of the originals", "FSDP2"])
def test_of_a_sharded_model_nothing_is_saved(tmp_path: Path, kind: str, world_size: int) -> None:
    """What one process holds is no model. The run says so, and has all the rest: the script's class, the size of the whole. It
    is one run, though no launcher says which process is the first.
    """
    import torch.distributed.fsdp

    if kind == "FSDP2" and Version(torch.__version__) < Version("2.7"):
        pytest.skip("FSDP2 is public since torch 2.6, which cannot do it on a CPU")
    path = str(write_script(SHARDED, tmp_path))
    ranks = [
        fresh.start(
            "", kind, file=path, folder=str(tmp_path), beneath=BENEATH,
            environment=environment(
                tmp_path, AUTOLOG_STRICT="1", TEST_JOB=f"file://{tmp_path}/job?rank={rank}&world_size={world_size}"
            ),
        )
        for rank in range(world_size)
    ]  # fmt: skip
    for rank in ranks:
        _, said = rank.communicate(280)
        assert rank.returncode == 0, said
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.models, run.metrics["train/loss_step"]["count"]) == ("finished", [], 3)
    wrapper = "FSDPModule" if kind == "FSDP2" else "FullyShardedDataParallel"
    assert run.estimator == "__main__.Net"
    not_saved = (
        f"The model was not saved: its parameters are sharded ({wrapper}), and each process may hold a part of them. The "
        "checkpoints that the script writes are recorded."
    )
    others = ["The metrics are those of the first of 2 processes."]
    assert run.notes == [*others[: world_size - 1], not_saved]
    assert {name: value for name, value in run.params.items() if name.startswith("model")} == {
        "model": "Net",
        "model.parameters": 36,
        "model.trainable_parameters": 30,
        "model.dtype": "float32",
        "model.device": "cpu",
        "model.wrappers": [wrapper],
    }


ENDS = {"nothing": ("pass", "finished"), "an exception": ("raise KeyError('mine')", "failed")}


@pytest.mark.parametrize("end", ENDS)
def test_a_script_that_ends_has_its_run_and_its_model(tmp_path: Path, end: str) -> None:
    """At exit, with the last epoch and a class of the script's own; autolog is on before torch is imported."""
    what, status = ENDS[end]
    code = f"""
        import autolog
        autolog.autolog(silent=True)
        import sys
        assert "torch" not in sys.modules
        import torch
        torch.set_num_threads(1)
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(2, 1)
            def forward(self, x):
                return self.layer(x)
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for epoch in range(2):
            for (x,) in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 2)), batch_size=4):
                optimizer.zero_grad()
                model(x).pow(2).sum().backward()
                optimizer.step()
        {what}
    """
    done = script(code, tmp_path, timeout=200, AUTOLOG_STRICT="1")
    assert done.returncode == (status == "failed"), done.stderr
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.estimator, run.metrics["train/loss"]["count"]) == (status, "__main__.Net", 2)
    assert [model["path"] for model in run.models] == ["model"]


HANDED_OVER = """
    import sys
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    class Own(Dataset):
        def __len__(self):
            return 16
        def __getitem__(self, index):
            # A loader's worker is no place to train in; what it computes there is its own.
            layer = nn.Linear(2, 1)
            optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
            layer(torch.ones(2)).sum().backward()
            optimizer.step()
            return torch.full((2,), index / 16), torch.tensor([index / 8])

    def train(rank, lr=0.1):
        torch.manual_seed(0)
        torch.set_num_threads(1)
        model = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        for x, y in DataLoader(Own(), batch_size=4, num_workers=1, multiprocessing_context="fork"):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
        print(rank, round(float(model.weight.sum()), 6), flush=True)

    if __name__ == "__main__":
        if "on" in sys.argv:
            import autolog
            autolog.autolog(silent=True)
            with autolog.run("sweep"):
                torch.multiprocessing.spawn(train, nprocs=2, join=True)
                train(2)
        else:
            torch.multiprocessing.spawn(train, nprocs=2, join=True)
            train(2)
"""


def test_processes_that_the_script_spawns_record_and_the_loaders_do_not(tmp_path: Path) -> None:
    """`torch.multiprocessing.spawn` runs the user's function; a DataLoader's workers are its own."""
    plain = script(HANDED_OVER, tmp_path, beneath=BENEATH, timeout=120)
    done = script(HANDED_OVER, tmp_path, "on", beneath=BENEATH, timeout=120)
    assert (sorted(done.stdout.split("\n")), done.stderr, done.returncode) == (
        sorted(plain.stdout.split("\n")), plain.stderr, 0,
    )  # fmt: skip
    [sweep] = Store(tmp_path / ".autolog").runs()
    assert [(run.params["optimizer.lr"], run.status) for run in sweep.children] == [(0.1, "finished")] * 2
    assert (sweep.name, sweep.params["optimizer.lr"]) == ("sweep", 0.1)
