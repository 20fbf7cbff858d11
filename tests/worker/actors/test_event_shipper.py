"""The event shipper: delivery of events and of the report while the orchestrator is slow, stalled or away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.tools import Log, Probe
from trioworker import open_job, run_job
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_slow_orchestrator_does_not_slow_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    async def seconds(latency: float) -> float:
        faults = [Fault.delay(latency, path=path) for path in ("event", "status", "prompt")]
        world = SimulatedOrchestrator([call("probe")] * 9 + [DONE], faults=faults)
        began = trio.current_time()
        async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
            await job.wait()
        asked = world.asked("llm/complete_with_tools")
        return asked[-1].at - began

    assert await seconds(0.5) == pytest.approx(await seconds(0.0), abs=0.01)  # pyright: ignore[reportUnknownMemberType]


async def test_connection_that_stalls_at_a_stop_loses_no_event(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])
    world.faults = [Fault.delay(3600, path="event", request=0)]
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await world.received("event")
        job.stop("enough")
        outcome = await job.wait()
    assert outcome.reported
    assert outcome.message == "Execution stopped: enough"
    assert outcome.metrics.events_lost == 0
    assert {event["data"]["seq"] for event in world.events} == set(range(outcome.metrics.events_sent))


async def test_shipper_sleeps_while_the_outbox_is_empty(workspace: Path, autojump_clock: MockClock) -> None:
    class ShipperSteps(trio.abc.Instrument):
        def __init__(self) -> None:
            self.at: list[float] = []

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            if task.name == "event-shipper":
                self.at.append(trio.current_time())

    world = SimulatedOrchestrator(
        [reply(*[call("probe", seconds=0)] * 60, call("probe", seconds=30)), DONE], latency=0.001
    )
    began, steps = trio.current_time(), ShipperSteps()
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())], instruments=[steps])
    arrivals = [event.at for event in world.asked("event") if event.at - began < 20]
    idle = [at for at in steps.at if max(arrivals) + 0.05 < at < began + 20]
    assert len(arrivals) > 100
    assert len(idle) < 10


async def test_report_whose_answer_was_lost_is_sent_again_and_counts_as_accepted(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE], faults=[Fault.reset_after(path="complete", request=0)])
    outcome = await run_job(world.config(workspace), transport=world, tools=[])
    assert outcome.reported
    assert [exchange.status for exchange in world.asked("complete")] == [None, 401]
    assert len(world.reports) == 1


async def test_full_event_queue_slows_the_job_and_loses_no_event(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([reply(*(call("probe", text=str(number)) for number in range(30))), DONE])
    world.faults = [Fault.delay(1.0, path="event")]
    began = trio.current_time()
    log = Log()
    await run_job(world.config(workspace, event_queue=4), transport=world, tools=[Probe(log)])
    assert log.runs[-1].started - began > 40
    assert len(world.of_type("tool_result")) == 30
    assert [event["data"]["seq"] for event in world.events] == list(range(len(world.events)))


async def test_outage_of_a_minute_loses_no_event(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", text=str(number), seconds=1) for number in range(9)] + [DONE])
    world.fault = lambda x: Fault.refused() if 5 <= x.at - began < 65 else None
    began = trio.current_time()
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.success
    assert trio.current_time() - began < 25 + 60
    assert [event["data"]["seq"] for event in world.events] == list(range(len(world.events)))
