"""What an earlier release has written stays readable: a store of each is kept, with what that release said of it.

`tests/fixtures/store_<version>` is a store without its index; `expected.json` is `autolog ls --children --json` as that release
printed it, oldest first. Never change one: it is as users have it.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

import autolog
from autolog.models.errors import UntrustedModel
from autolog.store.records import Store

STORES = sorted((Path(__file__).parents[1] / "fixtures").glob("store_*"))


@pytest.fixture(params=STORES, ids=lambda path: path.name)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of an old store: reading makes an index in it."""
    return Path(shutil.copytree(request.param, tmp_path / "store"))


def without_what_is_new(now: Any, then: Any) -> Any:
    """What a release says now, without keys that the earlier one did not have: keys are added, never changed."""
    if isinstance(then, dict) and isinstance(now, dict):
        return {key: without_what_is_new(now.get(key), value) for key, value in then.items()}
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [without_what_is_new(*pair) for pair in zip(now, then, strict=True)]
    return now


def test_runs_of_an_old_store_read_as_before(kept: Path) -> None:
    expected = json.loads((kept / "expected.json").read_text())
    runs = [run.to_dict() for run in Store(kept).runs(order_by="started", children=True)]
    assert without_what_is_new(runs, expected) == expected
    assert len(expected) >= 6


def test_series_and_files_of_an_old_store_are_there(kept: Path) -> None:
    store = Store(kept)
    run = store.get("by hand")
    assert [(point.step, point.value) for point in run.history("loss")] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert [repr(point.value) for point in run.history("odd")] == ["nan", "inf", "-inf"]
    assert (run.folder / "notes/report.txt").read_text() == "all is well\n"
    assert [run.name for run in store.runs("metrics.loss < 0.4")] == []  # the value is the kept model's, 0.5
    assert [run.name for run in store.runs("metrics.loss < 0.6 and params.rate == 0.1")] == ["by hand"]


def test_a_model_of_an_old_store_needs_trust(kept: Path) -> None:
    run = Store(kept).get("cosmic-curlew")
    with pytest.raises(UntrustedModel, match="is a pickle"):
        autolog.load_model(run)
    sklearn = pytest.importorskip("sklearn", minversion="1.9")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.InconsistentVersionWarning)
        model = autolog.load_model(run, trust=True)
    assert (type(model).__name__, model.C, list(model.predict([[6, 1], [0, 0]]))) == (
        "LogisticRegression",
        0.5,
        [1, 0],
    )
