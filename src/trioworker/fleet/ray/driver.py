"""Ray's driver: a process that reads commands from stdin and writes events to stdout. It ends at the end of its input.

However it ends, Ray then ends its actors, and with them the workers.
"""

from __future__ import annotations

import os
import queue
import re
import sys
import threading
import time
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

import msgspec

from trioworker.fleet.engine import Attempt
from trioworker.fleet.ray.messages import (
    Discard,
    Ended,
    Refused,
    Resources,
    Run,
    Started,
    Stop,
    Unreachable,
    decode_command,
    encode,
)
from trioworker.linux.syscalls import forbid_inspection
from trioworker.observability.terminal_text import last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trioworker.fleet.ray.messages import Command, Event

POLL_INTERVAL = 0.1
"""Seconds to wait for results between two checks for commands."""
RESOURCES_INTERVAL = 1.0
SHUTDOWN_TIMEOUT = 10.0
"""Seconds for Ray to disconnect; it may wait for a cluster that is gone."""
_MISSING = re.compile(r"ModuleNotFoundError: (No module named '[\w.]+')")


class ClusterLostError(Exception):
    """The driver's node no longer belongs to the cluster, which another one may have replaced."""


class Driver:
    """Creates an actor per job, and observes them. Calls to Ray may block while the cluster doesn't answer."""

    def __init__(self, ray: Any, cpu: float, send: Callable[[Event], None]) -> None:
        from trioworker.fleet.ray.runner import Runner

        self._ray = ray
        self._send = send
        # No retries by Ray: it would restart a lost actor whose worker has already reported the job.
        options = {"num_cpus": cpu, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 2}
        self._runner = ray.remote(**options)(Runner)
        self._node_id: str = ray.get_runtime_context().get_node_id()
        self._actors: dict[str, Any] = {}
        self._nodes: dict[str, str] = {}
        self._starting: dict[Any, str] = {}
        self._running: dict[Any, str] = {}

    def obey(self, command: Command) -> None:
        """Execute a command of the fleet."""
        match command:
            case Run(job):
                actor = self._actors[job.job_id] = self._runner.remote()
                self._starting[actor.node.remote()] = job.job_id
                self._running[actor.run.remote(encode(job))] = job.job_id
            case Stop(job_id):
                if (actor := self._actors.get(job_id)) is not None:
                    actor.stop.remote()
            case Discard(job_id):
                if (actor := self._actors.get(job_id)) is not None:
                    self._ray.kill(actor)

    def observe(self) -> None:
        """Report which workers have started and ended."""
        references = [*self._starting, *self._running]
        if not references:
            time.sleep(POLL_INTERVAL)
            return
        # This returns as soon as one is ready, or at the time-out.
        self._ray.wait(references, num_returns=1, timeout=POLL_INTERVAL)
        ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        for reference in ready:
            if reference in self._starting:
                self._start(reference)
        for reference in ready:
            if reference in self._running:
                self._end(reference)

    def report_resources(self) -> None:
        """Report the size of the cluster.

        Raises:
            ClusterLostError: this node isn't one of its nodes.
        """
        alive = [node for node in self._ray.nodes() if node["Alive"]]
        if self._node_id not in [node["NodeID"] for node in alive]:
            raise ClusterLostError
        cpus = [float(node["Resources"].get("CPU", 0)) for node in alive]
        self._send(Resources(cpus=sum(cpus), most_cpus=max(cpus)))

    def _start(self, reference: Any) -> None:
        job_id = self._starting.pop(reference)
        try:
            self._nodes[job_id] = self._ray.get(reference)
        except self._ray.exceptions.RayError:
            # The result of `run` gives the same reason.
            return
        self._send(Started(job_id, self._nodes[job_id]))

    def _end(self, reference: Any) -> None:
        job_id = self._running.pop(reference)
        # The actor may still be running if its node only seems to be lost.
        self._ray.kill(self._actors.pop(job_id))
        node = self._nodes.pop(job_id, None)
        try:
            attempt = msgspec.json.decode(self._ray.get(reference), type=Attempt)
        except self._ray.exceptions.RayError as error:
            text = str(error)
            if (missing := _MISSING.search(text)) is not None:
                self._send(Refused(f"a node can't run workers: {missing[1]}; install this version of trioworker there"))
                return
            attempt = Attempt(
                exit_code=None, message=f"the node or its process was lost: {last_line(text) or 'unknown'}"
            )
        self._send(Ended(job_id, msgspec.structs.replace(attempt, node=node)))


def connect(ray: Any, address: str | None) -> Event | None:
    """Join the cluster, or start one on this machine if no address is known; return why that isn't possible."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        return Unreachable(_one_line(error))
    except (ValueError, RuntimeError) as error:
        return Refused(_one_line(error))
    return None


def serve(driver: Driver, commands: queue.SimpleQueue[Command | None]) -> None:
    """Obey the commands until None.

    Raises:
        ClusterLostError: the cluster is gone.
    """
    resources_at = 0.0
    while True:
        while not commands.empty():
            command = commands.get()
            if command is None:
                return
            driver.obey(command)
        driver.observe()
        if time.monotonic() >= resources_at:
            driver.report_resources()
            resources_at = time.monotonic() + RESOURCES_INTERVAL


def main(arguments: Sequence[str]) -> None:
    """Run the driver: `CPU [ADDRESS]`."""
    cpu, address = float(arguments[0]), arguments[1] if len(arguments) > 1 else None
    # The tokens of the jobs are in our memory, and commands may run as the same user.
    forbid_inspection()
    # Ray prints to stdout.
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, commands), daemon=True).start()

    def send(event: Event) -> None:
        output.write(encode(event) + b"\n")

    ray: Any = import_module("ray")
    if (failure := connect(ray, address)) is not None:
        send(failure)
        return
    try:
        serve(Driver(ray, cpu, send), commands)
        ray.shutdown()
    except ClusterLostError:
        send(Unreachable("this machine is no longer one of its nodes"))
        # Disconnecting from a lost cluster takes too long.
        os._exit(0)


def _read(source: IO[bytes], commands: queue.SimpleQueue[Command | None]) -> None:
    for line in source:
        commands.put(decode_command(line))
    commands.put(None)
    time.sleep(SHUTDOWN_TIMEOUT)
    os._exit(1)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    main(sys.argv[1:])
