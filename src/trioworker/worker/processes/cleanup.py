"""Terminates the commands of a worker that is killed: a child of the worker waits for its end.

A worker that gets SIGKILL can't terminate its commands, and the kernel would only signal its direct children. So a
child holds the other end of a pipe or socket that only the worker has. When it closes, the child executes Python code
that terminates the processes (`orphans.py`). With a sandbox, that child is its launcher, which exists anyway; without
one, it is a shell. Neither command line contains our name, by which people kill all workers (`pkill -f`).
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from loguru import logger

from trioworker.worker.child_process import python_code
from trioworker.worker.processes.sandbox.launcher import CODE_VARIABLE, PYTHON_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

WAIT_AND_EXECUTE = f'trap "" HUP INT QUIT TERM; read -r _; exec "${PYTHON_VARIABLE}" -I -c "${CODE_VARIABLE}"'
"""Waits for the end of standard input. Signals that stop the worker don't stop this."""


def cleanup_variables(job: str) -> dict[str, str]:
    """Variables with the code that terminates the processes of a killed worker; `job` comes from `job_mark`."""
    code = python_code(f"from trioworker.worker.processes.orphans import clean_up; clean_up({job!a})")
    return {PYTHON_VARIABLE: sys.executable, CODE_VARIABLE: code}


class Watcher:
    """A shell that terminates the job's processes if this process is killed before `close`. It needs 1 MB."""

    def __init__(self, cleanup: Mapping[str, str]) -> None:
        """`cleanup` comes from `cleanup_variables`."""
        self._cleanup = cleanup
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the shell, once it was started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the shell, unless it was started. Call this before the first command: it isn't a process of the job."""
        if self._process is not None:
            return
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own code
                ("/bin/sh", "-c", WAIT_AND_EXECUTE),
                env=self._cleanup,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                # Survives a signal to our group, but is in our session, unlike commands.
                process_group=0,
            )
        except OSError as error:
            logger.warning("if this worker is killed, its commands keep running: {}", error)

    def close(self) -> None:
        """Kill the shell; nothing is executed."""
        if self._process is not None and self._process.stdin is not None:
            # Before closing its input, which would make it clean up.
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process = None
