"""The promise: a value has the name that the script gives it, also where Python tells only the line of a call."""

from __future__ import annotations

import ast
import dis

import pytest

from autolog_torch.naming import Said, Source, loaded_for_format

LINES = {
    "loss.backward()": ("backward", Said("loss")),
    "accelerator.backward(loss)": ("backward", Said("loss")),
    "D_x = output.mean().item()": ("item", Said("D_x", "mean")),
    "D_x = round(output.item(), 3)": ("item", Said("D_x")),
    "share = output.item() / 8": ("item", Said("output")),
    "total += F.nll_loss(out, y, reduction='sum').item()": ("item", Said("total", "sum")),
    "running += loss.item() * x.size(0)": ("item", Said("loss", "weighted", weight="x")),
    "meter.update(loss.item(), x.size(0))": ("item", Said("loss", "weighted", weight="x")),
    "total += len(x) * loss.item()": ("item", Said("loss", "weighted", weight="x")),
    "i = torch.randint(0, 9, (1,)).item()": ("item", Said("")),
    "losses.append(smooth(value, torch.tensor([R])))": ("tensor", Said("")),
    "collect(out, lambda x: x.item())": ("item", Said("")),
    "'{avg:.2f}'.format(**self.__dict__)": ("format", Said("")),
    "log({'acc': hits.item()})": ("item", Said("acc")),
    "acc = accuracy_score(y, guess)": ("accuracy_score", Said("acc")),
    "print(accuracy_score(y, guess))": ("accuracy_score", Said("accuracy_score")),
    "scheduler.step(val_loss)": ("step", Said("val_loss")),
    "'{} {}'.format(epoch, loss)": ("format", Said("", names=("epoch", "loss"))),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("by_position", [True, False])
def test_a_value_is_called_as_the_script_calls_it(line: str, by_position: bool) -> None:
    """By the exact place of the call, and before Python 3.11 by its line."""
    method, expected = LINES[line]
    calls = [node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call)]
    call = next(
        one
        for one in calls
        if (one.func.attr if isinstance(one.func, ast.Attribute) else one.func.id) == method
    )
    position = (call.lineno, call.end_lineno, call.col_offset, call.end_col_offset) if by_position else (1, 0)
    assert Source([line]).at(position, 1, method) == expected


def test_a_loop_over_names_and_a_sum_of_a_loop_are_known() -> None:
    source = """
for split in ("train", "val"):
    for k in range(3):
        losses[k] = loss.item()
for x, y in train_loader:
    total += loss
mean = total.item()
test_loss += loss_of(x).item()
test_loss /= len(test_loader.dataset)
""".splitlines(keepends=True)
    read = Source(source)
    assert read.at((4, 0), 4, "item") == Said("losses", splits=("split",))
    assert read.at((7, 0), 7, "item") == Said("mean", loop="train_loader")
    assert read.at((8, 0), 8, "item").reduction == "sum"


@pytest.mark.parametrize(
    ("line", "phase"),
    {
        "loss_train, acc_train = test(model, mask_train)": "train",
        "val_loss = evaluate(data)": "val",
        "evaluate(self.test_data)": "test",
        "estimate('test')": "test",
        "loss = evaluate(val_data, args.test_batch_size)": "val",
        "train_acc, val_acc = evaluate()": "",
        "score = evaluate(model, training_args)": "",
    }.items(),
)
def test_a_call_says_what_is_evaluated_by_it(line: str, phase: str) -> None:
    call = next(node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call))
    position = (call.lineno, call.end_lineno, call.col_offset, call.end_col_offset)
    assert Source([line]).phase_at(position, 1) == phase


@pytest.mark.parametrize(
    ("text", "name"),
    {
        "f'{loss:.3f}'": "loss",
        "f'{out[\"val\"]:.3f}'": "out.val",
        "f'{acc * 100:.1f}'": "acc",
        "f'epoch {100 * metric.compute():.1f}'": "metric",
        "f'{hits / self.count}'": "hits",
        "f'{math.exp(loss)}'": "loss",
        "f'{2 * math.exp(loss)}'": "loss",
    }.items(),
)
def test_what_is_put_into_a_text_has_the_name_of_its_variable(text: str, name: str) -> None:
    code = compile(text, "script", "eval")
    formatted = next(one for one in dis.get_instructions(code) if one.opname.startswith("FORMAT_"))
    assert loaded_for_format(code, formatted.offset) == name
