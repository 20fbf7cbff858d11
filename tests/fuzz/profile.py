"""How long the fuzzing takes: the same examples each time in CI, new ones for a longer run.

`TRIOWORKER_FUZZ_SECONDS=600 pytest tests/fuzz` looks ten times as far as the minute that CI has, at random.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

CI_SECONDS = 60.0
"""What the examples below may take in CI, all tests together; they take about half of it on two cores."""
EXAMPLES = 200
"""Examples of a test in CI; `share` is for those whose examples take long."""


def fuzzing(share: float = 1.0) -> settings:
    """The settings of a test, as its decorator."""
    seconds = float(os.environ.get("TRIOWORKER_FUZZ_SECONDS", CI_SECONDS))
    return settings(
        max_examples=max(1, int(EXAMPLES * share * seconds / CI_SECONDS)),
        derandomize=seconds <= CI_SECONDS,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
