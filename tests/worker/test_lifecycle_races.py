"""Cancels, stops and deadlines that meet at an unlucky moment: the job still ends once, and its end is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.program import until
from support.tools import Log, Probe
from trioworker import open_job, run_job
from trioworker.supervision.actor import MAX_RESTARTS
from trioworker.testing import DONE, Exchange, Fault, SimulatedOrchestrator, call
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.clocks import Moment
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker import RunningJob, WorkerConfig
    from trioworker.worker.tools.base import ToolContext

SLOW_CALL = call("probe", seconds=60)


class SlowCleanup(Probe):
    """A tool that can't be cancelled for `cleanup` seconds, as a write to a hanging file system."""

    cleanup = 20.0

    async def run(self, parameters: Any, context: ToolContext) -> object:
        try:
            return await super().run(parameters, context)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.cleanup)


async def test_tool_that_cannot_be_cancelled_does_not_cost_the_report(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    async with open_job(world.config(workspace, grace=8.0), transport=world, tools=[SlowCleanup(Log())]) as job:
        await trio.sleep(5)
        stopped_at = trio.current_time()
        job.stop("enough")
        outcome = await job.wait()
    assert outcome.status == "cancelled"
    assert outcome.reported
    (report,) = world.asked("complete")
    assert report.at - stopped_at < 8
    assert [event["event_type"] for event in world.events][-1] == "result"


async def test_result_of_a_tool_that_returns_after_the_last_post_is_dropped(
    workspace: Path, autojump_clock: MockClock
) -> None:
    class Thread(Probe):
        """Returns 4.5 s after the stop, in spite of the cancel, as a thread that can't be abandoned does."""

        async def run(self, parameters: Any, context: ToolContext) -> object:
            with trio.CancelScope(shield=True):
                await trio.sleep_until(stopped_at + 4.5)
            return "done"

    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    world.faults = [Fault.delay(2.0, path="complete", request=0)]
    stopped_at = trio.current_time() + 5
    async with open_job(world.config(workspace, grace=8.0), transport=world, tools=[Thread(Log())]) as job:
        await trio.sleep(5)
        job.stop("enough")
        outcome = await job.wait()
    assert outcome.reported
    assert outcome.metrics.events_lost == 0
    assert [event["event_type"] for event in world.events][-1] == "result"


async def test_second_stop_shortens_the_wait_for_a_tool(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    stop = StopRequest()
    async with open_job(
        world.config(workspace, timeout=10.0, grace=8.0), transport=world, tools=[SlowCleanup(Log())], stop=stop
    ) as job:
        await trio.sleep(11)
        stopped_at = trio.current_time()
        stop.request("stopped by SIGTERM")
        outcome = await job.wait()
    assert outcome.reported
    (report,) = world.asked("complete")
    assert report.at - stopped_at < 8


async def test_job_whose_shutdown_ran_out_of_time_has_an_outcome(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    world.fault = lambda exchange: Fault.refused() if exchange.at > 4 else None
    async with open_job(world.config(workspace, grace=8.0), transport=world, tools=[SlowCleanup(Log())]) as job:
        await trio.sleep(5)
        job.stop("enough")
        outcome = await job.wait()
    assert (outcome.status, outcome.message) == ("cancelled", "Execution stopped: enough")
    assert not outcome.reported
    assert all(actor.state == "ended" for actor in job.actors.values())


async def test_shipper_cancelled_while_the_report_awaits_its_answer_reports_once(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE])
    world.faults = [Fault.delay(3.0, path="complete", request=0)]
    async with open_job(world.config(workspace), transport=world, tools=[]) as job:
        await world.received("complete")
        job.actors["event-shipper"].cancel()
        outcome = await job.wait()
    assert outcome.success
    assert outcome.reported
    assert job.actors["event-shipper"].restarts == 1
    assert [exchange.status for exchange in world.asked("complete")] == [None, 401]


async def test_shipper_that_fails_during_the_report_reports_the_outcome_that_was_decided(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE])
    world.faults = [Fault.status(503, path="complete")]
    async with open_job(world.config(workspace), transport=world, tools=[]) as job:
        await world.received("complete")
        for _ in range(MAX_RESTARTS + 1):
            job.actors["event-shipper"].cancel()
            await trio.sleep(0.1)
        # It failed at the last cancel, and was supervised once more.
        assert job.actors["event-shipper"].restarts == MAX_RESTARTS
        world.faults = []
        outcome = await job.wait()
    assert outcome.success
    assert outcome.reported
    assert [report["success"] for report in world.reports] == [True]


async def test_shipper_that_crashes_whenever_it_starts_leaves_an_unreported_outcome(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE])

    def fault(exchange: Exchange) -> Fault | None:
        if exchange.path == "event":
            raise LookupError("a defect on the way of an event")
        return None

    world.fault = fault
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert outcome.status == "failed"
    assert "event-shipper" in outcome.message
    assert not outcome.reported


async def test_prompt_in_flight_outlives_a_cancel_of_the_poller(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=5), DONE])
    world.faults = [Fault.delay(3.0, path="prompt", request=0)]
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(1)
        job.actors["prompt-poller"].cancel()
        await trio.sleep(1)
        assert job.actors["prompt-poller"].restarts == 0
        await trio.sleep(2)
        assert job.actors["prompt-poller"].restarts == 1
        outcome = await job.wait()
    assert outcome.success


async def test_poll_in_flight_does_not_delay_a_stop(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    world.faults = [Fault.delay(9.0, path="prompt")]
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(2)
        job.actors["prompt-poller"].cancel()
        await trio.sleep(0.1)
        stopped_at = trio.current_time()
        job.stop("enough")
        outcome = await job.wait()
    assert outcome.reported
    assert trio.current_time() - stopped_at < 1


@pytest.mark.parametrize("actor", ["prompt-poller", "reasoner", "tool-executor", "event-shipper"])
async def test_actor_cancelled_right_after_a_stop_does_not_prevent_the_report(
    actor: str, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(3)
        job.stop("enough")
        job.actors[actor].cancel()
        outcome = await job.wait()
    assert (outcome.status, outcome.reported) == ("cancelled", True)
    assert outcome.metrics.restarts == (actor == "event-shipper")


async def test_stop_before_the_actors_start_is_reported(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        job.stop("enough")
        outcome = await job.wait()
    assert (outcome.status, outcome.reported) == ("cancelled", True)
    assert world.conversations() == []
    assert [event["event_type"] for event in world.events][-1] == "result"


async def test_stop_of_a_job_that_has_ended_changes_nothing(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([DONE])
    async with open_job(world.config(workspace), transport=world, tools=[]) as job:
        before = await job.wait()
        job.stop("too late")
        assert await job.wait() == before
    assert job.stop_reason is None


async def test_stop_after_the_outcome_was_decided_keeps_the_outcome(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([DONE])
    world.faults = [Fault.status(503, path="event")]
    async with open_job(world.config(workspace), transport=world, tools=[]) as job:
        await until(lambda: job.job.decided)
        job.stop("too late")
        world.faults = []
        outcome = await job.wait()
    assert outcome.success
    assert [report["success"] for report in world.reports] == [True]


def resumed(
    config: WorkerConfig, world: SimulatedOrchestrator, journal: bytes, *, at: float
) -> AbstractAsyncContextManager[RunningJob]:
    """The job as a worker runs it that finds `journal`, at `at` seconds since the epoch."""
    return open_job(
        config,
        transport=world,
        tools=[Probe(Log())],
        journal=Journal(DiskStorage(Disk()), journal),
        clocks=lambda: Moment(at),
    )


async def test_job_resumed_after_its_deadline_is_reported(workspace: Path, autojump_clock: MockClock) -> None:
    disk, world = Disk(), SimulatedOrchestrator([SLOW_CALL, DONE])
    config = world.config(workspace, timeout=30.0)
    world.faults = [Fault.refused(path="complete")]
    async with open_job(
        config, transport=world, tools=[Probe(Log())], journal=Journal(DiskStorage(disk)), clocks=lambda: Moment(1000.0)
    ):
        await trio.sleep(3)
        journal = bytes(disk.content)
    world.faults = []
    requests = len(world.asked("llm/complete_with_tools"))

    async with resumed(config, world, journal, at=5000.0) as job:
        resumed_at = trio.current_time()
        outcome = await job.wait()

    assert (outcome.status, outcome.reported) == ("stuck", True)
    assert outcome.metrics.restarts == 0
    assert trio.current_time() - resumed_at < config.grace
    assert len(world.asked("llm/complete_with_tools")) == requests


async def test_job_that_was_decided_before_a_restart_is_only_reported(
    workspace: Path, autojump_clock: MockClock
) -> None:
    disk, world = Disk(), SimulatedOrchestrator([DONE])
    config = world.config(workspace, grace=2.0)
    world.faults = [Fault.refused(path="event"), Fault.refused(path="complete")]
    async with open_job(
        config, transport=world, tools=[], journal=Journal(DiskStorage(disk)), clocks=lambda: Moment(1000.0)
    ) as job:
        await until(lambda: job.job.decided)
        job.stop("the machine goes down")
        first = await job.wait()
    assert (first.status, first.reported) == ("completed", False)
    world.faults = []
    polls = len(world.asked("prompt"))

    async with resumed(config, world, bytes(disk.content), at=1010.0) as job:
        outcome = await job.wait()

    assert (outcome.status, outcome.reported) == ("completed", True)
    assert len(world.conversations()) == 1
    assert len(world.asked("prompt")) == polls
