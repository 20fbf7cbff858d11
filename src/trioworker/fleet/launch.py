"""Starts a worker as a child process, and ends it with all that it started; for whatever engine has a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from trioworker.local import leash
from trioworker.local.child import worker_environment
from trioworker.tools.tree import descendants, process_table

if TYPE_CHECKING:
    from trioworker.fleet.jobs import FleetJob


def start_worker(
    job: FleetJob, out: IO[bytes], err: IO[bytes], death_signal: signal.Signals = signal.SIGTERM
) -> subprocess.Popen[bytes]:
    """Start `trioworker worker`, which gets `death_signal` when the thread that calls this ends.

    Its workspace is made if it is not there. Its token is in its environment alone, where no `ps` of others shows it.

    Raises:
        OSError: it can't be started.
    """
    options = [f"--job-id={job.job_id}", f"--orchestrator-url={job.orchestrator_url}", *job.worker_options]
    if job.workspace is not None:
        Path(job.workspace).mkdir(parents=True, exist_ok=True)
        options.append(f"--workspace={job.workspace}")
    # `-P` keeps modules that lie in the working directory out of the worker.
    worker = [sys.executable, "-P", "-m", "trioworker", "worker", *options]
    return subprocess.Popen(  # noqa: S603 - our own program; its options were checked
        [sys.executable, "-ISs", str(Path(leash.__file__)), str(os.getpid()), str(int(death_signal)), *worker],
        env=worker_environment(os.environ, job.token),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        # A session of its own: Ctrl-C reaches the fleet alone, which passes it on as one SIGTERM.
        start_new_session=True,
    )


def end_worker(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker and all that it started, unless it has ended, and take its exit status."""
    if process.poll() is None:
        # Held still first, so that it starts nothing while its children are counted.
        process.send_signal(signal.SIGSTOP)
        table = process_table()
        for entry in descendants(table.get(process.pid, []), table):
            try:
                os.kill(entry.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.kill()
    process.wait()
