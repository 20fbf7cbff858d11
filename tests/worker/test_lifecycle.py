"""A whole job in virtual time: its course, its deadlines, restarts of actors, stops and signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.identity import JOB_ID, TOKEN
from support.tools import Log, Look, Probe
from trioworker import WorkerConfig, open_job, run_job
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, reply, say
from trioworker.worker.cancellation import StopRequest

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_job_of_three_tools_runs_to_its_end(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    world = SimulatedOrchestrator(
        [
            reply(call("probe", text="one"), text="First."),
            reply(call("probe", text="two"), call("look", text="three")),
            DONE,
        ]
    )
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(log), Look(log)])
    assert outcome.success
    assert outcome.status == "completed"
    assert outcome.reported
    assert outcome.iterations == 3
    assert outcome.message == DONE.content
    assert log.texts == ["one", "two", "three"]
    assert world.reports == [{"success": True, "message": outcome.message, "iterations": 3}]
    assert world.exchanges[-1].path == "complete"
    assert [event["data"]["seq"] for event in world.events] == list(range(len(world.events)))
    assert [event["event_type"] for event in world.events] == [
        "status", "message", "tool_use", "tool_result", "tool_use", "tool_result", "tool_use", "tool_result", "message",
        "result",
    ]  # fmt: skip
    (result,) = world.of_type("result")
    metrics = result.pop("metrics")
    assert result == {"success": True, "message": outcome.message, "status": "completed", "iterations": 3, "seq": 9}
    assert metrics["llm_requests"] == 3


async def test_metrics_count_what_the_job_cost(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(
        [
            reply(call("probe", seconds=2.0), input_tokens=100, output_tokens=20),
            reply(call("look", seconds=1.0), call("look", seconds=3.0), input_tokens=150, output_tokens=30),
            say("The job is complete.", input_tokens=200, output_tokens=10),
        ],
        thinking=4.0,
        faults=[Fault.status(503, path="event", request=0)],
    )
    log = Log()
    async with open_job(world.config(workspace), transport=world, tools=[Probe(log), Look(log)]) as job:
        await trio.sleep(1)
        job.actors["prompt-poller"].cancel()
        outcome = await job.wait()
    metrics = outcome.metrics
    assert (metrics.iterations, metrics.llm_requests) == (3, 3)
    assert (metrics.input_tokens, metrics.output_tokens) == (450, 60)
    assert metrics.llm_seconds == pytest.approx(12, abs=0.1)  # pyright: ignore[reportUnknownMemberType]
    assert metrics.tool_seconds == pytest.approx(5, abs=0.1)  # pyright: ignore[reportUnknownMemberType]
    assert metrics.worker_seconds < 0.5
    assert metrics.retries == metrics.events_resent == 1
    assert metrics.restarts == 1
    assert metrics.events_sent == len(world.events)
    assert metrics.events_lost == 0


async def test_long_job_takes_few_steps(workspace: Path, autojump_clock: MockClock) -> None:
    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.count += 1

    turns = [call("probe", text=str(number), seconds=3.0) for number in range(49)]
    world, steps = SimulatedOrchestrator([*turns, DONE], thinking=8.0, latency=0.1), Steps()
    began = trio.current_time()
    config = world.config(workspace, timeout=590.0)
    outcome = await run_job(config, transport=world, tools=[Probe(Log())], instruments=[steps])
    assert outcome.iterations == 50
    assert outcome.success
    assert 500 < trio.current_time() - began < 590
    assert steps.count < 100 * outcome.iterations


@pytest.mark.parametrize("name", ["prompt-poller", "reasoner", "tool-executor", "event-shipper"])
async def test_cancelled_actor_does_not_change_the_outcome(
    name: str, workspace: Path, autojump_clock: MockClock
) -> None:
    async def answer_when_cancelled_at(seconds: float | None) -> tuple[str, dict[str, Any]]:
        log = Log()
        turns = [call("probe", text="one", seconds=4), call("probe", text="two"), DONE]
        world = SimulatedOrchestrator(turns, latency=0.2)
        async with open_job(world.config(workspace), transport=world, tools=[Probe(log)]) as job:
            if seconds is not None:
                await trio.sleep(seconds)
                job.actors[name].cancel()
            outcome = await job.wait()
        assert job.actors[name].restarts == (seconds is not None)
        assert len(world.reports) == 1
        seqs = [event["data"]["seq"] for event in world.events]
        assert seqs == list(range(len(seqs)))
        return outcome.message, world.reports[0]["success"]

    expected = await answer_when_cancelled_at(None)
    for seconds in (0.0, 0.3, 1.0, 2.5, 5.5, 6.3):
        assert await answer_when_cancelled_at(seconds) == expected


async def test_actor_that_restarts_too_often_fails_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        for _ in range(6):
            await trio.sleep(0.5)
            job.actors["prompt-poller"].cancel()
        outcome = await job.wait()
    assert outcome.status == "failed"
    assert "prompt-poller" in outcome.message
    assert world.reports[0]["success"] is False


async def test_shipper_that_restarts_too_often_still_reports(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        for _ in range(6):
            await trio.sleep(0.5)
            job.actors["event-shipper"].cancel()
        outcome = await job.wait()
    assert outcome.reported
    assert "event-shipper" in world.reports[0]["message"]
    assert world.of_type("result")[0]["success"] is False


async def test_job_that_reaches_its_deadline_is_reported_as_stuck(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    world = SimulatedOrchestrator([call("probe", seconds=50)])
    began = trio.current_time()
    outcome = await run_job(world.config(workspace, timeout=20.0), transport=world, tools=[Probe(log)])
    assert outcome.status == "stuck"
    assert world.reports == [{"success": False, "message": "Execution timed out", "iterations": 1}]
    assert world.of_type("result")[0]["status"] == "stuck"
    assert trio.current_time() - began < 20 + 8
    assert log.runs[0].ended is None


async def test_leaving_the_block_early_stops_and_reports_the_job(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]):
        await trio.sleep(3)
    assert world.reports[0]["success"] is False
    assert world.of_type("result")[0]["status"] == "cancelled"


async def test_error_in_the_block_reaches_the_caller_unchanged(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])

    async def fail_in_the_block() -> None:
        async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]):
            await trio.sleep(3)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail_in_the_block()
    assert len(world.reports) == 1


async def test_cancellation_from_outside_is_not_swallowed(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])
    with trio.move_on_after(5) as scope:
        async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
            await job.wait()
    assert scope.cancelled_caught
    assert world.reports[0]["success"] is False


async def test_signal_while_the_report_awaits_its_answer_means_that_it_arrived(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(faults=[Fault.delay(3600, path="complete")])
    stop = StopRequest()
    began = trio.current_time()
    async with open_job(world.config(workspace), transport=world, tools=[], stop=stop) as job:
        await world.received("complete")
        stop.request("stopped by SIGTERM")
        outcome = await job.wait()
    assert outcome.reported
    assert outcome.success
    assert trio.current_time() - began < 3


async def test_stop_without_an_orchestrator_ends_within_the_grace(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])
    world.fault = lambda x: Fault.delay(3600) if x.at > 5 else None
    stop = StopRequest()
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())], stop=stop) as job:
        await trio.sleep(10)
        began = trio.current_time()
        stop.request("stopped by SIGTERM")
        outcome = await job.wait()
    assert trio.current_time() - began <= 8
    # The simulated orchestrator handled the report; its answer was what got lost.
    assert not outcome.reported
    assert len(world.reports) == 1
    assert "could not be delivered" in world.reports[0]["message"]


async def test_instruments_are_attached_while_the_job_runs(workspace: Path, autojump_clock: MockClock) -> None:
    class Counter(trio.abc.Instrument):
        steps = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.steps += 1

    counter = Counter()
    world = SimulatedOrchestrator([DONE])
    await run_job(world.config(workspace), transport=world, tools=[], instruments=[counter])
    during = counter.steps
    assert during > 10
    await trio.sleep(1)
    assert counter.steps == during


async def test_token_and_credentials_are_redacted_in_events_and_reports(
    workspace: Path, autojump_clock: MockClock
) -> None:
    said = call("probe", text=f"granted-value-123 {TOKEN}")
    world = SimulatedOrchestrator([said, DONE], credentials={"PLACE": "granted-value-123"})
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    visible = f"{world.events} {world.reports} {world.conversations()[-1][3:]} {outcome}"
    assert "granted-value-123" not in visible
    assert TOKEN not in visible
    assert "[REDACTED:granted_credential]" in visible


def test_configuration_repr_hides_the_token(workspace: Path) -> None:
    config = WorkerConfig(job_id=JOB_ID, token="very-secret", workspace=workspace)
    assert "very-secret" not in repr(config)
