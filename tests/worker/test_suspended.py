"""A worker that is suspended: it delivers what was done, ends without a report, and the next start continues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.tools import Log, Probe
from trioworker import open_job
from trioworker.errors import ReleasedError
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.testing import DONE, Fault, SimulatedOrchestrator, call
from trioworker.testing.simulation.disk import Disk, DiskStorage
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.state.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from trioworker import JobOutcome

TURNS = (call("probe", text="a", seconds=5.0), DONE)
GRACE = 8.0
WHILE_THE_MODEL_THINKS, WHILE_A_TOOL_RUNS, WHILE_IT_REPORTS = 0.5, 3.0, 7.5
SUSPENDED = "The worker was suspended by SIGTERM; the next one resumes the job"


class Suspended:
    """One job of a simulated orchestrator, and its journal."""

    def __init__(self, workspace: Path) -> None:
        self.world = SimulatedOrchestrator(TURNS, latency=0.1)
        self.log = Log()
        self.stop = StopRequest()
        self._workspace = workspace
        self._disk = Disk()

    async def run(self, *, suspend_after: float | None = None) -> JobOutcome:
        """Run a worker, which is suspended after some seconds."""
        self.stop = StopRequest()
        async with trio.open_nursery() as nursery:
            if suspend_after is not None:
                nursery.start_soon(self._suspend, suspend_after)
            outcome = await self._work()
            nursery.cancel_scope.cancel()
        return outcome

    async def _suspend(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self.stop.suspend("suspended by SIGTERM")

    async def _work(self) -> JobOutcome:
        journal = Journal(DiskStorage(self._disk), bytes(self._disk.content))
        config = self.world.config(self._workspace, grace=GRACE)
        async with open_job(
            config, transport=self.world, tools=[Probe(self.log)], journal=journal, stop=self.stop
        ) as running:
            return await running.wait()

    async def run_until_suspended(self, seconds: float) -> float:
        """Run a worker that is suspended after some seconds, and return how long it takes to end."""
        began = trio.current_time()
        with pytest.raises(ReleasedError, match="suspended by SIGTERM"), unwrap_single_exception():
            await self.run(suspend_after=seconds)
        return trio.current_time() - began - seconds

    @property
    def shown(self) -> list[str]:
        """The events that people see, each once, in order."""
        return [str(event["data"].get("message", event["event_type"])) for event in self.world.events]


@pytest.fixture
def suspended(workspace: Path) -> Suspended:
    return Suspended(workspace)


@pytest.mark.parametrize("seconds", [WHILE_THE_MODEL_THINKS, WHILE_A_TOOL_RUNS])
async def test_suspended_worker_ends_without_a_report_and_the_next_one_reports(
    seconds: float, suspended: Suspended, autojump_clock: MockClock
) -> None:
    assert await suspended.run_until_suspended(seconds) < 1

    assert suspended.world.reports == []
    assert suspended.shown[-1] == SUSPENDED

    outcome = await suspended.run()

    assert (outcome.success, len(suspended.world.reports)) == (True, 1)
    assert suspended.shown.count(SUSPENDED) == 1


async def test_call_of_a_suspended_worker_is_cancelled_and_answered_as_interrupted(
    suspended: Suspended, autojump_clock: MockClock
) -> None:
    await suspended.run_until_suspended(WHILE_A_TOOL_RUNS)
    assert [run.cancelled for run in suspended.log.runs] == [True]

    await suspended.run()

    answers = [event["data"] for event in suspended.world.events if event["event_type"] == "tool_result"]
    assert (answers[0]["tool_call_id"], answers[0]["success"]) == ("call_1_1", False)
    assert "interrupted" in answers[0]["output"]


async def test_job_that_is_suspended_before_it_was_fetched_is_fetched_by_the_next_worker(
    suspended: Suspended, autojump_clock: MockClock
) -> None:
    assert await suspended.run_until_suspended(0.01) < 1
    outcome = await suspended.run()

    assert (outcome.success, len(suspended.log.runs)) == (True, 1)


async def test_follow_up_whose_poll_is_under_way_is_kept(suspended: Suspended, autojump_clock: MockClock) -> None:
    suspended.world.faults = [Fault.delay(2.0, path="prompt", request=0)]
    suspended.world.send_prompt("Keep the tabs.")
    assert await suspended.run_until_suspended(WHILE_THE_MODEL_THINKS) > 1
    await suspended.run()

    assert "Keep the tabs." in str(suspended.world.conversations()[-1])


async def test_report_under_way_is_finished(suspended: Suspended, autojump_clock: MockClock) -> None:
    suspended.world.faults = [Fault.delay(3.0, path="complete")]
    outcome = await suspended.run(suspend_after=WHILE_IT_REPORTS)

    assert (outcome.success, outcome.reported, len(suspended.world.reports)) == (True, True, 1)


async def test_report_without_an_answer_is_left_to_the_next_worker(
    suspended: Suspended, autojump_clock: MockClock
) -> None:
    suspended.world.faults = [Fault.refused(path="complete")]
    first = await suspended.run(suspend_after=WHILE_IT_REPORTS)
    ended = trio.current_time()
    suspended.world.faults = []
    second = await suspended.run()

    assert (first.reported, second.reported, second.success) == (False, True, True)
    assert ended <= WHILE_IT_REPORTS + GRACE + 1


async def test_events_that_cannot_be_delivered_are_left_to_the_next_worker(
    suspended: Suspended, autojump_clock: MockClock
) -> None:
    suspended.world.faults = [Fault.refused(path="event")]
    assert await suspended.run_until_suspended(WHILE_A_TOOL_RUNS) < GRACE + 1
    suspended.world.faults = []
    outcome = await suspended.run()

    assert SUSPENDED in suspended.shown
    assert (outcome.reported, outcome.metrics.events_lost) == (True, 0)


async def test_stopped_job_is_reported_although_it_is_then_suspended(
    suspended: Suspended, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:

        async def signal() -> None:
            await trio.sleep(WHILE_A_TOOL_RUNS)
            suspended.stop.request("stopped by SIGINT")
            suspended.stop.suspend("suspended by SIGTERM")

        nursery.start_soon(signal)
        outcome = await suspended.run()

    assert (outcome.status, outcome.reported) == ("cancelled", True)
