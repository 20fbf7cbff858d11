"""The workers that are compared, and how one of them is run as a child process."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec
from benchmarks.figures import BASELINE, OURS, UnmeasuredError
from benchmarks.plan import Log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.control import Control
    from benchmarks.plan import Plan

PATIENCE = 300.0
"""Seconds that a job may take: several times the longest one, at the slowest worker."""
_FOREIGN = ("IRONCLAW_", "TRIOWORKER_", "OTEL_")
"""What would change a worker's behaviour."""
_SLOWING = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})
"""What would have each start compile the program anew: where workers run, they are installed with their bytecode."""


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A worker: its command, in which `{job_id}` and `{url}` stand for the job's."""

    name: str
    command: tuple[str, ...]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's run to its end: when its process was started (ns of `perf_counter_ns`), its CPU seconds, its log."""

    began: int
    cpu: float
    log: Log


def ours() -> Contender:
    """This worker, by its console script where that is installed, as in the image."""
    script = Path(sys.executable).with_name("trioworker")
    program = (str(script),) if script.exists() else (sys.executable, "-m", "trioworker")
    arguments = ("worker", "--job-id", "{job_id}", "--orchestrator-url", "{url}")
    return Contender(name=OURS, command=(*program, *arguments))


def baseline() -> Contender:
    """The sequential worker beside us."""
    return Contender(name=BASELINE, command=(sys.executable, "-m", "benchmarks.baseline", "{job_id}", "{url}"))


def peer(number: int, command: str) -> Contender:
    """Another worker, by the command that a person gave."""
    return Contender(name=f"peer {number}", command=tuple(shlex.split(command)))


def environment() -> dict[str, str]:
    """Ours without what concerns another job; modules are found in the same places from any folder."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN) and name not in _SLOWING
    }
    if path := inherited.get("PYTHONPATH"):
        inherited["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))
    return inherited


class RunningWorker:
    """A worker's process, from its start; `ended` waits for its end."""

    def __init__(
        self, contender: Contender, plan: Plan, control: Control, workspace: Path, variables: Mapping[str, str]
    ) -> None:
        self._control = control
        self._job_id = control.new_job(plan)
        # Closed by `ended`, at the end of the worker that writes to it.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        told = {
            "IRONCLAW_WORKER_TOKEN": "benchmark-token",
            "IRONCLAW_WORKSPACE": str(workspace),
            "IRONCLAW_MAX_ITERATIONS": "500",
        }
        command = [word.replace("{job_id}", self._job_id).replace("{url}", control.url) for word in contender.command]
        self._began = perf_counter_ns()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                cwd=workspace,
                env={**environment(), **told, **variables},
            )
        except OSError as error:
            control.log(self._job_id)
            raise UnmeasuredError(f"{command[0]} can't be started: {error.strerror}") from error
        control.tell_process(self._job_id, self._process.pid)

    def kill(self) -> None:
        """End it if it still runs, when nobody will wait for it any more."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
            self._log.close()

    def ended(self) -> Run:
        """Wait for the end.

        Raises:
            UnmeasuredError: it did not come, or was not a success.
        """
        in_time = _wait(self._process.pid, PATIENCE)
        if not in_time:
            self._process.kill()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        with self._log:
            self._log.seek(0)
            said = self._log.read().decode("utf-8", "replace").strip().splitlines()
        log = self._control.log(self._job_id)
        if not in_time:
            raise UnmeasuredError(f"it did not end within {PATIENCE:g} s")
        if self._process.returncode:
            raise UnmeasuredError(
                f"exit code {self._process.returncode}: {said[-1][:200] if said else 'it said nothing'}"
            )
        return Run(began=self._began, cpu=usage.ru_utime + usage.ru_stime, log=log)


def _wait(pid: int, seconds: float) -> bool:
    """Whether the child ended in time; it stays unreaped, for its CPU time comes with the reaping."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)
