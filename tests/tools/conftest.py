"""Makes the made-up framework and its integration importable, for the test of patch points."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from helpers import make_toy_importable

make_toy_importable()
