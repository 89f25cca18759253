"""For authors of integrations: record in a test, show that a framework stays unchanged, and check autolog's promises.

    from autolog.testing import Contract, assert_untouched, recorded

    def test_a_training_is_recorded():
        with recorded("toy") as seen:
            toy.Slope().fit([1, 2], [2, 4])
        assert seen.run.params == {"rate": 0.1, "rounds": 5}

It needs no test framework. Subclasses of `Contract` are classes of tests that pytest collects.
"""

from __future__ import annotations

from autolog.testing.contract import Contract
from autolog.testing.recording import Recorded, recorded
from autolog.testing.toy import fake_framework, write_toy
from autolog.testing.untouched import assert_untouched, attributes, filter_changes, wrappers

__all__ = [
    "Contract", "Recorded", "assert_untouched", "attributes", "fake_framework", "filter_changes", "recorded", "wrappers",
    "write_toy",
]  # fmt: skip
