"""The task that runs on a node of a Ray cluster: one worker, from start to end. The node imports this module."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from importlib import import_module
from typing import Any

from trioworker.fleet.engine import Attempt, attempt_from_exit
from trioworker.fleet.jobs import FleetJob  # noqa: TC001 - Ray evaluates the annotations
from trioworker.fleet.launch import STOP_TIMEOUT, start_job
from trioworker.worker.child_process import kill_worker


def run_worker(job: FleetJob) -> Attempt:
    """Run a worker for `job`. Ray cancels a task by KeyboardInterrupt, on which the worker gets SIGTERM.

    If this process dies, the worker gets SIGKILL: when a node is lost, another worker continues the job, and a report
    from here would end it.
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
                process.wait(STOP_TIMEOUT)
        finally:
            kill_worker(process)
        out.seek(0)
        err.seek(0)
        return attempt_from_exit(process.returncode, out.read(), err.read(), _node_name(node))


def _node_name(host: str) -> str:
    """Return the host with Ray's id of the node: there may be several on one machine."""
    ray: Any = import_module("ray")
    return f"{host}/{ray.get_runtime_context().get_node_id()[:12]}"
