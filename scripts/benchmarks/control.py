"""The benchmark's side of its orchestrator: starts the process, makes jobs, and fetches what was seen of them."""

from __future__ import annotations

import http.client
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from benchmarks.figures import UnmeasuredError
from benchmarks.plan import Log

if TYPE_CHECKING:
    from collections.abc import Generator

    from benchmarks.plan import Plan

PATIENCE = 30.0
"""Seconds that the orchestrator may take to answer its own benchmark: it answers at once, or is gone."""


class Control:
    """A connection to the orchestrator's own side."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.address = ("127.0.0.1", port)
        self._connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)

    def new_job(self, plan: Plan) -> str:
        """Have a job of this plan; its id."""
        return msgspec.json.decode(self._ask("POST", "", msgspec.json.encode(plan)), type=str)

    def tell_process(self, job_id: str, pid: int) -> None:
        """Tell the process of a job's worker, whose CPU time is noted from here on."""
        self._ask("PUT", job_id, msgspec.json.encode(pid))

    def log(self, job_id: str) -> Log:
        """What was seen of a job, which is forgotten."""
        return msgspec.json.decode(self._ask("DELETE", job_id), type=Log)

    def _ask(self, method: str, job_id: str, body: bytes | None = None) -> bytes:
        self._connection.request(method, f"/control/{job_id}", body)
        return self._connection.getresponse().read()


@contextmanager
def orchestrator() -> Generator[Control]:
    """The orchestrator, running while the block does."""
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
