"""For authors of integrations: record in a test, show that a framework is left untouched, and check the promises.

    from autolog.testing import Contract, assert_untouched, recorded

    def test_a_training_is_recorded():
        with recorded("toy") as seen:
            toy.Slope().fit([1, 2], [2, 4])
        assert seen.run.params == {"rate": 0.1, "rounds": 5}

Needs no test framework; `Contract` is a class of tests that pytest collects when it is subclassed.
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
