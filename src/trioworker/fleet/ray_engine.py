"""Workers as tasks of a Ray cluster (extra: `ray`): one task a job, on whatever node has room.

Ray would start a lost task again by itself, without asking whether its worker had reported. So it may not
(`max_retries=0`): the loss comes back to the fleet, which asks the orchestrator and starts the next one, elsewhere.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import trio

from trioworker.errors import ConfigError
from trioworker.fleet.engine import Attempt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trioworker.fleet.jobs import FleetJob

LOST_AFTER = 60.0
"""Seconds after a stop in which a task may bring its worker's farewell; beyond, it counts as lost."""


class RayEngine:
    """Starts tasks that take `cpu` processors each."""

    name = "ray"
    retries = False

    def __init__(self, ray: Any, cpu: float) -> None:
        from trioworker.fleet import ray_task

        self._ray = ray
        self._task = ray.remote(num_cpus=cpu, max_retries=0)(ray_task.run_worker)

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`."""
        reference = await trio.to_thread.run_sync(self._task.remote, job)
        ended = _ended(reference)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop, reference, stopping, nursery.cancel_scope)
                await ended.wait()
                nursery.cancel_scope.cancel()
        except BaseException:
            self._cancel(reference)
            raise
        if not ended.is_set():
            return Attempt(exit_code=None, message="the task did not end when it was stopped")
        try:
            # It is here already, or its failure is: this does not wait.
            return await trio.to_thread.run_sync(self._ray.get, reference)
        except self._ray.exceptions.TaskCancelledError:
            return Attempt(exit_code=None, message="the task was stopped", count=1)
        except self._ray.exceptions.RayError as error:
            # Its text tells of files of the cluster, over many lines; the kind is what matters here.
            return Attempt(exit_code=None, message=f"the node or its process was lost: {type(error).__name__}")

    async def _stop(self, reference: Any, stopping: trio.Event, waiting: trio.CancelScope) -> None:
        await stopping.wait()
        self._cancel(reference)
        await trio.sleep(LOST_AFTER)
        waiting.cancel()

    def _cancel(self, reference: Any) -> None:
        """Interrupt the task, which stops its worker; one that has not started never will."""
        with suppress(self._ray.exceptions.RayError):
            self._ray.cancel(reference, force=False)


@asynccontextmanager
async def ray_cluster(address: str | None, cpu: float) -> AsyncGenerator[RayEngine]:
    """Join a cluster, or start one on this machine where no address is known.

    Raises:
        ConfigError: Ray is not installed, or the cluster can't be joined.
    """
    try:
        # By name: types are checked also where Ray, which is big, is not installed.
        client: Any = import_module("ray")
    except ImportError as error:
        raise ConfigError("--engine ray needs Ray: pip install 'trioworker[ray]'") from error
    try:
        await trio.to_thread.run_sync(lambda: client.init(address=address, log_to_driver=False, logging_level="ERROR"))
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--address {address}: {str(error).splitlines()[0]}; name a cluster that runs") from error
    try:
        yield RayEngine(client, cpu)
    finally:
        client.shutdown()
        sys.stderr.flush()


def _ended(reference: Any) -> trio.Event:
    """Set when the task has ended, whichever way. The callback comes from a thread of Ray's."""
    token = trio.lowlevel.current_trio_token()
    ended = trio.Event()

    def tell(_: object) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(ended.set)

    reference.future().add_done_callback(tell)
    return ended
