"""What is imported, when, and on which thread."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import WATCHED, clean_script, script

TRAININGS = {
    "an explicit run": """
    with autolog.run("x", tags={"a": "b"}) as run:
        run.log_params({"api_key": "12345678"})
        run.log_metrics({"m": float("nan")})
        run.log_artifact(__file__)
        run.log_json("j.json", {})
""",
    "toy": """
    import toy
    toy.Slope().fit([1.0, 2.0], [2.0, 4.0])
    autolog.last_run().log_artifact(__file__)
""",
    "sklearn": """
    from sklearn.linear_model import LogisticRegression
    LogisticRegression().fit([[1.0], [2.0]], [0, 1])
""",
}


@pytest.mark.parametrize("training", TRAININGS)
def test_nothing_is_imported_on_autologs_threads(tmp_path: Path, training: str) -> None:
    """Transparent: a fork at any moment leaves the child able to import whatever it likes."""
    if training == "sklearn":
        pytest.importorskip("sklearn")
    code = f"autolog.autolog(silent=True)\n{TRAININGS[training]}\n    assert autolog.flush(60)"
    assert clean_script(WATCHED.format(code), tmp_path) == "[]\n"


def test_autolog_imports_few_modules_and_no_slow_ones(tmp_path: Path) -> None:
    code = """
        import sys
        before = set(sys.modules)
        import autolog
        autolog.autolog()
        print(*sorted(set(sys.modules) - before))
    """
    loaded = script(code, tmp_path).stdout.split()
    slow = {
        "asyncio", "wrapt", "numpy", "pandas", "sklearn", "msgspec", "logging", "subprocess", "sqlite3", "typer", "rich",
        "importlib.metadata", "email", "packaging", "toy", "autolog_toy", "autolog_sklearn", "dataclasses", "inspect",
    }  # fmt: skip
    assert slow & set(loaded) == set()
    assert len(loaded) <= 64, loaded


def test_with_autolog_disabled_there_is_no_store_thread_patch_or_hook(tmp_path: Path) -> None:
    code = """
        import sys, toy, types
        hooks = list(sys.meta_path)
        import autolog
        autolog.autolog()
        autolog.enable("toy")
        toy.Slope().fit([1.0, 2.0], [2.0, 4.0])
        with autolog.run("x") as run:
            run.log_metrics({"m": 1})
            toy.train({}, [1.0], [2.0])
        assert autolog.flush() in (True, False)
        assert hooks == sys.meta_path
        assert type(vars(toy.Slope)["fit"]) is types.FunctionType
        print(len(sys._current_frames()))
    """
    assert clean_script(code, tmp_path, AUTOLOG_DISABLED="1") == "1\n"
    assert not (tmp_path / ".autolog").exists()
