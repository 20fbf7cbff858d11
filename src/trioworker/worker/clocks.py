"""How long ago a job was opened, when another process resumes it.

A running job's deadlines follow CLOCK_MONOTONIC, which setting the date doesn't affect and which stops while the
machine is suspended. It is valid for a resumed job, too, unless the machine was booted meanwhile. After
a boot, or on another machine, only the wall clock is left, and it may have been set to anything.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""A random id that the kernel chooses at each boot (random(4))."""


class Moment(msgspec.Struct, frozen=True):
    """A moment, by both clocks.

    Attributes:
        wall: seconds since the epoch.
        boot_id: the boot to which `monotonic` belongs, empty if it isn't known.
        monotonic: seconds of CLOCK_MONOTONIC.
    """

    wall: float
    boot_id: str = ""
    monotonic: float = 0.0

    def at(self, monotonic: float) -> Moment:
        """The moment of the same boot at which CLOCK_MONOTONIC was `monotonic`."""
        return Moment(self.wall + monotonic - self.monotonic, self.boot_id, monotonic)


def read_clocks() -> Moment:
    """The current moment."""
    try:
        boot_id = BOOT_ID.read_text().strip()
    except (OSError, UnicodeDecodeError):
        boot_id = ""
    return Moment(time.time(), boot_id, time.monotonic())


def elapsed(since: Moment, now: Moment, *, limit: float) -> float:
    """The seconds between two moments, from 0 to `limit`: by CLOCK_MONOTONIC within one boot, else by the wall clock.

    A wall clock that was set back counts as no time, and one that was set forward as the whole limit.
    """
    if since.boot_id and since.boot_id == now.boot_id:
        seconds = now.monotonic - since.monotonic
    else:
        seconds = now.wall - since.wall
    return min(max(0.0, seconds), limit)
