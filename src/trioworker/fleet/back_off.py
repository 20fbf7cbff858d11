"""The pause before another attempt."""

from __future__ import annotations

import random

MAX_DOUBLINGS = 10


def back_off(failures: int, *, initial: float, maximum: float) -> float:
    """Return the seconds to wait after `failures` in a row: exponential, up to `maximum`, times `jitter()`."""
    return min(maximum, initial * 2 ** min(failures - 1, MAX_DOUBLINGS)) * jitter()


def jitter() -> float:
    """Return a random number from 0.5 to 1, so that what failed at one moment isn't tried again at one moment."""
    return 0.5 + random.random() / 2  # noqa: S311 - nobody gains by predicting a pause
