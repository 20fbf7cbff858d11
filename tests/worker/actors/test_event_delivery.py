"""The delivery policy: one event that always fails is given up; while all fail, they wait in order."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from loguru import logger
from trio.testing import MockClock

from support.tools import Log, Probe
from trioworker import open_job, run_job
from trioworker.testing import DONE, Exchange, Fault, Kill, SimulatedOrchestrator, call, reply
from trioworker.testing.simulation.disk import Disk, DiskStorage, Killed
from trioworker.worker.clocks import Moment
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker import JobOutcome, WorkerConfig

POISON = 5
"""The number of the event that always fails: neither the first nor one of the last."""
TURNS = [call("probe", text=str(number), seconds=10) for number in range(9)] + [DONE]
"""A job of about 100 s."""


def seq(exchange: Exchange) -> int:
    return exchange.body["data"]["seq"] if exchange.path == "event" else -1


def poisoned(number: int) -> Callable[[Exchange], Fault | None]:
    return lambda x: Fault.status(500) if seq(x) == number else None


async def run(world: SimulatedOrchestrator, workspace: Path, **more: int) -> JobOutcome:
    return await run_job(world.config(workspace, **more), transport=world, tools=[Probe(Log())])


def numbers(world: SimulatedOrchestrator) -> list[int]:
    return [event["data"]["seq"] for event in world.events]


async def test_event_that_always_gets_500_is_lost_after_a_minute_and_the_others_arrive_in_order(
    workspace: Path, autojump_clock: MockClock
) -> None:
    lines: list[str] = []
    logger.add(lines.append, level="ERROR", format="{message}")
    world = SimulatedOrchestrator(TURNS)
    world.fault = poisoned(POISON)
    outcome = await run(world, workspace)
    assert outcome.success
    assert outcome.metrics.events_lost == 1
    assert outcome.metrics.events_sent == len(world.events)
    assert numbers(world) == [number for number in range(numbers(world)[-1] + 1) if number != POISON]
    assert world.of_type("result")
    assert "(1 events could not be delivered)" in world.reports[0]["message"]
    failed = [exchange.at for exchange in world.asked("event") if seq(exchange) == POISON]
    following = next(exchange.at for exchange in world.asked("event") if seq(exchange) == POISON + 1)
    assert 60 <= following - failed[0] < 70
    assert any(line.startswith("event ") and "is lost" in line and "500" in line for line in lines)


async def test_each_event_is_accepted_once_although_another_one_is_lost(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(TURNS)
    world.fault = poisoned(POISON)
    await run(world, workspace)
    handled = [seq(exchange) for exchange in world.asked("event") if exchange.handled]
    assert handled == sorted(set(handled))


@pytest.mark.parametrize(
    "fault", [Fault.status(503), Fault.refused(), Fault.reset_before()], ids=lambda fault: fault.kind
)
async def test_events_wait_in_order_while_the_route_is_down(
    fault: Fault, workspace: Path, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    world = SimulatedOrchestrator([*TURNS[:-1] * 3, DONE])
    routes = {"event", "status"}
    world.fault = lambda x: fault if x.path in routes and 15 < x.at - began < 215 else None
    outcome = await run(world, workspace)
    assert outcome.success
    assert outcome.metrics.events_lost == 0
    handled = [seq(exchange) for exchange in world.asked("event") if exchange.handled]
    assert handled == list(range(len(world.events)))
    assert world.of_type("result")


async def test_reasoning_continues_while_the_route_is_down(workspace: Path, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    many = [reply(*(call("probe", text=f"{turn}.{number}") for number in range(60))) for turn in range(12)]
    world = SimulatedOrchestrator([*many, call("probe", seconds=50), call("probe", seconds=50), DONE])
    world.fault = lambda x: Fault.status(503) if x.path == "event" and x.at - began < 100 else None
    outcome = await run(world, workspace)
    assert world.asked("llm/complete_with_tools")[len(many)].at - began < 60
    assert outcome.metrics.events_lost == 0
    assert len(world.events) > 1400


async def test_event_that_only_sometimes_gets_500_is_not_lost(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([*TURNS[:-1] * 3, DONE])
    faults = cycle([Fault.status(503), Fault.refused(), Fault.status(503), Fault.reset_before()])
    began = trio.current_time()
    world.fault = lambda x: next(faults) if seq(x) == POISON and x.at - began < 200 else None
    outcome = await run(world, workspace)
    assert outcome.metrics.events_lost == 0
    assert numbers(world) == list(range(len(world.events)))


async def test_status_that_always_fails_does_not_hold_back_the_events(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(TURNS)
    world.faults = [Fault.status(500, path="status")]
    outcome = await run(world, workspace, timeout=400)
    assert outcome.success
    assert numbers(world) == list(range(len(world.events)))
    assert world.of_type("result")


async def test_status_that_is_accepted_is_not_evidence_against_the_event_before_it(
    workspace: Path, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    world = SimulatedOrchestrator([*TURNS[:-1], *TURNS])
    # Statuses are sent with iterations 1, 6 and 11.
    world.fault = lambda x: Fault.status(503) if x.path == "event" and 40 < x.at - began < 160 else None
    outcome = await run(world, workspace)
    assert outcome.metrics.events_lost == 0
    assert numbers(world) == list(range(len(world.events)))


async def test_refusal_of_the_next_event_loses_both(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator(TURNS)
    statuses = {POISON: 500, POISON + 1: 400}
    world.fault = lambda x: Fault.status(statuses[seq(x)]) if seq(x) in statuses else None
    outcome = await run(world, workspace)
    assert outcome.metrics.events_lost == 2
    assert numbers(world) == [number for number in range(numbers(world)[-1] + 1) if number not in statuses]


async def test_event_that_fails_during_the_shutdown_does_not_hold_back_the_result(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator([call("probe", text="a"), DONE])
    world.fault = poisoned(3)
    outcome = await run(world, workspace)
    assert outcome.reported
    assert outcome.metrics.events_lost == 1
    assert world.of_type("result")


@pytest.mark.parametrize("status", [400, 500])
async def test_result_counts_the_event_that_is_refused_for_ever_and_no_event_that_waits(
    status: int, workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(TURNS)
    world.fault = lambda x: Fault.status(status) if seq(x) == POISON else None
    outcome = await run(world, workspace)
    assert outcome.metrics.events_lost == 1
    (result,) = world.of_type("result")
    assert result["metrics"]["events_lost"] == 1


async def test_result_counts_no_event_that_is_still_queued(workspace: Path, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    world = SimulatedOrchestrator([call("probe", text="a"), DONE])
    world.fault = lambda x: Fault.refused() if x.path == "event" and x.at - began < 15 else None
    outcome = await run(world, workspace)
    (result,) = world.of_type("result")
    assert result["metrics"]["events_lost"] == 0
    assert outcome.metrics.events_lost == 0


async def test_events_that_were_never_accepted_are_lost_at_the_end(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", text="a"), DONE])
    world.faults = [Fault.refused(path="event")]
    outcome = await run(world, workspace)
    assert outcome.reported
    assert outcome.metrics.events_sent == 0
    assert outcome.metrics.events_lost == 5
    assert "(5 events could not be delivered)" in world.reports[0]["message"]


async def test_lost_status_is_no_lost_event(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([call("probe", text="a"), DONE])
    world.faults = [Fault.status(400, path="status")]
    outcome = await run(world, workspace)
    assert outcome.metrics.events_lost == 0
    assert world.reports[0]["message"] == DONE.content


async def test_event_that_fails_at_a_stop_does_not_hold_back_the_result(
    workspace: Path, autojump_clock: MockClock
) -> None:
    world = SimulatedOrchestrator(TURNS)
    world.fault = poisoned(POISON)
    async with open_job(world.config(workspace, grace=8.0), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(40)
        began = trio.current_time()
        job.stop("enough")
        outcome = await job.wait()
    assert trio.current_time() - began <= 8
    assert outcome.reported
    assert outcome.metrics.events_lost == 1
    assert world.of_type("result")


@pytest.mark.parametrize("percent", [50, 100])
def test_worker_killed_at_any_write_loses_only_the_event_that_always_fails(percent: int) -> None:
    writes = _run_with_kill(None)[1].writes
    for write in range(1, writes):
        world, disk = _run_with_kill(Kill(write, percent, power=False))
        assert len(world.reports) == 1, f"killed at write {write}"
        assert numbers(world) == [number for number in range(numbers(world)[-1] + 1) if number != POISON]
        assert "(1 events could not be delivered)" in world.reports[0]["message"]
        assert disk.writes > write


def _run_with_kill(kill: Kill | None) -> tuple[SimulatedOrchestrator, Disk]:
    """Run a job whose process is killed at a write to its journal and started again."""
    world, disk, log = SimulatedOrchestrator(TURNS[7:]), Disk([kill] if kill else []), Log()
    world.fault = poisoned(POISON)
    kills = 0

    async def start(began: float) -> None:
        config = world.config(Path("/"))
        journal = Journal(DiskStorage(disk), bytes(disk.content))
        await run_with_journal(config, world, journal, Probe(log), lambda: Moment(began + trio.current_time()))

    began = 0.0
    while True:
        clock = MockClock(autojump_threshold=0)
        began -= clock.current_time()
        try:
            trio.run(start, began, clock=clock)
        except (Killed, BaseExceptionGroup) as error:
            if isinstance(error, BaseExceptionGroup) and error.split(Killed)[1] is not None:
                raise
            kills += 1
        else:
            assert kills == (0 if kill is None else 1)
            return world, disk
        began += clock.current_time()
        disk.start_process()


async def run_with_journal(
    config: WorkerConfig, world: SimulatedOrchestrator, journal: Journal, probe: Probe, clocks: Callable[[], Moment]
) -> None:
    async with open_job(config, transport=world, tools=[probe], journal=journal, clocks=clocks) as job:
        await job.wait()
