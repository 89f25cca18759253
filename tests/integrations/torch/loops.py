"""Loops as people write them, on small data. Each returns the numbers that it computed itself, by any name.

They import torch at their top and know nothing of autolog, but for one that says which run it is.
"""

from __future__ import annotations

import copy
import math
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

Numbers = dict[str, Any]


def unseen(value: Any) -> float:
    """A number for the test. It is read in a way that nobody watches, so that only what the loop itself reads is recorded."""
    return torch._C.TensorBase.item(value)


class Net(nn.Module):
    def __init__(self, hidden: int = 8, classes: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(4, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.second = nn.Linear(hidden, classes)

    def forward(self, x: Any) -> Any:
        return self.second(torch.relu(self.norm(self.first(x))))


def data(rows: int = 48, seed: int = 0) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator)
    return TensorDataset(x, (x.sum(1) > 0).long())


def xy(rows: int = 32, seed: int = 0) -> Any:
    return data(rows, seed).tensors


def epochs_over_a_loader() -> Numbers:
    model = Net()
    loader = DataLoader(data(), batch_size=16, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    means = []
    for _ in range(3):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        means.append(total / len(loader))
    return {"mean loss": means}


def training_and_validation() -> Numbers:
    model, numbers = Net(), {"train": [], "validation": [], "accuracy": []}
    train, validation = DataLoader(data(), batch_size=16), DataLoader(data(20, 1), batch_size=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    criterion = nn.CrossEntropyLoss()
    for _ in range(3):
        model.train()
        running = 0.0
        for x, y in train:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            running += loss.item()
        model.eval()
        total, correct = 0.0, 0
        with torch.no_grad():
            for x, y in validation:
                out = model(x)
                total += float(criterion(out, y)) * len(x)
                correct += (out.argmax(1) == y).sum().item()
        scheduler.step()
        numbers["train"].append(running / len(train))
        numbers["validation"].append(total / 20)
        numbers["accuracy"].append(correct / 20)
    return numbers


def mnist_example() -> Numbers:
    """As pytorch/examples/mnist: functional losses, summed and divided afterwards."""
    model, numbers = Net(), {"test_loss": [], "accuracy": [], "losses": []}
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    train_loader, test_loader = DataLoader(data(), batch_size=16), DataLoader(data(20, 1), batch_size=8)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)

    def train() -> None:
        model.train()
        for batch, (x, target) in enumerate(train_loader):
            optimizer.zero_grad()
            output = F.log_softmax(model(x), dim=1)
            loss = F.nll_loss(output, target)
            loss.backward()
            optimizer.step()
            if batch % 2 == 0:
                numbers["losses"].append(loss.item())

    def test() -> None:
        model.eval()
        test_loss = 0
        correct = 0
        with torch.no_grad():
            for x, target in test_loader:
                output = F.log_softmax(model(x), dim=1)
                test_loss += F.nll_loss(output, target, reduction="sum").item()
                pred = output.argmax(dim=1, keepdim=True)
                correct += pred.eq(target.view_as(pred)).sum().item()
        numbers["test_loss"].append(test_loss / len(test_loader.dataset))
        numbers["accuracy"].append(correct / len(test_loader.dataset))

    for _ in range(3):
        train()
        test()
        scheduler.step()
    return numbers


def gan() -> Numbers:
    """As pytorch/examples/dcgan: two optimizers, three losses, and what the discriminator thinks."""
    netG, netD = nn.Sequential(nn.Linear(2, 4)), nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    criterion = nn.BCELoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=0.002)
    optimizerG = torch.optim.Adam(netG.parameters(), lr=0.001)
    loader = DataLoader(TensorDataset(xy(32)[0]), batch_size=8)
    numbers: Numbers = {"errD_real": [], "errD_fake": [], "errG": [], "D_x": []}
    for _ in range(2):
        for (real,) in loader:
            netD.zero_grad()
            output = netD(real).view(-1)
            errD_real = criterion(output, torch.ones(8))
            errD_real.backward()
            D_x = output.mean().item()
            fake = netG(torch.randn(8, 2))
            errD_fake = criterion(netD(fake.detach()).view(-1), torch.zeros(8))
            errD_fake.backward()
            optimizerD.step()
            netG.zero_grad()
            errG = criterion(netD(fake).view(-1), torch.ones(8))
            errG.backward()
            optimizerG.step()
            for name, value in (("errD_real", errD_real), ("errD_fake", errD_fake), ("errG", errG)):
                numbers[name].append(unseen(value))
            numbers["D_x"].append(D_x)
    numbers["D_x"] = [sum(numbers["D_x"][:4]) / 4, sum(numbers["D_x"][4:]) / 4]
    return numbers


def accumulation_with_amp() -> Numbers:
    """Four batches a step, bfloat16, a schedule by step, a validation."""
    model, numbers = Net(), {"mean": [], "validation": []}
    loader, validation = DataLoader(data(64), batch_size=4), DataLoader(data(20, 1), batch_size=10)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=12)
    criterion = nn.CrossEntropyLoss()
    accumulate = 4
    for _ in range(3):
        model.train()
        losses = []
        for number, (x, y) in enumerate(loader):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = criterion(model(x), y)
            losses.append(unseen(loss))
            loss = loss / accumulate
            loss.backward()
            if (number + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
                scheduler.step()
        numbers["mean"].append(sum(losses) / len(losses))
        model.eval()
        total = 0.0
        with torch.no_grad():
            for x, y in validation:
                total += criterion(model(x), y).item()
        numbers["validation"].append(total / len(validation))
    return numbers


def grad_scaler() -> Numbers:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu")
    losses = []
    for x, y in DataLoader(data(), batch_size=8):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(unseen(loss))
    return {"losses": losses, "mean": sum(losses) / len(losses)}


def lbfgs() -> Numbers:
    """As pytorch/examples/time_sequence_prediction: the closure is evaluated many times a step."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = xy(16)[0].double()
    target, criterion = x.sum(1, keepdim=True), nn.MSELoss()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.8, max_iter=12)
    numbers: Numbers = {"first": [], "test": []}
    for _ in range(6):
        first: list[float] = []

        def closure(first: list[float] = first) -> Any:
            optimizer.zero_grad()
            loss = criterion(model(x), target)
            first.append(unseen(loss))
            loss.backward()
            return loss

        optimizer.step(closure)
        numbers["first"].append(first[0])
        with torch.no_grad():
            loss = criterion(model(x[:8]), target[:8])
            numbers["test"].append(loss.item())
    return numbers


def batches_by_hand() -> Numbers:
    """No DataLoader; an evaluation after each pass."""
    model, numbers = Net(), {"validation": [], "mean": []}
    x, y = xy(40)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    for _ in range(3):
        model.train()
        losses = []
        for start in range(0, 32, 8):
            optimizer.zero_grad()
            loss = criterion(model(x[start : start + 8]), y[start : start + 8])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        numbers["mean"].append(sum(losses) / len(losses))
        model.eval()
        with torch.no_grad():
            numbers["validation"].append(float(criterion(model(x[32:]), y[32:])))
    return numbers


def updates_by_hand() -> Numbers:
    """As pytorch/examples/word_language_model with plain SGD: no optimizer at all."""
    model, losses = nn.Sequential(Net(), nn.LogSoftmax(1)), []
    x, y = xy(32)
    for _ in range(20):
        model.zero_grad()
        loss = F.nll_loss(model(x), y)
        loss.backward()
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-0.1)
        losses.append(unseen(loss))
    return {"losses": losses}


def regression_example() -> Numbers:
    """As pytorch/examples/regression: one layer, no optimizer, no loader."""
    layer, losses = nn.Linear(4, 1), []
    for _ in range(30):
        x = torch.randn(16, 4)
        layer.zero_grad()
        output = F.smooth_l1_loss(layer(x), x.sum(1, keepdim=True))
        losses.append(output.item())
        output.backward()
        for param in layer.parameters():
            param.data.add_(-0.1 * param.grad)
    return {"losses": losses}


def reinforce() -> Numbers:
    """As pytorch/examples/reinforcement_learning, with a made-up environment."""
    policy, losses = nn.Sequential(nn.Linear(4, 2), nn.Softmax(-1)), []
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    for _ in range(12):
        logs, rewards = [], []
        for _ in range(5):
            distribution = torch.distributions.Categorical(policy(torch.randn(4)))
            action = distribution.sample()
            logs.append(distribution.log_prob(action))
            rewards.append(float(action.item() == 1))
        returns = torch.tensor(rewards) - 0.5
        optimizer.zero_grad()
        policy_loss = torch.stack([-log * r for log, r in zip(logs, returns, strict=True)]).sum()
        policy_loss.backward()
        optimizer.step()
        losses.append(unseen(policy_loss))
    return {"losses": losses}


def actor_and_critic() -> Numbers:
    actor, critic = nn.Linear(4, 2), nn.Linear(4, 1)
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.01) for m in (actor, critic)]
    numbers: Numbers = {"actor": [], "critic": []}
    for _ in range(10):
        x = torch.randn(8, 4)
        actor_loss, critic_loss = actor(x).pow(2).mean(), (critic(x) - 1).pow(2).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        actor_loss.backward()
        critic_loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        numbers["actor"].append(unseen(actor_loss))
        numbers["critic"].append(unseen(critic_loss))
    return numbers


def a_shared_helper() -> Numbers:
    """One line of code does the steps of both optimizers."""
    models = [nn.Linear(4, 1), nn.Linear(4, 1)]
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.1) for m in models]
    losses: list[float] = []

    def update(model: Any, optimizer: Any, x: Any) -> None:
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(unseen(loss))

    for _ in range(6):
        x = torch.randn(8, 4)
        for model, optimizer in zip(models, optimizers, strict=True):
            update(model, optimizer, x)
    return {"losses": losses}


def two_stages() -> Numbers:
    """The head first, then everything with a new optimizer."""
    model, losses = Net(), []
    x, y = xy(32)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.second.parameters(), lr=0.1)
    for stage in range(2):
        if stage:
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(8):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(unseen(loss))
    return {"losses": losses}


def several_losses_at_once() -> Numbers:
    model, numbers = nn.Linear(4, 2), {"a": [], "b": []}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        out = model(torch.randn(8, 4))
        a, b = out[:, 0].pow(2).mean(), out[:, 1].abs().mean()
        torch.autograd.backward([a, b])
        optimizer.step()
        numbers["a"].append((float(a) + float(b)) / 2)
    return {"mean of both": numbers["a"]}


def gradients_by_grad() -> Numbers:
    """`torch.autograd.grad` only: there is no backward to see."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        loss = model(torch.randn(8, 4)).pow(2).mean()
        for p, g in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True):
            p.grad = g
        optimizer.step()
    return {}


def two_loaders_at_once() -> Numbers:
    model, means = Net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        losses = []
        for (x, y), (u, v) in zip(
            DataLoader(data(), batch_size=16), DataLoader(data(30, 2), batch_size=10), strict=True
        ):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y) + F.cross_entropy(model(u), v)
            loss.backward()
            optimizer.step()
            losses.append(unseen(loss))
        means.append(sum(losses) / len(losses))
    return {"means": means}


def evaluation_within_an_epoch() -> Numbers:
    """Every second step, on a part of the validation data, left by `break`."""
    model, numbers = Net(), {"validation": [], "mean": [], "since": []}
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    validation = DataLoader(data(32, 1), batch_size=8)
    for _ in range(2):
        losses = []
        for number, (x, y) in enumerate(DataLoader(data(), batch_size=8)):
            model.train()
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(unseen(loss))
            if number % 2:
                model.eval()
                values = []
                with torch.no_grad():
                    for place, (u, v) in enumerate(validation):
                        values.append(float(criterion(model(u), v)))
                        if place:
                            break
                numbers["validation"].append(sum(values) / len(values))
                numbers["since"].append(sum(losses[-2:]) / 2)
        numbers["mean"].append(sum(losses) / len(losses))
    return numbers


def workers_that_stay() -> Numbers:
    model, means = Net(), []
    loader = DataLoader(data(), batch_size=16, num_workers=2, persistent_workers=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        losses = []
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    return {"means": means}


class Lookahead(torch.optim.Optimizer):
    """A wrapper that is an optimizer too, with the same groups."""

    def __init__(self, base: Any) -> None:
        self.base, self.count = base, 0
        super().__init__(base.param_groups, base.defaults)
        self.param_groups = base.param_groups

    def step(self, closure: Any = None) -> Any:
        loss = self.base.step(closure)
        self.count += 1
        return loss


class Clipped(torch.optim.SGD):
    """Its step calls its parent's."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        return super().step(closure)


def _steps(model: Any, optimizer: Any, count: int = 6) -> list[float]:
    losses = []
    x, y = xy(32)
    for _ in range(count):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(unseen(loss))
    return losses


def lookahead() -> Numbers:
    model = Net()
    return {"losses": _steps(model, Lookahead(torch.optim.SGD(model.parameters(), lr=0.1)))}


def a_step_that_calls_its_parents() -> Numbers:
    model = Net()
    torch.optim.SGD(model.parameters(), lr=0.1)  # so that the parent's step is hooked, too
    return {"losses": _steps(model, Clipped(model.parameters(), lr=0.1))}


def checkpointed() -> Numbers:
    """Activations are computed again during backward."""
    from torch.utils.checkpoint import checkpoint

    model, losses = Net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = xy(32)
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.cross_entropy(checkpoint(model, x, use_reentrant=False), y)
        loss.backward()
        optimizer.step()
        losses.append(unseen(loss))
    return {"losses": losses}


def wgan_gp() -> Numbers:
    """A critic with a gradient penalty, stepped three times for each step of the generator."""
    G, D = nn.Linear(2, 4), nn.Linear(4, 1)
    opt_g, opt_d = torch.optim.Adam(G.parameters(), lr=0.01), torch.optim.Adam(D.parameters(), lr=0.01)
    numbers: Numbers = {"critic": [], "generator": []}
    for step in range(9):
        real, fake = torch.randn(8, 4), G(torch.randn(8, 2)).detach()
        between = (0.5 * real + 0.5 * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
        critic_loss = D(fake).mean() - D(real).mean() + 10 * (gradient.norm(2, dim=1) - 1).pow(2).mean()
        opt_d.zero_grad()
        critic_loss.backward()
        opt_d.step()
        numbers["critic"].append(unseen(critic_loss))
        if step % 3 == 2:
            opt_g.zero_grad()
            generator_loss = -D(G(torch.randn(8, 2))).mean()
            generator_loss.backward()
            opt_g.step()
            numbers["generator"].append(unseen(generator_loss))
    return numbers


def sam() -> Numbers:
    """Two backwards a step, at different places."""
    model, numbers = Net(), {"first": [], "second": []}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = xy(32)
    for _ in range(5):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(p.grad, alpha=0.01)
        optimizer.zero_grad()
        perturbed = F.cross_entropy(model(x), y)
        perturbed.backward()
        optimizer.step()
        optimizer.zero_grad()
        numbers["first"].append(unseen(loss))
        numbers["second"].append(unseen(perturbed))
    return numbers


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        generator = torch.Generator().manual_seed(1)
        while True:
            x = torch.randn(4, generator=generator)
            yield x, (x.sum() > 0).long()


def endless_data() -> Numbers:
    model, losses = Net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step, (x, y) in enumerate(DataLoader(Endless(), batch_size=8)):
        if step == 12:
            break
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses}


def compiled_model() -> Numbers:
    """`torch.compile(fullgraph=True)`; a loader, a validation by a compiled function."""
    model, numbers = Net(), {"mean": [], "validation": []}
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    train, validation = DataLoader(data(32), batch_size=16), DataLoader(data(16, 1), batch_size=16)
    optimizer, criterion = torch.optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss()

    @torch.compile(fullgraph=True, backend="aot_eager")
    def evaluate(x: Any, y: Any) -> Any:
        return criterion(model(x), y)

    for _ in range(2):
        model.train()
        losses = []
        for x, y in train:
            optimizer.zero_grad()
            loss = criterion(compiled(x), y)
            loss.backward()
            optimizer.step()
            losses.append(unseen(loss))
        numbers["mean"].append(sum(losses) / len(losses))
        model.eval()
        with torch.no_grad():
            for x, y in validation:
                numbers["validation"].append(evaluate(x, y).item())
    return numbers


def sweep(learning_rates: Any = tuple(0.01 * (n + 1) for n in range(20))) -> Numbers:
    """One function, called again and again; its models are gone when it returns."""

    def train(lr: float) -> float:
        model = Net()
        return _steps(model, torch.optim.SGD(model.parameters(), lr=lr), 3)[-1]

    return {"last losses": [train(lr) for lr in learning_rates]}


def sweep_that_keeps_all() -> Numbers:
    kept, losses = [], []
    for lr in (0.1, 0.2, 0.3, 0.4):
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        kept.append((model, optimizer))
        losses += _steps(model, optimizer, 4)
    return {"losses": losses}


def folds() -> Numbers:
    x, y = xy(30)
    models, losses = [Net() for _ in range(3)], []
    for fold, model in enumerate(models):
        keep = torch.arange(30) % 3 != fold
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[keep]), y[keep])
            loss.backward()
            optimizer.step()
            losses.append(unseen(loss))
    return {"losses": losses}


def adversarial_gradients() -> Numbers:
    """Gradients of the input, of a model that is not trained."""
    model = nn.Sequential(Net()).eval()
    x, y = xy(8)
    for _ in range(20):
        x = x.detach().requires_grad_()
        F.cross_entropy(model(x), y).backward()
        x = x + 0.01 * x.grad.sign()
    return {}


def nothing_but_inference() -> Numbers:
    model = Net().eval()
    with torch.no_grad():
        for x, _ in DataLoader(data(), batch_size=8):
            model(x).argmax(1).sum().item()
    return {}


def ema() -> Numbers:
    """A copy of the model that follows it; deep-copied before the training."""
    model = Net()
    follower = copy.deepcopy(model)
    losses = _steps(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert not math.isnan(sum(p.sum().item() for p in follower.parameters()))
    return {"losses": losses}


def steps_with_evaluations() -> Numbers:
    """As nanoGPT: no loader and no epochs; every fourth step, and before the first, the loss is estimated."""
    model, numbers, values = Net(), {"val": [], "losses": []}, [0.0] * 3
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for step in range(13):
        if step % 4 == 0:
            model.eval()
            with torch.no_grad():
                for k in range(3):
                    x, y = xy(8, 20 + k)
                    values[k] = F.cross_entropy(model(x), y).item()
                numbers["val"].append(sum(values) / 3)
            model.train()
        x, y = xy(8, step)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        numbers["losses"].append(loss.item())
    return numbers


def vae() -> Numbers:
    """As pytorch/examples/vae: a loss function of its own, summed over the batch, divided by the data set's length."""
    encoder, decoder = nn.Linear(4, 4), nn.Linear(2, 4)
    model = nn.ModuleList([encoder, decoder])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    train_loader, test_loader = DataLoader(data(), batch_size=16), DataLoader(data(20, 1), batch_size=8)
    numbers: Numbers = {"train": [], "test": []}

    def loss_of(x: Any) -> Any:
        mu, logvar = encoder(x).chunk(2, 1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        bce = F.mse_loss(decoder(z), x, reduction="sum")
        return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())

    for _ in range(2):
        model.train()
        train_loss = 0.0
        for x, _y in train_loader:
            optimizer.zero_grad()
            loss = loss_of(x)
            loss.backward()
            train_loss += loss.item()
            optimizer.step()
        numbers["train"].append(train_loss / 3)
        model.eval()
        test_loss = 0.0
        with torch.no_grad():
            for x, _y in test_loader:
                test_loss += loss_of(x).item()
        numbers["test"].append(test_loss / len(test_loader.dataset))
    return numbers


def distillation() -> Numbers:
    """A teacher in evaluation mode inside the training step, and its loss under no_grad."""
    teacher, student, criterion = Net().eval(), Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    means = []
    for _ in range(2):
        losses = []
        for x, y in DataLoader(data(), batch_size=16):
            with torch.no_grad():
                soft = teacher(x).softmax(1)
            out = student(x)
            loss = criterion(out, y) + F.kl_div(out.log_softmax(1), soft, reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    return {"means": means}


def dqn() -> Numbers:
    """A target network that follows, samples from a memory."""
    policy, target = nn.Linear(4, 2), nn.Linear(4, 2)
    target.load_state_dict(policy.state_dict())
    optimizer, criterion = torch.optim.AdamW(policy.parameters(), lr=1e-3), nn.SmoothL1Loss()
    memory, losses = [], []
    for step in range(20):
        state = torch.randn(4)
        with torch.no_grad():
            action = policy(state).argmax().item()
        memory.append((state, action, float(step % 3), torch.randn(4)))
        if len(memory) < 8:
            continue
        states = torch.stack([one[0] for one in memory[-8:]])
        actions = torch.tensor([one[1] for one in memory[-8:]])
        rewards = torch.tensor([one[2] for one in memory[-8:]])
        values = policy(states).gather(1, actions.unsqueeze(1))
        with torch.no_grad():
            following = target(torch.stack([one[3] for one in memory[-8:]])).max(1).values
        loss = criterion(values, (rewards + 0.9 * following).unsqueeze(1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(policy.parameters(), 100)
        optimizer.step()
        losses.append(unseen(loss.detach()))
        for p, q in zip(target.parameters(), policy.parameters(), strict=True):
            p.data.mul_(0.99).add_(q.data, alpha=0.01)
    return {"losses": losses}


def early_stopping() -> Numbers:
    """ReduceLROnPlateau and a best state that is restored; the loop is left before its end."""
    model, numbers = Net(), {"val": []}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.1)
    criterion, best, bad = nn.CrossEntropyLoss(), math.inf, 0
    state: Any = None
    for _ in range(10):
        model.train()
        for x, y in DataLoader(data(), batch_size=16):
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            values = [criterion(model(x), y).item() for x, y in DataLoader(data(16, 1), batch_size=8)]
        loss = sum(values) / len(values)
        numbers["val"].append(loss)
        scheduler.step(loss)
        if loss < best - 0.05:
            best, bad, state = loss, 0, copy.deepcopy(model.state_dict())
        else:
            bad += 1
            if bad == 2:
                break
    model.load_state_dict(state)
    return numbers


def a_trainer_class() -> Numbers:
    """Everything in attributes of an object of the user's, batches through a generator of his."""

    class Trainer:
        def __init__(self) -> None:
            self.model, self.criterion = Net(), nn.CrossEntropyLoss()
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
            self.means: list[float] = []
            self.accuracy: list[float] = []

        def batches(self, loader: Any) -> Any:
            yield from enumerate(loader)

        def epoch(self) -> None:
            self.model.train()
            self.total = 0.0
            loader = DataLoader(data(), batch_size=16)
            for _, (x, y) in self.batches(loader):
                self.loss = self.criterion(self.model(x), y)
                self.optimizer.zero_grad()
                self.loss.backward()
                self.optimizer.step()
                self.total += self.loss.item()
            self.means.append(self.total / len(loader))

        @torch.no_grad()
        def evaluate(self) -> None:
            self.model.eval()
            hits = 0
            for _, (x, y) in self.batches(DataLoader(data(20, 1), batch_size=8)):
                hits += (self.model(x).argmax(1) == y).sum().item()
            self.accuracy.append(hits / 20)

    trainer = Trainer()
    for _ in range(2):
        trainer.epoch()
        trainer.evaluate()
    return {"means": trainer.means, "accuracy": trainer.accuracy}


def scaled_and_accumulated() -> Numbers:
    """A GradScaler, two batches a step, clipped."""
    model, losses = Net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu")
    for number, (x, y) in enumerate(DataLoader(data(), batch_size=8)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        losses.append(loss.item())
        scaler.scale(loss / 2).backward()
        if number % 2:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    pairs = [(a + b) / 2 for a, b in zip(losses[::2], losses[1::2], strict=True)]
    return {"each step": pairs, "mean": sum(losses) / len(losses)}


def two_generators() -> Numbers:
    """As CycleGAN: one optimizer for two models, by `itertools.chain`, and one for two others."""
    import itertools

    G, H, D, E = (nn.Linear(4, 4) for _ in range(4))
    opt_g = torch.optim.Adam(itertools.chain(G.parameters(), H.parameters()), lr=0.01)
    opt_d = torch.optim.Adam(itertools.chain(D.parameters(), E.parameters()), lr=0.01)
    numbers: Numbers = {"g": [], "d": []}
    for _ in range(6):
        a, b = torch.randn(8, 4), torch.randn(8, 4)
        loss_G = F.l1_loss(H(G(a)), a) + D(G(a)).pow(2).mean() + E(H(b)).pow(2).mean()
        opt_g.zero_grad()
        loss_G.backward()
        opt_g.step()
        loss_D = (D(b) - 1).pow(2).mean() + (E(a) - 1).pow(2).mean() + D(G(a).detach()).pow(2).mean()
        opt_d.zero_grad()
        loss_D.backward()
        opt_d.step()
        numbers["g"].append(unseen(loss_G.detach()))
        numbers["d"].append(unseen(loss_D.detach()))
    return numbers


def averaged_weights() -> Numbers:
    """SWA: a schedule of its own, statistics of batch norm anew, a validation of the average."""
    from torch.optim.swa_utils import SWALR, AveragedModel, update_bn

    model, means = Net(), []
    loader, criterion = DataLoader(data(), batch_size=16), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    average, scheduler = AveragedModel(model), SWALR(optimizer, swa_lr=0.05)
    for _ in range(3):
        losses = []
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(unseen(loss.detach()))
        means.append(sum(losses) / len(losses))
        average.update_parameters(model)
        scheduler.step()
    update_bn(loader, average)
    average.eval()
    with torch.no_grad():
        x, y = xy(16, 4)
        final = criterion(average(x), y).item()
    return {"means": means, "final": final}


def ppo() -> Numbers:
    """Several passes over what was collected; policy, value and entropy in one loss."""
    net = nn.ModuleDict({"actor": nn.Linear(4, 2), "critic": nn.Linear(4, 1)})
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    numbers: Numbers = {"loss": []}
    for _ in range(3):
        states = torch.randn(16, 4)
        with torch.no_grad():
            actions = torch.distributions.Categorical(logits=net["actor"](states)).sample()
            old = torch.distributions.Categorical(logits=net["actor"](states)).log_prob(actions)
        returns = torch.randn(16)
        for _ in range(2):
            for part in torch.randperm(16).split(8):
                now = torch.distributions.Categorical(logits=net["actor"](states[part]))
                ratio = (now.log_prob(actions[part]) - old[part]).exp()
                policy_loss = -(ratio * returns[part]).mean()
                value_loss = (net["critic"](states[part]).squeeze(1) - returns[part]).pow(2).mean()
                loss = policy_loss + 0.5 * value_loss - 0.01 * now.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 0.5)
                optimizer.step()
                numbers["loss"].append(loss.item())
    return numbers


def truncated_backpropagation() -> Numbers:
    """As pytorch/examples/word_language_model: a recurrent model, a validation after each epoch, a final test, no loader."""
    model, head = nn.LSTM(4, 6), nn.Linear(6, 3)
    both, criterion = nn.ModuleList([model, head]), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(both.parameters(), lr=0.01)
    numbers: Numbers = {"train": [], "val": [], "test": []}

    def sequence(seed: int) -> Any:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(12, 2, 4, generator=generator), torch.randint(0, 3, (12, 2), generator=generator)

    def evaluate(seed: int) -> float:
        both.eval()
        total, hidden = 0.0, None
        x, y = sequence(seed)
        with torch.no_grad():
            for i in range(0, 12, 5):
                out, hidden = model(x[i : i + 5], hidden)
                total += len(out) * criterion(head(out).flatten(0, 1), y[i : i + 5].flatten()).item()
        return total / 12

    for _ in range(3):
        both.train()
        hidden, losses = None, []
        x, y = sequence(0)
        for i in range(0, 12, 4):
            if hidden is not None:
                hidden = tuple(one.detach() for one in hidden)
            out, hidden = model(x[i : i + 4], hidden)
            loss = criterion(head(out).flatten(0, 1), y[i : i + 4].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        numbers["train"].append(sum(losses) / len(losses))
        numbers["val"].append(evaluate(1))
    numbers["test"].append(evaluate(2))
    return numbers


def optimizers_within_backward() -> Numbers:
    """One optimizer for each parameter, stepped by a hook as soon as its gradient is there."""
    model, losses = Net(), []
    optimizers = {p: torch.optim.SGD([p], lr=0.1, foreach=False) for p in model.parameters()}

    def step(p: Any) -> None:
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(step)
    x, y = xy(32)
    for _ in range(6):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        losses.append(unseen(loss.detach()))
    return {"losses": losses}


def accuracies_of_training() -> Numbers:
    """Counted in the training loop itself; progress by a bar around the loader."""
    tqdm = __import__("tqdm").tqdm if find_spec("tqdm") else lambda loader, **_: loader
    model, numbers = Net(), {"accuracy": [], "loss": []}
    optimizer, criterion = torch.optim.Adam(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
    loader = DataLoader(data(), batch_size=16)
    for _ in range(2):
        correct, running = 0, 0.0
        for x, y in tqdm(loader, disable=True):
            optimizer.zero_grad()
            out = model(x)
            loss = criterion(out, y)
            loss.backward()
            optimizer.step()
            running += unseen(loss.detach()) * len(x)
            correct += (out.argmax(1) == y).sum().item()
        numbers["loss"].append(running / 48)
        numbers["accuracy"].append(correct / 48)
    return numbers


def folds_over_loaders() -> Numbers:
    """Each fold a model and loaders of its own, in one function."""
    from torch.utils.data import Subset

    whole, numbers = data(30), {"train": [], "val": []}

    def fold(number: int) -> None:
        keep = [i for i in range(30) if i % 3 != number]
        left = [i for i in range(30) if i % 3 == number]
        model, criterion = Net(), nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            model.train()
            losses = []
            for x, y in DataLoader(Subset(whole, keep), batch_size=10):
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            numbers["train"].append(sum(losses) / len(losses))
            model.eval()
            with torch.no_grad():
                for x, y in DataLoader(Subset(whole, left), batch_size=10):
                    numbers["val"].append(criterion(model(x), y).item())

    for number in range(3):
        fold(number)
    return numbers


def engines() -> Numbers:
    """As ignite and skorch: batches are fetched with gradients on, and the mode is set for each; iterators are kept."""
    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    numbers: Numbers = {"train": [], "val": []}

    def train(x: Any, y: Any) -> float:
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def evaluate(x: Any, y: Any) -> float:
        model.eval()
        with torch.no_grad():
            out = model(x)
        return criterion(out, y).item()

    train_loader, val_loader = DataLoader(data(), batch_size=16), DataLoader(data(20, 1), batch_size=10)
    for _ in range(3):
        batches = iter(train_loader)
        numbers["train"].append(sum(train(*next(batches)) for _ in range(3)) / 3)
        tested = iter(val_loader)
        numbers["val"].append(sum(evaluate(*next(tested)) for _ in range(2)) / 2)
    return numbers


def quickstart_tutorial() -> Numbers:
    """As PyTorch's "Quickstart": what is right is counted in floats."""
    train_dataloader, test_dataloader = (
        DataLoader(data(64), batch_size=8),
        DataLoader(data(20, 1), batch_size=5),
    )
    model, loss_fn = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    numbers: Numbers = {"accuracy": [], "loss": []}
    for _ in range(3):
        model.train()
        for batch, (x, y) in enumerate(train_dataloader):
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if batch % 4 == 0:
                loss = loss.item()
        model.eval()
        test_loss, correct = 0, 0
        with torch.no_grad():
            for x, y in test_dataloader:
                pred = model(x)
                test_loss += loss_fn(pred, y).item()
                correct += (pred.argmax(1) == y).type(torch.float).sum().item()
        numbers["accuracy"].append(correct / len(test_dataloader.dataset))
        numbers["loss"].append(test_loss / len(test_dataloader))
    return numbers


def transfer_learning_tutorial() -> Numbers:
    """As PyTorch's "Transfer learning": the phases in one loop, what is right is a tensor that is only printed."""
    model, criterion = Net(), nn.CrossEntropyLoss()
    for param in model.first.parameters():
        param.requires_grad = False
    optimizer = torch.optim.SGD(model.second.parameters(), lr=0.01, momentum=0.9)
    dataloaders = {"train": DataLoader(data(), batch_size=16), "val": DataLoader(data(20, 1), batch_size=8)}
    said: list[str] = []
    for _ in range(3):
        for phase in ["train", "val"]:
            model.train(phase == "train")
            running_loss, running_corrects = 0.0, 0
            for inputs, labels in dataloaders[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    _, preds = torch.max(outputs, 1)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                running_corrects += torch.sum(preds == labels.data)
            size = len(dataloaders[phase].dataset)
            epoch_loss = running_loss / size
            epoch_acc = running_corrects.double() / size
            said.append(f"{epoch_loss:.12f} {epoch_acc:.12f}")
    return {"said": [float(number) for line in said for number in line.split()]}


def mixup() -> Numbers:
    """Two labels for each sample: what is right is counted twice in one line."""
    model, criterion, loader = Net(), nn.CrossEntropyLoss(), DataLoader(data(), batch_size=16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    numbers: Numbers = {"loss": [], "first": [], "second": []}
    for _ in range(2):
        train_loss, correct = 0.0, [0, 0]
        for x, y in loader:
            index = torch.arange(len(x)).flip(0)
            outputs = model(0.7 * x + 0.3 * x[index])
            loss = 0.7 * criterion(outputs, y) + 0.3 * criterion(outputs, y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            train_loss += loss.item()
            guess = outputs.argmax(1)
            correct += guess.eq(y).sum().item(), guess.eq(y[index]).sum().item()
        numbers["loss"].append(train_loss / len(loader))
        numbers["first"].append(sum(correct[2::2]) / 48)
        numbers["second"].append(sum(correct[3::2]) / 48)
    return numbers


def evaluations_of_all_data() -> Numbers:
    """After each epoch the training data is evaluated, too; at the end of all, the test data."""
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train, val = DataLoader(data(), batch_size=16), DataLoader(data(20, 1), batch_size=10)
    test, numbers = DataLoader(data(30, 2), batch_size=10), {"accuracy": [], "loss": []}

    @torch.no_grad()
    def evaluate(loader: Any) -> None:
        model.eval()
        correct, loss = 0, 0.0
        for x, y in loader:
            out = model(x)
            correct += (out.argmax(1) == y).sum().item()
            loss += F.cross_entropy(out, y).item()
        numbers["accuracy"].append(correct / len(loader.dataset))
        numbers["loss"].append(loss / len(loader))

    for _ in range(3):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        evaluate(train)
        evaluate(val)
    evaluate(test)
    return numbers


def samplers_of_one_data_set() -> Numbers:
    """Three loaders take different samples from the same data; gradients are on in evaluation."""
    from torch.utils.data import SubsetRandomSampler

    whole, places = data(60), list(range(60))
    train, val, test = (
        DataLoader(whole, batch_size=size, sampler=SubsetRandomSampler(part))
        for size, part in ((8, places[:32]), (8, places[32:48]), (6, places[48:]))
    )
    model, criterion, numbers = Net(), nn.CrossEntropyLoss(), {"train": [], "val": [], "test": []}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        for name, loader in (("train", train), ("val", val)):
            model.train(name == "train")
            losses = []
            for x, y in loader:
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                if name == "train":
                    loss.backward()
                    optimizer.step()
                losses.append(loss.item())
            numbers[name].append(sum(losses) / len(losses))
    model.eval()
    numbers["test"].append(sum(criterion(model(x), y).item() for x, y in test) / len(test))
    return numbers
