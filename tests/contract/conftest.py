"""Makes the made-up framework and its integration importable, as if both were installed."""

from __future__ import annotations

from helpers import make_toy_importable

make_toy_importable()
