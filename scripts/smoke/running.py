"""A job in a container, seen from the host: its processes in `/proc`, its report in the embedded orchestrator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smoke.commands import BrokenError, output, works
from smoke.engine import remove_volumes
from smoke.image import IMAGE, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from smoke.engine import Engine

VENV = ROOT / ".venv"
JOB_SECONDS = 60.0
"""Seconds that a job may take; it needs three, and a machine may be slow."""
LOOK_AGAIN = 0.02
"""Seconds between two looks at a job or its processes."""

CONTRACT_WALLS = (
    *("--user", "1000:1000", "--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges"),
    *("--tmpfs", "/tmp:rw,size=512m,mode=1777"),  # noqa: S108 - a path in the container
)
"""How the contract starts a worker; memory and a read-only root come on top where the machine can do that."""
VOLUMES = {"state": "/var/lib/trioworker", "workspace": "/workspace"}
"""Volumes of a job and where they are mounted: what a second container finds of the first."""


def make_venv() -> None:
    """Make `.venv` for the orchestrator, unless it is there.

    Raises:
        BrokenError: the package index can't be reached, or Python lacks venv.
    """
    output(ROOT / "scripts/venv", "local")


class SmokeJob:
    """A job at the orchestrator, and the volumes that its containers share."""

    def __init__(self, url: str) -> None:
        job = _request(f"{url}/jobs", {"description": "Smoke test of the image.", "project_dir": "/workspace"})
        self.id: str = job["id"]
        self.token: str = job["token"]
        self.url = url
        self.volumes = {f"trioworker-smoke-{folder}-{self.id}": path for folder, path in VOLUMES.items()}
        self._view = f"{url}/jobs/{self.id}"

    def view(self) -> dict[str, Any]:
        """The job, as the orchestrator knows it."""
        return _request(self._view)

    def tool_output(self, index: int) -> str:
        """What the shell call that ended as number `index` wrote, by its event."""
        results = self.tool_results()
        return json.loads(results[index])["output"] if index < len(results) else ""

    def tool_results(self) -> list[str]:
        """What each call gave, by its event."""
        return [event["data"]["output"] for event in self._events() if event["event_type"] == "tool_result"]

    def _events(self) -> Iterator[dict[str, Any]]:
        """The events of a job that has ended: only then does their stream end, and no silence has to be waited for."""
        with urllib.request.urlopen(f"{self._view}/events", timeout=JOB_SECONDS) as stream:  # noqa: S310 - our own
            for line in stream:
                if line.startswith(b"data: ") and "event_type" in (event := json.loads(line[6:])):
                    yield event


class RunningContainer:
    """A worker in a container, seen from the host: its processes in `/proc`, its job in the orchestrator."""

    def __init__(self, job: SmokeJob, engine: Engine, log: Path) -> None:
        self._log = log
        self._engine = engine
        self.job = job
        self.name = f"trioworker-smoke-{job.id}"
        arguments = ("worker", "--job-id", job.id, "--orchestrator-url", job.url)
        volumes = (word for name, path in job.volumes.items() for word in ("--volume", f"{name}:{path}"))
        self._began = time.monotonic()
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                # The variable's name alone: its value stays off the command line.
                (
                    *(*engine.command, "run", "--rm", "--name", self.name, "--env", "IRONCLAW_WORKER_TOKEN"),
                    *(*CONTRACT_WALLS, *volumes, *engine.way, IMAGE, *arguments),
                ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, "IRONCLAW_WORKER_TOKEN": job.token},
            )

    def exit_code(self) -> int:
        """The container's, once it has ended."""
        try:
            return self._process.wait(JOB_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise BrokenError(f"the container did not end within {JOB_SECONDS:g} s: {self.said()}") from error

    def wait_for(self, condition: Callable[[], object], what: str, limit: float = JOB_SECONDS) -> float:
        """Look until `condition` holds; the seconds since the container's start."""
        until = time.monotonic() + limit
        while True:
            last_look = self._process.poll() is not None or time.monotonic() > until
            if condition():
                return time.monotonic() - self._began
            if last_look:
                raise BrokenError(f"the {what} was not seen; the container said: {self.said()}")
            time.sleep(LOOK_AGAIN)

    def runs(self, command: Sequence[str]) -> bool:
        """Whether one of its processes is exactly this command."""
        wanted = b"".join(word.encode() + b"\0" for word in command)
        return any(wanted == _read(Path(f"/proc/{pid}/cmdline")) for pid in self._descendants())

    def zombies(self) -> list[int]:
        """Processes of the container that ended and that nobody waited for."""
        return [pid for pid, (_, state) in self._descendants().items() if state == "Z"]

    def said(self) -> str:
        """The end of its standard output and error."""
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-5:]) or "nothing"

    def remove(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            works(*self._engine.command, "rm", "--force", "--time", "0", self.name, limit=JOB_SECONDS)
            self._process.kill()
        self._process.wait()

    def _descendants(self) -> dict[int, tuple[int, str]]:
        """Parent and state of each process below the container's PID 1."""
        first = subprocess.run(
            (*self._engine.command, "inspect", "--format", "{{.State.Pid}}", self.name),
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        everything: dict[int, tuple[int, str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            # The command's name stands in parentheses and may hold anything.
            fields = _read(path).rpartition(b")")[2].split()
            if fields:
                everything[int(path.parent.name)] = (int(fields[1]), fields[0].decode())
        family = {int(first or 0) or -1}
        while grown := {pid for pid, (parent, _) in everything.items() if parent in family} - family:
            family |= grown
        return {pid: everything[pid] for pid in family if pid in everything}


@contextmanager
def smoke_job(url: str, engine: Engine) -> Generator[SmokeJob]:
    """A new job; its volumes are gone after the block."""
    job = SmokeJob(url)
    try:
        yield job
    finally:
        remove_volumes(engine, list(job.volumes))


@contextmanager
def container(job: SmokeJob, engine: Engine) -> Generator[RunningContainer]:
    """A worker on the job; gone after the block."""
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
        command = [VENV / "bin/trioworker", "orchestrator", "--port", "0", "--llm", f"script:{script}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                line = process.stderr.readline() if process.stderr else ""
                if not (url := re.search(r"http://\S+", line)):
                    raise BrokenError(f"the orchestrator did not start: {line.strip()}")
                yield url[0]
            finally:
                process.terminate()


def _request(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - our own server
    with urllib.request.urlopen(asked, timeout=JOB_SECONDS) as answer:  # noqa: S310 - our own server
        return json.load(answer)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""
