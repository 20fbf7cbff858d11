"""Objects that are there when a fleet starts: those of a fleet that was killed, of a second fleet, and foreign ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.kubeapi import KubeApi
from support.kubefleet import JOB, NAME, KubeFleet, job_of, put_job, put_secret
from support.kubepods import PodScript, outcome
from trioworker.fleet.engine import Attempt
from trioworker.fleet.results import Results

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


def uids(api: KubeApi, kind: str) -> list[str]:
    return [item["metadata"]["uid"] for item in api.of(kind)]


async def run_out(api: KubeApi, seconds: float) -> None:
    """Let the pods run without a fleet."""
    await trio.sleep(seconds)
    api.of("Pod")


async def test_job_of_a_killed_fleet_is_waited_for(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(seconds=30, log=outcome()))
    made = put_job(api)["metadata"]["uid"]
    put_secret(api, made)
    result = await KubeFleet(api, results).run()
    assert result is not None
    assert (result.status, result.attempts) == ("completed", 1)
    assert uids(api, "Job") == [made]


@pytest.mark.parametrize("secret", [None, ("older", "t-1"), ("its", "old-token")])
async def test_job_whose_secret_is_missing_or_not_its_own_gets_its_own(
    results: Results, autojump_clock: MockClock, secret: tuple[str, str] | None
) -> None:
    api = KubeApi(PodScript(log=outcome()))
    made = put_job(api)["metadata"]["uid"]
    if secret is not None:
        owner, token = secret
        put_secret(api, made if owner == "its" else "uid-of-an-older-job", token)
    result = await KubeFleet(api, results).run()
    assert result is not None
    assert (result.status, uids(api, "Job")) == ("completed", [made])
    (kept,) = api.of("Secret")
    assert kept["metadata"]["ownerReferences"][0]["uid"] == made
    assert kept["data"] == {"token": "dC0x"}


async def test_secret_of_the_job_is_kept(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi()
    secret = put_secret(api, put_job(api)["metadata"]["uid"])
    await KubeFleet(api, results).run()
    assert api.of("Secret") == [secret]


async def test_outcome_of_a_job_that_ended_without_a_fleet_is_recorded(
    results: Results, autojump_clock: MockClock
) -> None:
    api = KubeApi(PodScript(code=5), PodScript(code=1, log=outcome("failed", "no way")))
    made = put_job(api)["metadata"]["uid"]
    put_secret(api, made)
    await run_out(api, 60)
    fleet = KubeFleet(api, results)
    result = await fleet.run()
    assert result is not None
    assert (result.exit_code, result.status, result.message, result.attempts) == (1, "failed", "no way", 2)
    assert (fleet.status.asked, uids(api, "Job")) == (0, [made])


@pytest.mark.parametrize("code", [0, 1, 2, 3, 5, 137])
async def test_job_that_ended_without_an_outcome_and_without_a_fleet_is_created_again(
    results: Results, autojump_clock: MockClock, code: int
) -> None:
    api = KubeApi(PodScript(code=code, log="words\n"))
    made = put_job(api)["metadata"]["uid"]
    put_secret(api, made)
    await run_out(api, 60)
    api.scripts[JOB.job_id] = (PodScript(log=outcome()),)
    # One attempt: those of the other fleet don't count.
    fleet = KubeFleet(api, results, attempts=1)
    result = await fleet.run()
    assert result is not None
    assert (result.exit_code, result.status, fleet.status.asked) == (0, "completed", 1)
    assert made not in uids(api, "Job")


async def test_job_that_was_reported_without_a_fleet_gets_the_orchestrators_outcome(
    results: Results, autojump_clock: MockClock
) -> None:
    api = KubeApi(PodScript(code=137))
    put_secret(api, put_job(api)["metadata"]["uid"])
    await run_out(api, 60)
    fleet = KubeFleet(api, results)
    fleet.status.answer = Attempt(exit_code=0, status="completed", success=True, message="done")
    result = await fleet.run()
    assert result is not None
    assert (result.status, result.message, result.attempts) == ("completed", "done", 3)


async def test_job_whose_deletion_is_under_way_is_created_again(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(seconds=100, log=outcome()))
    made = put_job(api)["metadata"]["uid"]
    put_secret(api, made)
    api.deletion_seconds = 40
    api.delete("Job", NAME)
    # One attempt: that of the other fleet doesn't count.
    fleet, began = KubeFleet(api, results, attempts=1), trio.current_time()
    result = await fleet.run()
    assert result is not None
    assert result.status == "completed"
    assert 40 <= fleet.status.times[0] - began <= 44
    assert ("waiting", "1: its Job is being deleted") in fleet.seen
    assert made not in uids(api, "Job")


@pytest.mark.parametrize("kind", ["Job", "Secret"])
async def test_foreign_object_of_the_same_name_is_left_alone(
    results: Results, autojump_clock: MockClock, kind: str
) -> None:
    api = KubeApi()
    foreign = api.add({"kind": kind, "metadata": {"name": NAME, "labels": {"app": "other"}}})
    fleet = KubeFleet(api, results)
    assert await fleet.run() is None
    assert fleet.seen == [("started", "1"), ("not started", "1")]
    assert [api.of("Job"), api.of("Secret")] == [[foreign] if each == kind else [] for each in ("Job", "Secret")]


async def test_job_is_deleted_again_if_its_secret_is_refused(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi()
    api.fail(422, pattern="POST .*/secrets", times=float("inf"))
    with pytest.raises(Exception):  # noqa: B017, PT011 - a group, if several tasks fail
        await KubeFleet(api, results).run(*(job_of(str(number)) for number in range(5)))
    assert api.of("Job") == []
    assert results.done == {}


async def test_two_fleets_share_the_jobs_of_one_file(tmp_path: Path, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(seconds=10, log=outcome()))
    jobs = [job_of(str(number)) for number in range(20)]
    with Results(tmp_path / "one") as one, Results(tmp_path / "two") as two:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(KubeFleet(api, one).run, *jobs)
            nursery.start_soon(KubeFleet(api, two).run, *jobs)
        for results in (one, two):
            assert {result.status for result in results.done.values()} == {"completed"}
            assert len(results.done) == 20
    assert len(api.of("Job")) == len(api.of("Pod")) == 20


async def test_second_fleet_continues_the_jobs_that_the_first_one_deletes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    api = KubeApi(PodScript(seconds=30, log=outcome()))
    with Results(tmp_path / "one") as one, Results(tmp_path / "two") as two:
        first = KubeFleet(api, one)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.run)
            nursery.start_soon(KubeFleet(api, two).run)
            await trio.sleep(5)
            first.stop.cancel()
        assert one.done == {}
        assert two.done[JOB.job_id].status == "completed"


@pytest.mark.parametrize("rerun", [False, True])
async def test_refused_token_means_reported_only_if_other_workers_ran(
    tmp_path: Path, autojump_clock: MockClock, rerun: bool
) -> None:
    api = KubeApi(PodScript(code=3, log="trioworker: the token is wrong\n"))
    path = tmp_path / "results.jsonl"
    if rerun:
        path.touch()
    with Results(path) as results:
        fleet = KubeFleet(api, results)
        fleet.status.answer = "revoked"
        result = await fleet.run()
    assert result is not None
    if rerun:
        assert (result.exit_code, result.status, result.success) == (None, "reported", None)
    else:
        assert (result.exit_code, result.status, result.message) == (3, "refused", "the token is wrong")


async def test_refused_token_of_a_job_of_another_fleet_means_reported(
    results: Results, autojump_clock: MockClock
) -> None:
    api = KubeApi(PodScript(code=3))
    put_job(api)
    fleet = KubeFleet(api, results)
    fleet.status.answer = "revoked"
    result = await fleet.run()
    assert result is not None
    assert (result.exit_code, result.status) == (None, "reported")


async def test_stop_deletes_a_job_that_runs(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(code=None))
    fleet = KubeFleet(api, results)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.run)
        await trio.sleep(5)
        fleet.stop.cancel()
    assert api.of("Job") == api.of("Secret") == []
    assert results.done == {}


async def test_stop_records_a_job_that_has_ended(results: Results, autojump_clock: MockClock) -> None:
    api = KubeApi(PodScript(seconds=2.5, log=outcome()))
    fleet = KubeFleet(api, results)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.run)
        await trio.sleep(3)
        fleet.stop.cancel()
    assert results.done[JOB.job_id].status == "completed"


@pytest.mark.parametrize("kind", ["jobs", "secrets"])
async def test_object_that_exists_and_cannot_be_found_is_requested_rarely(
    results: Results, autojump_clock: MockClock, kind: str
) -> None:
    body = '{"kind": "Status", "status": "Failure", "reason": "AlreadyExists", "message": "it exists"}'
    api = KubeApi(PodScript(log=outcome()))
    api.fail(409, body, pattern=f"POST .*/{kind}", times=float("inf"))
    with trio.move_on_after(20):
        await KubeFleet(api, results).run()
    assert len(api.requests) < 80
    api.recover()
    assert await KubeFleet(api, results).run() is not None


async def test_usage_error_of_an_earlier_fleet_is_no_result_of_a_fleet_that_is_stopped(
    results: Results, autojump_clock: MockClock, tmp_path: Path
) -> None:
    api = KubeApi(PodScript(code=2, log="trioworker: --timeout: x is not a number\n"))
    with Results(tmp_path / "earlier.jsonl") as earlier:
        result = await KubeFleet(api, earlier).run()
    assert result is not None
    assert (result.exit_code, result.status) == (2, "failed")

    api.fail(503, pattern="POST .*/jobs", times=float("inf"))
    fleet = KubeFleet(api, results)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fleet.run)
        await trio.sleep(1)
        fleet.stop.cancel()
    assert results.done == {}
