"""The worker of `trioworker local` as a child process that never outlives us.

It is started from the main thread, not through `trio.run_process`, which starts it from a thread of trio's pool: the
kernel's death signal (`leash.py`) comes when that thread ends, and trio ends idle threads after seconds. The wait is
on a pidfd.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import trio

from trioworker.local import leash
from trioworker.tools.tree import descendants, process_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STOP_SECONDS = 12.0
"""Between SIGTERM and SIGKILL: a worker's grace is 8 s by default, a container's 10 s."""
TOKEN_VARIABLE = "IRONCLAW_WORKER_TOKEN"  # noqa: S105 - the variable's name
FOREIGN_VARIABLES = ("OPENAI_API_KEY", TOKEN_VARIABLE)
"""What our environment may hold and a worker has no use for."""


MAX_RESUMES = 3
"""Starts after a death by SIGKILL, which mostly means that memory ran out: it will again, so not for ever."""


class WorkerProcess:
    """A running worker. A context manager: leaving it ends the process, if it has not ended, and waits for that.

    One that is killed from outside is started again, to resume from its journal.
    """

    def __init__(self, options: Sequence[str], token: str) -> None:
        """Start `trioworker worker` with `options`, which name a journal's folder; its logs go to our stderr."""
        self._options = options
        self._token = token
        self._resumes = 0
        self._killed = False
        self._start()

    def _start(self) -> None:
        # `-P` keeps modules that lie in the working directory, which may be the job's, out of the worker.
        worker = [sys.executable, "-P", "-m", "trioworker", "worker", *self._options]
        self._process = subprocess.Popen(  # noqa: S603 - our own program; its options are the user's
            [sys.executable, "-ISs", str(Path(leash.__file__)), str(os.getpid()), str(int(signal.SIGTERM)), *worker],
            env=worker_environment(os.environ, self._token),
            stdin=subprocess.DEVNULL,
            # Its outcome as JSON; ours shows what the orchestrator was told.
            stdout=subprocess.DEVNULL,
            # A session of its own: Ctrl-C reaches us alone, and we pass it on as one SIGTERM.
            start_new_session=True,
        )
        self._pidfd = os.pidfd_open(self._process.pid)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._process.poll() is None:
                self.stop()
                with trio.move_on_after(STOP_SECONDS, shield=True):
                    await self.wait()
        finally:
            if self._process.poll() is None:
                self.kill()
                # SIGKILL is not refused: this wait is short.
                self._process.wait()
            os.close(self._pidfd)

    async def wait(self) -> int:
        """The exit code, 128 and the signal's number when a signal ended it."""
        while True:
            while (code := self._process.poll()) is None:
                await trio.lowlevel.wait_readable(self._pidfd)
            if code != -signal.SIGKILL or self._killed or self._resumes == MAX_RESUMES:
                return code if code >= 0 else 128 - code
            self._resumes += 1
            os.close(self._pidfd)
            self._start()

    @property
    def ended(self) -> bool:
        """Whether the process has ended and nothing is left to be stopped."""
        return self._process.returncode is not None

    def stop(self) -> None:
        """Ask the worker to end its job and report it (SIGTERM)."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the worker and all that it started, now. Nothing is reported."""
        self._killed = True
        if self._process.poll() is not None:
            return
        # Held still first, all of them: whoever runs may start another one while they are counted.
        held = [self._process.pid]
        self._process.send_signal(signal.SIGSTOP)
        while new := [pid for pid in self._descendants() if pid not in held]:
            held += new
            _signal(new, signal.SIGSTOP)
        _signal(reversed(held), signal.SIGKILL)

    def _descendants(self) -> list[int]:
        table = process_table()
        return [entry.pid for entry in descendants(table.get(self._process.pid, []), table)]


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def worker_environment(ours: Mapping[str, str], token: str) -> dict[str, str]:
    """Our environment for a worker: with its token, without secrets that are none of its business."""
    kept = {name: value for name, value in ours.items() if name not in FOREIGN_VARIABLES}
    return {**kept, TOKEN_VARIABLE: token}
