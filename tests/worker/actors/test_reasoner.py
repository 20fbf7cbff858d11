"""The reasoner: iterations, prompts to the model, follow-ups and the limits of a job."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import trio

from support.tools import Log, Probe
from trioworker import open_job, run_job
from trioworker.testing import DONE, SimulatedOrchestrator, call, reply, say

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_assistant_message_with_the_calls_precedes_their_results(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([reply(call("probe"), call("probe")), DONE])
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    last = world.conversations()[-1]
    assert [message["role"] for message in last] == ["system", "user", "assistant", "tool", "tool"]
    assert [call["id"] for call in last[2]["tool_calls"]] == [message["tool_call_id"] for message in last[3:]]
    assert all(isinstance(message["content"], str) for message in last)


async def test_iterations_start_at_least_a_tenth_of_a_second_apart(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe")] * 4 + [DONE], thinking=0.0)
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    starts = [exchange.at for exchange in world.asked("llm/complete_with_tools")]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(0.0999 < gap < 0.11 for gap in gaps)


async def test_model_slower_than_the_iteration_interval_is_not_delayed(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe")] * 4 + [DONE], thinking=0.15)
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    starts = [exchange.at for exchange in world.asked("llm/complete_with_tools")]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(gap < 0.151 for gap in gaps)


async def test_status_is_sent_at_the_start_and_every_fifth_iteration(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe")] * 11 + [DONE])
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert [exchange.body for exchange in world.asked("status")] == [
        {"state": "in_progress", "message": "Worker started, beginning execution", "iteration": 0},
        {"state": "in_progress", "message": "Iteration 1", "iteration": 1},
        {"state": "in_progress", "message": "Iteration 6", "iteration": 6},
        {"state": "in_progress", "message": "Iteration 11", "iteration": 11},
    ]


async def test_follow_up_joins_the_conversation_at_the_next_iteration(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=5), call("probe", seconds=5), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(2)
        world.send_prompt("Keep the tabs.")
        await job.wait()
    second = world.conversations()[1]
    assert second[-1] == {"role": "user", "content": "Keep the tabs."}
    assert [data["content"] for data in world.of_type("message") if data["role"] == "user"] == ["Keep the tabs."]


async def test_follow_up_received_before_the_final_reply_continues_the_job(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([DONE, say("With tabs now. The job is complete.")], thinking=5.0)
    async with open_job(world.config(workspace), transport=world, tools=[]) as job:
        await trio.sleep(2)
        world.send_prompt("Keep the tabs.")
        outcome = await job.wait()
    assert outcome.message == "With tabs now. The job is complete."


async def test_job_fails_after_max_iterations(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe")] * 5)
    outcome = await run_job(world.config(workspace, max_iterations=3), transport=world, tools=[Probe(Log())])
    assert outcome.message == "Execution failed: max iterations (3) exceeded"
    assert world.reports[0] == {"success": False, "message": outcome.message, "iterations": 3}
    assert [request.body["tool_choice"] for request in world.asked("llm/complete_with_tools")] == [
        *["auto"] * 3,
        "none",
    ]


async def test_two_phase_asks_for_a_response_when_the_selection_has_no_call(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe"), DONE])
    await run_job(world.config(workspace, reasoning="two-phase"), transport=world, tools=[Probe(Log())])
    requests = [
        {key: value for key, value in exchange.body.items() if key not in {"messages", "tools"}}
        for exchange in world.asked("llm/complete_with_tools")
    ]
    select = {"max_tokens": 1024, "tool_choice": "auto"}
    respond = {"max_tokens": 16384, "temperature": 0.7, "tool_choice": "auto"}
    assert requests == [select, select, respond]
