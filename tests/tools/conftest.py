"""Makes the made-up framework and its integration importable, for the test of patch points."""

from __future__ import annotations

from helpers import make_toy_importable

make_toy_importable()
