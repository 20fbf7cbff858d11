"""Runs workers as processes of this machine."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from contextlib import ExitStack, asynccontextmanager
from typing import IO, TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.fleet.engine import Attempt, NotStartedError, attempt_from_exit
from trioworker.fleet.launch import STOP_TIMEOUT, start_job
from trioworker.linux.open_files import raise_open_files_limit
from trioworker.protocol.limits import MAX_KEPT_OUTPUT_BYTES
from trioworker.worker.child_process import kill_worker

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trioworker.fleet.jobs import FleetJob

MAX_OUTPUT_BYTES = 6 * MAX_KEPT_OUTPUT_BYTES + 64 * 1024
"""Bytes read from the end of a worker's output. The last line is the report, up to six times as long in JSON."""
RESULT_TIMEOUT = 30.0
"""Seconds for the steps after a worker's end, such as asking the orchestrator for the outcome."""
FILES = 64
FILES_PER_WORKER = 8
"""Output, log, lock, process and, for a task, about four connections to our orchestrator."""


class ProcessEngine:
    """Starts worker processes. With `logs`, a folder, each job has a log file there, which its attempts append to."""

    name = "process"
    stop_timeout = STOP_TIMEOUT + RESULT_TIMEOUT

    def __init__(self, logs: Path | None, death_signal: signal.Signals) -> None:
        self._logs = logs
        self._death_signal = death_signal
        self._node = socket.gethostname()

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`."""
        with ExitStack() as stack:
            try:
                out = stack.enter_context(tempfile.TemporaryFile())
                err = stack.enter_context(self._log(job))
                # On the main thread: the death signal is sent when the thread that requested it ends.
                process = start_job(job, out, err, self._death_signal)
            except OSError as error:
                # Such as too many processes or open files, or a full disk.
                raise NotStartedError(f"the worker did not start: {error.strerror}") from error
            try:
                await _ended(process, stopping)
            finally:
                kill_worker(process)
            return attempt_from_exit(process.returncode, read_tail(out), read_tail(err), self._node)

    def left_behind(self) -> str | None:
        """See `Engine`. Workers don't outlive a cancellation of `run`."""
        return None

    def _log(self, job: FleetJob) -> IO[bytes]:
        if self._logs is None:
            return tempfile.TemporaryFile()
        return open(self._logs / f"{job.job_id}.log", "a+b")


@asynccontextmanager
async def open_process_engine(
    logs: Path | None, parallel: int, death_signal: signal.Signals = signal.SIGTERM
) -> AsyncGenerator[ProcessEngine]:
    """Open the engine of this machine, for `parallel` workers, which get `death_signal` if this process is killed.

    Raises:
        ConfigError: the limit of open files is too low.
    """
    limit = raise_open_files_limit()
    if (needed := FILES + FILES_PER_WORKER * parallel) > limit:
        raise ConfigError(
            f"--parallel: {parallel} workers need {needed} open files, but the limit is {limit}; raise it (ulimit -n), "
            "or give a lower number"
        )
    yield ProcessEngine(logs, death_signal)


async def _ended(process: subprocess.Popen[bytes], stopping: trio.Event) -> None:
    """Wait for the end of the process, which gets SIGTERM when `stopping` is set."""
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
    await trio.sleep(STOP_TIMEOUT)
    # The caller kills what is still running.
    waiting.cancel()


def read_tail(file: IO[bytes]) -> bytes:
    """The end of a worker's output."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_OUTPUT_BYTES))
    return file.read()
