"""A fleet on this machine, with real workers: results, a stop, a killed worker, and a killed fleet."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from orchestrator.serving import ADMIN_TOKEN
from support.fleets import open_orchestrator, results_of, run_fleet
from support.program import ran, started, survivors, until
from trioworker.cli.admin_token import ADMIN_TOKEN_VARIABLE
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

SLOW = call("shell", command="touch began; sleep 60")


async def test_each_job_has_a_workspace_a_log_and_a_result(tmp_path: Path) -> None:
    writing = call("write_file", path="it.txt", content="x")
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(writing, DONE) as orchestrator:
        ids = orchestrator.jobs(jobs, 4)
        ended = await run_fleet(jobs, orchestrator.url, "--parallel", "2", "--logs", str(tmp_path / "logs"))

        assert ended.code == 0, ended.err
        assert sorted(orchestrator.reports()) == sorted(ids)
    results = results_of(jobs)
    assert sorted(result["job_id"] for result in results) == sorted(ids)
    for result in results:
        assert (result["exit_code"], result["status"], result["success"]) == (0, "completed", True)
        assert (result["attempts"], result["engine"]) == (1, "process")
        assert (tmp_path / "work" / result["job_id"] / "it.txt").exists()
        assert "completed" in (tmp_path / "logs" / f"{result['job_id']}.log").read_text()
    assert ended.err.endswith("trioworker: 4 jobs: 4 succeeded, 0 did not\n")


async def test_stopped_fleet_reports_running_jobs_and_continues_with_the_rest(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    work = tmp_path / "work"
    async with open_orchestrator(SLOW, DONE) as orchestrator:
        ids = orchestrator.jobs(jobs, 3)
        options = ("--orchestrator-url", orchestrator.url, "--workspace", f"{work}/{{job_id}}", "--parallel", "1")
        async with started("fleet", str(jobs), *options) as program:
            await until(lambda: (work / ids[0] / "began").exists())
            refused = await ran("fleet", str(jobs), *options)
            program.signal(signal.SIGTERM)
            ended = await program.ended()

        assert (refused.code, "another fleet writes to it" in refused.complaint) == (2, True)
        assert ended.code == 4, ended.err
        assert "2 left" in ended.err
        assert orchestrator.reports() == ids[:1]
        assert [(result["job_id"], result["exit_code"]) for result in results_of(jobs)] == [(ids[0], 4)]
        assert survivors("no such mark", work) == {}

        with jobs.with_suffix(".results.jsonl").open("a") as file:
            file.write('{"job_id":"torn')
        async with started("fleet", str(jobs), *options, "--parallel", "2") as program:
            await until(lambda: all((work / job_id / "began").exists() for job_id in ids[1:]))
            program.signal(signal.SIGHUP)
            ended = await program.ended()

        assert sorted(orchestrator.reports()) == sorted(ids)
    assert sorted(result["job_id"] for result in results_of(jobs)) == sorted(ids)
    assert survivors("no such mark", work) == {}


async def test_killed_worker_is_replaced_and_leaves_no_command(tmp_path: Path) -> None:
    # The first worker is killed by its command, which the sandbox would prevent.
    killing = "test -e ../killed || { touch ../killed; kill -KILL $PPID; sleep 60; }"
    turn = call("shell", command=killing)
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(turn, DONE) as orchestrator:
        ids = orchestrator.jobs(jobs, 1, options={"containment": "off"})
        ended = await run_fleet(jobs, orchestrator.url)

        assert ended.code == 0, ended.err
        assert orchestrator.reports() == ids
    await until(lambda: not survivors("no such mark", tmp_path / "work"))
    (result,) = results_of(jobs)
    assert (result["exit_code"], result["attempts"]) == (0, 2)


async def test_result_lost_with_the_fleet_is_taken_from_the_orchestrator(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(DONE) as orchestrator:
        ids = orchestrator.jobs(jobs, 2)
        ended = await run_fleet(jobs, orchestrator.url)
        assert ended.code == 0, ended.err
        results = jobs.with_suffix(".results.jsonl")
        first, _ = results.read_text().splitlines(keepends=True)
        results.write_text(first)

        # The jobs' tokens are no longer valid.
        secret = {ADMIN_TOKEN_VARIABLE: ADMIN_TOKEN}
        ended = await run_fleet(jobs, orchestrator.url, environment=secret)

        assert ended.code == 0, ended.err
        assert sorted(orchestrator.reports()) == sorted(ids)
    assert sorted(result["job_id"] for result in results_of(jobs)) == sorted(ids)
    assert {result["status"] for result in results_of(jobs)} == {"completed"}


async def test_bad_usage_is_one_line(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text("{}\n")
    assert (await ran("fleet", str(jobs))).complaint.startswith(f"trioworker: {jobs}:1: ")
    unknown = await ran("fleet", str(jobs), "--engine", "slurm")
    assert (unknown.code, unknown.complaint) == (
        2,
        "trioworker: --engine: 'slurm' is not process, ray or kubernetes",
    )
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, 2)
        shared = await ran("fleet", str(jobs), "--orchestrator-url", orchestrator.url)
    assert shared.code == 2
    assert "jobs share the workspace" in shared.complaint
