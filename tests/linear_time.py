"""An assertion that work takes linear time, by comparing the CPU time for two sizes of input.

CPU time doesn't depend on how busy the machine is, as wall time does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = 5_000
LARGE = 100_000
"""Characters of the input. Linear work takes 20 times as long for the larger one, quadratic work 400 times."""
ALLOWED_RATIO = 10 * LARGE / SMALL
"""Ten times the ratio of linear work, since caches and the clock's resolution distort short measurements."""

QUICK = 0.03
"""CPU seconds. If the large input takes less, the work is linear: quadratic work takes seconds for it."""
ATTEMPTS = 3
"""Measurements, since a collection of garbage may fall into one."""


def assert_linear(work: Callable[[str], object], unit: str) -> None:
    """Assert that `work` takes linear time on texts that repeat `unit`."""
    problem = ""
    for _ in range(ATTEMPTS):
        large = _cpu_seconds(work, unit, LARGE)
        if large <= QUICK:
            return
        small = _cpu_seconds(work, unit, SMALL)
        if large < ALLOWED_RATIO * small:
            return
        problem = f"{unit!r}: {small:.4f} s for {SMALL} characters, {large:.4f} s for {LARGE}"
    raise AssertionError(problem)


def _cpu_seconds(work: Callable[[str], object], unit: str, size: int) -> float:
    text = unit * max(1, size // len(unit))
    start = time.thread_time()
    work(text)
    return time.thread_time() - start
