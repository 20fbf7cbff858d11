"""Runs workers on a Ray cluster (extra: `ray`), one actor per job, on any node with free resources.

Ray's own retries are disabled: the scheduler asks the orchestrator before it starts another worker. While the cluster
is gone, the jobs wait for it. Workers that are lost with the cluster don't count as attempts.
"""

from __future__ import annotations

import math
import os
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
import trio

from trioworker.errors import ConfigError
from trioworker.fleet.engine import Attempt
from trioworker.fleet.ray.driver_process import open_driver
from trioworker.fleet.ray.messages import Discard, Ended, Refused, Resources, Run, Started, Stop, Unreachable
from trioworker.supervision.nurseries import cancelled_after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

    from trioworker.fleet.display import Observer
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.ray.driver_process import DriverConnection
    from trioworker.fleet.ray.messages import Command, Event

    OpenDriver = Callable[[], AbstractAsyncContextManager[DriverConnection]]

CONNECT_TIMEOUT = 30.0
"""Seconds to join a cluster. Ray itself tries for minutes."""
QUIET_TIMEOUT = 10.0
"""Seconds without an event after which an outage is reported."""
LOST_TIMEOUT = 90.0
"""Seconds without an event after which the cluster is given up; Ray's own processes do so after 60 s."""
RECONNECT_INTERVAL = 5.0
QUEUE_NOTICE_DELAY = 5.0
"""Seconds in Ray's queue after which a job is reported as waiting."""


class _Run:
    """A job that the driver has been told to run."""

    def __init__(self, job: FleetJob) -> None:
        self.job = job
        self.since = trio.current_time()
        self.node: str | None = None
        self.reason: str | None = None
        self.is_discarded = False
        self.ended = trio.Event()
        self.attempt = Attempt(exit_code=None, count=0)

    def end(self, attempt: Attempt) -> None:
        never_started = self.is_discarded and self.node is None
        self.attempt = msgspec.structs.replace(attempt, count=0) if never_started else attempt
        self.ended.set()


class RayEngine:
    """Starts workers that reserve `cpu` processors each. `keep_connected` must run in another task.

    When `draining` is set, jobs in Ray's queue are removed from it.
    """

    name = "ray"
    stop_timeout = 60.0
    """Seconds from the cancelling of a fleet to its end: workers that are still running then are left behind."""

    def __init__(self, open_driver: OpenDriver, cpu: float, draining: trio.Event, observer: Observer) -> None:
        self._open_driver = open_driver
        self._cpu = cpu
        self._draining = draining
        self._observer = observer
        self._commands: trio.MemorySendChannel[Command] | None = None
        self._connected = trio.Event()
        self._runs: dict[str, _Run] = {}
        self._out_of_reach = 0

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        """See `Engine`."""
        if not self._connected.is_set():
            async with cancelled_after(self._draining.wait):
                await self._connected.wait()
        if self._commands is None:
            return Attempt(exit_code=None, message="the Ray cluster was lost", count=0)
        run = self._runs[job.job_id] = _Run(job)
        self._commands.send_nowait(Run(job))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stop, run, stopping, self._commands)
                await run.ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            del self._runs[job.job_id]
            self._set_reason(run, None)
        return run.attempt

    def left_behind(self) -> str | None:
        """What may still be running if the fleet ends now; None: nothing."""
        if not self._out_of_reach:
            return None
        return (
            f"up to {self._out_of_reach} workers may still be running on nodes of the lost Ray cluster, until the "
            "nodes notice its loss, after about a minute; run the same command to continue"
        )

    async def keep_connected(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect to the cluster, and reconnect whenever it is lost, until cancelled.

        Raises:
            ConfigError: the cluster can't be used or, at the start, can't be reached.
        """
        is_first = True
        while True:
            async with self._open_driver() as driver:
                event = await _first_event(driver)
                if isinstance(event, Resources):
                    if is_first:
                        is_first = False
                        task_status.started()
                    else:
                        self._observer.notify("the Ray cluster is back")
                    self._out_of_reach = 0
                    event = await self._converse(driver)
                    self._observer.notify(f"the Ray cluster is lost: {event.reason}; waiting for it")
            if is_first or isinstance(event, Refused):
                raise ConfigError(event.reason)
            await trio.sleep(RECONNECT_INTERVAL)

    async def _converse(self, driver: DriverConnection) -> Unreachable:
        """Relay commands and events until the cluster is lost."""
        self._commands, commands = trio.open_memory_channel["Command"](math.inf)
        self._connected.set()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_relay, commands, driver)
                lost = await self._follow(driver)
                nursery.cancel_scope.cancel()
            return lost
        finally:
            self._commands = None
            self._connected = trio.Event()
            for run in self._runs.values():
                self._out_of_reach += run.node is not None
                run.end(Attempt(exit_code=None, message="the Ray cluster was lost", node=run.node, count=0))

    async def _follow(self, driver: DriverConnection) -> Unreachable:
        quiet_since = trio.current_time()
        is_quiet = False
        while True:
            with trio.move_on_after(QUIET_TIMEOUT) as scope:
                event = await driver.receive()
                if is_quiet:
                    self._observer.notify("the Ray cluster answers again")
                quiet_since, is_quiet = trio.current_time(), False
                if event is None:
                    return Unreachable(driver.last_words() or "its driver has ended")
                if isinstance(event, Unreachable):
                    return event
                self._apply(event)
            if scope.cancelled_caught:
                if trio.current_time() >= quiet_since + LOST_TIMEOUT:
                    return Unreachable(f"no answer for {LOST_TIMEOUT:g} s")
                if not is_quiet:
                    is_quiet = True
                    self._observer.notify("the Ray cluster does not answer; waiting for it")

    def _apply(self, event: Event) -> None:
        match event:
            case Resources():
                for run in self._runs.values():
                    if run.node is None:
                        self._set_reason(run, self._queue_reason(run, event))
            case Started(job_id, node):
                if (run := self._runs.get(job_id)) is not None:
                    run.node = node
                    self._set_reason(run, None)
            case Ended(job_id, attempt):
                if (run := self._runs.get(job_id)) is not None:
                    run.end(attempt)
            case Refused(reason):
                raise ConfigError(reason)
            case Unreachable():
                pass

    def _queue_reason(self, run: _Run, resources: Resources) -> str | None:
        if resources.most_cpus < self._cpu:
            return f"no node of the Ray cluster has {self._cpu:g} processors; the largest has {resources.most_cpus:g}"
        if trio.current_time() < run.since + QUEUE_NOTICE_DELAY:
            return None
        return f"the Ray cluster's {resources.cpus:g} processors are in use; each worker needs {self._cpu:g}"

    def _set_reason(self, run: _Run, reason: str | None) -> None:
        if reason != run.reason:
            run.reason = reason
            self._observer.waiting(run.job, reason)

    async def _stop(self, run: _Run, stopping: trio.Event, commands: trio.MemorySendChannel[Command]) -> None:
        await self._draining.wait()
        if run.node is None:
            run.is_discarded = True
            commands.send_nowait(Discard(run.job.job_id))
        else:
            await stopping.wait()
            commands.send_nowait(Stop(run.job.job_id))


@asynccontextmanager
async def open_ray_engine(
    address: str | None, cpu: float, draining: trio.Event, observer: Observer
) -> AsyncGenerator[RayEngine]:
    """Join a cluster, or start one on this machine if no address is known.

    Raises:
        ConfigError: Ray is not installed, or the cluster can't be joined.
    """
    known = address or os.environ.get("RAY_ADDRESS", "")
    source = f"--address {address}" if address else f"RAY_ADDRESS {known}".strip()
    if known.startswith("ray://"):
        raise ConfigError(f"{source}: Ray Client isn't supported; run the fleet on a node, and give HOST:PORT")
    if find_spec("ray") is None:
        raise ConfigError("--engine ray needs Ray: pip install 'trioworker[ray]'")
    engine = RayEngine(partial(open_driver, cpu, address), cpu, draining, observer)
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(engine.keep_connected)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}; name a running cluster") from error
        yield engine
        nursery.cancel_scope.cancel()


async def _first_event(driver: DriverConnection) -> Resources | Refused | Unreachable:
    with trio.move_on_after(CONNECT_TIMEOUT):
        event = await driver.receive()
        if isinstance(event, Resources | Refused | Unreachable):
            return event
        return Unreachable(driver.last_words() or "its driver has ended")
    return Unreachable(f"no answer within {CONNECT_TIMEOUT:g} s")


async def _relay(commands: trio.MemoryReceiveChannel[Command], driver: DriverConnection) -> None:
    async for command in commands:
        await driver.send(command)
