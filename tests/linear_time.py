"""Asserts that work is linear in the size of its input, by comparing sizes on the same machine in the same minute."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = 20_000
LARGE = 400_000
ALLOWED_RATIO = 10 * LARGE / SMALL
"""Ten times what linear work would take, for a busy machine; quadratic work takes 20 times what linear would."""

QUICK = 0.5
"""Seconds: below, the large input proves linear work by itself, since quadratic work on this size takes minutes."""


def assert_linear(work: Callable[[str], object], unit: str) -> None:
    """`work` on `LARGE` bytes of `unit` repeated takes no more than linear time, generously measured."""
    large = _seconds(work, unit, LARGE)
    if large > QUICK:
        small = _seconds(work, unit, SMALL)
        assert large < ALLOWED_RATIO * small, f"{unit!r}: {small:.3f} s for {SMALL} bytes, {large:.3f} s for {LARGE}"


def _seconds(work: Callable[[str], object], unit: str, size: int) -> float:
    text = unit * (size // len(unit))
    start = time.perf_counter()
    work(text)
    return time.perf_counter() - start
