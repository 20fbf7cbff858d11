"""Jobs that are frozen while they run: for them, time jumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.tools import Log, Probe
from trioworker import open_job
from trioworker.testing import DONE, SimulatedOrchestrator, call

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

SLOW_CALL = call("probe", text="slow", seconds=20.0)


async def test_job_that_was_frozen_has_the_time_that_is_left(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    async with open_job(world.config(workspace, timeout=100.0), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(3)
        autojump_clock.jump(30)
        outcome = await job.wait()
    assert (outcome.success, outcome.reported) == (True, True)


@pytest.mark.parametrize("seconds", [100.0, 10_000.0])
async def test_job_that_was_frozen_beyond_its_deadline_is_reported(
    seconds: float, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([SLOW_CALL, DONE])
    async with open_job(world.config(workspace, timeout=30.0), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(3)
        autojump_clock.jump(seconds)
        outcome = await job.wait()
    assert (outcome.status, outcome.reported) == ("stuck", True)
    assert len(world.reports) == 1
