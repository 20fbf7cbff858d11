"""Jobs whose requests depend on the machine, the time and the other limits replay to the same requests elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.tools import Log, Probe
from trioworker import open_job
from trioworker.cassette import load_cassette, open_recorder, replay
from trioworker.testing import DONE, SimulatedOrchestrator, call, reply
from trioworker.worker.clocks import Moment

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker.cassette import Cassette

LIMITS: dict[str, dict[str, Any]] = {
    "time": {"timeout": 40.0},
    "time is over": {"timeout": 20.0},
    "iterations": {"max_iterations": 4},
    "tokens": {"token_budget": 3_500},
    "none": {},
}


async def record(workspace: Path, **more: Any) -> Cassette:
    """Record a job of five turns of six seconds, on a day long ago."""
    turns = [reply(call("probe", text=str(number), seconds=5), input_tokens=1_000) for number in range(5)]
    world = SimulatedOrchestrator([*turns, DONE])
    config = world.config(workspace, **more)
    path = workspace.parent / "job.jsonl"
    with open_recorder(config, path) as recorder:
        async with open_job(
            config, transport=world, tools=[Probe(Log())], recorder=recorder, clocks=lambda: Moment(1e9)
        ) as job:
            await job.wait()
    return load_cassette(path)


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
async def test_job_near_its_limits_replays_on_another_machine(
    limits: dict[str, Any], workspace: Path, autojump_clock: MockClock
) -> None:
    cassette = await record(workspace, **limits)
    elsewhere = workspace.parent / "elsewhere"
    elsewhere.mkdir()
    outcome = await replay(cassette, elsewhere, tools=[Probe(Log())])
    assert outcome.status == cassette.end.status
    assert outcome.message == cassette.end.message
