"""A job in a container, seen from the host: its processes in `/proc`, its report in the embedded orchestrator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integration.container.commands import CommandError, succeeds
from integration.container.engine import remove_volumes
from integration.container.image import IMAGE
from orchestrator.serving import ADMIN_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from integration.container.engine import Engine

JOB_LIMIT = 60.0
"""Seconds for a job, which takes three."""
POLL_INTERVAL = 0.02
"""Seconds between two looks at a job or its processes."""

CONTRACT_OPTIONS = (
    *("--user", "1000:1000", "--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges"),
    *("--tmpfs", "/tmp:rw,size=512m,mode=1777"),
)
"""How the contract starts a worker; a memory limit and a read-only root are added where the machine supports them."""
VOLUMES = {"state": "/var/lib/trioworker", "workspace": "/workspace"}
"""A job's volumes and their mount points; a second container sees the first one's files."""


class ContainerJob:
    """A job at the orchestrator, and the volumes that its containers share."""

    def __init__(self, url: str) -> None:
        job = _request(f"{url}/jobs", {"description": "Test of the image.", "project_dir": "/workspace"})
        self.id: str = job["id"]
        self.token: str = job["token"]
        self.url = url
        self.volumes = {f"trioworker-test-{folder}-{self.id}": path for folder, path in VOLUMES.items()}
        self._view = f"{url}/jobs/{self.id}"

    def view(self) -> dict[str, Any]:
        """The orchestrator's view of the job."""
        return _request(self._view)

    def tool_output(self, index: int) -> str:
        """The output in the event of the shell call that ended as number `index`."""
        results = self.tool_results()
        return results[index] if index < len(results) else ""

    def tool_results(self) -> list[str]:
        """The result in each call's event."""
        return [event["data"]["output"] for event in self._events() if event["event_type"] == "tool_result"]

    def _events(self) -> Iterator[dict[str, Any]]:
        """The events of a job that has ended, when their stream ends too."""
        with urllib.request.urlopen(_authorized(f"{self._view}/events"), timeout=JOB_LIMIT) as stream:  # noqa: S310
            for line in stream:
                if line.startswith(b"data: ") and "event_type" in (event := json.loads(line[6:])):
                    yield event


class RunningContainer:
    """A worker in a container, seen from the host: its processes in `/proc`, its job in the orchestrator."""

    def __init__(self, job: ContainerJob, engine: Engine, log: Path) -> None:
        self._log = log
        self._engine = engine
        self.job = job
        self.name = f"trioworker-test-{job.id}"
        arguments = ("worker", "--job-id", job.id, "--orchestrator-url", job.url)
        volumes = (word for name, path in job.volumes.items() for word in ("--volume", f"{name}:{path}"))
        self._began = time.monotonic()
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                # Only the name, so that the value is not on the command line.
                (
                    *(*engine.command, "run", "--rm", "--name", self.name, "--env", "IRONCLAW_WORKER_TOKEN"),
                    *(*CONTRACT_OPTIONS, *volumes, *engine.options, IMAGE, *arguments),
                ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, "IRONCLAW_WORKER_TOKEN": job.token},
            )

    def exit_code(self) -> int:
        """Wait for its end; its exit code."""
        try:
            return self._process.wait(JOB_LIMIT)
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"the container did not end within {JOB_LIMIT:g} s: {self.last_lines()}") from error

    def wait_for(self, condition: Callable[[], object], what: str, limit: float = JOB_LIMIT) -> float:
        """Wait until `condition` holds; the seconds since the container's start."""
        until = time.monotonic() + limit
        while True:
            last_look = self._process.poll() is not None or time.monotonic() > until
            if condition():
                return time.monotonic() - self._began
            if last_look:
                raise CommandError(f"the {what} did not occur; its output: {self.last_lines()}")
            time.sleep(POLL_INTERVAL)

    def runs(self, command: Sequence[str]) -> bool:
        """Whether one of its processes is exactly this command."""
        wanted = b"".join(word.encode() + b"\0" for word in command)
        return any(wanted == _read(Path(f"/proc/{pid}/cmdline")) for pid in self._descendants())

    def zombies(self) -> list[int]:
        """Processes of the container that ended and were not reaped."""
        return [pid for pid, (_, state) in self._descendants().items() if state == "Z"]

    def last_lines(self) -> str:
        """The end of its standard output and error."""
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-5:]) or "nothing"

    def remove(self) -> None:
        """Kill it if it runs."""
        if self._process.poll() is None:
            succeeds(*self._engine.command, "rm", "--force", "--time", "0", self.name, limit=JOB_LIMIT)
            self._process.kill()
        self._process.wait()

    def _descendants(self) -> dict[int, tuple[int, str]]:
        """Parent and state of the container's PID 1 and each of its descendants."""
        first = subprocess.run(
            (*self._engine.command, "inspect", "--format", "{{.State.Pid}}", self.name),
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        everything: dict[int, tuple[int, str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            # The command's name is in parentheses and may contain any character.
            fields = _read(path).rpartition(b")")[2].split()
            if fields:
                everything[int(path.parent.name)] = (int(fields[1]), fields[0].decode())
        family = {int(first or 0) or -1}
        while grown := {pid for pid, (parent, _) in everything.items() if parent in family} - family:
            family |= grown
        return {pid: everything[pid] for pid in family if pid in everything}


@contextmanager
def container_job(url: str, engine: Engine) -> Generator[ContainerJob]:
    """A new job; its volumes are removed after the block."""
    job = ContainerJob(url)
    try:
        yield job
    finally:
        remove_volumes(engine, list(job.volumes))


@contextmanager
def container(job: ContainerJob, engine: Engine) -> Generator[RunningContainer]:
    """A worker on the job; removed after the block."""
    with tempfile.TemporaryDirectory() as folder:
        running = RunningContainer(job, engine, Path(folder) / "log")
        try:
            yield running
        finally:
            running.remove()


@contextmanager
def orchestrator(turns: list[dict[str, Any]]) -> Generator[str]:
    """The embedded orchestrator with a scripted model; its URL."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "turns.json"
        script.write_text(json.dumps(turns))
        command = [sys.executable, "-m", "trioworker", "orchestrator", "--port", "0", "--llm", f"script:{script}"]
        environment = {**os.environ, "TRIOWORKER_ORCHESTRATOR_ADMIN_TOKEN": ADMIN_TOKEN}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            try:
                line = process.stderr.readline() if process.stderr else ""
                if not (url := re.search(r"http://\S+", line)):
                    raise CommandError(f"the orchestrator did not start: {line.strip()}")
                yield url[0]
            finally:
                process.terminate()


def _request(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(_authorized(url, data), timeout=JOB_LIMIT) as response:  # noqa: S310 - our own server
        return json.load(response)


def _authorized(url: str, data: bytes | None = None) -> urllib.request.Request:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN_TOKEN}"}
    return urllib.request.Request(url, data, headers)  # noqa: S310 - our own server


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended
        return b""
