"""What the page's API is said to give, it gives: the commands in the docs are run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from serving import RUN, Running
from test_openapi import OPERATIONS

DOCS = (Path(__file__).parents[2] / "docs" / "page-api.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_work(page: Running, tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL))
    # curl before 7.82 has no --json.
    script = script.replace("--json", '-H "Content-Type: application/json" --data').replace(
        '"runs": []', f'"runs": ["{RUN}"]'
    )
    (tmp_path / "ui.txt").write_text(f"{page.server.url}\n")
    command = ["sh", "-euc", script.replace("\ncurl", "\necho; curl")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    runs, experiments, changed = [msgspec.json.decode(line) for line in done.stdout.splitlines() if line]
    assert runs["runs"]["id"] == [RUN]
    assert {one["name"] for one in experiments} >= {"digits"}
    assert changed == {"changed": [RUN]}


def test_everything_is_mentioned() -> None:
    for operation in OPERATIONS:
        assert operation.split()[1] in DOCS
