"""Starts the worker of a fleet's job as a child process; shared by the engines that start processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import IO, TYPE_CHECKING

from trioworker.worker.child_process import start_worker

if TYPE_CHECKING:
    import subprocess

    from trioworker.fleet.jobs import FleetJob


STOP_TIMEOUT = 30.0
"""Seconds from SIGTERM to SIGKILL: more than a shutdown takes with the default grace."""


def start_job(
    job: FleetJob, out: IO[bytes], err: IO[bytes], death_signal: signal.Signals = signal.SIGTERM
) -> subprocess.Popen[bytes]:
    """Start a worker for the job, and create its workspace if it doesn't exist. See `start_worker`.

    Raises:
        OSError: it can't be started.
    """
    options = [f"--job-id={job.job_id}", f"--orchestrator-url={job.orchestrator_url}", *job.worker_options]
    if job.workspace is not None:
        Path(job.workspace).mkdir(parents=True, exist_ok=True)
        options.append(f"--workspace={job.workspace}")
    return start_worker(options, job.token, stdout=out, stderr=err, death_signal=death_signal)
