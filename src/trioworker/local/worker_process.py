"""The worker process of `trioworker local`, restarted when it dies without a report."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Self

import trio

from trioworker.linux.procfs import kill_tree
from trioworker.protocol.exit_codes import BAD_USAGE, NO_ORCHESTRATOR, STOPPED
from trioworker.worker.child_process import RELEASE_SIGNAL, kill_worker, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STOP_TIMEOUT = 12.0
"""Seconds between SIGTERM and SIGKILL: a worker's grace is 8 s by default, a container's 10 s."""
MAX_RESUMES = 3
"""Restarts of a worker that dies. SIGKILL usually means that memory ran out, which will happen again."""
FINAL_CODES = (BAD_USAGE, NO_ORCHESTRATOR, STOPPED)
"""Exit codes that a restart wouldn't change, even if the job isn't reported."""
FINAL_CODES_OF_RESTARTS = (NO_ORCHESTRATOR, STOPPED)
"""The same for a restarted worker. Its usage was good before: something else, such as a process of a command that locks
the journal, prevents it from resuming the job.
"""


class WorkerProcess:
    """A running worker. A context manager: on exit, it releases the job, which can be resumed, and waits for the end.

    A worker that dies without a report, such as by SIGKILL or a crash, is restarted and resumes from its journal.
    """

    def __init__(
        self, options: Sequence[str], token: str, reported: Callable[[], bool], *, stderr: int | None = None
    ) -> None:
        """Start `trioworker worker` with `options`, which include `--state-dir`. Without `stderr`, it logs to ours.

        `reported` returns whether the orchestrator has the job's report.
        """
        # `stop` reports the job, even if a variable that is set for other workers says otherwise.
        self._options = (*options, "--on-sigterm=report")
        self._token = token
        self._reported = reported
        self._stderr = stderr
        self._resumes = 0
        self._stopped = False
        self._killed = False
        self._start()

    def _start(self) -> None:
        # The outcome on stdout isn't needed: the orchestrator has the report.
        self._process = start_worker(
            self._options,
            self._token,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            death_signal=RELEASE_SIGNAL,
        )
        self._pidfd = os.pidfd_open(self._process.pid)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._process.poll() is None:
                self._stopped = True
                self._process.send_signal(RELEASE_SIGNAL)
                with trio.move_on_after(STOP_TIMEOUT, shield=True):
                    await self.wait()
        finally:
            self._killed = True
            kill_worker(self._process)
            os.close(self._pidfd)

    async def wait(self) -> int:
        """Wait for the end. Returns the exit code, or 128 + the signal's number."""
        while True:
            while (code := self._process.poll()) is None:
                await trio.lowlevel.wait_readable(self._pidfd)
            if self._stopped or self._resumes == MAX_RESUMES or not self.died:
                return code if code >= 0 else 128 - code
            self._resumes += 1
            os.close(self._pidfd)
            self._start()

    @property
    def died(self) -> bool:
        """Whether the worker ended without a report, and neither `kill` nor the worker itself gave up the job."""
        final = FINAL_CODES_OF_RESTARTS if self._resumes else FINAL_CODES
        return self.ended and not self._killed and self._process.returncode not in final and not self._reported()

    @property
    def deaths(self) -> int:
        """How often the worker died."""
        return self._resumes + self.died

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    def stop(self) -> None:
        """Send SIGTERM: the worker stops its job and reports it. It isn't restarted."""
        self._stopped = True
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the worker and its descendants at once. Nothing is reported."""
        self._killed = True
        if self._process.poll() is None:
            kill_tree(self._process.pid)
