"""An assertion that work takes linear time, by comparing the CPU time for two sizes of input.

CPU time doesn't depend on how busy the machine is, as wall time does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = 20_000
LARGE = 400_000
"""Characters of the input. Linear work takes 20 times as long for the larger one, quadratic work 400 times."""
ALLOWED_RATIO = 10 * LARGE / SMALL
"""Ten times the ratio of linear work, since caches and the clock's resolution distort short measurements."""

QUICK = 0.5
"""CPU seconds. If the large input takes less, the work is linear: quadratic work takes minutes for it."""


def assert_linear(work: Callable[[str], object], unit: str) -> None:
    """Assert that `work` takes linear time on texts that repeat `unit`."""
    large = _cpu_seconds(work, unit, LARGE)
    if large > QUICK:
        small = _cpu_seconds(work, unit, SMALL)
        ratio = f"{small:.3f} s for {SMALL} characters, {large:.3f} s for {LARGE}"
        assert large < ALLOWED_RATIO * small, f"{unit!r}: {ratio}"


def _cpu_seconds(work: Callable[[str], object], unit: str, size: int) -> float:
    text = unit * (size // len(unit))
    start = time.thread_time()
    work(text)
    return time.thread_time() - start
