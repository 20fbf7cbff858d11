"""Measures the common start and end of two texts, in little memory, by comparing slices."""

from __future__ import annotations

_SLICE = 64 * 1024
"""Characters that are compared at once. Comparing slices is many times faster than comparing characters."""


def common_start(one: str, other: str) -> int:
    """The number of characters at the start that both have."""
    limit = min(len(one), len(other))
    same = 0
    while same < limit and other.startswith(one[same : same + _SLICE], same):
        same += _SLICE
    if same >= limit:
        return limit
    low, high = same, min(same + _SLICE, limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if other.startswith(one[low:middle], low) else (low, middle - 1)
    return low


def common_end(one: str, other: str, limit: int) -> int:
    """The number of characters at the end that both have, at most `limit`."""
    same = 0
    while same < limit:
        size = min(_SLICE, limit - same)
        if not other.endswith(one[len(one) - same - size : len(one) - same], 0, len(other) - same):
            break
        same += size
    low, high = same, min(same + _SLICE, limit)
    while low < high:
        middle = (low + high + 1) // 2
        part = one[len(one) - middle : len(one) - low]
        low, high = (middle, high) if other.endswith(part, 0, len(other) - low) else (low, middle - 1)
    return low
