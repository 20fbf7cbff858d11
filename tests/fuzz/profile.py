"""The number of examples: the same ones each time in CI, random ones in a longer run.

`TRIOWORKER_FUZZ_SECONDS=600 pytest tests/fuzz` tries ten times as many as in CI.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

CI_SECONDS = 60.0
"""The time for all tests of this folder in CI. They take about half of it on two cores."""
EXAMPLES = 200
"""Examples of a test in CI. Tests with slow examples try a share of them."""


def fuzzing(share: float = 1.0) -> settings:
    """The settings of a test, as a decorator."""
    seconds = float(os.environ.get("TRIOWORKER_FUZZ_SECONDS", CI_SECONDS))
    return settings(
        max_examples=max(1, int(EXAMPLES * share * seconds / CI_SECONDS)),
        derandomize=seconds <= CI_SECONDS,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
