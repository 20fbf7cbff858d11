"""Tags: a property of a job's processes that they can't change, so that each is found whatever it does.

A process sheds its session by `setsid`, its parent by a second fork, and its environment by `env -i`. What it can't
shed is a resource limit: it is inherited by all that a process starts, and anyone may read it. The tag is the value of
RLIMIT_RTTIME, far above any time, so it has no effect as a limit. The seccomp filter of commands keeps them from
changing it. Where there is no filter, the marks in the environment are used instead (`ownership.py`).
"""

from __future__ import annotations

import hashlib
import re
import resource
from typing import TYPE_CHECKING

from trioworker.worker.processes.sandbox.denied_calls import TAG_LIMIT

if TYPE_CHECKING:
    from trioworker.worker.processes.sandbox.sandbox import Sandbox

_BASE = 1 << 62
"""Microseconds, 146,000 years: no limit that a person sets. `setrlimit` of Python takes 63 bits."""
_PATTERN = re.compile(rb"^Max realtime timeout +(?:\S+) +(\d+) ", re.MULTILINE)


def job_tag(job: str, sandbox: Sandbox) -> int | None:
    """The tag of a job, from `job_mark`; None if its commands can't be tagged in this sandbox.

    A worker that was itself started by a tagged command can't change its tag: the outer worker ends its commands.
    """
    if not sandbox.call_filter or resource.getrlimit(TAG_LIMIT)[1] != resource.RLIM_INFINITY:
        return None
    return tag_for(job)


def tag_for(job: str) -> int:
    """The tag of a job, from `job_mark`."""
    return _BASE | int.from_bytes(hashlib.sha256(job.encode()).digest()[:8], "little") >> 2


def tag_of(pid: int) -> int | None:
    """The tag of a process, also of one that has ended and was not reaped; None if it has none."""
    try:
        with open(f"/proc/{pid}/limits", "rb", buffering=0) as file:
            limit = _PATTERN.search(file.read(4096))
    except OSError:
        return None
    return int(limit[1]) if limit else None
