"""Workers as processes of this machine."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING

import trio

from trioworker.fleet.engine import Attempt, attempt_of
from trioworker.fleet.launch import start_job
from trioworker.worker.child_process import kill_worker

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trioworker.fleet.jobs import FleetJob

KILL_AFTER = 30.0
"""Seconds from SIGTERM to SIGKILL: more than any farewell takes with the default grace."""
TAIL = 64 * 1024
"""Bytes of a worker's output that are read: its outcome is the last line."""


class ProcessEngine:
    """Starts workers here. With `logs`, each job's log is kept there, appended to by each attempt."""

    name = "process"
    retries = False

    def __init__(self, logs: Path | None) -> None:
        self._logs = logs
        self._node = socket.gethostname()

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`."""
        with tempfile.TemporaryFile() as out, self._log(job) as err:
            try:
                # From the main thread: the kernel's death signal comes when the thread that asked for it ends.
                process = start_job(job, out, err)
            except OSError as error:
                return Attempt(exit_code=None, message=f"the worker did not start: {error.strerror}", node=self._node)
            try:
                await _ended(process, stopping)
            finally:
                kill_worker(process)
            return attempt_of(process.returncode, _tail(out), _tail(err), self._node)

    def _log(self, job: FleetJob) -> IO[bytes]:
        if self._logs is None:
            return tempfile.TemporaryFile()
        return open(self._logs / f"{job.job_id}.log", "a+b")


@asynccontextmanager
async def processes(logs: Path | None) -> AsyncGenerator[ProcessEngine]:
    """The engine of this machine; there is nothing to open or close."""
    yield ProcessEngine(logs)


async def _ended(process: subprocess.Popen[bytes], stopping: trio.Event) -> None:
    """Wait for the end, which a stop asks for once."""
    pidfd = os.pidfd_open(process.pid)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop, process, stopping, nursery.cancel_scope)
            while process.poll() is None:
                await trio.lowlevel.wait_readable(pidfd)
            nursery.cancel_scope.cancel()
    finally:
        os.close(pidfd)


async def _stop(process: subprocess.Popen[bytes], stopping: trio.Event, waiting: trio.CancelScope) -> None:
    await stopping.wait()
    process.send_signal(signal.SIGTERM)
    await trio.sleep(KILL_AFTER)
    # The wait is over; what runs then is killed.
    waiting.cancel()


def _tail(file: IO[bytes]) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
    return file.read()
