"""Makes the pictures of the README and the docs from real runs and from the figures that are kept: `python docs/pictures.py`.

`session.svg` is what a terminal shows of `tests/quickstart.py`, `cost-light.svg` and `cost-dark.svg` a chart of
`tests/benchmarks/figures.json`. Draws only what commands print and what figures say.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))

import figures  # noqa: E402

PICTURES = Path(__file__).parent / "pictures"
COLUMNS = 112
THEMES = {"light": ("#1f2328", "#0d9488", "#c2c8cf"), "dark": ("#e6edf3", "#2dd4bf", "#484f58")}
"""The colours of text, of autolog's bars and of the other's."""


def session() -> None:
    """Run the quickstart and look at its runs."""
    with tempfile.TemporaryDirectory() as folder:
        shown = Text()
        for command in ("python quickstart.py", "autolog ls", "autolog compare {} {}"):
            if command.startswith("python"):
                (Path(folder) / "quickstart.py").write_text((ROOT / "tests" / "quickstart.py").read_text())
            names = [one["name"] for one in json.loads(_output(["autolog", "ls", "--json"], folder) or "[]")]
            typed = command.format(*reversed(names[1:3])) if "{}" in command else command
            shown.append("$ ", "dim").append(f"{typed}\n", "bold")
            shown.append_text(Text.from_ansi(_on_a_terminal(typed.split(), folder))).append("\n\n")
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(shown, end="")
    picture = console.export_svg(title="autolog", theme=MONOKAI)
    # Rich's picture asks a server for its font.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (PICTURES / "session.svg").write_text(picture.replace("Fira Code", "ui-monospace, Menlo, Consolas"))


def _output(command: list[str], folder: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def _on_a_terminal(command: list[str], folder: str) -> str:
    """What a program prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    printed = b""
    try:
        while data := os.read(ours, 1 << 16):
            printed += data
    except OSError:
        pass  # how Linux says that the other side is closed
    os.close(ours)
    if process.wait():
        raise RuntimeError(printed.decode())
    return printed.decode().replace("\r\n", "\n").rstrip("\n")


def cost(rows: list[dict[str, Any]]) -> None:
    """Milliseconds that a tracker adds to a training."""
    mpl.rcParams.update({"svg.hashsalt": "autolog", "font.size": 10, "font.family": "sans-serif"})
    for theme, (text, ours, other) in THEMES.items():
        bars = figures.added(rows)
        plot, axes = plt.subplots(figsize=(8, 0.62 * len(bars) + 0.7))
        most = max(mlflow for _, _, mlflow in bars)
        for place, (_, autolog, mlflow) in enumerate(reversed(bars)):
            for shift, value, color in ((0.19, autolog, ours), (-0.19, mlflow, other)):
                axes.barh(place + shift, value, 0.34, color=color)
                axes.text(
                    value + most / 120, place + shift, f"{value:,.0f} ms", va="center", color=text, size=9
                )
        axes.set_yticks(range(len(bars)), [name for name, _, _ in reversed(bars)], color=text)
        axes.set_title("Added to one training, model saved", loc="left", color=text, size=11)
        axes.legend(["autolog", "MLflow autologging"], loc="upper right", frameon=False, labelcolor=text)
        for handle, color in zip(axes.get_legend().legend_handles, (ours, other), strict=True):
            handle.set_color(color)
        axes.set_xlim(0, most * 1.12)
        axes.set_xticks([])
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        plot.tight_layout()
        plot.savefig(
            PICTURES / f"cost-{theme}.svg", transparent=True,
            metadata={"Date": None, "Description": json.dumps(bars, ensure_ascii=False)},
        )  # fmt: skip
        plt.close(plot)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    session()
    cost(figures.read())
