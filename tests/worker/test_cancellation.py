"""Cancel scopes and wake-ups of a running job, seen from the orchestrator."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import trio

from support.tools import Log, Probe
from trioworker import open_job, run_job
from trioworker.testing import DONE, Exchange, Fault, SimulatedOrchestrator, call

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_poll_that_hangs_counts_as_an_error_and_backs_off(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=59), DONE])
    world.faults = [Fault.delay(3600, path="prompt")]
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    times = [exchange.at for exchange in world.asked("prompt")]
    pauses = [round(later - earlier - 10) for earlier, later in pairwise(times)]
    assert pauses[:3] == [2, 4, 8]


async def test_event_of_a_compaction_is_delivered_before_the_model_answers(
    workspace: Path, autojump_clock: MockClock
) -> None:
    turns = [call("probe", text="x" * 3_000 + str(number), seconds=0) for number in range(14)]
    world = SimulatedOrchestrator([*turns, DONE], thinking=0.0)

    def slow_after_compaction(exchange: Exchange) -> Fault | None:
        is_compacted = exchange.is_for_the_model and "compacted to save space" in str(exchange.body)
        return Fault.delay(30.0) if is_compacted else None

    world.fault = slow_after_compaction
    # Not in iteration 11, whose status wakes the shipper as well.
    await run_job(world.config(workspace, context_limit=18_500), transport=world, tools=[Probe(Log())])
    asked = next(exchange.at for exchange in world.exchanges if slow_after_compaction(exchange))
    delivered = next(exchange.at for exchange in world.asked("event") if "were compacted" in str(exchange.body))
    assert delivered - asked < 1
    assert len(world.asked("llm/complete_with_tools")) > 11


async def test_follow_up_of_a_poll_in_flight_survives_a_cancel(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=5), DONE, DONE])
    world.faults = [Fault.delay(2.0, path="prompt")]
    async with open_job(world.config(workspace), transport=world, tools=[Probe(Log())]) as job:
        world.send_prompt("One more thing.")
        await trio.sleep(1)
        job.actors["prompt-poller"].cancel()
        await job.wait()
    assert "One more thing." in str(world.conversations()[-1])
