"""The promises, kept for PyTorch's raw loops: no call is around them, so some are put differently."""

from __future__ import annotations

import copy
import io
import pickle
import pickletools
import re
from importlib.util import find_spec
from typing import Any

import pytest

import autolog
from autolog.testing import Contract, recorded
from autolog.testing.contract import _loads_without_autolog, _raised_by, _told

if find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)


class TestTorch(Contract):
    """Slow: each order of import and switch starts a process that imports torch anew, which takes seconds."""

    integration = "torch"
    packages = ("torch",)
    # What torch imports itself, some of it with the first training.
    beneath = ("numpy", "sympy", "tqdm", "torchgen.model", "asyncio", "unittest.mock")
    changing = ("torch.utils.hooks:RemovableHandle.next_id",)

    def data(self) -> Any:
        import torch

        generator = torch.Generator().manual_seed(0)
        x = torch.randn(24, 4, generator=generator)
        return x, (x.sum(1) > 0).long()

    def train(self, data: Any) -> Any:
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        torch.manual_seed(7)
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.1), torch.nn.Linear(3, 2))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(2):
            for x, y in DataLoader(TensorDataset(*data), batch_size=8, shuffle=True):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
        torch.save(model.state_dict(), io.BytesIO())  # for which torch loads modules of its own
        return model

    def outcome(self, model: Any, data: Any) -> Any:
        import torch

        return {
            name: tensor.numpy() for name, tensor in model.state_dict().items()
        }, torch.get_rng_state().numpy()

    def fail(self, data: Any) -> None:
        self.train((data[0], data[1] + 5 * (data[0][:, 0] > 1)))

    def comparable(self, pickled: bytes) -> bytes:
        # torch names a storage by where it is, in a number of more or fewer digits.
        said = [
            repr(value) for operation, value, _ in pickletools.genops(pickled) if operation.name != "FRAME"
        ]
        return re.sub(r"X\\(x0.|r)\\x00\\x00\\x00\d{12,}", "address", "\n".join(said)).encode()

    def test_what_is_around_a_model_pickles_without_us(self) -> None:
        """Transparent: nothing of ours is in an optimizer, its schedule, a criterion, a loader, or a file of torch.save."""
        import torch

        def pickled() -> list[bytes]:
            model = self.train(self.data())
            optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
            model(self.data()[0]).sum().backward()
            optimizer.step()
            file = io.BytesIO()
            torch.save(model, file)
            loader = torch.utils.data.DataLoader(self.data()[0], batch_size=4)
            things = [
                optimizer,
                schedule.state_dict(),
                torch.nn.CrossEntropyLoss(),
                loader,
                copy.deepcopy(loader),
            ]
            return [*map(pickle.dumps, things), file.getvalue()]

        plain = pickled()
        with recorded(self.integration):
            blobs = pickled()
        assert [len(blob) for blob in blobs] == [len(blob) for blob in plain]
        assert not [blob for blob in blobs if b"autolog" in blob]
        assert _loads_without_autolog(blobs[:-1], self.beneath)

    # -- put differently

    def test_an_exception_passes_through_as_it_was(self) -> None:
        """An exception that leaves a loop may be caught further out, and the loop go on: only the block around it, or the end
        of the process, says that its run has failed.
        """
        plain = _raised_by(self.fail, self.data())

        def fail(data: Any) -> None:
            with autolog.run():
                self.fail(data)

        with recorded(self.integration) as seen:
            error = _raised_by(fail, self.data())
        assert _told(error) == _told(plain)
        assert [run.status for run in seen.runs] == ["failed"]
        assert str(seen.runs[0].error).startswith(type(plain).__name__)

    def test_an_observer_that_fails_before_the_call_is_harmless(self) -> None:
        """A hook is off once it has failed, so that there may be no run of this training or of the next to say so."""
        _, said, failed = self._sabotaged("before")
        assert len(said) == len(failed) == 1

    def test_an_observer_that_fails_after_the_call_is_harmless(self) -> None:
        """As above."""
        _, said, failed = self._sabotaged("after")
        assert len(said) == len(failed) == 1

    def test_logging_that_fails_everywhere_is_harmless(self) -> None:
        """As above: the first training's run says so, and of the second there may be none."""
        from autolog.tracking.run import Run

        kept = {name: held for name, held in vars(Run).items() if name.startswith(("log_", "save_"))}

        def fail(*_args: Any, **_kwargs: Any) -> None:
            raise RuntimeError("logging")

        try:
            for name in kept:
                setattr(Run, name, fail)
            runs, said, _ = self._sabotaged("nowhere")
        finally:
            for name, method in kept.items():
                setattr(Run, name, method)
        assert [run.status for run in runs] == ["finished"] * len(runs)
        assert any(run.errors for run in runs)
        assert len(said) == len(set(said)) > 0
