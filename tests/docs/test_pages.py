"""What the README and the docs show is run: all Python examples of a page, one after the other, as one script."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(
    r"(?:^<!-- (?P<remark>.+?) -->\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
BEFORE = {
    "README.md": """
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = DecisionTreeClassifier(max_depth=3)
open("report.html", "w").close()
""",
}
"""What a page takes for granted."""


def examples(page: Path) -> str:
    """Its script. An example with `<!-- not run: why -->` before it is left out."""
    found = EXAMPLE.finditer(page.read_text())
    return "\n".join(one["code"] for one in found if not (one["remark"] or "").startswith("not run: "))


PAGES = [
    one.relative_to(ROOT).as_posix()
    for one in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if examples(one)
]


def test_there_are_examples() -> None:
    assert {"README.md", "docs/tour.md", "docs/by-hand.md", "docs/frameworks/sklearn.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_works(page: str, tmp_path: Path) -> None:
    """Slow: a program of its own imports a framework, and trains as the page does."""
    program = BEFORE.get(page, "") + examples(ROOT / page)
    needed = {
        module.partition(".")[0]
        for node in ast.walk(ast.parse(program))
        for module in (
            [one.name for one in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    absent = sorted(one for one in needed if find_spec(one) is None)
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed")
    (tmp_path / "page.py").write_text(program)
    # A folder of its own, in which a store is made; whatever is shown is not to be an error of autolog's.
    environment = {**os.environ, "AUTOLOG_STRICT": "1", "MPLBACKEND": "agg"}
    environment.pop("AUTOLOG_DIR", None)
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
