"""What the kernel tells of another process: its CPU time and its largest memory."""

from __future__ import annotations

import time
from pathlib import Path

_WHOLE_PROCESS = 2
"""CPUCLOCK_SCHED of the kernel's posix-timers.h: user and system time of all threads, those that ended included."""


def cpu_ns(pid: int) -> int | None:
    """CPU time of a process in ns, or None when it is gone.

    The clock's number is made as `clock_getcpuclockid(3)` does it, which Python lacks.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | _WHOLE_PROCESS)
    except OSError:
        return None


def peak_kib(pid: int) -> int | None:
    """The largest resident memory that a process had, in KiB, or None when it is gone.

    `ru_maxrss` of a child would do as well, did it not count the memory of its parent at the fork.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    lines = (line.split() for line in status.splitlines())
    return next((int(words[1]) for words in lines if words[:1] == ["VmHWM:"]), None)
