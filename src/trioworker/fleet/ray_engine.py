"""Runs workers as tasks of a Ray cluster (extra: `ray`), one task per job, on any node with free resources.

Ray's own retries are disabled (`max_retries=0`): it would restart a lost task whose worker has reported the job. The
scheduler asks the orchestrator first, and then starts another task.
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

TASK_STOP_TIMEOUT = 60.0
"""Seconds that a cancelled task has to stop its worker; after that, the worker counts as lost."""


class RayEngine:
    """Starts tasks that reserve `cpu` processors each."""

    name = "ray"
    stop_timeout = TASK_STOP_TIMEOUT + 15.0

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
            # Doesn't block: the result or failure is available.
            return await trio.to_thread.run_sync(self._ray.get, reference)
        except self._ray.exceptions.TaskCancelledError:
            return Attempt(exit_code=None, message="the task was stopped", count=1)
        except self._ray.exceptions.RayError as error:
            # The text of the exception has many lines about files of the cluster; its type is enough.
            return Attempt(exit_code=None, message=f"the node or its process was lost: {type(error).__name__}")

    def left_behind(self) -> str | None:
        """See `Engine`. A cancel of `run` cancels the task."""
        return None

    async def _stop(self, reference: Any, stopping: trio.Event, waiting: trio.CancelScope) -> None:
        await stopping.wait()
        self._cancel(reference)
        await trio.sleep(TASK_STOP_TIMEOUT)
        waiting.cancel()

    def _cancel(self, reference: Any) -> None:
        """Interrupt the task, which then stops its worker; a task that has not started is discarded."""
        with suppress(self._ray.exceptions.RayError):
            self._ray.cancel(reference, force=False)


@asynccontextmanager
async def open_ray_engine(address: str | None, cpu: float) -> AsyncGenerator[RayEngine]:
    """Join a cluster, or start one on this machine if no address is known.

    Raises:
        ConfigError: Ray is not installed, or the cluster can't be joined.
    """
    try:
        # Not an import statement: types must be checked without Ray, too, which is large.
        client: Any = import_module("ray")
    except ImportError as error:
        raise ConfigError("--engine ray needs Ray: pip install 'trioworker[ray]'") from error
    try:
        await trio.to_thread.run_sync(lambda: client.init(address=address, log_to_driver=False, logging_level="ERROR"))
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--address {address}: {str(error).splitlines()[0]}; name a running cluster") from error
    try:
        yield RayEngine(client, cpu)
    finally:
        client.shutdown()
        sys.stderr.flush()


def _ended(reference: Any) -> trio.Event:
    """Return an event that is set when the task has ended. Ray calls the callback on a thread of its own."""
    token = trio.lowlevel.current_trio_token()
    ended = trio.Event()

    def set_ended(_: object) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(ended.set)

    reference.future().add_done_callback(set_ended)
    return ended
