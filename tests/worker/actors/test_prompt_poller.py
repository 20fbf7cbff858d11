"""The prompt poller: the interval between polls, back-off, and the end of polling."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from support.tools import Log, Probe
from trioworker import run_job
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_done_ends_polling(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=30), DONE])
    world.send_prompt("That is all.", done=True)
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    assert len(world.asked("prompt")) == 1


async def test_polls_at_the_interval_and_backs_off_on_errors(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])
    world.fault = lambda x: Fault.status(500) if x.path == "prompt" and x.at > 10 else None
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    times = [exchange.at for exchange in world.asked("prompt")]
    gaps = [round(later - earlier) for earlier, later in pairwise(times)]
    slower = gaps.index(2)
    assert set(gaps[:slower]) == {1}
    assert gaps[slower : slower + 3] == [2, 4, 8]
    assert set(gaps[slower + 3 :]) == {10}


async def test_poll_honours_retry_after(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", seconds=60), DONE])
    world.faults = [Fault.status(429, headers={"Retry-After": "25"}, path="prompt", request=0)]
    await run_job(world.config(workspace), transport=world, tools=[Probe(Log())])
    first, second, third, *_ = (exchange.at for exchange in world.asked("prompt"))
    assert round(second - first) == 25
    assert round(third - second) == 1
