"""The limits of a whole job: notes when they are near, and one request for the report when they are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.tools import Log, Probe
from support.wire_rules import assert_well_formed
from trioworker import open_job, run_job
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call, reply, say
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker.worker.outcome import JobOutcome

REPORT = say("Two of three files are done; c.py is left.")


def turns(count: int, **more: Any) -> list[Any]:
    return [reply(call("probe", text=str(number)), **more) for number in range(count)]


def notes(world: SimulatedOrchestrator) -> list[tuple[int, str]]:
    """The notes on limits in the last request, each with the number of the assistant's messages before it."""
    found: list[tuple[int, str]] = []
    spoken = 0
    for message in world.conversations()[-1]:
        spoken += message["role"] == "assistant"
        if message["role"] == "user" and message["content"].startswith("Note on the limits"):
            found.append((spoken, message["content"]))
    return found


async def run(world: SimulatedOrchestrator, workspace: Path, **more: Any) -> JobOutcome:
    return await run_job(world.config(workspace, **more), transport=world, tools=[Probe(Log())])


async def test_note_at_three_quarters_of_the_iterations(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(19), DONE])
    assert (await run(world, workspace, max_iterations=20)).success
    ((spoken, note),) = notes(world)
    assert spoken == 15
    assert "5 of 20 iterations are left, including this one" in note


async def test_note_at_three_quarters_of_the_time(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(16), DONE], thinking=5.0)
    assert (await run(world, workspace, timeout=100.0)).success
    ((spoken, note),) = notes(world)
    assert spoken == 15
    assert "less than 25 s of 100 s are left" in note


async def test_note_at_three_quarters_of_the_token_budget(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(9, input_tokens=900, output_tokens=100), DONE])
    assert (await run(world, workspace, token_budget=10_000)).success
    ((spoken, note),) = notes(world)
    assert spoken == 8
    assert "2000 of 10000 tokens are left" in note


async def test_limits_that_come_near_together_have_one_note(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(9, input_tokens=1_000), DONE])
    assert (await run(world, workspace, max_iterations=10, token_budget=10_000)).success
    ((_, note),) = notes(world)
    assert "iterations are left" in note
    assert "tokens are left" in note


async def test_job_far_from_its_limits_has_no_note(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(14), DONE])
    assert (await run(world, workspace, max_iterations=20)).success
    assert notes(world) == []


async def test_job_out_of_iterations_is_asked_for_its_report(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(3), REPORT])
    outcome = await run(world, workspace, max_iterations=3)
    assert outcome.status == "failed"
    assert outcome.message == f"Execution failed: max iterations (3) exceeded\n\n{REPORT.content}"
    assert outcome.iterations == 3
    assert world.reports == [{"success": False, "message": outcome.message, "iterations": 3}]
    last = world.asked("llm")[-1]
    assert not last.body.get("tools") or last.body["tool_choice"] == "none"
    assert "This is your last reply, and tools are disabled." in last.body["messages"][-1]["content"]
    assert_well_formed(last.body["messages"])
    assert [data["content"] for data in world.of_type("message")][-1] == REPORT.content
    assert outcome.metrics.llm_requests == 4


async def test_job_out_of_tokens_is_asked_for_its_report(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(2, input_tokens=900, output_tokens=100), REPORT])
    outcome = await run(world, workspace, token_budget=2_000)
    assert outcome.message == f"Execution failed: token budget (2000) exceeded\n\n{REPORT.content}"
    assert outcome.status == "failed"
    assert len(world.conversations()) == 3


@pytest.mark.parametrize(("limit", "reserved"), [(100.0, 10.0), (1_000.0, 45.0)], ids=["a tenth", "45 s"])
async def test_last_seconds_are_reserved_for_the_report(
    limit: float, reserved: float, workspace: Path, autojump_clock: MockClock
) -> None:
    # Each turn takes 46 s.
    waits = [call("probe", seconds=45) for _ in range(int((limit - reserved) // 46) + 1)]
    world = SimulatedOrchestrator([*waits, REPORT])
    outcome = await run(world, workspace, timeout=limit)
    assert outcome.status == "stuck"
    assert outcome.message == f"Execution timed out\n\n{REPORT.content}"
    asked = [exchange.at for exchange in world.asked("llm")]
    assert asked[-2] <= limit - reserved <= asked[-1]
    assert len(asked) == len(waits) + 1


async def test_completion_in_the_last_iteration_is_a_success(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(2), DONE])
    assert (await run(world, workspace, max_iterations=3)).status == "completed"


async def test_failed_report_request_leaves_the_text_of_the_last_turn(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([*turns(2), reply(call("probe"), text="Now <b>c.py</b>."), *turns(1)])
    outcome = await run(world, workspace, max_iterations=3)
    assert outcome.message == "Execution failed: max iterations (3) exceeded\n\nNow <b>c.py</b>."


async def test_report_has_no_thoughts(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(2), say("<thinking>What did I do?</thinking>Half of it.")])
    outcome = await run(world, workspace, max_iterations=2)
    assert outcome.message == "Execution failed: max iterations (2) exceeded\n\nHalf of it."


async def test_report_with_a_secret_is_redacted_everywhere(workspace: Path, autojump_clock: MockClock) -> None:
    secret = "-".join(("sk", "proj", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7"))
    world = SimulatedOrchestrator([*turns(2), say(f"The key is {secret}.")])
    outcome = await run(world, workspace, max_iterations=2)
    assert "The key is " in outcome.message
    assert secret not in outcome.message + str(world.reports) + str(world.events)


async def test_job_cut_at_its_deadline_reports_what_the_model_wrote_last(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([reply(call("probe", seconds=500), text="I wait for the build.")])
    outcome = await run(world, workspace, timeout=50.0)
    assert outcome.message == "Execution timed out\n\nI wait for the build."
    assert world.reports[0]["message"] == outcome.message
    assert world.of_type("result")[0]["message"] == outcome.message


async def test_deadline_during_the_report_request_keeps_its_reason(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*turns(2), REPORT])
    world.fault = lambda _: Fault.delay(500.0) if len(world.conversations()) == 2 else None
    outcome = await run(world, workspace, max_iterations=2, timeout=60.0)
    assert outcome.message.startswith("Execution failed: max iterations (2) exceeded")
    assert outcome.status == "failed"


async def test_cancel_anywhere_around_the_report_changes_nothing(workspace: Path, autojump_clock: MockClock) -> None:
    for tenths in range(15, 45):
        world = SimulatedOrchestrator([*turns(2), REPORT], latency=0.2)
        async with open_job(
            world.config(workspace, max_iterations=2, token_budget=100), transport=world, tools=[Probe(Log())]
        ) as job:
            await trio.sleep(tenths / 10)
            job.actors["reasoner"].cancel()
            outcome = await job.wait()
        assert outcome.message == f"Execution failed: max iterations (2) exceeded\n\n{REPORT.content}"
        asked = [message for message in world.conversations()[-1] if "This is your last reply" in message["content"]]
        assert len(asked) == 1


async def test_restart_after_any_write_asks_for_the_report_once(workspace: Path, autojump_clock: MockClock) -> None:
    disk = Disk()
    world = SimulatedOrchestrator([*turns(8), REPORT])
    config = world.config(workspace, max_iterations=8)
    async with open_job(config, transport=world, tools=[Probe(Log())], journal=Journal(DiskStorage(disk))) as job:
        await job.wait()
    whole = Journal(DiskStorage(disk), bytes(disk.content))
    ends = [index for index, commit in enumerate(whole.past) if any("WrapUp" in type(one).__name__ for one in commit)]
    for end in range(ends[0], ends[0] + 3):
        again = Disk()
        journal = Journal(DiskStorage(again))
        for commit in whole.past[:end]:
            journal.append(commit)
        world = SimulatedOrchestrator([*turns(8), REPORT])
        resumed = Journal(DiskStorage(again), bytes(again.content))
        async with open_job(config, transport=world, tools=[Probe(Log())], journal=resumed) as job:
            outcome = await job.wait()
        assert outcome.message == f"Execution failed: max iterations (8) exceeded\n\n{REPORT.content}"
        for messages in world.conversations():
            assert sum("This is your last reply" in message["content"] for message in messages) == 1
            assert sum("Note on the limits" in message["content"] for message in messages) == 1
