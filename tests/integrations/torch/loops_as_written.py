# ruff: noqa: UP031, SIM108, B020, RET504  (so do their authors)
"""Training loops as their authors write them, on small data. Each returns what the script itself has computed, by phase.

They know nothing of autolog: what they print, they print for their users.
"""

from __future__ import annotations

import copy
import linecache
import math
import os
import random
import sys
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from loops import Net, data, unseen, xy
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler, SubsetRandomSampler, TensorDataset

Series = dict[str, list[float]]


@dataclass
class Expected:
    """What the record of one run is to say. The keys of series are for whoever reads of a failure."""

    epochs: int
    steps: int
    """One more than the number of the last step."""
    train: Series = field(default_factory=dict)
    """Each is a whole series of one metric, which does not say that it is of a validation."""
    val: Series = field(default_factory=dict)
    """So is each of these, of validation and test, which does not say that it is of the training."""
    unphased: Series = field(default_factory=dict)
    """Under a name that says neither."""
    named: Series = field(default_factory=dict)
    """By the metric's whole name."""
    lr: Series = field(default_factory=dict)
    """By the metric's name, the rate of each step."""
    rates: list[float] = field(default_factory=list)
    """Each is in a metric whose name begins with `lr`."""
    params: dict[str, Any] = field(default_factory=dict)
    absent: list[float] = field(default_factory=list)
    """Values that are no metrics."""
    no_metric: tuple[str, ...] = ()
    """Words that no metric's name has."""
    first: int = 0
    """The number of the first step."""
    model: str = ""
    """The class of the run's model."""


# -- language models, without a loader


class GPT(nn.Module):
    """As nanoGPT's, with one layer that is no transformer."""

    def __init__(self, vocab_size: int = 11, n_embd: int = 8) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.drop = nn.Dropout(0.1)
        self.lm_head = nn.Linear(n_embd, vocab_size)

    def forward(self, idx: Any, targets: Any = None) -> Any:
        logits = self.lm_head(self.drop(self.wte(idx)))
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss


def nanogpt() -> Expected:
    """As karpathy/nanoGPT's train.py: accumulation, a warm-up by hand, the loss of both splits estimated every third step."""
    batch_size, block_size, gradient_accumulation_steps = 4, 8, 4
    eval_interval, eval_iters, log_interval, max_iters = 3, 2, 2, 6
    learning_rate, warmup_iters, lr_decay_iters, min_lr = 1e-2, 3, 6, 1e-3
    train_data, val_data = torch.randint(0, 11, (200,)), torch.randint(0, 5, (60,))
    told: dict[str, list[float]] = {"train": [], "val": [], "step": [], "lr": []}

    def get_batch(split: str) -> Any:
        data = train_data if split == "train" else val_data
        ix = torch.randint(len(data) - block_size, (batch_size,))
        x = torch.stack([data[i : i + block_size] for i in ix])
        y = torch.stack([data[i + 1 : i + 1 + block_size] for i in ix])
        return x, y

    model = GPT()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.95))

    @torch.no_grad()
    def estimate_loss() -> Any:
        out = {}
        model.eval()
        for split in ["train", "val"]:
            losses = torch.zeros(eval_iters)
            for k in range(eval_iters):
                X, Y = get_batch(split)
                _logits, loss = model(X, Y)
                losses[k] = loss.item()
            out[split] = losses.mean()
        model.train()
        return out

    def get_lr(it: int) -> float:
        if it < warmup_iters:
            return learning_rate * (it + 1) / (warmup_iters + 1)
        decay_ratio = (it - warmup_iters) / (lr_decay_iters - warmup_iters)
        coeff = 0.5 * (1.0 + math.cos(math.pi * decay_ratio))
        return min_lr + coeff * (learning_rate - min_lr)

    X, Y = get_batch("train")
    iter_num, best_val_loss = 0, 1e9
    while True:
        lr = get_lr(iter_num)
        for param_group in optimizer.param_groups:
            param_group["lr"] = lr
        if iter_num % eval_interval == 0:
            losses = estimate_loss()
            print(f"step {iter_num}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}")
            if losses["val"] < best_val_loss:
                best_val_loss = losses["val"]
            told["train"].append(unseen(losses["train"]))
            told["val"].append(unseen(losses["val"]))
        micro = []
        for _micro_step in range(gradient_accumulation_steps):
            _logits, loss = model(X, Y)
            loss = loss / gradient_accumulation_steps
            X, Y = get_batch("train")
            scaler.scale(loss).backward()
            micro.append(loss.detach() * gradient_accumulation_steps)
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        if iter_num % log_interval == 0:
            lossf = loss.item() * gradient_accumulation_steps
            print(f"iter {iter_num}: loss {lossf:.4f}")
        told["step"].append(unseen(torch.stack(micro).mean()))
        told["lr"].append(lr)
        iter_num += 1
        if iter_num > max_iters:
            break
    both = [(one + other) / 2 for one, other in zip(told["train"], told["val"], strict=True)]
    return Expected(
        epochs=3,
        steps=7,
        train={"loss of each step": told["step"], "estimate of train": told["train"]},
        val={"estimate of val": told["val"]},
        lr={"lr": told["lr"]},
        params={"optimizer.lr": learning_rate, "backwards_per_step": 4},
        absent=both,
    )


def mingpt_trainer() -> Expected:
    """As karpathy/minGPT: a Trainer with callbacks, an endless sampler, scores of both splits in a callback."""

    class Adder(Dataset[Any]):
        def __init__(self, split: str) -> None:
            x, y = xy(40, 0) if split == "train" else xy(25, 3)
            self.x, self.y = x, y if split == "train" else 1 - y

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, idx: int) -> Any:
            return self.x[idx], self.y[idx]

    class Trainer:
        def __init__(self, model: Any, train_dataset: Any) -> None:
            self.model, self.train_dataset = model, train_dataset
            self.callbacks: dict[str, list[Any]] = {}
            self.iter_num = 0

        def add_callback(self, onevent: str, callback: Any) -> None:
            self.callbacks.setdefault(onevent, []).append(callback)

        def trigger_callbacks(self, onevent: str) -> None:
            for callback in self.callbacks.get(onevent, []):
                callback(self)

        def run(self) -> None:
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
            train_loader = DataLoader(
                self.train_dataset,
                sampler=RandomSampler(self.train_dataset, replacement=True, num_samples=int(1e10)),
                batch_size=8,
            )
            self.model.train()
            data_iter = iter(train_loader)
            while True:
                try:
                    batch = next(data_iter)
                except StopIteration:
                    data_iter = iter(train_loader)
                    batch = next(data_iter)
                x, y = batch
                self.loss = F.cross_entropy(self.model(x), y)
                self.model.zero_grad(set_to_none=True)
                self.loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                self.trigger_callbacks("on_batch_end")
                self.iter_num += 1
                if self.iter_num >= 8:
                    break

    splits = {"train": Adder("train"), "test": Adder("test")}
    trainer = Trainer(Net(), splits["train"])
    told: dict[str, list[float]] = {"train": [], "test": [], "loss": []}

    def eval_split(trainer: Any, split: str) -> Any:
        results: list[int] = []
        for x, y in DataLoader(splits[split], batch_size=10, num_workers=0, drop_last=False):
            correct = (trainer.model(x).argmax(1) == y).cpu()
            results.extend(int(correct[i]) for i in range(x.size(0)))
        rt = torch.tensor(results, dtype=torch.float)
        print("%s final score: %d/%d = %.2f%% correct" % (split, rt.sum(), len(results), 100 * rt.mean()))
        told[split].append(100 * sum(results) / len(results))
        return rt.sum()

    def batch_end_callback(trainer: Any) -> None:
        told["loss"].append(unseen(trainer.loss))
        if trainer.iter_num % 2 == 0:
            print(f"iter {trainer.iter_num}: train loss {trainer.loss.item():.5f}")
        if trainer.iter_num % 4 == 0:
            trainer.model.eval()
            with torch.no_grad():
                eval_split(trainer, "train")
                eval_split(trainer, "test")
            trainer.model.train()

    trainer.add_callback("on_batch_end", batch_end_callback)
    trainer.run()
    return Expected(
        epochs=1,
        steps=8,
        train={"loss of each step": told["loss"], "score of train": told["train"]},
        val={"score of test": told["test"]},
    )


def rnn_perplexity() -> Expected:
    """A recurrent language model: `math.exp` of tensors, for both the training and the validation."""

    class RNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.emb, self.rnn, self.out = nn.Embedding(9, 6), nn.GRU(6, 8, batch_first=True), nn.Linear(8, 9)

        def forward(self, x: Any, h: Any = None) -> Any:
            y, h = self.rnn(self.emb(x), h)
            return self.out(y).transpose(1, 2), h

    corpus = {"train": torch.randint(0, 9, (4, 41)), "valid": torch.randint(0, 9, (4, 21))}
    model, criterion = RNN(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    told: dict[str, list[float]] = {"train": [], "valid": []}
    for epoch in range(3):
        model.train()
        h, total_loss, losses = None, 0.0, []
        for i in range(0, 40, 10):
            x, y = corpus["train"][:, i : i + 10], corpus["train"][:, i + 1 : i + 11]
            output, h = model(x, h)
            h = h.detach()
            loss = criterion(output, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_loss += loss.detach()
            losses.append(loss.detach())
        print(f"epoch {epoch}: train ppl {math.exp(total_loss / 4):.2f}")
        model.eval()
        with torch.no_grad():
            output, _ = model(corpus["valid"][:, :-1])
            val_loss = F.cross_entropy(output, corpus["valid"][:, 1:])
        print(f"epoch {epoch}: valid ppl {math.exp(val_loss):.2f}")
        told["train"].append(unseen(torch.stack(losses).mean()))
        told["valid"].append(unseen(val_loss))
    return Expected(epochs=3, steps=12, train={"loss": told["train"]}, val={"val_loss": told["valid"]})


def word2vec() -> Expected:
    """Skip-gram with negative sampling and sparse gradients; similarities are looked at when it is done."""
    V, D, K = 20, 6, 4
    center, context = nn.Embedding(V, D, sparse=True), nn.Embedding(V, D, sparse=True)
    nn.init.zeros_(context.weight)
    optimizer = torch.optim.SparseAdam([center.weight, context.weight], lr=0.05)
    tokens = torch.randint(0, V, (65,)).tolist()
    pairs = list(pairwise(tokens))

    def collate(batch: Any) -> Any:
        c, o = zip(*batch, strict=True)
        return torch.tensor(c), torch.tensor(o), torch.randint(0, V, (len(batch), K))

    loader = DataLoader(pairs, batch_size=16, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    told = []
    for epoch in range(3):
        total = 0.0
        for c, o, negatives in loader:
            optimizer.zero_grad()
            v = center(c)
            positive = F.logsigmoid((v * context(o)).sum(1))
            negative = F.logsigmoid(-(context(negatives) @ v.unsqueeze(2)).squeeze(2)).sum(1)
            loss = -(positive + negative).mean()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"Epoch {epoch + 1}, loss {total / len(loader):.4f}")
        told.append(total / len(loader))
    similarities = []
    for word in (1, 2, 3):
        similarity = F.cosine_similarity(center.weight[0], center.weight[word], dim=0).item()
        print(f"0 ~ {word}: {similarity:.3f}")
        similarities.append(similarity)
    return Expected(
        epochs=3,
        steps=12,
        train={"loss": told},
        absent=[*similarities, fmean(similarities)],
        no_metric=("similarity",),
    )


def seq2seq() -> Expected:
    """As PyTorch's translation tutorial: two optimizers, teacher forcing at times, words read one by one at the end."""
    SOS, V = 1, 7

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.gru = nn.Embedding(V, 6), nn.GRU(6, 6, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.gru(self.embedding(x))

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.gru, self.out = (
                nn.Embedding(V, 6),
                nn.GRU(6, 6, batch_first=True),
                nn.Linear(6, V),
            )

        def forward(self, hidden: Any, target: Any = None) -> Any:
            decoder_input = torch.full((hidden.size(1), 1), SOS)
            outputs = []
            for i in range(5):
                output, hidden = self.gru(F.relu(self.embedding(decoder_input)), hidden)
                outputs.append(self.out(output))
                if target is not None:
                    decoder_input = target[:, i].unsqueeze(1)
                else:
                    decoder_input = outputs[-1].topk(1)[1].squeeze(-1).detach()
            return F.log_softmax(torch.cat(outputs, dim=1), dim=-1)

    pairs = TensorDataset(torch.randint(0, V, (32, 5)), torch.randint(0, V, (32, 5)))
    dataloader = DataLoader(pairs, batch_size=8)
    encoder, decoder, chance = Encoder(), Decoder(), random.Random(0)
    encoder_optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
    decoder_optimizer = torch.optim.Adam(decoder.parameters(), lr=0.02)
    criterion = nn.NLLLoss()

    def train_epoch() -> float:
        total_loss = 0
        for input_tensor, target_tensor in dataloader:
            encoder_optimizer.zero_grad()
            decoder_optimizer.zero_grad()
            _, encoder_hidden = encoder(input_tensor)
            forced = target_tensor if chance.random() < 0.5 else None
            decoder_outputs = decoder(encoder_hidden, forced)
            loss = criterion(decoder_outputs.view(-1, V), target_tensor.view(-1))
            loss.backward()
            encoder_optimizer.step()
            decoder_optimizer.step()
            total_loss += loss.item()
        return total_loss / len(dataloader)

    told = []
    for epoch in range(1, 4):
        loss = train_epoch()
        print("(%d %d%%) %.4f" % (epoch, epoch / 3 * 100, loss))
        told.append(loss)
    encoder.eval()
    decoder.eval()
    with torch.no_grad():
        _, hidden = encoder(pairs[0][0].unsqueeze(0))
        decoded_words = [f"word{idx.item()}" for idx in decoder(hidden).topk(1)[1].squeeze()]
    print("<", " ".join(decoded_words))
    return Expected(
        epochs=3, steps=12, train={"loss": told}, rates=[0.01, 0.02], no_metric=("idx", "decoded")
    )


# -- reinforcement learning


def ppo_cleanrl() -> Expected:
    """As CleanRL's ppo.py: clipped ratios, minibatches by permutation, explained variance, scalars to TensorBoard."""
    SummaryWriter = pytest.importorskip("tensorboardX").SummaryWriter
    num_steps, num_envs, update_epochs, minibatch_size, clip_coef = 8, 2, 2, 8, 0.2
    batch_size, num_iterations, learning_rate = num_steps * num_envs, 3, 5e-2

    class Agent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
            self.actor = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

        def get_value(self, x: Any) -> Any:
            return self.critic(x)

        def get_action_and_value(self, x: Any, action: Any = None) -> Any:
            probs = torch.distributions.Categorical(logits=self.actor(x))
            if action is None:
                action = probs.sample()
            return action, probs.log_prob(action), probs.entropy(), self.critic(x)

    agent = Agent()
    optimizer = torch.optim.Adam(agent.parameters(), lr=learning_rate, eps=1e-5)
    folder = tempfile.TemporaryDirectory()
    writer = SummaryWriter(folder.name)
    world = np.random.default_rng(0)
    told: dict[str, list[float]] = {
        "value": [],
        "policy": [],
        "clipfrac": [],
        "explained": [],
        "lr": [],
        "loss": [],
    }
    rates = []
    global_step = 0
    next_obs = torch.tensor(world.normal(size=(num_envs, 4)), dtype=torch.float)
    for iteration in range(1, num_iterations + 1):
        frac = 1.0 - (iteration - 1.0) / num_iterations
        lrnow = frac * learning_rate
        optimizer.param_groups[0]["lr"] = lrnow
        obs, actions = torch.zeros((num_steps, num_envs, 4)), torch.zeros((num_steps, num_envs))
        logprobs, rewards, values = (torch.zeros((num_steps, num_envs)) for _ in range(3))
        for step in range(num_steps):
            global_step += num_envs
            obs[step] = next_obs
            with torch.no_grad():
                action, logprob, _, value = agent.get_action_and_value(next_obs)
                values[step] = value.flatten()
            actions[step], logprobs[step] = action, logprob
            reward = (action.cpu().numpy() == 1) + world.normal(size=num_envs)
            rewards[step] = torch.tensor(reward).view(-1)
            next_obs = torch.tensor(world.normal(size=(num_envs, 4)), dtype=torch.float)
        with torch.no_grad():
            next_value = agent.get_value(next_obs).reshape(1, -1)
            advantages, lastgaelam = torch.zeros_like(rewards), 0
            for t in reversed(range(num_steps)):
                nextvalues = next_value if t == num_steps - 1 else values[t + 1]
                delta = rewards[t] + 0.99 * nextvalues - values[t]
                advantages[t] = lastgaelam = delta + 0.99 * 0.95 * lastgaelam
            returns = advantages + values
        b_obs, b_logprobs, b_actions = obs.reshape(-1, 4), logprobs.reshape(-1), actions.reshape(-1)
        b_advantages, b_returns, b_values = advantages.reshape(-1), returns.reshape(-1), values.reshape(-1)
        b_inds = np.arange(batch_size)
        clipfracs: list[float] = []
        for _epoch in range(update_epochs):
            world.shuffle(b_inds)
            for start in range(0, batch_size, minibatch_size):
                mb_inds = b_inds[start : start + minibatch_size]
                _, newlogprob, entropy, newvalue = agent.get_action_and_value(
                    b_obs[mb_inds], b_actions.long()[mb_inds]
                )
                logratio = newlogprob - b_logprobs[mb_inds]
                ratio = logratio.exp()
                with torch.no_grad():
                    approx_kl = ((ratio - 1) - logratio).mean()
                    clipfracs += [((ratio - 1.0).abs() > clip_coef).float().mean().item()]
                mb_advantages = b_advantages[mb_inds]
                mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
                pg_loss1 = -mb_advantages * ratio
                pg_loss2 = -mb_advantages * torch.clamp(ratio, 1 - clip_coef, 1 + clip_coef)
                pg_loss = torch.max(pg_loss1, pg_loss2).mean()
                v_loss = 0.5 * ((newvalue.view(-1) - b_returns[mb_inds]) ** 2).mean()
                entropy_loss = entropy.mean()
                loss = pg_loss - 0.01 * entropy_loss + v_loss * 0.5
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
                told["loss"].append(unseen(loss))
                rates.append(lrnow)
        y_pred, y_true = b_values.cpu().numpy(), b_returns.cpu().numpy()
        var_y = np.var(y_true)
        explained_var = np.nan if var_y == 0 else 1 - np.var(y_true - y_pred) / var_y
        writer.add_scalar("charts/learning_rate", optimizer.param_groups[0]["lr"], global_step)
        writer.add_scalar("losses/value_loss", v_loss.item(), global_step)
        writer.add_scalar("losses/policy_loss", pg_loss.item(), global_step)
        writer.add_scalar("losses/approx_kl", approx_kl.item(), global_step)
        writer.add_scalar("losses/clipfrac", np.mean(clipfracs), global_step)
        writer.add_scalar("losses/explained_variance", explained_var, global_step)
        told["value"].append(unseen(v_loss))
        told["policy"].append(unseen(pg_loss))
        told["clipfrac"].append(float(np.mean(clipfracs)))
        told["explained"].append(float(explained_var))
        told["lr"].append(lrnow)
    writer.close()
    folder.cleanup()
    return Expected(
        epochs=1,
        steps=49,  # the last of the script's own steps is its 48th
        train={"loss of each step": told["loss"]},
        named={
            "losses/value_loss": told["value"],
            "losses/policy_loss": told["policy"],
            "losses/clipfrac": told["clipfrac"],
            "losses/explained_variance": told["explained"],
            "charts/learning_rate": told["lr"],
        },
        lr={"lr": rates},
    )


def sac() -> Expected:
    """As CleanRL's sac_continuous_action.py: two critics with targets, an actor that is updated every second step, alpha."""

    class Q(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(5, 8), nn.Linear(8, 1)

        def forward(self, x: Any, a: Any) -> Any:
            return self.fc2(F.relu(self.fc1(torch.cat([x, a], 1))))

    class Actor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.logstd = nn.Linear(4, 1), nn.Linear(4, 1)

        def get_action(self, x: Any) -> Any:
            normal = torch.distributions.Normal(self.mean(x), self.logstd(x).tanh().exp())
            x_t = normal.rsample()
            action = torch.tanh(x_t)
            log_prob = normal.log_prob(x_t) - torch.log(1 - action.pow(2) + 1e-6)
            return action, log_prob

    actor, qf1, qf2, qf1_target, qf2_target = Actor(), Q(), Q(), Q(), Q()
    qf1_target.load_state_dict(qf1.state_dict())
    qf2_target.load_state_dict(qf2.state_dict())
    q_optimizer = torch.optim.Adam(list(qf1.parameters()) + list(qf2.parameters()), lr=1e-3)
    actor_optimizer = torch.optim.Adam(list(actor.parameters()), lr=3e-4)
    target_entropy = -1.0
    log_alpha = torch.zeros(1, requires_grad=True)
    alpha = log_alpha.exp().item()
    a_optimizer = torch.optim.Adam([log_alpha], lr=2e-3)
    rb: list[Any] = []
    told: dict[str, list[float]] = {"qf": [], "qf1_values": [], "actor": [], "alpha_loss": [], "alpha": []}
    obs = torch.randn(1, 4)
    for global_step in range(18):
        with torch.no_grad():
            action, _ = actor.get_action(obs)
        next_obs = torch.randn(1, 4)
        rb.append((obs, action, next_obs, torch.randn(1)))
        obs = next_obs
        if global_step < 8:
            continue
        s, a, s2, r = (torch.cat(part) for part in zip(*rb[-8:], strict=True))
        with torch.no_grad():
            next_a, next_log_pi = actor.get_action(s2)
            min_qf = torch.min(qf1_target(s2, next_a), qf2_target(s2, next_a)) - alpha * next_log_pi
            next_q_value = r + 0.99 * min_qf.view(-1)
        qf1_a_values, qf2_a_values = qf1(s, a).view(-1), qf2(s, a).view(-1)
        qf1_loss, qf2_loss = F.mse_loss(qf1_a_values, next_q_value), F.mse_loss(qf2_a_values, next_q_value)
        qf_loss = qf1_loss + qf2_loss
        q_optimizer.zero_grad()
        qf_loss.backward()
        q_optimizer.step()
        told["qf"].append(unseen(qf_loss))
        if global_step % 2 == 0:
            for _ in range(2):
                pi, log_pi = actor.get_action(s)
                min_qf_pi = torch.min(qf1(s, pi), qf2(s, pi))
                actor_loss = ((alpha * log_pi) - min_qf_pi).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
                with torch.no_grad():
                    _, log_pi = actor.get_action(s)
                alpha_loss = (-log_alpha.exp() * (log_pi + target_entropy)).mean()
                a_optimizer.zero_grad()
                alpha_loss.backward()
                a_optimizer.step()
                alpha = log_alpha.exp().item()
                told["actor"].append(unseen(actor_loss))
                told["alpha_loss"].append(unseen(alpha_loss))
                told["alpha"].append(alpha)
        for param, target_param in zip(qf1.parameters(), qf1_target.parameters(), strict=True):
            target_param.data.copy_(0.005 * param.data + 0.995 * target_param.data)
        for param, target_param in zip(qf2.parameters(), qf2_target.parameters(), strict=True):
            target_param.data.copy_(0.005 * param.data + 0.995 * target_param.data)
        logs = {"qf1_values": qf1_a_values.mean().item(), "qf_loss": qf_loss.item() / 2.0}
        print(global_step, logs)
        told["qf1_values"].append(logs["qf1_values"])
    before_the_actor = told["qf"][::2]
    return Expected(
        epochs=1,
        steps=10,
        train={
            "qf_loss": [fmean(told["qf"])],
            "qf_loss of each step": told["qf"],
            "actor_loss": [fmean(told["actor"])],
            "alpha_loss": [fmean(told["alpha_loss"])],
        },
        named={"reads/qf1_values": [fmean(told["qf1_values"])], "reads/alpha": [fmean(told["alpha"])]},
        rates=[1e-3, 3e-4, 2e-3],
        absent=[1.0, fmean(before_the_actor)],
    )


def dqn_with_replay() -> Expected:
    """As CleanRL's dqn.py: a buffer, a target net, a step at every second frame; greedy episodes at the end."""

    class QNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

        def forward(self, x: Any) -> Any:
            return self.network(x)

    q_network, target_network = QNetwork(), QNetwork()
    optimizer = torch.optim.Adam(q_network.parameters(), lr=2.5e-3)
    target_network.load_state_dict(q_network.state_dict())
    chance, rb = random.Random(0), deque(maxlen=30)
    told: dict[str, list[float]] = {"td_loss": [], "q_values": []}
    obs = torch.randn(1, 4)
    for global_step in range(40):
        epsilon = max(1.0 - global_step / 20, 0.1)
        if chance.random() < epsilon:
            action = chance.randrange(3)
        else:
            action = torch.argmax(q_network(obs), dim=1).item()
        next_obs = torch.randn(1, 4)
        rb.append((obs, action, next_obs, float(action == 1)))
        obs = next_obs
        if global_step > 10:
            if global_step % 2 == 0:
                batch = chance.sample(list(rb), 8)
                states, next_states = (
                    torch.cat([one[0] for one in batch]),
                    torch.cat([one[2] for one in batch]),
                )
                actions, rewards = (
                    torch.tensor([one[1] for one in batch]),
                    torch.tensor([one[3] for one in batch]),
                )
                with torch.no_grad():
                    target_max, _ = target_network(next_states).max(dim=1)
                    td_target = rewards + 0.99 * target_max
                old_val = q_network(states).gather(1, actions.unsqueeze(1)).squeeze()
                loss = F.mse_loss(td_target, old_val)
                if global_step % 4 == 0:
                    q_values = old_val.mean().item()
                    print(f"td_loss {loss.item():.3f} q_values {q_values:.3f}")
                    told["q_values"].append(q_values)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                told["td_loss"].append(unseen(loss))
            if global_step % 10 == 0:
                for target, param in zip(target_network.parameters(), q_network.parameters(), strict=True):
                    target.data.copy_(param.data)
    episodic_returns = []
    for _ in range(2):
        total = 0
        for _ in range(5):
            actions = torch.argmax(q_network(torch.randn(1, 4)), dim=1).cpu().numpy()
            total += float(actions[0] == 1)
        episodic_returns.append(total)
    return Expected(
        epochs=1,
        steps=len(told["td_loss"]),
        train={"td_loss": [fmean(told["td_loss"])], "td_loss of each step": told["td_loss"]},
        named={"reads/q_values": [fmean(told["q_values"])]},
    )


def a2c() -> Expected:
    """Five steps of an environment, then one of the optimizer; every second time its three terms are printed."""

    class ActorCritic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.pi, self.v = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 1)

        def forward(self, x: Any) -> Any:
            x = torch.tanh(self.body(x))
            return torch.distributions.Categorical(logits=self.pi(x)), self.v(x).squeeze(-1)

    net = ActorCritic()
    optimizer = torch.optim.RMSprop(net.parameters(), lr=7e-3)
    told: dict[str, list[float]] = {"loss": [], "actor": [], "critic": [], "entropy": []}
    state = torch.randn(4)
    for update in range(10):
        log_probs, values, rewards, entropy = [], [], [], torch.tensor(0.0)
        for _ in range(5):
            dist, value = net(state)
            action = dist.sample()
            state, reward = torch.randn(4), float(action.item() == 0)
            log_probs.append(dist.log_prob(action))
            values.append(value)
            rewards.append(reward)
            entropy = entropy + dist.entropy()
        with torch.no_grad():
            _, R = net(state)
        returns = []
        for r in reversed(rewards):
            R = r + 0.9 * R
            returns.insert(0, R)
        advantage = torch.stack(returns) - torch.stack(values)
        actor_loss = -(torch.stack(log_probs) * advantage.detach()).mean()
        critic_loss = advantage.pow(2).mean()
        loss = actor_loss + 0.5 * critic_loss - 0.01 * entropy / 5
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told["loss"].append(unseen(loss))
        if update % 2 == 1:
            print(
                f"actor {actor_loss.item():.3f} critic {critic_loss.item():.3f} entropy {entropy.item():.3f}"
            )
            told["actor"].append(unseen(actor_loss))
            told["critic"].append(unseen(critic_loss))
            told["entropy"].append(unseen(entropy))
    return Expected(
        epochs=1,
        steps=10,
        train={"loss of each step": told["loss"], "loss": [fmean(told["loss"])]},
        named={
            f"reads/{name}": [fmean(told[name.removesuffix("_loss")])]
            for name in ("actor_loss", "critic_loss", "entropy")
        },
    )


# -- images


def unet_dice() -> Expected:
    """As milesial/Pytorch-UNet: cross-entropy plus Dice, a validation twice an epoch whose score is formatted and scheduled."""

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up, self.outc = (
                nn.Conv2d(1, 4, 3, 2, 1),
                nn.ConvTranspose2d(4, 4, 2, 2),
                nn.Conv2d(5, 1, 1),
            )

        def forward(self, x: Any) -> Any:
            return self.outc(torch.cat([x, F.relu(self.up(F.relu(self.down(x))))], dim=1))

    def dice_coeff(input: Any, target: Any, epsilon: float = 1e-6) -> Any:
        inter = 2 * (input * target).sum(dim=(-1, -2))
        sets_sum = input.sum(dim=(-1, -2)) + target.sum(dim=(-1, -2))
        return ((inter + epsilon) / (sets_sum + epsilon)).mean()

    def images(n: int, seed: int) -> TensorDataset:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(n, 1, 8, 8, generator=generator)
        return TensorDataset(x, (x + 0.5 * torch.randn(n, 1, 8, 8, generator=generator) > 0).float())

    @torch.inference_mode()
    def evaluate(net: Any, dataloader: Any) -> Any:
        net.eval()
        num_val_batches = len(dataloader)
        dice_score = 0
        for image, mask_true in dataloader:
            mask_pred = net(image)
            mask_pred = (torch.sigmoid(mask_pred) > 0.5).float()
            dice_score += dice_coeff(mask_pred, mask_true)
        net.train()
        return dice_score / max(num_val_batches, 1)

    train_loader = DataLoader(images(16, 0), shuffle=True, batch_size=4)
    val_loader = DataLoader(images(8, 1), shuffle=False, drop_last=True, batch_size=4)
    model = UNet()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01, foreach=True)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=5)
    criterion = nn.BCEWithLogitsLoss()
    told: dict[str, list[float]] = {"train": [], "dice": []}
    global_step = 0
    for epoch in range(1, 3):
        model.train()
        epoch_loss = 0
        for image, true_masks in train_loader:
            masks_pred = model(image)
            loss = criterion(masks_pred.squeeze(1), true_masks.squeeze(1))
            loss += 1 - dice_coeff(torch.sigmoid(masks_pred.squeeze(1)), true_masks.squeeze(1))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            global_step += 1
            epoch_loss += loss.item()
            if global_step % 2 == 0:
                val_score = evaluate(model, val_loader)
                scheduler.step(val_score)
                print("Validation Dice score: {}".format(val_score))  # noqa: UP032
                told["dice"].append(unseen(val_score))
        print(f"epoch {epoch}: {epoch_loss / len(train_loader)}")
        told["train"].append(epoch_loss / len(train_loader))
    return Expected(epochs=2, steps=8, train={"epoch_loss": told["train"]}, val={"val_score": told["dice"]})


def _detector() -> Any:
    """A model, its loss and data, as of an object detector: the loss is returned beside its three parts."""

    class Detect(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 6)

        def forward(self, x: Any) -> Any:
            return self.head(F.silu(self.conv(x)).mean((2, 3)))

    def compute_loss(p: Any, targets: Any) -> Any:
        lbox = F.smooth_l1_loss(p[:, :4], targets[:, :4])
        lobj = F.binary_cross_entropy_with_logits(p[:, 4], targets[:, 4].gt(0).float())
        lcls = F.binary_cross_entropy_with_logits(p[:, 5], targets[:, 5].gt(0).float())
        loss = 0.05 * lbox + lobj + 0.5 * lcls
        return loss * len(p), torch.stack((lbox, lobj, lcls)).detach()

    def images(n: int, seed: int) -> TensorDataset:
        generator = torch.Generator().manual_seed(seed)
        return TensorDataset(
            torch.randn(n, 1, 6, 6, generator=generator), torch.randn(n, 6, generator=generator)
        )

    return Detect(), compute_loss, images(24, 0), images(12, 1)


def yolo_like() -> Expected:
    """As ultralytics/yolov5: a warm-up by `np.interp` over two groups, a validation that returns a tuple of numbers."""
    model, compute_loss, train_set, val_set = _detector()
    train_loader, val_loader = DataLoader(train_set, batch_size=8), DataLoader(val_set, batch_size=6)
    biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
    weights = [p for name, p in model.named_parameters() if not name.endswith("bias")]
    optimizer = torch.optim.SGD(biases, lr=0.02, momentum=0.9, nesterov=True)
    optimizer.add_param_group({"params": weights, "weight_decay": 5e-4})
    lf = lambda x: (1 - x / 3) * 0.9 + 0.1
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lf)
    told: dict[str, list[float]] = {"train": [], "P": [], "box": [], "obj": [], "lr": [], "lr.1": []}

    def validate(model: Any, dataloader: Any) -> Any:
        model.eval()
        hits, loss = [], torch.zeros(3)
        with torch.no_grad():
            for im, targets in dataloader:
                preds = model(im)
                loss += compute_loss(preds, targets)[1]
                hits.append((preds[:, 4] > 0) == (targets[:, 4] > 0))
        p = torch.cat(hits).float().mean().cpu().numpy()
        model.train()
        return (float(p), *(loss.cpu() / len(dataloader)).tolist())

    nb, nw = len(train_loader), 4
    for epoch in range(3):
        model.train()
        losses = []
        for i, (imgs, targets) in enumerate(train_loader):
            ni = i + nb * epoch
            if ni <= nw:
                xi = [0, nw]
                for j, x in enumerate(optimizer.param_groups):
                    x["lr"] = np.interp(ni, xi, [0.1 if j == 0 else 0.0, x["initial_lr"] * lf(epoch)])
            loss, _loss_items = compute_loss(model(imgs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            told["lr"].append(float(optimizer.param_groups[0]["lr"]))
            told["lr.1"].append(float(optimizer.param_groups[1]["lr"]))
        scheduler.step()
        results = validate(model, val_loader)
        print(("%11.4g" * 4) % results)
        told["train"].append(unseen(torch.stack(losses).mean()))
        told["P"].append(results[0])
        told["box"].append(results[1])
        told["obj"].append(results[2])
    return Expected(
        epochs=3,
        steps=9,
        train={"loss": told["train"]},
        val={name: told[name] for name in ("P", "box", "obj")},
        lr={"lr": told["lr"], "lr.1": told["lr.1"]},
        params={"optimizer.lr": 0.02},
    )


def running_means_in_a_bar() -> Expected:
    """As yolov5, too: the running means of the loss's parts are only told in the bar; the last one is the epoch's mean."""
    tqdm = pytest.importorskip("tqdm").tqdm
    model, compute_loss, train_set, _ = _detector()
    train_loader = DataLoader(train_set, batch_size=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    told: list[list[float]] = []
    for epoch in range(3):
        model.train()
        mloss = torch.zeros(3)
        pbar = tqdm(enumerate(train_loader), total=len(train_loader), disable=True)
        for i, (imgs, targets) in pbar:
            loss, loss_items = compute_loss(model(imgs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            mloss = (mloss * i + loss_items) / (i + 1)
            pbar.set_description(("%11s" + "%11.4g" * 3) % (f"{epoch}/2", *mloss))
        told.append(unseen(mloss))
    box, obj, cls = (list(one) for one in zip(*told, strict=True))
    return Expected(epochs=3, steps=9, train={"box": box, "obj": obj, "cls": cls})


def two_heads() -> Expected:
    """Segments and classes by one network: weighted losses, each part's mean and the validation's printed."""

    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.mask, self.label = (
                nn.Conv2d(1, 4, 3, padding=1),
                nn.Conv2d(4, 2, 1),
                nn.Linear(4, 3),
            )

        def forward(self, x: Any) -> Any:
            x = F.relu(self.body(x))
            return self.mask(x), self.label(x.mean((2, 3)))

    def images(n: int, seed: int) -> TensorDataset:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(n, 1, 6, 6, generator=generator)
        return TensorDataset(x, (x[:, 0] > 0).long(), torch.randint(0, 3, (n,), generator=generator))

    model, seg_criterion, cls_criterion = TwoHeads(), nn.CrossEntropyLoss(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loaders = {
        "train": DataLoader(images(24, 0), batch_size=8),
        "val": DataLoader(images(12, 1), batch_size=6),
    }
    told: dict[str, list[float]] = {
        f"{p} {n}": [] for p in ("train", "val") for n in ("loss", "seg", "cls", "iou")
    }
    for epoch in range(3):
        for phase, loader in loaders.items():
            model.train(phase == "train")
            loss_sum = seg_sum = cls_sum = iou_sum = 0.0
            for image, mask, label in loader:
                with torch.set_grad_enabled(phase == "train"):
                    mask_logits, label_logits = model(image)
                    seg_loss = seg_criterion(mask_logits, mask)
                    cls_loss = cls_criterion(label_logits, label)
                    loss = 0.7 * seg_loss + 0.3 * cls_loss
                if phase == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                hit = mask_logits.argmax(1).bool() & mask.bool()
                iou = hit.sum() / (mask_logits.argmax(1).bool() | mask.bool()).sum()
                loss_sum += loss.item()
                seg_sum += seg_loss.item()
                cls_sum += cls_loss.item()
                iou_sum += iou.item()
            for name, total in (("loss", loss_sum), ("seg", seg_sum), ("cls", cls_sum), ("iou", iou_sum)):
                told[f"{phase} {name}"].append(total / len(loader))
        print(epoch, {name: f"{values[-1]:.4f}" for name, values in told.items()})
    return Expected(
        epochs=3,
        steps=9,
        train={name: values for name, values in told.items() if name.startswith("train")},
        val={name: values for name, values in told.items() if name.startswith("val")},
    )


# -- generative models


def ddpm_ema() -> Expected:
    """A diffusion model: the noise is predicted, averaged weights are evaluated while the model stays in training mode."""

    class Denoiser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.time, self.net = (
                nn.Embedding(10, 4),
                nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 4)),
            )

        def forward(self, x: Any, t: Any) -> Any:
            return self.net(torch.cat([x, self.time(t)], 1))

    class EMA:
        def __init__(self, model: Any, decay: float) -> None:
            self.decay, self.model = decay, copy.deepcopy(model).eval().requires_grad_(False)

        @torch.no_grad()
        def update(self, model: Any) -> None:
            for ema_p, p in zip(self.model.parameters(), model.parameters(), strict=True):
                ema_p.lerp_(p, 1 - self.decay)

    alphas_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.2, 10), 0)
    model = Denoiser()
    ema = EMA(model, 0.9)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    train_loader = DataLoader(TensorDataset(xy(32)[0]), batch_size=8, shuffle=True)
    val_loader = DataLoader(TensorDataset(xy(16, 1)[0]), batch_size=8)

    def q_sample(x0: Any, t: Any, noise: Any) -> Any:
        a = alphas_bar[t].unsqueeze(1)
        return a.sqrt() * x0 + (1 - a).sqrt() * noise

    told: dict[str, list[float]] = {"train": [], "val": []}
    for epoch in range(3):
        running = []
        for (x0,) in train_loader:
            t, noise = torch.randint(0, 10, (len(x0),)), torch.randn_like(x0)
            loss = F.mse_loss(model(q_sample(x0, t, noise), t), noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ema.update(model)
            running.append(loss.item())
        val_loss = 0.0
        with torch.no_grad():
            for (x0,) in val_loader:
                t, noise = torch.randint(0, 10, (len(x0),)), torch.randn_like(x0)
                val_loss += F.mse_loss(ema.model(q_sample(x0, t, noise), t), noise).item()
        val_loss /= len(val_loader)
        print(f"epoch {epoch} train {fmean(running):.4f} ema val {val_loss:.4f}")
        told["train"].append(fmean(running))
        told["val"].append(val_loss)
    return Expected(
        epochs=3,
        steps=12,
        train={"loss": told["train"]},
        val={"val_loss": told["val"]},
        no_metric=("per_sample",),
    )


def _gan_parts() -> Any:
    netG = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4))
    netD = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Sigmoid())
    return netG, netD, DataLoader(TensorDataset(xy(32)[0]), batch_size=8)


def _by_epoch(values: list[float], count: int) -> list[float]:
    return [fmean(values[i : i + count]) for i in range(0, len(values), count)]


def gan_d_first() -> Expected:
    """As pytorch/examples/dcgan: the discriminator on real and fake, then the generator, and what D says of each."""
    netG, netD, dataloader = _gan_parts()
    criterion = nn.BCELoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=0.002, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=0.001, betas=(0.5, 0.999))
    told: dict[str, list[float]] = {
        n: [] for n in ("errD_real", "errD_fake", "errG", "errD", "D_x", "D_G_z1", "D_G_z2")
    }
    for epoch in range(2):
        for i, (real_cpu,) in enumerate(dataloader, 0):
            netD.zero_grad()
            batch_size = real_cpu.size(0)
            label = torch.full((batch_size,), 1.0)
            output = netD(real_cpu).view(-1)
            errD_real = criterion(output, label)
            errD_real.backward()
            D_x = output.mean().item()
            noise = torch.randn(batch_size, 2)
            fake = netG(noise)
            label.fill_(0.0)
            output = netD(fake.detach()).view(-1)
            errD_fake = criterion(output, label)
            errD_fake.backward()
            D_G_z1 = output.mean().item()
            errD = errD_real + errD_fake
            optimizerD.step()
            netG.zero_grad()
            label.fill_(1.0)
            output = netD(fake).view(-1)
            errG = criterion(output, label)
            errG.backward()
            D_G_z2 = output.mean().item()
            optimizerG.step()
            print(
                "[%d/%d][%d/%d] Loss_D: %.4f Loss_G: %.4f D(x): %.4f D(G(z)): %.4f / %.4f"
                % (epoch, 2, i, len(dataloader), errD.item(), errG.item(), D_x, D_G_z1, D_G_z2)
            )
            for name, value in (
                ("errD_real", errD_real),
                ("errD_fake", errD_fake),
                ("errG", errG),
                ("errD", errD),
            ):
                told[name].append(unseen(value))
            for name, read in (("D_x", D_x), ("D_G_z1", D_G_z1), ("D_G_z2", D_G_z2)):
                told[name].append(read)
    means = {name: _by_epoch(values, 4) for name, values in told.items()}
    return Expected(
        epochs=2,
        steps=8,
        train={name: means[name] for name in ("errD_real", "errD_fake", "errG", "errD")},
        named={f"reads/{name}": means[name] for name in ("D_x", "D_G_z1", "D_G_z2")},
        no_metric=("errG_2", "errD_2", "reads/output"),
        rates=[0.002, 0.001],
    )


def gan_g_first() -> Expected:
    """As eriklindernoren/PyTorch-GAN: the generator steps first, and what is printed is read in one line."""
    generator, discriminator, dataloader = _gan_parts()
    adversarial_loss = torch.nn.BCELoss()
    optimizer_G = torch.optim.Adam(generator.parameters(), lr=0.002, betas=(0.5, 0.999))
    optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=0.003, betas=(0.5, 0.999))
    told: dict[str, list[float]] = {"g_loss": [], "d_loss": []}
    for epoch in range(2):
        for i, (imgs,) in enumerate(dataloader):
            valid, fake = torch.ones(imgs.size(0), 1), torch.zeros(imgs.size(0), 1)
            optimizer_G.zero_grad()
            z = torch.randn(imgs.size(0), 2)
            gen_imgs = generator(z)
            g_loss = adversarial_loss(discriminator(gen_imgs), valid)
            g_loss.backward()
            optimizer_G.step()
            optimizer_D.zero_grad()
            real_loss = adversarial_loss(discriminator(imgs), valid)
            fake_loss = adversarial_loss(discriminator(gen_imgs.detach()), fake)
            d_loss = (real_loss + fake_loss) / 2
            d_loss.backward()
            optimizer_D.step()
            print(
                "[Epoch %d/%d] [Batch %d/%d] [D loss: %f] [G loss: %f]"
                % (epoch, 2, i, len(dataloader), d_loss.item(), g_loss.item())
            )
            told["g_loss"].append(unseen(g_loss))
            told["d_loss"].append(unseen(d_loss))
    return Expected(
        epochs=2,
        steps=8,
        train={"g_loss each step": told["g_loss"], "d_loss each step": told["d_loss"]},
        named={f"train/loss.{name}": _by_epoch(values, 4) for name, values in told.items()},
        no_metric=("reads/",),
        rates=[0.002, 0.003],
    )


def gan_many_critics() -> Expected:
    """As the original WGAN: a critic that steps for each batch and is clipped; the generator at every second batch."""
    netG, netD, dataloader = _gan_parts()
    netD = netD[:3]
    optimizerD = torch.optim.RMSprop(netD.parameters(), lr=5e-4)
    optimizerG = torch.optim.RMSprop(netG.parameters(), lr=5e-5)
    told: dict[str, list[float]] = {"loss_D": [], "loss_G": []}
    for _epoch in range(3):
        for i, (real,) in enumerate(dataloader):
            optimizerD.zero_grad()
            fake = netG(torch.randn(real.size(0), 2)).detach()
            loss_D = -torch.mean(netD(real)) + torch.mean(netD(fake))
            loss_D.backward()
            optimizerD.step()
            for p in netD.parameters():
                p.data.clamp_(-0.01, 0.01)
            told["loss_D"].append(loss_D.item())
            if i % 2 == 0:
                optimizerG.zero_grad()
                loss_G = -torch.mean(netD(netG(torch.randn(real.size(0), 2))))
                loss_G.backward()
                optimizerG.step()
                told["loss_G"].append(loss_G.item())
    return Expected(
        epochs=3,
        steps=12,
        train={"loss_D each step": told["loss_D"], "loss_G each step": told["loss_G"]},
        named={
            "train/loss.loss_D": _by_epoch(told["loss_D"], 4),
            "train/loss.loss_G": _by_epoch(told["loss_G"], 2),
        },
        rates=[5e-4, 5e-5],
    )


def vae_two_terms() -> Expected:
    """Both terms are printed for each epoch, of the training and of the test."""

    class VAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.decode = nn.Linear(4, 4), nn.Linear(2, 4)

        def forward(self, x: Any) -> Any:
            mu, logvar = self.encode(x).chunk(2, 1)
            return self.decode(mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)), mu, logvar

    def loss_function(recon_x: Any, x: Any, mu: Any, logvar: Any) -> Any:
        recon = F.mse_loss(recon_x, x)
        kld = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())
        return recon + 0.1 * kld, recon, kld

    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train_loader = DataLoader(TensorDataset(xy(48)[0]), batch_size=16)
    test_loader = DataLoader(TensorDataset(xy(20, 1)[0]), batch_size=10)
    told: dict[str, list[float]] = {
        f"{p} {n}": [] for p in ("train", "test") for n in ("loss", "recon", "kld")
    }
    for epoch in range(1, 4):
        model.train()
        train_loss = train_recon = train_kld = 0.0
        for (x,) in train_loader:
            optimizer.zero_grad()
            loss, recon, kld = loss_function(*_with(model, x))
            loss.backward()
            optimizer.step()
            train_loss += loss.item()
            train_recon += recon.item()
            train_kld += kld.item()
        print(
            f"====> Epoch: {epoch} {train_loss / 3:.4f} = {train_recon / 3:.4f} + 0.1 * {train_kld / 3:.4f}"
        )
        model.eval()
        test_loss = test_recon = test_kld = 0.0
        with torch.no_grad():
            for (x,) in test_loader:
                loss, recon, kld = loss_function(*_with(model, x))
                test_loss += loss.item()
                test_recon += recon.item()
                test_kld += kld.item()
        print(f"====> Test set loss: {test_loss / 2:.4f} = {test_recon / 2:.4f} + 0.1 * {test_kld / 2:.4f}")
        for name, value in (("loss", train_loss), ("recon", train_recon), ("kld", train_kld)):
            told[f"train {name}"].append(value / 3)
        for name, value in (("loss", test_loss), ("recon", test_recon), ("kld", test_kld)):
            told[f"test {name}"].append(value / 2)
    return Expected(
        epochs=3,
        steps=9,
        train={name: values for name, values in told.items() if name.startswith("train")},
        val={name: values for name, values in told.items() if name.startswith("test")},
        no_metric=("per_sample",),
    )


def _with(model: Any, x: Any) -> Any:
    recon_x, mu, logvar = model(x)
    return recon_x, x, mu, logvar


# -- teachers, students, pairs


def dino() -> Expected:
    """As facebookresearch/dino: schedules of numpy by step, a teacher that follows, a centre, a meter for the loss."""

    def cosine_scheduler(base: float, final: float, steps: int, warmup: int = 0) -> Any:
        iters = np.arange(steps - warmup)
        schedule = final + 0.5 * (base - final) * (1 + np.cos(np.pi * iters / len(iters)))
        return np.concatenate((np.linspace(0, base, warmup), schedule))

    student, teacher = Net(classes=5), Net(classes=5)
    teacher.load_state_dict(student.state_dict())
    for p in teacher.parameters():
        p.requires_grad = False
    data_loader = DataLoader(TensorDataset(xy(32)[0]), batch_size=8, shuffle=True)
    regularized = [p for p in student.parameters() if p.ndim > 1]
    params_groups = [
        {"params": regularized},
        {"params": [p for p in student.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(params_groups)
    lr_schedule, wd_schedule = cosine_scheduler(5e-3, 1e-4, 12, warmup=3), cosine_scheduler(0.04, 0.4, 12)
    momentum_schedule = cosine_scheduler(0.9, 1.0, 12)
    center = torch.zeros(1, 5)
    told: dict[str, list[float]] = {"loss": [], "lr": []}
    for epoch in range(3):
        meter: list[float] = []
        for it, (images,) in enumerate(data_loader):
            it = len(data_loader) * epoch + it
            for i, param_group in enumerate(optimizer.param_groups):
                param_group["lr"] = lr_schedule[it]
                if i == 0:
                    param_group["weight_decay"] = wd_schedule[it]
            one, other = images + 0.1 * torch.randn_like(images), images + 0.1 * torch.randn_like(images)
            with torch.no_grad():
                teacher_output = teacher(one)
                targets = F.softmax((teacher_output - center) / 0.04, dim=-1)
            loss = torch.sum(-targets * F.log_softmax(student(other) / 0.1, dim=-1), dim=-1).mean()
            if not math.isfinite(loss.item()):
                raise SystemExit(1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                m = momentum_schedule[it]
                for param_q, param_k in zip(student.parameters(), teacher.parameters(), strict=True):
                    param_k.data.mul_(m).add_((1 - m) * param_q.detach().data)
                center = center * 0.9 + teacher_output.mean(0, keepdim=True) * 0.1
            meter.append(loss.item())
            told["lr"].append(float(lr_schedule[it]))
        print(f"Averaged stats: loss {fmean(meter):.4f} lr {optimizer.param_groups[0]['lr']:.6f}")
        told["loss"].append(fmean(meter))
    return Expected(
        epochs=3,
        steps=12,
        train={"loss": told["loss"]},
        lr={"lr": told["lr"], "lr.1": told["lr"]},
        params={"optimizer.lr": 1e-3},
    )


def triplets() -> Expected:
    """An embedding trained by triplets, with the share of those that are right of the training and the validation."""

    class Triplets(Dataset[Any]):
        def __init__(self, n: int, seed: int) -> None:
            self.x, self.y = xy(60, seed)
            self.n, self.chance = n, random.Random(seed)
            same = [torch.nonzero(self.y == c).flatten().tolist() for c in (0, 1)]
            self.rows = [
                (self.chance.choice(same[c]), self.chance.choice(same[c]), self.chance.choice(same[1 - c]))
                for c in (i % 2 for i in range(n))
            ]

        def __len__(self) -> int:
            return self.n

        def __getitem__(self, i: int) -> Any:
            return tuple(self.x[row] for row in self.rows[i])

    model, criterion = Net(classes=3), nn.TripletMarginLoss(margin=1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train_loader, val_loader = (
        DataLoader(Triplets(48, 0), batch_size=16),
        DataLoader(Triplets(30, 1), batch_size=10),
    )
    told: dict[str, list[float]] = {"train": [], "train right": [], "val": [], "val right": []}

    def run(loader: Any, train: bool) -> Any:
        model.train(train)
        total, right = 0.0, 0
        for anchor, positive, negative in loader:
            a, p, n = model(anchor), model(positive), model(negative)
            loss = criterion(a, p, n)
            if train:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item()
            right += (F.pairwise_distance(a, p) < F.pairwise_distance(a, n)).sum().item()
        return total / len(loader), right / len(loader.dataset)

    for epoch in range(3):
        train_loss, train_acc = run(train_loader, True)
        with torch.no_grad():
            val_loss, val_acc = run(val_loader, False)
        print(f"{epoch} {train_loss:.3f} {train_acc:.3f} {val_loss:.3f} {val_acc:.3f}")
        for name, value in zip(told, (train_loss, train_acc, val_loss, val_acc), strict=True):
            told[name].append(value)
    return Expected(
        epochs=3,
        steps=9,
        train={name: told[name] for name in ("train", "train right")},
        val={name: told[name] for name in ("val", "val right")},
    )


def distillation_with_temperature() -> list[Expected]:
    """As PyTorch's tutorial: a teacher is trained, then a student by its soft targets; each is tested once."""
    train_loader, test_loader = DataLoader(data(48), batch_size=16), DataLoader(data(30, 1), batch_size=10)

    def test(model: Any) -> float:
        model.eval()
        correct = total = 0
        with torch.no_grad():
            for inputs, labels in test_loader:
                _, predicted = torch.max(model(inputs).data, 1)
                total += labels.size(0)
                correct += (predicted == labels).sum().item()
        accuracy = 100 * correct / total
        print(f"Test Accuracy: {accuracy:.2f}%")
        return accuracy

    def train(model: Any, epochs: int) -> list[float]:
        criterion = nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        model.train()
        told = []
        for epoch in range(epochs):
            running_loss = 0.0
            for inputs, labels in train_loader:
                optimizer.zero_grad()
                loss = criterion(model(inputs), labels)
                loss.backward()
                optimizer.step()
                running_loss += loss.item()
            print(f"Epoch {epoch + 1}/{epochs}, Loss: {running_loss / len(train_loader)}")
            told.append(running_loss / len(train_loader))
        return told

    def train_knowledge_distillation(teacher: Any, student: Any, epochs: int, T: float) -> Any:
        ce_loss = nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
        teacher.eval()
        student.train()
        told: Any = [], [], []
        for _epoch in range(epochs):
            running_loss = running_soft = running_hard = 0.0
            for inputs, labels in train_loader:
                optimizer.zero_grad()
                with torch.no_grad():
                    teacher_logits = teacher(inputs)
                student_logits = student(inputs)
                soft_targets = F.softmax(teacher_logits / T, dim=-1)
                soft_prob = F.log_softmax(student_logits / T, dim=-1)
                soft_loss = torch.sum(soft_targets * (soft_targets.log() - soft_prob)) / len(inputs) * T**2
                label_loss = ce_loss(student_logits, labels)
                loss = 0.25 * soft_loss + 0.75 * label_loss
                loss.backward()
                optimizer.step()
                running_loss += loss.item()
                running_soft += soft_loss.item()
                running_hard += label_loss.item()
            for one, value in zip(told, (running_loss, running_soft, running_hard), strict=True):
                one.append(value / len(train_loader))
        return told

    teacher, student = Net(16), Net(4)
    first = train(teacher, 3)
    accuracy_teacher = test(teacher)
    loss, soft, hard = train_knowledge_distillation(teacher, student, 2, 2.0)
    accuracy_student = test(student)
    return [
        Expected(epochs=3, steps=9, train={"loss": first}, val={"accuracy": [accuracy_teacher / 100]}),
        Expected(
            epochs=2,
            steps=6,
            train={"loss": loss, "soft": soft, "hard": hard},
            val={"accuracy": [accuracy_student / 100]},
        ),
    ]


# -- folds, precision, beginnings and ends


def folds_by_sampler() -> list[Expected]:
    """k folds of one data set by samplers, as many tutorials have it: each fold is a run of its own, tested at its end."""

    def reset_weights(m: Any) -> None:
        if hasattr(m, "reset_parameters"):
            m.reset_parameters()

    dataset, results, told = data(60), {}, []
    for fold in range(3):
        test_ids = list(range(fold * 20, fold * 20 + 20))
        train_ids = [i for i in range(60) if i not in test_ids]
        trainloader = DataLoader(dataset, batch_size=10, sampler=SubsetRandomSampler(train_ids))
        testloader = DataLoader(dataset, batch_size=10, sampler=SubsetRandomSampler(test_ids))
        network = Net()
        network.apply(reset_weights)
        loss_function = nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        means = []
        for epoch in range(2):
            current_loss = 0.0
            for inputs, targets in trainloader:
                optimizer.zero_grad()
                outputs = network(inputs)
                loss = loss_function(outputs, targets)
                loss.backward()
                optimizer.step()
                current_loss += loss.item()
            print(f"Fold {fold} epoch {epoch}: {current_loss / len(trainloader):.3f}")
            means.append(current_loss / len(trainloader))
        correct, total = 0, 0
        with torch.no_grad():
            for inputs, targets in testloader:
                outputs = network(inputs)
                _, predicted = torch.max(outputs.data, 1)
                total += targets.size(0)
                correct += (predicted == targets).sum().item()
        print("Accuracy for fold %d: %d %%" % (fold, 100.0 * correct / total))
        results[fold] = 100.0 * (correct / total)
        told.append(Expected(epochs=2, steps=8, train={"loss": means}, val={"accuracy": [correct / total]}))
    return told


def fp16_with_skipped_steps() -> Expected:
    """A GradScaler whose scale is too high again and again: such steps are skipped, their losses are losses all the same."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x, y = xy(40)
    train_loader = DataLoader(TensorDataset(20 * x, y), batch_size=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=2)
    told, scales = [], [scaler.get_scale()]
    for epoch in range(4):
        running_loss = 0.0
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            running_loss += loss.detach()
            scales.append(scaler.get_scale())
        print(f"epoch {epoch} loss {running_loss / len(train_loader)}")
        told.append(unseen(running_loss / len(train_loader)))
    skipped = sum(after < before for before, after in pairwise(scales))
    assert 2 < skipped < 15
    return Expected(
        epochs=4,
        steps=20 - skipped,
        named={"train/loss": told},
        params={"backwards_per_step": None, "grad_scaler": True},
    )


def resumed_training() -> list[Expected]:
    """Trained for two epochs, and then, as if another day, for two more from the checkpoint: the steps go on."""
    folder = tempfile.TemporaryDirectory()
    path = os.path.join(folder.name, "last.pt")

    def main(epochs: int, resume: str | None = None) -> list[float]:
        model = Net()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        start_epoch = 0
        if resume is not None:
            checkpoint = torch.load(resume)
            model.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
            scheduler.load_state_dict(checkpoint["scheduler"])
            start_epoch = checkpoint["epoch"] + 1
        loader, told = DataLoader(data(48), batch_size=16), []
        for epoch in range(start_epoch, epochs):
            total = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item()
            scheduler.step()
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "scheduler": scheduler.state_dict(), "epoch": epoch}, path)
            print(f"epoch {epoch}: {total / len(loader):.4f}")
            told.append(total / len(loader))
        return told

    first = main(2)
    second = main(4, path)
    folder.cleanup()
    return [
        Expected(epochs=2, steps=6, train={"loss": first}, lr={"lr": [0.01] * 3 + [0.005] * 3}),
        Expected(
            epochs=2, steps=12, first=6, train={"loss": second}, lr={"lr": [0.0025] * 3 + [0.00125] * 3}
        ),
    ]


def early_stopping_and_test() -> Expected:
    """The best weights are loaded again, and tested by the function that validated."""

    class EarlyStopping:
        def __init__(self, patience: int) -> None:
            self.patience, self.counter, self.best, self.stop = patience, 0, math.inf, False

        def __call__(self, val_loss: float, model: Any) -> None:
            if val_loss < self.best - 0.03:
                self.best, self.counter, self.state = val_loss, 0, copy.deepcopy(model.state_dict())
            else:
                self.counter += 1
                self.stop = self.counter >= self.patience

    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    train_loader, val_loader = DataLoader(data(48), batch_size=16), DataLoader(data(24, 1), batch_size=8)
    test_loader = DataLoader(data(30, 2), batch_size=10)
    early_stopping = EarlyStopping(patience=2)

    def evaluate(loader: Any) -> Any:
        model.eval()
        total_loss, correct = 0.0, 0
        with torch.no_grad():
            for x, y in loader:
                output = model(x)
                total_loss += criterion(output, y).item() * x.size(0)
                correct += (output.argmax(1) == y).sum().item()
        return total_loss / len(loader.dataset), correct / len(loader.dataset)

    told: dict[str, list[float]] = {"train": [], "val": [], "val_acc": []}
    for epoch in range(20):
        model.train()
        train_loss = 0.0
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            train_loss += loss.item() * x.size(0)
        train_loss /= len(train_loader.dataset)
        val_loss, val_acc = evaluate(val_loader)
        print(f"{epoch}: train {train_loss:.4f} val {val_loss:.4f} acc {val_acc:.4f}")
        for name, value in zip(told, (train_loss, val_loss, val_acc), strict=True):
            told[name].append(value)
        early_stopping(val_loss, model)
        if early_stopping.stop:
            break
    model.load_state_dict(early_stopping.state)
    test_loss, test_acc = evaluate(test_loader)
    print(f"test {test_loss:.4f} acc {test_acc:.4f}")
    epochs = len(told["train"])
    assert 2 < epochs < 20
    return Expected(
        epochs=epochs,
        steps=3 * epochs,
        train={"train": told["train"]},
        val={"val": told["val"], "val_acc": told["val_acc"], "test": [test_loss], "test_acc": [test_acc]},
    )


def lr_range_test() -> list[Expected]:
    """A copy of the model is trained with ever higher rates until the loss explodes; the training follows."""
    loader, criterion = DataLoader(data(48), batch_size=8), nn.CrossEntropyLoss()
    model = Net()

    def find_lr(model: Any) -> Any:
        model = copy.deepcopy(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        lr, best, losses, rates = 1e-3, math.inf, [], []
        for x, y in loader:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            losses.append(loss.item())
            if len(losses) > 4:
                break
            best = min(best, loss.item())
            loss.backward()
            optimizer.step()
            rates.append(lr)
            lr *= 10
        return losses[:-1], rates

    searched, rates = find_lr(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    told = []
    for epoch in range(2):
        running_loss = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        print(epoch, running_loss / len(loader))
        told.append(running_loss / len(loader))
    return [
        Expected(epochs=1, steps=4, train={"losses": searched}, lr={"lr": rates}),
        Expected(
            epochs=2,
            steps=12,
            train={"loss": told},
            lr={"lr": [0.05] * 12},
            params={"optimizer.lr": 0.05, "data.dataset": "TensorDataset"},
        ),
    ]


def cancelled_search() -> list[Expected]:
    """A search for a learning rate is given up between a backward and its step; then the training begins, without it."""
    loader = DataLoader(data(48), batch_size=8)

    losses: list[float] = []

    def fit(model: Any, optimizer: Any, epochs: int, stop_at: float = math.inf) -> list[float]:
        told = []
        for _ in range(epochs):
            losses.clear()
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                losses.append(loss.item())
                if len(losses) > stop_at:
                    raise RuntimeError("diverged")
                optimizer.step()
            told.append(fmean(losses))
        return told

    model = Net()
    searched = copy.deepcopy(model)
    try:
        fit(searched, torch.optim.SGD(searched.parameters(), lr=10.0), 1, stop_at=3)
    except RuntimeError:
        print("the rate is too high")
    searched_losses = losses[:3]
    told = fit(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
    return [
        Expected(epochs=1, steps=3, train={"losses": searched_losses}, lr={"lr": [10.0] * 3}),
        Expected(epochs=2, steps=12, train={"loss": told}, lr={"lr": [0.1] * 12}),
    ]


CELLS = {
    "data": """
import torch
from loops import Net, data
from torch import nn
from torch.utils.data import DataLoader

class Slow(torch.utils.data.Dataset):
    stop_at = None

    def __init__(self, whole):
        self.whole, self.given = whole, 0

    def __len__(self):
        return len(self.whole)

    def __getitem__(self, index):
        self.given += 1
        if self.given == self.stop_at:
            raise KeyboardInterrupt
        return self.whole[index]

train_loader = DataLoader(Slow(data(48)), batch_size=16)
criterion = nn.CrossEntropyLoss()
""",
    "model": """
model = Net()
""",
    "training": """
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
history, losses = [], []
for epoch in range(3):
    running_loss = 0.0
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        losses.append(loss.item())
    print(f"Epoch {epoch}: {running_loss / len(train_loader):.4f}")
    history.append(running_loss / len(train_loader))
""",
}
"""Of a notebook. The data ends in a Ctrl-C once, at a sample that `stop_at` tells."""


def _notebook(*again: str) -> list[Expected]:
    """Its cells, the last one of which is interrupted in the second epoch; then some of them again."""
    namespace: dict[str, Any] = {"__name__": "__main__"}

    def run_cell(cell: str) -> None:
        name, source = f"<ipython-input-{cell}>", CELLS[cell]
        linecache.cache[name] = len(source), None, source.splitlines(True), name
        exec(compile(source, name, "exec"), namespace)

    run_cell("data")
    run_cell("model")
    namespace["Slow"].stop_at = 48 + 32 + 1
    try:
        run_cell("training")
    except KeyboardInterrupt as error:
        sys.last_value = error  # kept, for `%debug`
    losses = namespace["losses"]
    namespace["Slow"].stop_at = None
    for cell in again:
        run_cell(cell)
    history = namespace["history"]
    namespace.clear()
    return [
        Expected(epochs=2, steps=5, train={"loss": [fmean(losses[:3]), fmean(losses[3:])], "losses": losses}),
        Expected(epochs=3, steps=9, train={"loss": history}),
    ]


def notebook_cells_again() -> list[Expected]:
    """The training is stopped by Ctrl-C; a new model is made and trained over the same loader."""
    return _notebook("model", "training")


def notebook_training_again() -> list[Expected]:
    """The same, but only the cell of the training is run again: the model is the old one, the optimizer new."""
    return _notebook("training")


def reads_before_and_after() -> Expected:
    """Data is normalised by what is read of it; when all is done, the weights that were found are read."""
    x = torch.linspace(-3, 5.5, 48).unsqueeze(1)
    y = 2.5 * x + 0.75 + 0.1 * torch.randn(48, 1)
    x_mean, x_std = x.mean().item(), x.std().item()
    y_max = y.abs().max().item()
    loader = DataLoader(TensorDataset((x - x_mean) / x_std, y / y_max), batch_size=16, shuffle=True)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    told = []
    for epoch in range(3):
        total = 0.0
        for a, b in loader:
            optimizer.zero_grad()
            loss = F.mse_loss(model(a), b)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"{epoch} {total / len(loader):.5f}")
        told.append(total / len(loader))
    slope, bias = model.weight.item(), model.bias.item()
    print(f"Result: y = {bias} + {slope} x")
    return Expected(
        epochs=3,
        steps=9,
        train={"loss": told},
        absent=[x_mean, x_std, y_max, slope, bias],
        no_metric=("x_mean", "x_std", "y_max", "slope", "bias"),
    )


def low_rank_adapters() -> Expected:
    """As PEFT: adapters are put into a model's layers, by name; only those are trained, and the whole model is called."""

    class LoraLinear(nn.Module):
        def __init__(self, base: Any, adapter_name: str, r: int = 2) -> None:
            super().__init__()
            self.base_layer, self.lora_A, self.lora_B = base, nn.ModuleDict({}), nn.ModuleDict({})
            self.lora_A[adapter_name] = nn.Linear(base.in_features, r, bias=False)
            self.lora_B[adapter_name] = nn.Linear(r, base.out_features, bias=False)
            self.active = adapter_name

        def forward(self, x: Any) -> Any:
            return self.base_layer(x) + self.lora_B[self.active](self.lora_A[self.active](x))

    class DecoderLayer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj, self.v_proj = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return x + self.v_proj(torch.tanh(self.q_proj(x)))

    class ForCausalLM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.lm_head = nn.Embedding(11, 8), nn.Linear(8, 11)
            self.layers = nn.ModuleList([DecoderLayer() for _ in range(2)])

        def forward(self, ids: Any) -> Any:
            x = self.embed(ids)
            for layer in self.layers[:2]:  # as transformers' models do: the slice is a parent, too
                x = layer(x)
            return self.lm_head(x)

    class PeftModel(nn.Module):
        def __init__(self, base_model: Any, adapter_name: str = "default") -> None:
            super().__init__()
            self.base_model = base_model
            for p in base_model.parameters():
                p.requires_grad = False
            for name, module in list(base_model.named_modules()):
                if name.endswith(("q_proj", "v_proj")):
                    parent = base_model.get_submodule(name.rpartition(".")[0])
                    setattr(parent, name.rpartition(".")[2], LoraLinear(module, adapter_name))

        def forward(self, ids: Any) -> Any:
            return self.base_model(ids)

    pretrained = ForCausalLM()
    model = PeftModel(copy.deepcopy(pretrained))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": trained, "weight_decay": 0.01}, {"params": [], "weight_decay": 0.0}], lr=0.01
    )
    tokens = torch.randint(0, 11, (32, 7))
    loader, told = DataLoader(TensorDataset(tokens), batch_size=8), []
    for epoch in range(2):
        model.train()
        total_loss = 0
        for (ids,) in loader:
            loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
            total_loss += loss.detach().float()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        print(f"{epoch=}: {torch.exp(total_loss / len(loader))=}")
        told.append(unseen(total_loss / len(loader)))
    return Expected(
        epochs=2,
        steps=8,
        train={"loss": told},
        model="PeftModel",
        params={
            "model.parameters": sum(p.numel() for p in model.parameters()),
            "model.trainable_parameters": sum(p.numel() for p in trained),
            "model2.parameters": None,
        },
    )


# -- learning to learn, and gradients by functions


def _sines(seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    shift = torch.rand(1, generator=generator) * 3
    x = torch.rand(20, 1, generator=generator) * 6 - 3
    return x[:10], torch.sin(x[:10] + shift), x[10:], torch.sin(x[10:] + shift)


def _small() -> Any:
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def maml_first_order() -> Expected:
    """Each task has a copy of the model and an optimizer of its own; the copy's gradients are the model's."""
    model, criterion = _small(), nn.MSELoss()
    meta_optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    told = []
    for iteration in range(5):
        meta_optimizer.zero_grad()
        meta_loss = 0.0
        for task in range(3):
            support_x, support_y, query_x, query_y = _sines(10 * iteration + task)
            learner = copy.deepcopy(model)
            inner_optimizer = torch.optim.SGD(learner.parameters(), lr=0.05)
            for _ in range(2):
                inner_loss = criterion(learner(support_x), support_y)
                inner_optimizer.zero_grad()
                inner_loss.backward()
                inner_optimizer.step()
            inner_optimizer.zero_grad()
            query_loss = criterion(learner(query_x), query_y)
            query_loss.backward()
            for p, q in zip(model.parameters(), learner.parameters(), strict=True):
                p.grad = q.grad.clone() if p.grad is None else p.grad + q.grad
            meta_loss += query_loss.item()
        meta_optimizer.step()
        print(f"iteration {iteration}: {meta_loss / 3:.4f}")
        told.append(meta_loss / 3)
    return Expected(epochs=1, steps=5, train={"meta_loss of each step": told, "meta_loss": [fmean(told)]})


def reptile() -> Expected:
    """Inner steps by an optimizer, the outer one by hand."""
    model, told = _small(), []
    for iteration in range(5):
        inner = copy.deepcopy(model)
        optimizer = torch.optim.SGD(inner.parameters(), lr=0.05)
        x, y, _, _ = _sines(iteration)
        for _ in range(4):
            loss = F.mse_loss(inner(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            told.append(loss.item())
        with torch.no_grad():
            for p, q in zip(model.parameters(), inner.parameters(), strict=True):
                p += 0.5 * (q - p)
        print(f"iteration {iteration}: {loss.item():.4f}")
    return Expected(epochs=1, steps=20, train={"loss": [fmean(told)]})


def maml_functional() -> Expected:
    """The inner steps are made of `functional_call` and `autograd.grad`; the outer loss goes backward through them."""
    model = _small()
    meta_optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    told = []
    for iteration in range(6):
        losses = []
        for task in range(2):
            support_x, support_y, query_x, query_y = _sines(10 * iteration + task)
            params = dict(model.named_parameters())
            for _ in range(2):
                loss = F.mse_loss(torch.func.functional_call(model, params, (support_x,)), support_y)
                grads = torch.autograd.grad(loss, list(params.values()), create_graph=True)
                params = {name: p - 0.05 * g for (name, p), g in zip(params.items(), grads, strict=True)}
            losses.append(F.mse_loss(torch.func.functional_call(model, params, (query_x,)), query_y))
        meta_loss = torch.stack(losses).mean()
        meta_optimizer.zero_grad()
        meta_loss.backward()
        meta_optimizer.step()
        print(f"{iteration}: {meta_loss.item():.4f}")
        told.append(unseen(meta_loss))
    return Expected(epochs=1, steps=6, train={"meta_loss of each step": told, "meta_loss": [fmean(told)]})


def gradients_by_functions() -> Expected:
    """`torch.func.grad_and_value` gives gradients and loss, an optimizer steps: there is no backward."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train_loader, val_loader = DataLoader(data(48), batch_size=16), DataLoader(data(20, 1), batch_size=10)

    def compute_loss(params: Any, x: Any, y: Any) -> Any:
        return F.cross_entropy(torch.func.functional_call(model, params, (x,)), y)

    grad_and_loss = torch.func.grad_and_value(compute_loss)
    told: dict[str, list[float]] = {"train": [], "val": []}
    for epoch in range(3):
        running_loss = 0.0
        for x, y in train_loader:
            grads, loss = grad_and_loss(dict(model.named_parameters()), x, y)
            for name, p in model.named_parameters():
                p.grad = grads[name]
            optimizer.step()
            running_loss += loss.item()
        model.eval()
        val_loss = 0.0
        with torch.no_grad():
            for x, y in val_loader:
                val_loss += compute_loss(dict(model.named_parameters()), x, y).item()
        model.train()
        print(f"{epoch} {running_loss / len(train_loader):.4f} {val_loss / len(val_loader):.4f}")
        told["train"].append(running_loss / len(train_loader))
        told["val"].append(val_loss / len(val_loader))
    return Expected(epochs=3, steps=9, train={"loss": told["train"]}, val={"val_loss": told["val"]})


def hogwild() -> list[Expected]:
    """As pytorch/examples/mnist_hogwild, by threads, of which one steps at a time: autograd notices if a parameter changes
    within a backward. Each has its optimizer and its epochs, the model is of both.
    """
    model, begun, lock = Net(), threading.Event(), threading.Lock()
    told: dict[int, list[float]] = {0: [], 1: []}

    def train(rank: int) -> None:
        loader = DataLoader(data(32 + 16 * rank, rank), batch_size=16)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01 * (rank + 1), momentum=0.5)
        for epoch in range(2):
            total = 0.0
            for x, y in loader:
                with lock:
                    optimizer.zero_grad()
                    loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)
                    loss.backward()
                    optimizer.step()
                begun.set()
                total += loss.item()
            print(f"{rank} Train Epoch: {epoch} Loss: {total / len(loader):.6f}")
            told[rank].append(total / len(loader))

    threads = []
    for rank in range(2):
        thread = threading.Thread(target=train, args=(rank,))
        thread.start()
        begun.wait(60)
        threads.append(thread)
    for thread in threads:
        thread.join()
    return [
        Expected(
            epochs=2,
            steps=2 * (2 + rank),
            train={"loss": told[rank]},
            lr={"lr": [0.01 * (rank + 1)] * 2 * (2 + rank)},
        )
        for rank in range(2)
    ]


# -- libraries around a loop


def fabric_with_accumulation() -> Expected:
    """Lightning Fabric: two batches a step, a schedule by step, the accuracy a tensor that is only printed."""
    fabric_of = pytest.importorskip("lightning.fabric").Fabric
    fabric = fabric_of(accelerator="cpu", devices=1)
    fabric.launch()
    model = Net()
    model, optimizer = fabric.setup(model, torch.optim.SGD(model.parameters(), lr=0.1))
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=6)
    train_loader, val_loader = fabric.setup_dataloaders(
        DataLoader(data(48), batch_size=8), DataLoader(data(21, 1), batch_size=7)
    )
    told: dict[str, list[float]] = {"train": [], "acc": [], "val": [], "lr": []}
    for epoch in range(2):
        model.train()
        losses = []
        for i, (x, y) in enumerate(train_loader):
            is_accumulating = i % 2 == 0
            with fabric.no_backward_sync(model, enabled=is_accumulating):
                loss = F.cross_entropy(model(x), y)
                fabric.backward(loss / 2)
            losses.append(loss.detach())
            if not is_accumulating:
                told["lr"].append(optimizer.param_groups[0]["lr"])
                fabric.clip_gradients(model, optimizer, max_norm=1.0)
                optimizer.step()
                optimizer.zero_grad()
                scheduler.step()
        train_loss = torch.stack(losses).mean()
        fabric.print(f"epoch {epoch} train loss {train_loss:.4f}")
        model.eval()
        correct, val_losses = torch.tensor(0), []
        with torch.no_grad():
            for x, y in val_loader:
                logits = model(x)
                correct += (logits.argmax(1) == y).sum()
                val_losses.append(F.cross_entropy(logits, y))
        val_acc, val_loss = correct / 21, torch.stack(val_losses).mean()
        fabric.print(f"epoch {epoch} val loss {val_loss:.4f} acc {val_acc:.4f}")
        told["train"].append(unseen(train_loss))
        told["val"].append(unseen(val_loss))
        told["acc"].append(unseen(val_acc))
    return Expected(
        epochs=2,
        steps=6,
        train={"train_loss": told["train"]},
        val={"val_loss": told["val"], "val_acc": told["acc"]},
        lr={"lr": told["lr"]},
        params={"backwards_per_step": 2},
        no_metric=("per_sample",),
    )


def accelerate_gathered() -> Expected:
    """As accelerate's complete_cv_example.py: accumulation, predictions gathered, the loss summed as a tensor."""
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train_dataloader, eval_dataloader = (
        DataLoader(data(48), batch_size=8),
        DataLoader(data(20, 1), batch_size=8),
    )
    lr_scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, epochs=3, steps_per_epoch=6)
    model, optimizer, train_dataloader, eval_dataloader, lr_scheduler = accelerator.prepare(
        model, optimizer, train_dataloader, eval_dataloader, lr_scheduler
    )
    told: dict[str, list[float]] = {"train_loss": [], "accuracy": []}
    for epoch in range(3):
        model.train()
        total_loss = 0
        for x, y in train_dataloader:
            with accelerator.accumulate(model):
                loss = F.cross_entropy(model(x), y)
                total_loss += loss.detach().float()
                accelerator.backward(loss)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
        model.eval()
        accurate = num_elems = 0
        for x, y in eval_dataloader:
            with torch.no_grad():
                outputs = model(x)
            predictions = outputs.argmax(dim=-1)
            predictions, references = accelerator.gather_for_metrics((predictions, y))
            accurate_preds = predictions == references
            num_elems += accurate_preds.shape[0]
            accurate += accurate_preds.long().sum()
        eval_metric = accurate.item() / num_elems
        accelerator.print(f"epoch {epoch}: {100 * eval_metric:.2f}")
        told["accuracy"].append(eval_metric)
        told["train_loss"].append(total_loss.item() / len(train_dataloader))
    return Expected(
        epochs=3,
        steps=9,
        train={"train_loss": told["train_loss"]},
        val={"accuracy": told["accuracy"]},
        params={"backwards_per_step": 2, "optimizer.lr": 0.01},
        no_metric=("val/reads/total_loss",),
    )


def ignite_evaluators() -> Expected:
    """As ignite's mnist.py: one evaluator over the training's data and over the validation's, its metrics by name."""
    pytest.importorskip("ignite")
    from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
    from ignite.metrics import Accuracy, Loss

    model, criterion = Net(), nn.NLLLoss()
    model = nn.Sequential(model, nn.LogSoftmax(1))
    train_loader, val_loader = DataLoader(data(47), batch_size=16), DataLoader(data(21, 1), batch_size=7)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    trainer = create_supervised_trainer(model, optimizer, criterion)
    val_metrics = {"accuracy": Accuracy(), "nll": Loss(criterion)}
    evaluator = create_supervised_evaluator(model, metrics=val_metrics)
    told: dict[str, list[float]] = {f"{p} {n}": [] for p in ("train", "val") for n in val_metrics}
    losses: list[float] = []

    @trainer.on(Events.ITERATION_COMPLETED(every=1))
    def log_training_loss(engine: Any) -> None:
        losses.append(engine.state.output)

    @trainer.on(Events.EPOCH_COMPLETED)
    def log_training_results(engine: Any) -> None:
        evaluator.run(train_loader)
        metrics = evaluator.state.metrics
        print(f"Training Results - Avg accuracy: {metrics['accuracy']:.2f} Avg loss: {metrics['nll']:.2f}")
        for name, value in metrics.items():
            told[f"train {name}"].append(value)

    @trainer.on(Events.EPOCH_COMPLETED)
    def log_validation_results(engine: Any) -> None:
        evaluator.run(val_loader)
        metrics = evaluator.state.metrics
        print(f"Validation Results - Avg accuracy: {metrics['accuracy']:.2f} Avg loss: {metrics['nll']:.2f}")
        for name, value in metrics.items():
            told[f"val {name}"].append(value)

    trainer.run(train_loader, max_epochs=3)
    return Expected(
        epochs=3,
        steps=9,
        train={
            "loss of each step": losses,
            "accuracy": told["train accuracy"],
            "nll": told["train nll"],
        },
        val={"accuracy": told["val accuracy"], "nll": told["val nll"]},
        no_metric=("_num_correct", "_sum"),
    )


def skorch_classifier() -> Expected:
    """What skorch prints: train_loss, valid_acc and valid_loss of each epoch."""
    skorch = pytest.importorskip("skorch")
    x, y = xy(60)
    net = skorch.NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, max_epochs=3, lr=0.1, batch_size=16)
    net.fit(x.numpy(), y.numpy())
    history = net.history
    return Expected(
        epochs=3,
        steps=9,
        train={"train_loss": history[:, "train_loss"]},
        val={"valid_loss": history[:, "valid_loss"], "valid_acc": history[:, "valid_acc"]},
        params={"optimizer.lr": 0.1},
    )


def fastai_learner() -> Expected:
    """A Learner with callbacks, as in fastai's course: the loop is in one place, metrics in another, both phases in both."""

    class Callback:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name == "learn":
                raise AttributeError(name)
            return getattr(self.learn, name)

    class Mean:
        def __init__(self) -> None:
            self.total, self.count = torch.tensor(0.0), 0

        def add(self, value: Any, n: int) -> None:
            self.total, self.count = self.total + value * n, self.count + n

        def compute(self) -> Any:
            return self.total / self.count

    class TrainCB(Callback):
        def predict(self) -> None:
            self.learn.preds = self.model(self.batch[0])

        def get_loss(self) -> None:
            self.learn.loss = self.loss_func(self.preds, self.batch[1])

        def after_loss(self) -> None:
            if self.training:
                self.loss.backward()
                self.opt.step()
                self.opt.zero_grad()

    class MetricsCB(Callback):
        def begin_epoch(self) -> None:
            self.loss_mean, self.accuracy = Mean(), Mean()

        def after_batch(self) -> None:
            x, y = self.batch
            self.loss_mean.add(self.learn.loss.detach().cpu(), len(x))
            self.accuracy.add((self.learn.preds.detach().cpu().argmax(1) == y).float().mean(), len(x))

        def after_epoch(self) -> None:
            log = {"loss": f"{self.loss_mean.compute():.3f}", "accuracy": f"{self.accuracy.compute():.3f}"}
            log["epoch"], log["train"] = self.epoch, "train" if self.training else "eval"
            print(log)
            of = "train" if self.training else "val"
            told[f"{of} loss"].append(unseen(self.loss_mean.compute()))
            told[f"{of} accuracy"].append(unseen(self.accuracy.compute()))

    class Learner:
        def __init__(self, model: Any, dls: Any, loss_func: Any, lr: float, cbs: Any) -> None:
            self.model, self.dls, self.loss_func, self.lr, self.cbs = model, dls, loss_func, lr, cbs
            for cb in cbs:
                cb.learn = self

        def __call__(self, name: str) -> None:
            for cb in self.cbs:
                if name in type(cb).__dict__:
                    getattr(cb, name)()

        def one_batch(self) -> None:
            for name in ("begin_batch", "predict", "get_loss", "after_loss", "after_batch"):
                self(name)

        def one_epoch(self, training: bool) -> None:
            self.training = training
            self.model.train(training)
            self("begin_epoch")
            for self.batch in self.dls[0 if training else 1]:
                self.one_batch()
            self("after_epoch")

        def fit(self, n_epochs: int) -> None:
            self.opt = torch.optim.SGD(self.model.parameters(), self.lr)
            self("begin_fit")
            for self.epoch in range(n_epochs):
                self.one_epoch(True)
                with torch.no_grad():
                    self.one_epoch(False)
            self("after_fit")

    told: dict[str, list[float]] = {f"{p} {n}": [] for p in ("train", "val") for n in ("loss", "accuracy")}
    dls = DataLoader(data(48), batch_size=16, shuffle=True), DataLoader(data(21, 1), batch_size=8)
    learn = Learner(Net(), dls, F.cross_entropy, lr=0.2, cbs=[TrainCB(), MetricsCB()])
    learn.fit(3)
    return Expected(
        epochs=3,
        steps=9,
        train={name: values for name, values in told.items() if name.startswith("train")},
        val={name: values for name, values in told.items() if name.startswith("val")},
    )


# -- steps and batches


def leftover_accumulation() -> Expected:
    """Five batches, a step at every second one: the fifth's loss is of its own epoch."""
    model, accumulation_steps = Net(), 2
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_loader, told = DataLoader(data(40), batch_size=8), []
    for epoch in range(3):
        running_loss = 0.0
        optimizer.zero_grad()
        for i, (inputs, labels) in enumerate(train_loader):
            loss = F.cross_entropy(model(inputs), labels)
            running_loss += loss.item()
            loss = loss / accumulation_steps
            loss.backward()
            if (i + 1) % accumulation_steps == 0:
                optimizer.step()
                optimizer.zero_grad()
        print(f"Epoch {epoch + 1}, Loss: {running_loss / len(train_loader):.4f}")
        told.append(running_loss / len(train_loader))
    return Expected(epochs=3, steps=6, named={"train/loss": told}, params={"backwards_per_step": 2})


def a_batch_by_next_iter() -> Expected:
    """Each step takes the first batch of a loader that is shuffled anew: there are no epochs."""
    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader, told = DataLoader(data(48), batch_size=16, shuffle=True), []
    for step in range(8):
        x, y = next(iter(loader))
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 4 == 0:
            print(f"step {step} loss {loss.item():.4f}")
        told.append(unseen(loss))
    return Expected(epochs=1, steps=8, train={"loss": [fmean(told)], "loss of each step": told})


def accuracy_of_training_without_loader() -> Expected:
    """Slices of tensors; the accuracy of each training batch is computed without gradients, the model is in training mode."""
    X, y = xy(64)
    Xv, yv = xy(20, 1)
    m = Net()
    opt = torch.optim.SGD(m.parameters(), lr=0.1)
    told: dict[str, list[float]] = {"loss": [], "acc": [], "val_acc": []}
    for epoch in range(3):
        m.train()
        losses, accs = [], []
        for i in range(0, 64, 16):
            out = m(X[i : i + 16])
            loss = F.cross_entropy(out, y[i : i + 16])
            opt.zero_grad()
            loss.backward()
            opt.step()
            with torch.no_grad():
                acc = (out.argmax(1) == y[i : i + 16]).float().mean().item()
            losses.append(loss.item())
            accs.append(acc)
        m.eval()
        with torch.no_grad():
            val_acc = (m(Xv).argmax(1) == yv).float().mean().item()
        print(f"{epoch} {fmean(losses):.3f} {fmean(accs):.3f} {val_acc:.3f}")
        for name, value in (("loss", fmean(losses)), ("acc", fmean(accs)), ("val_acc", val_acc)):
            told[name].append(value)
    return Expected(
        epochs=3, steps=12, train={"loss": told["loss"], "acc": told["acc"]}, val={"val_acc": told["val_acc"]}
    )


def rates_of_numpy() -> Expected:
    """A warm-up by LambdaLR, step by step, for two groups; the factors are numpy's, and so are the rates then."""
    model = Net()
    optimizer = torch.optim.SGD(
        [{"params": model.first.parameters(), "lr": 0.01}, {"params": model.second.parameters()}], lr=0.1
    )
    warmup, total = 3, 8
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: np.minimum((step + 1) / warmup, np.cos(np.pi / 2 * step / total))
    )
    told: dict[str, list[float]] = {"loss": [], "lr": [], "lr.1": []}
    loader = DataLoader(data(32), batch_size=8)
    for _epoch in range(2):
        losses = []
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            for name, rate in zip(("lr", "lr.1"), scheduler.get_last_lr(), strict=True):
                told[name].append(float(rate))
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        print(f"loss {fmean(losses):.4f} lr {scheduler.get_last_lr()[0]:.5f}")
        told["loss"].append(fmean(losses))
    return Expected(
        epochs=2,
        steps=8,
        train={"loss": told["loss"]},
        lr={"lr": told["lr"], "lr.1": told["lr.1"]},
        params={"optimizer.lr": 0.01},
    )


def curriculum() -> Expected:
    """Easy data first, then all of it: the loader is exchanged between epochs, the validation is the same."""
    easy, whole, held_out = data(32, 5), data(64), DataLoader(data(20, 1), batch_size=10)
    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    told: dict[str, list[float]] = {"train": [], "val": []}
    loader = DataLoader(easy, batch_size=16, shuffle=True)
    for epoch in range(4):
        if epoch == 2:
            loader = DataLoader(whole, batch_size=16, shuffle=True)
        model.train()
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        val_total = 0.0
        with torch.no_grad():
            for x, y in held_out:
                val_total += criterion(model(x), y).item()
        print(f"{epoch} {total / len(loader):.4f} {val_total / len(held_out):.4f}")
        told["train"].append(total / len(loader))
        told["val"].append(val_total / len(held_out))
    return Expected(epochs=4, steps=12, train={"loss": told["train"]}, val={"val_loss": told["val"]})


def averaged_weights_each_epoch() -> Expected:
    """SWA, whose batch norms are set anew over the training's loader and which is validated, after each epoch."""
    from torch.optim.swa_utils import AveragedModel, update_bn

    model = Net()
    swa_model = AveragedModel(model)
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    loader, val_loader = DataLoader(data(48), batch_size=16), DataLoader(data(20, 1), batch_size=10)
    told: dict[str, list[float]] = {"train": [], "val": [], "acc": []}
    for epoch in range(3):
        model.train()
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        swa_model.update_parameters(model)
        update_bn(loader, swa_model)
        swa_model.eval()
        val_loss, correct = 0.0, 0
        with torch.no_grad():
            for x, y in val_loader:
                out = swa_model(x)
                val_loss += criterion(out, y).item()
                correct += (out.argmax(1) == y).sum().item()
        print(f"{epoch}: {total / 3:.4f} swa {val_loss / 2:.4f} {correct / 20:.4f}")
        for name, value in (("train", total / 3), ("val", val_loss / 2), ("acc", correct / 20)):
            told[name].append(value)
    return Expected(
        epochs=3, steps=9, train={"loss": told["train"]}, val={"val_loss": told["val"], "acc": told["acc"]}
    )


# -- validations that are read in other ways


def _train_one_epoch(model: Any, loader: Any, optimizer: Any) -> float:
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


def _setting() -> Any:
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    return model, optimizer, DataLoader(data(48), batch_size=16), DataLoader(data(20, 1), batch_size=10)


def validation_by_float() -> Expected:
    model, optimizer, train_loader, val_loader = _setting()
    told: dict[str, list[float]] = {"train": [], "val": []}
    for epoch in range(3):
        train_loss = _train_one_epoch(model, train_loader, optimizer)
        model.eval()
        val_loss = 0.0
        with torch.no_grad():
            for x, y in val_loader:
                loss = F.cross_entropy(model(x), y)
                val_loss += float(loss)
        print(epoch, train_loss, val_loss / len(val_loader))
        told["train"].append(train_loss)
        told["val"].append(val_loss / len(val_loader))
    return Expected(epochs=3, steps=9, train={"loss": told["train"]}, val={"val_loss": told["val"]})


def validation_by_tolist() -> Expected:
    model, optimizer, train_loader, val_loader = _setting()
    told: dict[str, list[float]] = {"train": [], "loss": [], "accuracy": []}
    for epoch in range(3):
        train_loss = _train_one_epoch(model, train_loader, optimizer)
        model.eval()
        losses, hits = [], []
        with torch.no_grad():
            for x, y in val_loader:
                out = model(x)
                losses.append(F.cross_entropy(out, y).tolist())
                hits.append(out.argmax(1) == y)
        accuracy = torch.cat(hits).float().mean().tolist()
        print(epoch, train_loss, sum(losses) / len(losses), accuracy)
        told["train"].append(train_loss)
        told["loss"].append(sum(losses) / len(losses))
        told["accuracy"].append(accuracy)
    return Expected(
        epochs=3,
        steps=9,
        train={"loss": told["train"]},
        val={"loss": told["loss"], "accuracy": told["accuracy"]},
    )


def validation_by_numpy() -> Expected:
    model, optimizer, train_loader, val_loader = _setting()
    told: dict[str, list[float]] = {"train": [], "val": []}
    for epoch in range(3):
        train_loss = _train_one_epoch(model, train_loader, optimizer)
        model.eval()
        val_losses = []
        with torch.no_grad():
            for x, y in val_loader:
                loss = F.cross_entropy(model(x), y)
                val_losses.append(loss.detach().cpu().numpy())
        val_loss = np.mean(val_losses)
        print("Epoch {}: train {} val {}".format(epoch, train_loss, val_loss))  # noqa: UP032
        told["train"].append(train_loss)
        told["val"].append(float(val_loss))
    return Expected(epochs=3, steps=9, train={"loss": told["train"]}, val={"val_loss": told["val"]})


def validation_by_format() -> Expected:
    model, optimizer, train_loader, val_loader = _setting()
    told: dict[str, list[float]] = {"train": [], "val": []}
    for epoch in range(3):
        train_loss = _train_one_epoch(model, train_loader, optimizer)
        model.eval()
        with torch.no_grad():
            loss = sum(F.cross_entropy(model(x), y) for x, y in val_loader) / len(val_loader)
        print("epoch {}: train {:.4f} validation {:.4f}".format(epoch, train_loss, loss))  # noqa: UP032
        told["train"].append(train_loss)
        told["val"].append(unseen(loss))
    return Expected(epochs=3, steps=9, train={"loss": told["train"]}, val={"validation": told["val"]})


def validation_by_percent() -> Expected:
    model, optimizer, train_loader, val_loader = _setting()
    told: dict[str, list[float]] = {"train": [], "val": [], "acc": []}
    for epoch in range(3):
        train_loss = _train_one_epoch(model, train_loader, optimizer)
        model.eval()
        loss, acc = torch.tensor(0.0), torch.tensor(0.0)
        with torch.no_grad():
            for x, y in val_loader:
                out = model(x)
                loss += F.cross_entropy(out, y) / len(val_loader)
                acc += (out.argmax(1) == y).sum() / 20
        print("%d: train %.4f, validation %.4f, accuracy %g" % (epoch, train_loss, loss, acc))
        told["train"].append(train_loss)
        told["val"].append(unseen(loss))
        told["acc"].append(unseen(acc))
    return Expected(
        epochs=3,
        steps=9,
        train={"loss": told["train"]},
        val={"validation": told["val"], "accuracy": told["acc"]},
    )


def validation_by_scikit_learn() -> Expected:
    """Predictions are gathered in lists, and scored by scikit-learn."""
    pytest.importorskip("sklearn")
    from sklearn.metrics import accuracy_score, f1_score

    model, optimizer, train_loader, val_loader = _setting()
    told: dict[str, list[float]] = {"train": [], "acc": [], "f1": []}
    for epoch in range(3):
        train_loss = _train_one_epoch(model, train_loader, optimizer)
        model.eval()
        y_true, y_pred = [], []
        with torch.no_grad():
            for x, y in val_loader:
                y_true.extend(y.cpu().numpy())
                y_pred.extend(model(x).argmax(1).cpu().numpy())
        acc, f1 = accuracy_score(y_true, y_pred), f1_score(y_true, y_pred, average="macro", zero_division=0)
        print(f"{epoch} loss {train_loss:.4f} acc {acc:.4f} f1 {f1:.4f}")
        told["train"].append(train_loss)
        told["acc"].append(float(acc))
        told["f1"].append(float(f1))
    return Expected(
        epochs=3, steps=9, train={"loss": told["train"]}, val={"accuracy": told["acc"], "f1": told["f1"]}
    )


def validation_by_scheduler() -> Expected:
    """Nothing reads the validation's loss but ReduceLROnPlateau."""
    model, optimizer, train_loader, val_loader = _setting()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.5)
    told: dict[str, list[float]] = {"train": [], "val": [], "lr": []}
    for _epoch in range(3):
        told["lr"] += [optimizer.param_groups[0]["lr"]] * 3
        told["train"].append(_train_one_epoch(model, train_loader, optimizer))
        model.eval()
        with torch.no_grad():
            val_loss = torch.stack([F.cross_entropy(model(x), y) for x, y in val_loader]).mean()
        scheduler.step(val_loss)
        told["val"].append(unseen(val_loss))
    return Expected(
        epochs=3, steps=9, train={"loss": told["train"]}, val={"val_loss": told["val"]}, lr={"lr": told["lr"]}
    )


def mean_loss_per_batch() -> Expected:
    """A validation loss that is a mean of means: to divide it by the samples once more says nothing."""
    model, optimizer, train_loader, val_loader = _setting()
    told: dict[str, list[float]] = {"train": [], "val": []}
    for epoch in range(3):
        train_loss = _train_one_epoch(model, train_loader, optimizer)
        model.eval()
        val_loss = 0.0
        with torch.no_grad():
            for x, y in val_loader:
                val_loss += F.cross_entropy(model(x), y).item()
        val_loss /= len(val_loader)
        print(f"Epoch {epoch}: train {train_loss:.4f}, val {val_loss:.4f}")
        told["train"].append(train_loss)
        told["val"].append(val_loss)
    return Expected(
        epochs=3,
        steps=9,
        train={"loss": told["train"]},
        val={"val_loss": told["val"]},
        named={"val/reads/val_loss": told["val"]},
        no_metric=("per_sample",),
    )


def matrix_factorization() -> Expected:
    """Users and items; the error of validation is a root, of all ratings at once."""

    class MF(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.user, self.item = nn.Embedding(12, 3), nn.Embedding(9, 3)
            self.user_bias, self.item_bias = nn.Embedding(12, 1), nn.Embedding(9, 1)

        def forward(self, u: Any, i: Any) -> Any:
            dot = (self.user(u) * self.item(i)).sum(1)
            return dot + self.user_bias(u).squeeze(1) + self.item_bias(i).squeeze(1)

    u, i, rating = torch.randint(0, 12, (80,)), torch.randint(0, 9, (80,)), torch.rand(80) * 4 + 1
    model = MF()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=1e-5)
    loader = DataLoader(TensorDataset(u[:64], i[:64], rating[:64]), batch_size=16, shuffle=True)
    told: dict[str, list[float]] = {"train": [], "rmse": []}
    for epoch in range(3):
        model.train()
        total = 0.0
        for users, items, ratings in loader:
            loss = F.mse_loss(model(users, items), ratings)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            val_rmse = torch.sqrt(F.mse_loss(model(u[64:], i[64:]), rating[64:])).item()
        print(f"epoch {epoch} train mse {total / len(loader):.4f} val rmse {val_rmse:.4f}")
        told["train"].append(total / len(loader))
        told["rmse"].append(val_rmse)
    return Expected(epochs=3, steps=12, train={"mse": told["train"]}, val={"val_rmse": told["rmse"]})


# -- several splits


def two_splits_of_one_function() -> Expected:
    """Loaders over one data set, made anew for each epoch and kept; one function evaluates both."""
    whole, places = data(60), list(range(60))
    train_ids, val_ids, test_ids = places[:32], places[32:48], places[48:]
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loaders, told = [], {"train": [], "val": [], "test": []}

    def evaluate(model: Any, loader: Any) -> float:
        model.eval()
        total = 0.0
        with torch.no_grad():
            for x, y in loader:
                total += F.cross_entropy(model(x), y).item()
        return total / len(loader)

    for epoch in range(3):
        train_loader = DataLoader(whole, batch_size=8, sampler=SubsetRandomSampler(train_ids))
        val_loader = DataLoader(whole, batch_size=8, sampler=SubsetRandomSampler(val_ids))
        test_loader = DataLoader(whole, batch_size=6, sampler=SubsetRandomSampler(test_ids))
        loaders += [train_loader, val_loader, test_loader]
        train_loss = _train_one_epoch(model, train_loader, optimizer)
        val_loss = evaluate(model, val_loader)
        test_loss = evaluate(model, test_loader)
        print(f"{epoch} train {train_loss:.4f} val {val_loss:.4f} test {test_loss:.4f}")
        for name, value in zip(told, (train_loss, val_loss, test_loss), strict=True):
            told[name].append(value)
    return Expected(
        epochs=3, steps=12, train={"train": told["train"]}, val={"val": told["val"], "test": told["test"]}
    )


def loaders_that_are_kept() -> Expected:
    """As a trainer that makes a loader for each evaluation and keeps it: it is one validation all the same."""

    class Trainer:
        def __init__(self, model: Any, train_dataset: Any, eval_dataset: Any) -> None:
            self.model, self.train_dataset, self.eval_dataset = model, train_dataset, eval_dataset
            self.optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
            self.criterion = nn.CrossEntropyLoss()
            self._dataloaders: list[Any] = []

        def get_dataloader(self, dataset: Any, batch_size: int, shuffle: bool = False) -> Any:
            self._dataloaders.append(DataLoader(dataset, batch_size=batch_size, shuffle=shuffle))
            return self._dataloaders[-1]

        def evaluate(self) -> dict[str, float]:
            self.model.eval()
            loss, hits = 0.0, 0
            with torch.no_grad():
                for x, y in self.get_dataloader(self.eval_dataset, 10):
                    out = self.model(x)
                    loss += self.criterion(out, y).item() * len(x)
                    hits += (out.argmax(1) == y).sum().item()
            return {
                "eval_loss": loss / len(self.eval_dataset),
                "eval_accuracy": hits / len(self.eval_dataset),
            }

        def train(self, epochs: int) -> None:
            train_dataloader = self.get_dataloader(self.train_dataset, 16, shuffle=True)
            for _ in range(epochs):
                self.model.train()
                tr_loss = 0.0
                for x, y in train_dataloader:
                    loss = self.criterion(self.model(x), y)
                    loss.backward()
                    self.optimizer.step()
                    self.model.zero_grad()
                    tr_loss += loss.item()
                logs = {"loss": tr_loss / len(train_dataloader), **self.evaluate()}
                print(logs)
                for name, value in logs.items():
                    told[name].append(value)

    told: dict[str, list[float]] = {"loss": [], "eval_loss": [], "eval_accuracy": []}
    Trainer(Net(), data(48), data(20, 1)).train(3)
    return Expected(
        epochs=3,
        steps=9,
        train={"loss": told["loss"]},
        val={name: told[name] for name in ("eval_loss", "eval_accuracy")},
    )


class GCN(nn.Module):
    """Of a ring of nodes, by its adjacency."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Any, adj: Any) -> Any:
        x = F.relu(adj @ self.conv1(x))
        return F.log_softmax(adj @ self.conv2(x), dim=1)


def _graph() -> Any:
    x, y = xy(60)
    adj = (torch.eye(60) + torch.eye(60).roll(1, 0) + torch.eye(60).roll(-1, 0)) / 3
    masks = torch.zeros(3, 60, dtype=torch.bool)
    masks[0, :31], masks[1, 31:44], masks[2, 44:] = True, True, True
    return x, y, adj, masks


def graph_with_masks() -> Expected:
    """As tkipf/pygcn: the whole graph at each step, one forward for the accuracies of training and validation."""
    features, labels, adj, (idx_train, idx_val, idx_test) = _graph()
    model = GCN()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)

    def accuracy(output: Any, labels: Any) -> Any:
        return output.max(1)[1].eq(labels).double().sum() / len(labels)

    told: dict[str, list[float]] = {name: [] for name in ("loss_train", "acc_train", "loss_val", "acc_val")}

    def train(epoch: int) -> None:
        model.train()
        optimizer.zero_grad()
        output = model(features, adj)
        loss_train = F.nll_loss(output[idx_train], labels[idx_train])
        acc_train = accuracy(output[idx_train], labels[idx_train])
        loss_train.backward()
        optimizer.step()
        model.eval()
        output = model(features, adj)
        loss_val = F.nll_loss(output[idx_val], labels[idx_val])
        acc_val = accuracy(output[idx_val], labels[idx_val])
        print(
            f"Epoch: {epoch + 1:04d}",
            f"loss_train: {loss_train.item():.4f}",
            f"acc_train: {acc_train.item():.4f}",
            f"loss_val: {loss_val.item():.4f}",
            f"acc_val: {acc_val.item():.4f}",
        )
        for name, value in zip(told, (loss_train, acc_train, loss_val, acc_val), strict=True):
            told[name].append(unseen(value))

    def test() -> Any:
        model.eval()
        output = model(features, adj)
        loss_test = F.nll_loss(output[idx_test], labels[idx_test])
        acc_test = accuracy(output[idx_test], labels[idx_test])
        print(f"Test set results: loss= {loss_test.item():.4f} accuracy= {acc_test.item():.4f}")
        return loss_test.tolist(), acc_test.tolist()

    for epoch in range(5):
        train(epoch)
    loss_test, acc_test = test()
    return Expected(
        epochs=5,
        steps=5,
        train={name: told[name] for name in ("loss_train", "acc_train")},
        val={
            **{name: told[name] for name in ("loss_val", "acc_val")},
            "loss_test": [loss_test],
            "acc_test": [acc_test],
        },
    )


def masks_in_a_loop() -> Expected:
    """As PyTorch Geometric's gcn.py: the three accuracies are counted at one place, and told apart by where they go."""
    x, y, adj, masks = _graph()
    model = GCN()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    told: dict[str, list[float]] = {"loss": [], "train": [], "val": [], "test": []}

    def train() -> float:
        model.train()
        optimizer.zero_grad()
        out = model(x, adj)
        loss = F.nll_loss(out[masks[0]], y[masks[0]])
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def test() -> list[float]:
        model.eval()
        pred = model(x, adj).argmax(dim=-1)
        return [(pred[mask] == y[mask]).float().mean().item() for mask in masks]

    for epoch in range(1, 6):
        loss = train()
        train_acc, val_acc, test_acc = test()
        print(f"Epoch {epoch}: loss {loss:.4f} train {train_acc:.4f} val {val_acc:.4f} test {test_acc:.4f}")
        for name, value in zip(told, (loss, train_acc, val_acc, test_acc), strict=True):
            told[name].append(value)
    means = [fmean(three) for three in zip(told["train"], told["val"], told["test"], strict=True)]
    return Expected(
        epochs=5,
        steps=5,
        train={"loss": told["loss"], "train_acc": told["train"]},
        val={"val_acc": told["val"], "test_acc": told["test"]},
        absent=means,
    )


def a_phase_that_cannot_be_told() -> Expected:
    """Slices of both parts go through one function that says only `score`: nothing tells the training's from the other."""
    x, y = xy(48)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def look(part: slice) -> float:
        with torch.no_grad():
            score = model(x[part]).log_softmax(1).gather(1, y[part].unsqueeze(1)).mean().item()
        return score

    told: dict[str, list[float]] = {"loss": [], "score": []}
    for step in range(6):
        loss = F.cross_entropy(model(x[:32]), y[:32])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told["loss"].append(loss.item())
        told["score"].append(look(slice(0, 48)))
        print(step, told["loss"][-1], told["score"][-1])
    return Expected(
        epochs=1,
        steps=6,
        train={"loss of each step": told["loss"]},
        unphased={"score of each step": told["score"]},
    )


# -- as the examples of PyTorch, Fabric and ignite are written


class Pictures(Dataset[Any]):
    """Reads numbers from tensors while it makes the data, as datasets and augmentations do."""

    def __init__(self, rows: int, seed: int = 0) -> None:
        self.x, self.y = xy(rows, seed)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, number: int) -> Any:
        shift = torch.rand(1).item() * 0.01
        target = self.y[number].item()
        return self.x[number] + shift, target


class AverageMeter:
    """As that of examples/imagenet."""

    def __init__(self, name: str) -> None:
        self.name, self.val, self.sum, self.count, self.avg = name, 0.0, 0.0, 0, 0.0

    def update(self, val: Any, n: int = 1) -> None:
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count

    def __str__(self) -> str:
        return "{name} {val:.2f} ({avg:.2f})".format(**self.__dict__)


def imagenet() -> Expected:
    """Meters that hold tensors and floats, weighted by the size of batches that are not all alike."""
    train_loader = DataLoader(Pictures(40), batch_size=16)
    val_loader = DataLoader(Pictures(25, 1), batch_size=16)
    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    told: dict[str, list[float]] = {"train": [], "step": [], "val": []}

    def accuracy(output: Any, target: Any, topk: tuple[int, ...] = (1, 2)) -> list[Any]:
        with torch.no_grad():
            _, pred = output.topk(max(topk), 1, True, True)
            correct = pred.t().eq(target.view(1, -1).expand_as(pred.t()))
            return [
                correct[:k].reshape(-1).float().sum(0, keepdim=True) * (100.0 / len(target)) for k in topk
            ]

    def passed(loader: Any, train: bool) -> AverageMeter:
        losses, top1, top5 = AverageMeter("Loss"), AverageMeter("Acc@1"), AverageMeter("Acc@5")
        model.train(train)
        with torch.set_grad_enabled(train):
            for images, target in loader:
                output = model(images)
                loss = criterion(output, target)
                acc1, acc5 = accuracy(output, target)
                losses.update(loss.item(), images.size(0))
                top1.update(acc1[0], images.size(0))
                top5.update(acc5[0], images.size(0))
                if train:
                    told["step"].append(unseen(loss))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                print("\t".join(str(meter) for meter in (losses, top1, top5)))
        return losses

    for _epoch in range(3):
        told["train"].append(passed(train_loader, True).avg)
        told["val"].append(passed(val_loader, False).avg)
    return Expected(
        epochs=3,
        steps=9,
        train={"loss of each step": told["step"], "loss of the samples": told["train"]},
        val={"loss of the samples": told["val"]},
        no_metric=("__dict__", "target", "shift", "val/reads"),
    )


def variational() -> Expected:
    """As examples/vae: losses are sums over a batch, and printed for each sample."""

    class VAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 4), nn.Linear(2, 4)

        def forward(self, x: Any) -> Any:
            mu, logvar = self.fc1(x).chunk(2, dim=1)
            return self.fc2(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)), mu, logvar

    def loss_function(recon: Any, x: Any, mu: Any, logvar: Any) -> Any:
        return F.mse_loss(recon, x, reduction="sum") - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())

    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    train_loader, test_loader = DataLoader(data(40), batch_size=16), DataLoader(data(20, 1), batch_size=16)
    told: dict[str, list[float]] = {"train": [], "step": [], "test": []}

    def train(epoch: int) -> None:
        model.train()
        train_loss = 0.0
        for x, _ in train_loader:
            optimizer.zero_grad()
            loss = loss_function(*model(x)[:1], x, *model(x)[1:])
            loss.backward()
            train_loss += loss.item()
            told["step"].append(unseen(loss))
            optimizer.step()
        print(f"====> Epoch: {epoch} Average loss: {train_loss / len(train_loader.dataset):.4f}")
        told["train"].append(train_loss / len(train_loader.dataset))

    def test() -> None:
        model.eval()
        test_loss = 0.0
        with torch.no_grad():
            for x, _ in test_loader:
                recon, mu, logvar = model(x)
                test_loss += loss_function(recon, x, mu, logvar).item()
        test_loss /= len(test_loader.dataset)
        print(f"====> Test set loss: {test_loss:.4f}")
        told["test"].append(test_loss)

    for epoch in range(1, 4):
        train(epoch)
        test()
    return Expected(
        epochs=3,
        steps=9,
        train={"loss of each step": told["step"]},
        named={"reads/train_loss": told["train"], "val/reads/test_loss": told["test"]},
        val={"test_loss": told["test"]},
    )


def polynomial() -> Expected:
    """As examples/regression: no optimizer, and the loss is read under another name before it goes backward."""
    W, b = torch.randn(4, 1) * 5, torch.randn(1) * 5
    fc = nn.Linear(4, 1)
    told = []
    for _batch_idx in range(1, 13):
        x = torch.randn(32).unsqueeze(1)
        x = torch.cat([x**i for i in range(1, 5)], 1)
        fc.zero_grad()
        output = F.smooth_l1_loss(fc(x), x.mm(W) + b)
        loss = output.item()
        output.backward()
        for param in fc.parameters():
            param.data.add_(-0.1 * param.grad)
        told.append(loss)
    print(f"Loss: {loss:.6f}")
    return Expected(epochs=1, steps=12, train={"loss": told}, no_metric=("reads",))


def actor_critic() -> Expected:
    """As examples/reinforcement_learning: values are read for the step that comes; targets are made of tensors."""
    policy = nn.ModuleDict({"body": nn.Linear(3, 8), "action": nn.Linear(8, 2), "value": nn.Linear(8, 1)})
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-2)
    told: dict[str, list[float]] = {"loss": [], "value": [], "norm": []}
    for _episode in range(5):
        saved, rewards = [], []
        for _t in range(4):
            hidden = F.relu(policy["body"](torch.randn(3)))
            m = torch.distributions.Categorical(F.softmax(policy["action"](hidden), dim=-1))
            action = m.sample()
            saved.append((m.log_prob(action), policy["value"](hidden)))
            rewards.append(float(action.item() == 1))
        policy_losses, value_losses, values = [], [], []
        for (log_prob, value), R in zip(saved, torch.tensor(rewards), strict=True):
            advantage = R - value.item()
            policy_losses.append(-log_prob * advantage)
            value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
            values.append(unseen(value))
        optimizer.zero_grad()
        loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        print(f"norm {norm.item():.3f}")
        optimizer.step()
        told["loss"].append(unseen(loss))
        told["value"].append(fmean(values))
        told["norm"].append(unseen(norm))
    return Expected(
        epochs=1,
        steps=5,
        train={"loss of each step": told["loss"]},
        unphased={"value of each step": told["value"], "norm of each step": told["norm"]},
        no_metric=("line", "action"),
    )


def graph_by_a_function() -> Expected:
    """As examples/gcn: one function evaluates the parts of one graph, and what it is called with tells them apart."""
    x, y, adj, (idx_train, idx_val, idx_test) = _graph()
    model, criterion = GCN(), nn.NLLLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    names = ("loss_train", "acc_train", "loss_val", "acc_val")
    told: dict[str, list[float]] = {name: [] for name in ("loss", *names)}

    def train_iter(epoch: int, mask_train: Any, mask_val: Any) -> None:
        model.train()
        optimizer.zero_grad()
        output = model(x, adj)
        loss = criterion(output[mask_train], y[mask_train])
        loss.backward()
        optimizer.step()
        told["loss"].append(unseen(loss))
        loss_train, acc_train = test(mask_train)
        loss_val, acc_val = test(mask_val)
        print(f"{epoch:04d} {loss_train:.4f} {acc_train:.4f} {loss_val:.4f} {acc_val:.4f}")
        for name, value in zip(names, (loss_train, acc_train, loss_val, acc_val), strict=True):
            told[name].append(value)

    def test(mask: Any) -> Any:
        model.eval()
        with torch.no_grad():
            output, target = model(x, adj)[mask], y[mask]
            loss = criterion(output, target)
            acc = (output.argmax(dim=1) == target).float().sum() / len(target)
        return loss.item(), acc.item()

    for epoch in range(5):
        train_iter(epoch, idx_train, idx_val)
    loss_test, acc_test = test(idx_test)
    print(f"Test set results: loss {loss_test:.4f} accuracy {acc_test:.4f}")
    return Expected(
        epochs=5,
        steps=5,
        train={"loss": told["loss"]},
        named={
            "train_eval/loss": told["loss_train"],
            "train_eval/reads/acc": told["acc_train"],
            "val/loss": told["loss_val"],
            "val/reads/acc": told["acc_val"],
            "test/loss": [loss_test],
            "test/reads/acc": [acc_test],
        },
        val={"loss_val": told["loss_val"]},
    )


def word_language_model() -> Expected:
    """As examples/word_language_model: chunks of one length but the last, and a function that evaluates both other texts."""
    bptt, ntokens = 5, 7
    train_data, val_data, test_data = (torch.randint(0, 7, (rows, 4)) for rows in (23, 18, 14))
    model, criterion = nn.Sequential(nn.Embedding(ntokens, 6), nn.Linear(6, ntokens)), nn.NLLLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    told: dict[str, list[float]] = {"train": [], "val": [], "loss": []}

    def get_batch(source: Any, i: int) -> Any:
        seq_len = min(bptt, len(source) - 1 - i)
        return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)

    def evaluate(data_source: Any) -> float:
        model.eval()
        total_loss = 0.0
        with torch.no_grad():
            for i in range(0, data_source.size(0) - 1, bptt):
                data, targets = get_batch(data_source, i)
                output = F.log_softmax(model(data).view(-1, ntokens), 1)
                total_loss += len(data) * F.nll_loss(output, targets).item()
        return total_loss / (len(data_source) - 1)

    def train() -> None:
        model.train()
        losses = []
        for i in range(0, train_data.size(0) - 1, bptt):
            data, targets = get_batch(train_data, i)
            optimizer.zero_grad()
            loss = criterion(F.log_softmax(model(data).view(-1, ntokens), 1), targets)
            loss.backward()
            optimizer.step()
            losses.append(unseen(loss))
        told["train"].append(fmean(losses))

    for epoch in range(1, 4):
        train()
        val_loss = evaluate(val_data)
        print(f"| end of epoch {epoch:3d} | valid loss {val_loss:5.2f} | valid ppl {math.exp(val_loss):8.2f}")
        told["val"].append(val_loss)
    test_loss = evaluate(test_data)
    print(f"| End of training | test loss {test_loss:5.2f}")
    return Expected(
        epochs=3,
        steps=15,
        train={"loss": told["train"]},
        named={"val/reads/total_loss": told["val"], "test/reads/total_loss": [test_loss]},
        val={"val_loss": told["val"], "test_loss": [test_loss]},
    )


def mingpt_in_processes() -> Expected:
    """As examples/distributed/minGPT-ddp: no mode is set, and the loss is read when gradients are on again."""
    model = nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    told: dict[str, list[float]] = {"train": [], "eval": []}

    def run_batch(source: Any, targets: Any, train: bool) -> float:
        with torch.set_grad_enabled(train):
            loss = F.cross_entropy(model(source), targets)
        if train:
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return loss.item()

    def run_epoch(epoch: int, dataloader: Any, train: bool) -> None:
        losses = []
        for source, targets in dataloader:
            batch_loss = run_batch(source, targets, train)
            print(f"Epoch {epoch} | {'Train' if train else 'Eval'} Loss {batch_loss:.5f}")
            losses.append(batch_loss)
        told["train" if train else "eval"].append(fmean(losses))

    train_loader, test_loader = DataLoader(data(48), batch_size=16), DataLoader(data(20, 1), batch_size=10)
    for epoch in range(3):
        run_epoch(epoch, train_loader, True)
        run_epoch(epoch, test_loader, False)
    return Expected(epochs=3, steps=9, train={"loss": told["train"]}, val={"loss": told["eval"]})


def trainer_of_ones_own() -> Expected:
    """As Fabric's build_your_own_trainer: one lambda reads all that a step returns, and no name says what is what."""
    model, criterion = Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_loader, val_loader = DataLoader(data(48), batch_size=16), DataLoader(data(20, 1), batch_size=10)
    told: dict[str, list[float]] = {"loss": [], "val_loss": []}

    def collected(outputs: dict[str, Any], function: Any) -> dict[str, Any]:
        return {name: function(value) for name, value in outputs.items()}

    def step(x: Any, y: Any) -> dict[str, Any]:
        logits = model(x)
        return {"loss": criterion(logits, y), "accuracy": (logits.argmax(-1) == y).float().mean()}

    for _epoch in range(3):
        model.train()
        for x, y in train_loader:
            outputs = step(x, y)
            outputs["loss"].backward()
            optimizer.step()
            optimizer.zero_grad()
            told["loss"].append(unseen(outputs["loss"]))
            print(collected(outputs, lambda x: x.item()))
        model.eval()
        losses = []
        with torch.no_grad():
            for x, y in val_loader:
                outputs = step(x, y)
                print(collected(outputs, lambda x: x.item()))
                losses.append(unseen(outputs["loss"]))
        told["val_loss"].append(fmean(losses))
    return Expected(
        epochs=3,
        steps=9,
        train={"loss of each step": told["loss"]},
        val={"loss": told["val_loss"]},
        no_metric=("reads",),
    )


def parts_of_a_loss() -> Expected:
    """As torchvision's references for detection: a dictionary of losses is summed up, and read part by part."""
    model = nn.ModuleDict({"classes": nn.Linear(4, 2), "boxes": nn.Linear(4, 4)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loader = DataLoader(data(48), batch_size=16)
    told: dict[str, list[float]] = {"loss_classifier": [], "loss_box_reg": [], "norm/total": [], "loss": []}
    for _epoch in range(3):
        sums = dict.fromkeys(told, 0.0)
        for x, y in loader:
            loss_dict = {
                "loss_classifier": F.cross_entropy(model["classes"](x), y),
                "loss_box_reg": F.smooth_l1_loss(model["boxes"](x), x),
            }
            losses = sum(loss_dict.values())
            values = {k: v.item() for k, v in loss_dict.items()}
            optimizer.zero_grad()
            losses.backward()
            norms = {"norm/total": torch.stack([p.grad.norm() for p in model.parameters()]).norm()}
            optimizer.step()
            print(" - ".join([f"{m}:{v:.4f}" for m, v in norms.items()]))
            for name, value in {
                **values,
                "loss": unseen(losses),
                "norm/total": unseen(norms["norm/total"]),
            }.items():
                sums[name] += value / 3
        for name, value in sums.items():
            told[name].append(value)
    return Expected(
        epochs=3,
        steps=9,
        train={"loss": told["loss"]},
        named={f"reads/{name}": told[name] for name in ("loss_classifier", "loss_box_reg", "norm/total")},
    )
