"""Jobs that vanish while the fleet waits for them: it asks the orchestrator, and creates unreported ones again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.kubeapi import KubeApi
from support.kubefleet import JOB, NAME, KubeFleet, put_job, put_secret
from support.kubepods import PodScript, outcome
from trioworker.fleet.engine import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from trioworker.fleet.results import Result, Results

LONG = PodScript(seconds=20, log=outcome())
TWO_LOOKS = 4.1


def delete(api: KubeApi) -> None:
    api.delete("Job", NAME)


def replace(api: KubeApi) -> None:
    """Delete the Job as another fleet does."""
    api.delete("Job", NAME)
    put_secret(api, put_job(api)["metadata"]["uid"])


async def run_with(fleet: KubeFleet, at: float, do: Callable[[], object]) -> Result | None:
    """Run the fleet, and do something after `at` seconds."""
    result = None
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            nonlocal result
            result = await fleet.run()

        await trio.sleep(at)
        do()
    return result


@pytest.mark.parametrize("change", [delete, replace])
async def test_job_that_vanished_is_noticed_within_two_polls_and_created_again(
    results: Results, autojump_clock: MockClock, change: Callable[[KubeApi], None]
) -> None:
    api, began = KubeApi(LONG), trio.current_time()
    fleet = KubeFleet(api, results)
    result = await run_with(fleet, 5, lambda: change(api))

    assert result is not None
    assert (result.exit_code, result.status, result.attempts) == (0, "completed", 2)
    (asked,) = fleet.status.times
    assert asked - began <= 5 + TWO_LOOKS


async def test_job_that_is_only_missing_in_lists_is_not_made_again(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(LONG)
    api.fail(200, '{"kind": "JobList", "items": []}', pattern="GET .*/jobs$", times=float("inf"))
    fleet = KubeFleet(api, results, attempts=1)
    result = await fleet.run()

    assert result is not None
    assert (result.status, result.attempts, fleet.status.asked) == ("completed", 1, 0)


async def test_job_that_vanished_after_its_report_is_not_made_again(
    results: Results, autojump_clock: MockClock
) -> None:
    api = KubeApi(LONG)
    fleet = KubeFleet(api, results)
    fleet.status.answer = Attempt(exit_code=0, status="completed", success=True, message="done")
    result = await run_with(fleet, 5, lambda: delete(api))

    assert result is not None
    assert (result.status, result.message, result.attempts) == ("completed", "done", 1)
    assert api.of("Job") == []


async def test_job_whose_deletion_is_under_way_is_waited_for(results: Results, autojump_clock: MockClock) -> None:
    api, began = KubeApi(LONG), trio.current_time()
    api.deletion_seconds = 60
    fleet = KubeFleet(api, results)
    result = await run_with(fleet, 5, lambda: delete(api))

    assert result is not None
    # It ended before its deletion was over.
    assert (result.status, result.attempts) == ("completed", 1)
    assert trio.current_time() - began < 25


async def test_pods_of_a_deleted_job_may_report_before_the_orchestrator_is_asked(
    results: Results, autojump_clock: MockClock
) -> None:
    api, began = KubeApi(PodScript(code=None)), trio.current_time()
    fleet = KubeFleet(api, results)

    def delete_job_before_its_pod() -> None:
        (pod,) = api.of("Pod")
        delete(api)
        api.add({**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.run)
        await trio.sleep(5)
        delete_job_before_its_pod()
        await trio.sleep(20)
        assert fleet.status.asked == 0
        api.delete("Pod", f"{NAME}-0")
        fleet.status.answer = Attempt(exit_code=4, status="cancelled", success=False, message="stopped")
    assert fleet.status.times[0] - began < 25 + TWO_LOOKS
    assert results.done[JOB.job_id].status == "cancelled"


async def test_job_that_vanishes_each_time_is_lost_after_the_attempts(
    results: Results, autojump_clock: MockClock
) -> None:
    api = KubeApi(PodScript(code=None))
    fleet = KubeFleet(api, results, attempts=3)

    async def delete_each() -> None:
        while True:
            await trio.sleep(5)
            for job in api.of("Job"):
                api.delete("Job", job["metadata"]["name"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(delete_each)
        result = await fleet.run()
        nursery.cancel_scope.cancel()
    assert result is not None
    assert (result.status, result.success, result.attempts) == ("lost", False, 3)
    assert result.message == "its Job was deleted"


async def test_ended_job_that_expired_before_it_was_seen_has_the_result_of_the_orchestrator(
    results: Results, autojump_clock: MockClock
) -> None:
    api = KubeApi(PodScript(seconds=1, log=outcome()))
    fleet = KubeFleet(api, results)
    fleet.status.answer = "revoked"
    result = await run_with(fleet, 1.5, lambda: delete(api))

    assert result is not None
    assert (result.exit_code, result.status, result.success) == (None, "reported", None)
    assert api.of("Job") == []
