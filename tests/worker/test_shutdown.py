"""The shutdown: what a signal means at each moment of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from trioworker import open_job, run_job
from trioworker.testing import DONE, Fault, SimulatedOrchestrator
from trioworker.worker.cancellation import StopRequest

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker import JobOutcome

CONNECTING = 3.0
"""Seconds until an attempt to connect gives up."""


class UnconnectedReport(httpx.AsyncBaseTransport):
    """A world whose first `attempts` of the report get no connection; `connecting` is set at the first."""

    def __init__(self, world: SimulatedOrchestrator, attempts: int) -> None:
        self.connecting = trio.Event()
        self._world = world
        self._attempts = attempts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/complete") and self._attempts:
            self._attempts -= 1
            self.connecting.set()
            await trio.sleep(CONNECTING)
            raise httpx.ConnectTimeout("no connection")
        return await self._world.handle_async_request(request)


async def run_signalled_while_connecting(world: SimulatedOrchestrator, workspace: Path, attempts: int) -> JobOutcome:
    """The outcome of a job that gets SIGTERM while its report connects for the first time."""
    transport = UnconnectedReport(world, attempts)
    stop = StopRequest()

    outcomes: list[JobOutcome] = []

    async def run() -> None:
        outcomes.append(await run_job(world.config(workspace), transport=transport, tools=[], stop=stop))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await transport.connecting.wait()
        await trio.sleep(CONNECTING / 2)
        stop.request("stopped by SIGTERM")
    return outcomes[0]


async def test_signal_while_the_report_connects_does_not_count_as_reported(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE])
    outcome = await run_signalled_while_connecting(world, workspace, attempts=1000)
    assert not outcome.reported
    assert not world.reports


async def test_report_that_was_connecting_at_a_signal_is_sent_within_the_grace(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE])
    outcome = await run_signalled_while_connecting(world, workspace, attempts=1)
    assert outcome.reported
    assert [report["success"] for report in world.reports] == [True]


async def test_report_of_a_stopped_job_may_take_what_is_left_of_the_grace(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE], thinking=60.0)
    world.faults = [Fault.delay(7.5, path="complete")]
    async with open_job(world.config(workspace, grace=8.0), transport=world, tools=[]) as job:
        await trio.sleep(2.5)
        job.stop("enough")
        outcome = await job.wait()
    assert outcome.reported
    assert len(world.asked("complete")) == 1


@pytest.mark.parametrize("actor", ["reasoner", "prompt-poller", "tool-executor"])
async def test_actor_cancelled_as_the_job_is_stopped_is_not_restarted(
    actor: str, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE], thinking=60.0)
    async with open_job(world.config(workspace), transport=world, tools=[]) as job:
        await trio.sleep(2.5)
        job.stop("enough")
        job.actors[actor].cancel()
        outcome = await job.wait()
    assert outcome.status == "cancelled"
    assert job.actors[actor].restarts == 0
