"""Resource limits of each command: what no build comes near, and what runs away soon meets.

They are of the kernel's `setrlimit`, per process but for PROCESSES. Memory is left to the container: the limit that
there is counts addresses, of which Java and Go reserve more than any machine has.
"""

from __future__ import annotations

import math
import os
import resource

FILE_BYTES = 16 * 1024**3
"""Of one file: beyond core images, databases and model weights, short of most disks."""
PROCESSES = 16_384
"""Of this user, threads included, as the kernel counts: on a machine that is shared, other jobs' too, hence so many.
A storm of forks ends here at the latest; root is exempt, and a container's own limit (pids) comes first.
"""
LEAST_CPU_SECONDS = 60


def limits(timeout: float) -> dict[int, int]:
    """The limits by their number, none above what we have ourselves; `timeout` is the job's, in seconds.

    A process can't use more CPU than all cores for the whole job, unless it outlives the job.
    """
    cpu = max(LEAST_CPU_SECONDS, math.ceil(timeout) * (os.cpu_count() or 1))
    wanted = {
        # A core file holds the secrets of whoever crashed, in the workspace.
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_NPROC: PROCESSES,
    }
    return {kind: _no_higher(kind, value) for kind, value in wanted.items()}


def _no_higher(kind: int, value: int) -> int:
    ours = min((limit for limit in resource.getrlimit(kind) if limit != resource.RLIM_INFINITY), default=value)
    return min(ours, value)
