"""What runs on a node of a Ray cluster: one worker, from its start to its end. Imported there, and so kept small."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from importlib import import_module
from typing import Any

from trioworker.fleet.engine import Attempt, attempt_of
from trioworker.fleet.jobs import FleetJob  # noqa: TC001 - Ray looks the annotations up
from trioworker.fleet.launch import start_job
from trioworker.worker.child_process import kill_worker

FAREWELL = 30.0
"""Seconds from SIGTERM to SIGKILL."""


def run_worker(job: FleetJob) -> Attempt:
    """Run a worker for `job`. Ray cancels a task by an interrupt, which becomes one SIGTERM to the worker.

    The worker dies by SIGKILL with this process: where a node is lost, another worker takes the job up, and a farewell
    from here would end it under its hands.
    """
    node = socket.gethostname()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = start_job(job, out, err, death_signal=signal.SIGKILL)
        except OSError as error:
            return Attempt(exit_code=None, message=f"the worker did not start: {error.strerror}", node=node)
        try:
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(FAREWELL)
        finally:
            kill_worker(process)
        out.seek(0)
        err.seek(0)
        return attempt_of(process.returncode, out.read(), err.read(), _node_name(node))


def _node_name(host: str) -> str:
    """The node as Ray names it: several may be on one machine."""
    ray: Any = import_module("ray")
    return f"{host}/{ray.get_runtime_context().get_node_id()[:12]}"
