"""Scripts in processes of their own; the made-up framework and its integration are importable there."""

from __future__ import annotations

from helpers import make_toy_importable

make_toy_importable()
