"""How a run of a fleet ends early, and what it says about the workers that it leaves behind."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.fleets import FixedStatus
from support.scripted_engine import ScriptedEngine, ended
from trioworker.errors import ConfigError
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.results import Result, Results
from trioworker.fleet.session import is_finished, run_session
from trioworker.fleet.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio.testing import MockClock


JOBS = [
    FleetJob(job_id=f"job-{n}", token="t", orchestrator_url="http://x", workspace=None, worker_options=())
    for n in range(3)
]
FAILED: dict[str, Any] = {
    "exit_code": 3,
    "success": False,
    "message": "no such job",
    "seconds": 1.0,
    "attempts": 3,
    "engine": "kubernetes",
    "node": None,
}
LEFT = "2 Jobs may still be running in the namespace jobs"


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    with Results(tmp_path / "results.jsonl") as results:
        yield results


async def session_of(engine: ScriptedEngine, results: Results, stop: Stop) -> int:
    return await run_session(JOBS, lambda _: nullcontext(engine), FixedStatus(), results, stop, parallel=3, attempts=1)


async def hang(job: FleetJob) -> None:
    await trio.sleep_forever()


async def test_cancelled_fleet_ends_although_its_workers_do_not(
    results: Results, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    engine, stop = ScriptedEngine(), Stop()
    engine.on_start, engine.left = hang, LEFT
    started_at = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session_of, engine, results, stop)
        await trio.sleep(1)
        stop.cancel()
    assert trio.current_time() - started_at == pytest.approx(1 + engine.stop_timeout)
    err = capsys.readouterr().err
    assert "quitting: not all workers stopped within 40 s\n" in err
    assert err.endswith(
        f"3 jobs: 0 succeeded, 0 did not, 3 left; run the same command to continue\ntrioworker: {LEFT}\n"
    )


async def test_fleet_that_ends_by_itself_leaves_nothing_behind(
    results: Results, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await session_of(ScriptedEngine(ended(0)), results, Stop()) == 0
    assert capsys.readouterr().err.endswith("3 jobs: 3 succeeded, 0 did not\n")


@pytest.mark.parametrize("left", [None, LEFT])
async def test_refusal_is_one_error_that_says_what_may_still_be_running(
    results: Results, autojump_clock: MockClock, left: str | None
) -> None:
    engine = ScriptedEngine()
    engine.left = left

    async def refuse(job: FleetJob) -> None:
        await trio.lowlevel.checkpoint()
        raise ConfigError("the namespace jobs doesn't exist")

    engine.on_start = refuse
    with pytest.raises(ConfigError) as caught:
        await session_of(engine, results, Stop())
    assert str(caught.value) == "the namespace jobs doesn't exist" + (f"; {LEFT}" if left else "")


async def test_fleet_without_an_engine_leaves_no_results(results: Results, autojump_clock: MockClock) -> None:
    def no_cluster(_: object) -> nullcontext[ScriptedEngine]:
        raise ConfigError("no cluster is configured")

    with pytest.raises(ConfigError, match="no cluster is configured"):
        await run_session(JOBS, no_cluster, FixedStatus(), results, Stop(), parallel=3, attempts=1)
    assert not results.path.exists()


@pytest.mark.parametrize(("status", "hint"), [("refused", True), ("failed", False)])
def test_finished_fleet_says_how_to_run_refused_jobs_again(
    results: Results, capsys: pytest.CaptureFixture[str], status: str, hint: bool
) -> None:
    for job in JOBS:
        results.add(Result(**FAILED, job_id=job.job_id, status=status))
    assert is_finished(JOBS, results)
    text = "; 3 refused, unreported or lost: to run such a job again, delete its line from that file\n"
    assert capsys.readouterr().err.endswith(text) == hint
