"""Resource limits of each command: out of reach for any build, but soon reached by runaway processes.

They are the kernel's (setrlimit(2)), per process except for MAX_PROCESSES. Memory is left to the container: RLIMIT_AS
counts address space, of which Java and Go reserve more than a machine has memory.
"""

from __future__ import annotations

import math
import os
import resource

MAX_FILE_BYTES = 16 * 1024**3
"""Bytes of one file: more than core images, databases and model weights have, less than most disks."""
MAX_PROCESSES = 16_384
"""Processes and threads of this user, as the kernel counts them. On a shared machine, other jobs' count too.

A last resort against fork bombs: root is exempt, and a container's own limit (pids) is reached first.
"""
MIN_CPU_SECONDS = 60
"""Lower bound of the CPU limit, for jobs with a short time-out."""


def resource_limits(timeout: float) -> dict[int, int]:
    """The limits by their `RLIMIT_` constant, none above our own; `timeout` is the job's, in seconds.

    The CPU limit is all cores for the whole job, which only a process that outlives the job could exceed.
    """
    cpu = max(MIN_CPU_SECONDS, math.ceil(timeout) * (os.cpu_count() or 1))
    wanted = {
        # A core file in the workspace would contain the secrets of the process.
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NPROC: MAX_PROCESSES,
    }
    return {kind: _capped_by_own_limit(kind, value) for kind, value in wanted.items()}


def _capped_by_own_limit(kind: int, value: int) -> int:
    own_limit = min((limit for limit in resource.getrlimit(kind) if limit != resource.RLIM_INFINITY), default=value)
    return min(own_limit, value)
