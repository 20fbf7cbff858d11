"""Runs workers as child processes against the benchmark's orchestrator, alternating between them: A B B A."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter_ns
from typing import TYPE_CHECKING

import msgspec
from benchmarks.figures import BASELINE, OURS, BenchError
from benchmarks.orchestrator import NOOP_FILE, Job, Orchestrator, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.figures import Figure

JOB_TIMEOUT = 300.0
"""Seconds: several times the longest job of the slowest worker."""
JOB_VARIABLES = ("IRONCLAW_", "TRIOWORKER_", "OTEL_")
"""Prefixes of variables that would change a worker's behaviour."""
SLOWING = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})
"""Without bytecode each start would compile the program; in production it is installed with its bytecode."""
PROGRAM = Path(sys.executable).with_name("trioworker")
COMMANDS = {
    OURS: (str(PROGRAM), "worker", "--job-id", "{job_id}", "--orchestrator-url", "{url}"),
    BASELINE: (sys.executable, "-m", "benchmarks.baseline", "{job_id}", "{url}"),
}
"""Of each worker, with placeholders for those of the job."""


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured; by default, in full. `model_seconds` exceeds our minimum iteration interval of 0.1 s."""

    name: str = "full"
    runs: int = 5
    short_runs: int = 15  # of start and tracing
    long_runs: int = 5  # of growth, memory and safety
    iterations: int = 50
    model_seconds: float = 0.15
    delays_ms: tuple[int, ...] = (0, 20, 100)
    sizes: tuple[int, ...] = (10, 100, 1_000, 5_000)
    probes: int = 10
    results: int = 50
    output_bytes: int = 200_000_000


FULL = Scale()
QUICK = Scale(
    name="quick",
    runs=3,
    short_runs=5,
    long_runs=1,
    iterations=6,
    model_seconds=0.11,
    delays_ms=(0, 40),
    sizes=(10, 200),
    probes=5,
    results=5,
    output_bytes=20_000_000,
)
"""For CI: under 90 s on two cores. Its ratios differ from those of the full scale."""


def environment() -> dict[str, str]:
    """The inherited environment without another job's settings; PYTHONPATH works from any folder."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(JOB_VARIABLES) and name not in SLOWING
    }
    if path := inherited.get("PYTHONPATH"):
        inherited["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))
    return inherited


def child_output(*arguments: str) -> str:
    """The standard output of Python with these arguments."""
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment())
    _check_exit(ended.returncode, ended.stderr)
    return ended.stdout


class Bench:
    """The scale, the workspace, an orchestrator, and the workers' commands."""

    def __init__(self, scale: Scale, workspace: Path, commands: Mapping[str, Sequence[str]] = COMMANDS) -> None:
        self.scale = scale
        self.workspace = workspace
        self._commands = commands
        self._orchestrator = Orchestrator()
        (workspace / NOOP_FILE).touch()

    def run(self, contender: str, plan: Plan, variables: Mapping[str, str] | None = None) -> Job:
        """Run a job to its end; the worker is killed if the benchmark is stopped.

        Raises:
            BenchError: the worker failed, or took too long.
        """
        job = self._orchestrator.new_job(plan)
        settings = {
            "IRONCLAW_WORKER_TOKEN": "benchmark-token",
            "IRONCLAW_WORKSPACE": str(self.workspace),
            "IRONCLAW_MAX_ITERATIONS": "500",
        }
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            # A collection would count as the worker's delay.
            gc.disable()
            used = _children_cpu()
            job.began = perf_counter_ns()
            process = subprocess.Popen(
                [word.format(job_id=job.id, url=self._orchestrator.url) for word in self._commands[contender]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=self.workspace,
                env={**environment(), **settings, **(variables or {})},
            )
            try:
                job.pid = process.pid
                process.wait(JOB_TIMEOUT)
            except subprocess.TimeoutExpired as error:
                raise BenchError(f"it did not end within {JOB_TIMEOUT:g} s") from error
            finally:
                process.kill()
                process.wait()
                gc.enable()
            errors.seek(0)
            _check_exit(process.returncode, errors.read())
        job.cpu = _children_cpu() - used
        return job

    def alternate(
        self,
        figures: Iterable[Figure],
        once: Callable[[str], None],
        *,
        subjects: Sequence[str] = (OURS, BASELINE),
        runs: int | None = None,
    ) -> None:
        """Call `once` for each subject, then again in reverse order: whatever runs second finds another machine.

        A subject that fails once is left out from then on, and the figures hold the reason.
        """
        failed: set[str] = set()
        for number in range(runs or self.scale.runs):
            for subject in subjects if number % 2 == 0 else reversed(subjects):
                if subject in failed:
                    continue
                try:
                    once(subject)
                except BenchError as error:
                    failed.add(subject)
                    for figure in figures:
                        figure.give_up(subject, str(error))


def _children_cpu() -> float:
    """CPU seconds of all children that have ended."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _check_exit(code: int, errors: str) -> None:
    if code:
        last_line = (errors.strip().splitlines() or ["no output"])[-1]
        raise BenchError(f"exit code {code}: {last_line[:200]}")
