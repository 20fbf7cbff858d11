"""How much time a resumed job has left, whatever happened to the clocks meanwhile."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytest
import trio

from support.tools import Log, Probe
from trioworker import open_job
from trioworker.testing import SimulatedOrchestrator, call
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.clocks import Moment, elapsed, read_clocks
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

DAY = 86_400.0
OPENED = Moment(1e9, "boot-1", 500.0)


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (Moment(1e9 + 60, "boot-1", 560.0), 60.0),
        (Moment(1e9 - DAY, "boot-1", 560.0), 60.0),
        (Moment(1e9 + DAY, "boot-1", 560.0), 60.0),
        (Moment(1e9 + 60, "boot-2", 3.0), 60.0),
        (Moment(1e9 - DAY, "boot-2", 3.0), 0.0),
        (Moment(0.0, "boot-2", 3.0), 0.0),
        (Moment(1e9 + DAY, "boot-2", 3.0), 590.0),
        (Moment(1e9 + 60), 60.0),
        (Moment(math.nan), 0.0),
    ],
    ids=[
        "same boot",
        "same boot, wall clock set back",
        "same boot, wall clock set forward",
        "another boot",
        "another boot, wall clock set back",
        "another boot, wall clock not set",
        "another boot, wall clock set forward",
        "unknown boot",
        "not a number",
    ],
)
def test_elapsed_time_is_between_nothing_and_the_limit(now: Moment, seconds: float) -> None:
    assert elapsed(OPENED, now, limit=590.0) == pytest.approx(seconds)


def test_unknown_boots_are_not_the_same_boot() -> None:
    assert elapsed(Moment(1e9, "", 10.0), Moment(1e9 + 60, "", 500.0), limit=590.0) == pytest.approx(60)


def test_clocks_of_this_machine_are_read() -> None:
    now = read_clocks()
    assert now.wall == pytest.approx(time.time(), abs=60)
    assert elapsed(now, read_clocks(), limit=590.0) < 60
    assert now.boot_id == read_clocks().boot_id


SLOW = call("probe", text="a", seconds=5000.0)


@pytest.mark.parametrize("jump", [-10 * DAY, 10 * DAY], ids=["back", "forward"])
async def test_resumed_job_has_the_time_that_was_left_after_a_jump_of_the_wall_clock(
    jump: float, workspace: Path, autojump_clock: MockClock
) -> None:
    def clocks_after(jump: float) -> Moment:
        return Moment(1e9 + jump, "boot-1", trio.current_time())

    opened_at = trio.current_time()
    disk, world = Disk(), SimulatedOrchestrator([SLOW])
    async with open_job(
        world.config(workspace, timeout=100.0),
        transport=world,
        tools=[Probe(Log())],
        journal=Journal(DiskStorage(disk)),
        clocks=lambda: clocks_after(0.0),
    ):
        await trio.sleep(30)
        journal = bytes(disk.content)
    resumed = SimulatedOrchestrator([SLOW])
    async with open_job(
        resumed.config(workspace, timeout=100.0),
        transport=resumed,
        tools=[Probe(Log())],
        journal=Journal(DiskStorage(Disk()), journal),
        clocks=lambda: clocks_after(jump),
    ) as running:
        outcome = await running.wait()
    assert outcome.message.startswith("Execution timed out")
    assert trio.current_time() - opened_at == pytest.approx(100, abs=15)
