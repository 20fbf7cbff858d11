"""The actor that runs on a node of a Ray cluster: one worker, from start to end. The node imports this module."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from importlib import import_module
from typing import IO, Any

import msgspec

from trioworker.fleet.engine import Attempt, attempt_from_exit
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.launch import STOP_TIMEOUT, start_job
from trioworker.worker.child_process import RELEASE_SIGNAL, kill_worker


class Runner:
    """Runs a worker. Ray calls the methods in threads of their own.

    If this process dies, the worker is released: it ends its commands without a report, since another worker may
    continue the job.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def node(self) -> str:
        """Return the host with the beginning of Ray's node id, since one machine may run several nodes."""
        ray: Any = import_module("ray")
        return f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:12]}"

    def run(self, job: bytes) -> bytes:
        """Run a worker for a job. The job and the returned attempt are in JSON, for nodes with another version."""
        try:
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
                attempt = self._run(msgspec.json.decode(job, type=FleetJob), out, err)
        except OSError as error:
            attempt = Attempt(exit_code=None, message=f"the worker did not start: {error.strerror}")
        return msgspec.json.encode(attempt)

    def stop(self) -> None:
        """Stop the worker by SIGTERM, and by SIGKILL if it doesn't end in time."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is not None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT)
            kill_worker(process)

    def _run(self, job: FleetJob, out: IO[bytes], err: IO[bytes]) -> Attempt:
        with self._lock:
            if self._stopped:
                return Attempt(exit_code=None, message="the worker was not started: the fleet was stopped", count=0)
            process = self._process = start_job(job, out, err, RELEASE_SIGNAL)
        process.wait()
        out.seek(0)
        err.seek(0)
        return attempt_from_exit(process.returncode, out.read(), err.read(), None)
