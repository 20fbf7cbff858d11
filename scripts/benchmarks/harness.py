"""Runs workers as child processes against the benchmark's orchestrator, alternating between them: A B A B."""

from __future__ import annotations

import http.client
import os
import select
import shlex
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Self

import msgspec
from benchmarks.figures import BASELINE, OURS, UnmeasuredError
from benchmarks.plan import NOOP_FILE, Log

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from benchmarks.figures import Figure
    from benchmarks.plan import Plan, Scale

JOB_TIMEOUT = 300.0
"""Seconds: several times the longest job of the slowest worker."""
CONTROL_TIMEOUT = 30.0
"""Seconds for a reply of the benchmark's orchestrator, which replies at once."""
JOB_VARIABLES = ("IRONCLAW_", "TRIOWORKER_", "OTEL_")
"""Prefixes of variables that would change a worker's behaviour."""
SLOWING = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"})
"""Without bytecode each start would compile the program; in production it is installed with its bytecode."""


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A worker: its command, with `{job_id}` and `{url}` for those of the job."""

    name: str
    command: tuple[str, ...]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A job that ended: the start of its worker (ns of `perf_counter_ns`), CPU seconds, and the orchestrator's log."""

    began: int
    cpu: float
    log: Log


def contenders(peers: Iterable[str]) -> list[Contender]:
    """This worker by its console script if installed, the baseline, and the peers by their commands."""
    script = Path(sys.executable).with_name("trioworker")
    program = (str(script),) if script.exists() else (sys.executable, "-m", "trioworker")
    ours = (*program, "worker", "--job-id", "{job_id}", "--orchestrator-url", "{url}")
    baseline = (sys.executable, "-m", "benchmarks.baseline", "{job_id}", "{url}")
    commands: dict[str, tuple[str, ...]] = {OURS: ours, BASELINE: baseline}
    commands.update((f"peer {number}", tuple(shlex.split(command))) for number, command in enumerate(peers, 1))
    return [Contender(name=name, command=command) for name, command in commands.items()]


def environment() -> dict[str, str]:
    """The inherited environment without another job's settings; PYTHONPATH works from any folder."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(JOB_VARIABLES) and name not in SLOWING
    }
    if path := inherited.get("PYTHONPATH"):
        inherited["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path.split(os.pathsep)))
    return inherited


def child_output(*arguments: str) -> str:
    """The standard output of Python with these arguments.

    Raises:
        UnmeasuredError: it failed.
    """
    ended = subprocess.run(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    if ended.returncode:
        raise UnmeasuredError(_last_line(ended.stderr) or f"exit code {ended.returncode}")
    return ended.stdout


class Control:
    """The benchmark's connection to its orchestrator."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CONTROL_TIMEOUT)

    def new_job(self, plan: Plan) -> str:
        """Create a job; its id."""
        return msgspec.json.decode(self._request("POST", "", msgspec.json.encode(plan)), type=str)

    def set_process(self, job_id: str, pid: int) -> None:
        """Name the worker's process, so that the orchestrator logs its CPU time."""
        self._request("PUT", job_id, msgspec.json.encode(pid))

    def log(self, job_id: str) -> Log:
        """The job's log; the orchestrator forgets the job."""
        return msgspec.json.decode(self._request("DELETE", job_id), type=Log)

    def _request(self, method: str, job_id: str, body: bytes | None = None) -> bytes:
        self._connection.request(method, f"/control/{job_id}", body)
        return self._connection.getresponse().read()


@contextmanager
def orchestrator() -> Generator[Control]:
    """Run the orchestrator inside the block."""
    command = [sys.executable, "-m", "benchmarks.orchestrator"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            if not port:
                raise UnmeasuredError("the benchmark's orchestrator did not start")
            yield Control(int(port))
        finally:
            if process.stdin:
                process.stdin.close()


class RunningWorker:
    """A worker's process."""

    def __init__(
        self, contender: Contender, plan: Plan, control: Control, workspace: Path, variables: Mapping[str, str]
    ) -> None:
        self._control = control
        self._job_id = control.new_job(plan)
        # Closed by `wait` and `kill`.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        settings = {
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
                stderr=self._stderr,
                cwd=workspace,
                env={**environment(), **settings, **variables},
            )
        except OSError as error:
            control.log(self._job_id)
            raise UnmeasuredError(f"{command[0]} can't be started: {error.strerror}") from error
        control.set_process(self._job_id, self._process.pid)

    def kill(self) -> None:
        """Kill it if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
            self._stderr.close()

    def wait(self) -> Run:
        """Wait for its end.

        Raises:
            UnmeasuredError: it failed, or took too long.
        """
        in_time = self._ends_in_time()
        if not in_time:
            self._process.kill()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        with self._stderr:
            self._stderr.seek(0)
            line = _last_line(self._stderr.read().decode("utf-8", "replace"))
        log = self._control.log(self._job_id)
        if not in_time:
            raise UnmeasuredError(f"it did not end within {JOB_TIMEOUT:g} s")
        if self._process.returncode:
            raise UnmeasuredError(f"exit code {self._process.returncode}: {line[:200] or 'no output'}")
        return Run(began=self._began, cpu=usage.ru_utime + usage.ru_stime, log=log)

    def _ends_in_time(self) -> bool:
        """Wait without reaping it: `wait4` returns its CPU time."""
        descriptor = os.pidfd_open(self._process.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(JOB_TIMEOUT * 1000))
        finally:
            os.close(descriptor)


class Bench:
    """The orchestrator, the contenders, the scale and the workspace; no worker outlives the context."""

    def __init__(self, control: Control, contenders: Sequence[Contender], scale: Scale, workspace: Path) -> None:
        self.contenders = contenders
        self.scale = scale
        self.workspace = workspace
        self._control = control
        self._workers: list[RunningWorker] = []
        (workspace / NOOP_FILE).touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Without an orchestrator the workers would retry for minutes."""
        for worker in self._workers:
            worker.kill()

    def start(self, contender: Contender, plan: Plan, variables: Mapping[str, str] | None = None) -> RunningWorker:
        """Start a worker on a job."""
        worker = RunningWorker(contender, plan, self._control, self.workspace, variables or {})
        self._workers.append(worker)
        return worker

    def run(self, contender: Contender, plan: Plan, variables: Mapping[str, str] | None = None) -> Run:
        """Run a job to its end.

        Raises:
            UnmeasuredError: it did not succeed.
        """
        return self.start(contender, plan, variables).wait()

    def alternate(
        self,
        figures: Iterable[Figure],
        once: Callable[[Contender, int], None],
        *,
        others: Mapping[str, Callable[[], None]] | None = None,
        runs: int | None = None,
    ) -> None:
        """Call `once` for each contender and each of the `others`, then again: A B A B.

        A subject that fails once is left out from then on, and the figures hold the reason.
        """
        figures = list(figures)
        failed: set[str] = set()
        for number in range(runs or self.scale.runs):
            calls: dict[str, Callable[[], None]] = {one.name: partial(once, one, number) for one in self.contenders}
            for name, call in {**calls, **(others or {})}.items():
                if name in failed:
                    continue
                try:
                    call()
                except UnmeasuredError as error:
                    failed.add(name)
                    for figure in figures:
                        figure.give_up(name, str(error))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
