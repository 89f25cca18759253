"""integrations/README.md teaches what is tested: its code is the fixture's code, and its example works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import autolog
from autolog.integration import Call
from autolog.testing import recorded

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "integrations" / "README.md").read_text()
FIXTURE = ROOT / "tests" / "fixtures" / "autolog_toy"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_shows_the_fixture_to_the_letter() -> None:
    integration, example, contract = blocks("python")
    (points,) = blocks("toml")
    assert integration == (FIXTURE / "autolog_toy.py").read_text()
    assert points.strip() in (FIXTURE / "pyproject.toml").read_text()
    assert contract.partition("class ")[2].strip() in (Path(__file__).parent / "test_toy.py").read_text()
    space: dict[str, object] = {"toy": __import__("toy")}
    exec(example, space)
    space["test_rounds_are_recorded"]()  # type: ignore[operator]


def test_attributes_of_a_call_that_the_page_lists_exist() -> None:
    table = PAGE.partition("| of a `call` |")[2].partition("\n\n")[0]
    names = re.findall(
        r"`(\w+)(?:\([^`]*\))?`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:])
    )
    assert len(names) >= 10
    assert [name for name in names if not hasattr(Call, name)] == []


def test_options_of_the_fixture_can_be_set_from_everywhere(tmp_path: Path) -> None:
    """As the page says: by `enable()`, by the environment, by pyproject.toml, each over the one before; not misspelt."""
    import sys

    from helpers import script

    (tmp_path / "pyproject.toml").write_text("[tool.autolog.toy]\nlog_rounds = false\n")
    code = """
        import autolog, toy
        autolog.autolog(silent=True)
        {}
        toy.Slope(rounds=3).fit([1, 2], [2, 4])
        print(sorted(autolog.runs()[0].metrics))
    """
    assert sys.path
    assert script(code.format(""), tmp_path).stdout == "[]\n"
    assert script(code.format(""), tmp_path, AUTOLOG_TOY_LOG_ROUNDS="1").stdout == "['loss']\n"
    enabled = code.format('autolog.enable("toy", log_rounds=True)')
    assert script(enabled, tmp_path, AUTOLOG_TOY_LOG_ROUNDS="0").stdout == "['loss']\n"
    wrong = script(code.format('autolog.enable("toy", log_round=True)'), tmp_path)
    assert "ValueError: There is no option 'log_round'. Did you mean 'log_rounds'?" in wrong.stderr


def test_each_training_of_the_fixture_is_recorded_as_the_page_says() -> None:
    """A fit with its rounds; a function whose fit adds to its run; a search with its candidates only; two coroutines that take
    turns, each with what it publishes and its model.
    """
    import asyncio

    import toy
    import toy.service

    X, y = [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]
    with recorded("toy") as seen:
        toy.Slope(rounds=3).fit(X, y)
        toy.train({"rate": 0.01}, X, y, 4)
        toy.tune(toy.Slope, iter([0.01, 0.02]), X, y)
        toy.Committee(rounds=2).fit(X, y)

        async def both() -> list[Any]:
            learnt = [toy.service.learn(X, y, rounds, rate=0.01) for rounds in (2, 3)]
            return await asyncio.gather(*learnt)

        models = asyncio.run(both())
        loaded = [autolog.load_model(run.id) for run in seen.runs[-2:]]
    fit, train, tune, committee, *learnt = seen.runs
    assert (fit.kind, fit.params, fit.metrics["loss"]["count"]) == ("fit", {"rate": 0.1, "rounds": 3}, 3)
    assert (train.kind, train.params) == ("train", {"rate": 0.01, "rounds": 4})
    assert {name: metric["count"] for name, metric in train.metrics.items()} == {"loss": 4, "weight": 1}
    assert [(child.kind, child.params, child.tags) for child in tune.children] == [
        ("candidate", {"rate": 0.01}, {}),
        ("candidate", {"rate": 0.02}, {"best": "true"}),
    ]
    assert tune.metrics == {}
    assert committee.metrics == {}
    assert [(run.params["rounds"], run.metrics["loss"]["count"]) for run in learnt] == [(2, 2), (3, 3)]
    assert [model.weight for model in loaded] == [model.weight for model in models]
    assert len(seen.all_runs) == 8
    assert toy.events.listeners == []
