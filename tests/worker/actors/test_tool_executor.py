"""The tool executor: order, concurrency, interruption and failure of tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from support.tools import Log, Look, Probe
from trioworker import open_job, run_job
from trioworker.testing import DONE, SimulatedOrchestrator, call, reply

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_adjacent_read_only_calls_run_concurrently_and_others_one_by_one(
    workspace: Path, autojump_clock: MockClock
) -> None:
    log = Log()
    turn = reply(
        call("look", text="a", seconds=3),
        call("look", text="b", seconds=1),
        call("probe", text="c", seconds=1),
        call("look", text="d", seconds=1),
    )
    world = SimulatedOrchestrator([turn, DONE])
    await run_job(world.config(workspace), transport=world, tools=[Probe(log), Look(log)])
    runs = {run.text: run for run in log.runs}
    assert runs["a"].started == runs["b"].started
    assert runs["c"].started == runs["a"].ended
    assert runs["d"].started == runs["c"].ended
    answers = [message["content"] for message in world.conversations()[-1] if message["role"] == "tool"]
    assert [text for answer in answers for text in "abcd" if f'"did": "{text}"' in answer] == list("abcd")


async def test_interrupted_call_never_runs_again(workspace: Path, autojump_clock: MockClock) -> None:
    log = Log()
    world = SimulatedOrchestrator([call("probe", text="risky", seconds=10), DONE])
    async with open_job(world.config(workspace), transport=world, tools=[Probe(log)]) as job:
        await trio.sleep(3)
        job.actors["tool-executor"].cancel()
        outcome = await job.wait()
    assert outcome.success
    answers = [message for message in world.conversations()[-1] if message["role"] == "tool"]
    assert "interrupted; its effects are unknown" in answers[0]["content"]
    # The model asked again, under another id, so it ran again as another call.
    assert log.texts == ["risky", "risky"]
    assert [answer["tool_call_id"] for answer in answers] == ["call_1_1", "call_1_1_1"]


async def test_tool_that_crashes_or_times_out_is_reported_to_the_model(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(
        [reply(call("probe", crash=True), call("probe", seconds=1000), call("nothing")), DONE]
    )
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert outcome.success
    answers = [message["content"] for message in world.conversations()[-1] if message["role"] == "tool"]
    assert "Error: the tool probe crashed: ZeroDivisionError" in answers[0]
    assert "Error: timed out after 60 s" in answers[1]
    assert "Error: tool 'nothing' not found" in answers[2]
    assert [data["success"] for data in world.of_type("tool_result")] == [False, False, False]
