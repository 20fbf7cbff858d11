"""A clock for `trio.run`: after the process was frozen, what happened in time isn't treated as late.

A process may be stopped for a while: by SIGSTOP, by the cgroup freezer of a container engine, by a debugger, or by a
machine that gives it no CPU. When it continues, trio expires all deadlines that have passed before it has seen which
children ended, which responses arrived, and which threads returned meanwhile. This clock then stands still for
`HOLD` seconds, in which these are handled first, and continues with the true time.

Deadlines follow CLOCK_MONOTONIC, as with trio's own clock. It stops while the machine is suspended, but not while only
the process is frozen.
"""

from __future__ import annotations

import math
import time

import trio

STALL = 0.5
"""Seconds beyond the intended sleep after which an event loop that didn't run counts as frozen."""
HOLD = 0.5
"""Seconds that the clock stands still: enough for other processes that were frozen too to pass on what they have."""


class CatchUpClock(trio.abc.Clock):
    """CLOCK_MONOTONIC, which stands still for `HOLD` seconds after a stall of more than `STALL` seconds."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._expected = math.inf
        self._held_until = -math.inf

    def start_clock(self) -> None:
        """See `trio.abc.Clock`."""
        self._show(time.perf_counter())

    def current_time(self) -> float:
        """The time in seconds; the last one again while the clock stands still."""
        now = time.perf_counter()
        if now < self._held_until:
            return self._shown
        if self._held_until == -math.inf and now > self._expected + STALL:
            self._held_until = now + HOLD
            return self._shown
        return self._show(now)

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """The seconds to sleep until a deadline, at most until the clock continues."""
        left = deadline - self.current_time()
        now = time.perf_counter()
        if self._held_until > now:
            return min(left, self._held_until - now)
        self._expected = now + max(0.0, left)
        return left

    def _show(self, now: float) -> float:
        self._shown = self._expected = now
        self._held_until = -math.inf
        return now
