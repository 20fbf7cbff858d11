"""Retries of the scheduler, by how a worker ended, and one result per job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from support.fleets import FixedStatus, RecordingObserver
from support.scripted_engine import LOST, ScriptedEngine, ended
from trioworker.errors import ConfigError
from trioworker.fleet.engine import Attempt, NotStartedError
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.results import Result, Results
from trioworker.fleet.scheduler import Scheduler
from trioworker.fleet.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trio.testing import MockClock


def jobs(count: int) -> list[FleetJob]:
    return [
        FleetJob(job_id=f"job-{n}", token="t", orchestrator_url="http://x", workspace=None, worker_options=())
        for n in range(count)
    ]


def scheduler_of(
    engine: ScriptedEngine,
    job_status: FixedStatus,
    results: Results,
    *,
    parallel: int = 1,
    attempts: int = 3,
    stop: Stop | None = None,
    observer: RecordingObserver | None = None,
) -> Scheduler:
    return Scheduler(
        engine,
        job_status,
        results,
        observer or RecordingObserver(),
        stop or Stop(),
        parallel=parallel,
        attempts=attempts,
    )


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    with Results(tmp_path / "results.jsonl") as results:
        yield results


async def run_one(engine: ScriptedEngine, job_status: FixedStatus, results: Results, attempts: int = 3) -> Result:
    await scheduler_of(engine, job_status, results, attempts=attempts).run(jobs(1))
    return results.done["job-0"]


@pytest.mark.parametrize("code", [0, 1, 2, 4])
async def test_final_exit_code_is_not_retried(results: Results, autojump_clock: MockClock, code: int) -> None:
    engine, job_status = ScriptedEngine(ended(code)), FixedStatus()
    result = await run_one(engine, job_status, results)
    assert (result.exit_code, result.attempts, result.seconds) == (code, 1, 1.0)
    assert (len(engine.started), job_status.asked) == (1, 0)


async def test_wrong_command_is_a_failure(results: Results, autojump_clock: MockClock) -> None:
    wrong = Attempt(exit_code=2, message="no such option")
    result = await run_one(ScriptedEngine(wrong), FixedStatus(), results)
    assert (result.exit_code, result.status, result.success) == (2, "failed", False)
    assert (result.message, result.attempts) == ("no such option", 1)


@pytest.mark.parametrize("first", [ended(3), ended(5), LOST])
async def test_other_exit_code_is_retried(results: Results, autojump_clock: MockClock, first: Attempt) -> None:
    result = await run_one(ScriptedEngine(first, first, ended(0)), FixedStatus(), results)
    assert (result.exit_code, result.success, result.attempts) == (0, True, 3)
    # Three workers of a second each, and two delays of 0.5 to 1 s and 1 to 2 s.
    assert 4.5 <= result.seconds <= 6


@pytest.mark.parametrize(("end", "status"), [(ended(3), "refused"), (ended(5), "unreported"), (LOST, "lost")])
async def test_attempts_are_limited(results: Results, autojump_clock: MockClock, end: Attempt, status: str) -> None:
    engine = ScriptedEngine(end)
    result = await run_one(engine, FixedStatus(), results, attempts=4)
    assert (result.exit_code, result.status, result.success) == (end.exit_code, status, False)
    assert (result.attempts, len(engine.started)) == (4, 4)


async def test_lost_worker_that_had_reported_is_not_replaced(results: Results, autojump_clock: MockClock) -> None:
    engine = ScriptedEngine(LOST)
    outcome = Attempt(exit_code=1, status="failed", success=False, message="no way")
    result = await run_one(engine, FixedStatus(outcome), results)
    assert (result.exit_code, result.status, result.message) == (1, "failed", "no way")
    assert len(engine.started) == 1


@pytest.mark.parametrize("first", [LOST, ended(5)])
async def test_token_revoked_after_a_loss_means_reported(
    results: Results, autojump_clock: MockClock, first: Attempt
) -> None:
    engine = ScriptedEngine(first)
    result = await run_one(engine, FixedStatus("revoked"), results)
    assert (result.exit_code, result.status, result.success) == (None, "reported", first.success)
    assert len(engine.started) == 1


async def test_token_that_was_never_valid_means_refused(results: Results, autojump_clock: MockClock) -> None:
    result = await run_one(ScriptedEngine(ended(3)), FixedStatus("revoked"), results)
    assert (result.exit_code, result.status, result.attempts) == (3, "refused", 3)


@pytest.mark.parametrize("had_predecessors", [False, True])
async def test_token_refused_after_workers_of_another_fleet_means_reported(
    results: Results, autojump_clock: MockClock, had_predecessors: bool
) -> None:
    refused = Attempt(exit_code=3, count=3, is_last=True, had_predecessors=had_predecessors)
    result = await run_one(ScriptedEngine(refused), FixedStatus("revoked"), results)
    assert (result.exit_code, result.status) == ((None, "reported") if had_predecessors else (3, "refused"))


async def test_token_refused_in_a_rerun_means_reported(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "results.jsonl"
    path.touch()
    with Results(path) as results:
        result = await run_one(ScriptedEngine(ended(3)), FixedStatus("revoked"), results)
    assert (result.exit_code, result.status) == (None, "reported")


@pytest.mark.parametrize(("is_last", "attempts"), [(True, 1), (False, 4)])
async def test_engine_may_count_the_attempts(
    results: Results, autojump_clock: MockClock, is_last: bool, attempts: int
) -> None:
    lost = Attempt(exit_code=None, is_last=is_last)
    engine = ScriptedEngine(lost, lost, lost, ended(0))
    result = await run_one(engine, FixedStatus(), results, attempts=2)
    assert (result.attempts, result.success) == (attempts, not is_last)


async def test_job_is_not_given_up_while_the_orchestrator_does_not_answer(
    results: Results, autojump_clock: MockClock
) -> None:
    engine, job_status = ScriptedEngine(LOST), FixedStatus("unanswered")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler_of(engine, job_status, results, attempts=1).run, jobs(1))
        await trio.sleep(100)
        assert results.done == {}
        job_status.answer = Attempt(exit_code=0, status="completed", success=True)
    assert (results.done["job-0"].status, len(engine.started)) == ("completed", 1)


async def test_job_is_left_if_the_orchestrator_never_answers(results: Results, autojump_clock: MockClock) -> None:
    observer, started_at = RecordingObserver(), trio.current_time()
    scheduler = scheduler_of(
        ScriptedEngine(ended(3)), FixedStatus("unanswered"), results, attempts=2, observer=observer
    )
    await scheduler.run(jobs(1))
    assert results.done == {}
    assert observer.seen[-1] == ("left", "job-0")
    assert 300 <= trio.current_time() - started_at <= 340


async def test_each_job_runs_once_within_the_parallel_limit(results: Results, autojump_clock: MockClock) -> None:
    engine = ScriptedEngine(ended(0))
    started_at = trio.current_time()
    await scheduler_of(engine, FixedStatus(), results, parallel=10).run(jobs(95))
    assert trio.current_time() - started_at == pytest.approx(10)
    assert engine.max_running == 10
    assert engine.started == [job.job_id for job in jobs(95)]
    assert set(results.done) == set(engine.started)


async def test_cancel_stops_the_running_workers_and_the_next_run_continues(
    results: Results, autojump_clock: MockClock
) -> None:
    engine, stop = ScriptedEngine(ended(0)), Stop()
    scheduler = scheduler_of(engine, FixedStatus(), results, parallel=2, stop=stop)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run, jobs(8))
        await trio.sleep(2.5)
        stop.cancel()
    assert [result.exit_code for result in results.done.values()] == [0, 0, 0, 0, 4, 4]

    await scheduler_of(engine, FixedStatus(), results, parallel=2).run(jobs(8))

    assert engine.started == [job.job_id for job in jobs(8)]
    assert sorted(results.done) == engine.started


@pytest.mark.parametrize(
    ("is_stopped", "message"),
    [(True, "Execution stopped: the fleet was stopped"), (False, "Execution stopped: stopped by SIGTERM")],
)
async def test_result_names_the_fleet_as_what_stopped_the_worker(
    results: Results, autojump_clock: MockClock, is_stopped: bool, message: str
) -> None:
    stopped = Attempt(exit_code=4, status="cancelled", success=False, message="Execution stopped: stopped by SIGTERM")
    engine, stop = ScriptedEngine(stopped), Stop()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler_of(engine, FixedStatus(), results, stop=stop).run, jobs(1))
        await trio.sleep(0.5)
        if is_stopped:
            stop.cancel()
    assert results.done["job-0"].message == message


async def test_drain_waits_for_the_running_workers_and_the_next_run_continues(
    results: Results, autojump_clock: MockClock
) -> None:
    engine, stop = ScriptedEngine(ended(0)), Stop()
    scheduler = scheduler_of(engine, FixedStatus(), results, parallel=2, stop=stop)
    started_at = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run, jobs(8))
        await trio.sleep(2.5)
        stop.drain()
    assert trio.current_time() - started_at == pytest.approx(3)
    assert [result.exit_code for result in results.done.values()] == [0] * 6

    await scheduler_of(engine, FixedStatus(), results, parallel=2).run(jobs(8))

    assert engine.started == [job.job_id for job in jobs(8)]


@pytest.mark.parametrize("stop_how", [Stop.drain, Stop.cancel])
async def test_stop_ends_a_back_off_without_a_result(
    results: Results, autojump_clock: MockClock, stop_how: Callable[[Stop], None]
) -> None:
    stop, observer = Stop(), RecordingObserver()
    engine = ScriptedEngine(LOST)
    scheduler = scheduler_of(engine, FixedStatus(), results, attempts=100, stop=stop, observer=observer)
    started_at = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run, jobs(1))
        await trio.sleep(1.2)
        stop_how(stop)
    assert trio.current_time() - started_at == pytest.approx(1.2)
    assert results.done == {}
    assert observer.seen == [("started", "job-0"), ("retried", "job-0"), ("left", "job-0")]


class UnstartableEngine(ScriptedEngine):
    """An engine that can't start the first job."""

    async def run(self, job: FleetJob, stopping: trio.Event) -> Attempt:
        if job.job_id == "job-0":
            raise NotStartedError("no room")
        return await super().run(job, stopping)


async def test_job_that_cannot_be_started_has_no_result_and_the_others_run(
    results: Results, autojump_clock: MockClock
) -> None:
    observer = RecordingObserver()
    await scheduler_of(UnstartableEngine(ended(0)), FixedStatus(), results, observer=observer).run(jobs(2))
    assert list(results.done) == ["job-1"]
    assert observer.seen == [
        ("started", "job-0"),
        ("not started", "job-0"),
        ("started", "job-1"),
        ("ended", "job-1"),
    ]


async def test_results_that_cannot_be_written_end_the_fleet_with_one_error(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    class FullDisk(Results):
        def add(self, result: Result) -> None:
            raise ConfigError("no space left on device")

    with FullDisk(tmp_path / "results.jsonl") as results, pytest.raises(ConfigError, match="no space left"):
        await scheduler_of(ScriptedEngine(ended(0)), FixedStatus(), results, parallel=4).run(jobs(8))


async def test_lost_cluster_does_not_count_as_an_attempt(results: Results, autojump_clock: MockClock) -> None:
    gone = Attempt(exit_code=None, message="the cluster was lost", count=0)
    observer, engine = RecordingObserver(), ScriptedEngine(gone, gone, ended(0))
    await scheduler_of(engine, FixedStatus(), results, attempts=1, observer=observer).run(jobs(1))
    assert (results.done["job-0"].exit_code, results.done["job-0"].attempts) == (0, 1)
    assert "retried" not in [kind for kind, _ in observer.seen]
