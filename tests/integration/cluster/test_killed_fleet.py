"""A fleet that is killed and run again, and two fleets with one file of jobs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from support.cluster import FLEET_TIMEOUT, assert_each_reported_once
from support.fleets import open_orchestrator, results_of
from support.program import until
from trioworker.testing import say

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

SLOW = say("The job is complete.", delay=6)
JOBS = 12


async def test_fleet_killed_while_it_makes_its_objects(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(SLOW) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        async with cluster.fleet(jobs, orchestrator) as program:
            await cluster.wait_for("jobs", bool)
            program.signal(signal.SIGKILL)
            await program.ended()
        # As if it had been killed between the two requests for each job.
        await cluster.delete_all("secrets")
        ended = await cluster.run_fleet(jobs, orchestrator)
        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)


async def test_fleet_killed_while_its_workers_run(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(SLOW) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        async with cluster.fleet(jobs, orchestrator) as program:
            await cluster.wait_for("pods", lambda pods: any(pod["status"]["phase"] == "Running" for pod in pods))
            program.signal(signal.SIGKILL)
            await program.ended()
        made = await cluster.uids("jobs")
        ended = await cluster.run_fleet(jobs, orchestrator)
        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)
        assert made <= await cluster.uids("jobs")
    assert {result["attempts"] for result in results_of(jobs)} == {1}


async def test_fleet_killed_after_the_reports_and_before_it_wrote_results(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(SLOW) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        async with cluster.fleet(jobs, orchestrator) as program:
            await cluster.wait_for("secrets", lambda secrets: len(secrets) == JOBS)
            program.signal(signal.SIGSTOP)
            await until(lambda: len(orchestrator.reports()) == JOBS)
            await cluster.wait_for("jobs", lambda found: all("completionTime" in job["status"] for job in found))
            program.signal(signal.SIGKILL)
            await program.ended()
        assert results_of(jobs) == []
        made = await cluster.uids("jobs")
        ended = await cluster.run_fleet(jobs, orchestrator)
        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)
        assert made == await cluster.uids("jobs")
    assert {result["attempts"] for result in results_of(jobs)} == {1}


async def test_two_fleets_have_the_same_results(cluster: Cluster, tmp_path: Path) -> None:
    jobs, others = tmp_path / "jobs.jsonl", tmp_path / "others.jsonl"
    async with open_orchestrator(SLOW) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        others.write_text(jobs.read_text())
        async with cluster.fleet(jobs, orchestrator) as first, cluster.fleet(others, orchestrator) as second:
            for ended in (await first.ended(), await second.ended()):
                assert ended.code == 0, ended.err
        assert len(await cluster.uids("jobs")) == JOBS
        assert_each_reported_once(jobs, ids, orchestrator)
        assert_each_reported_once(others, ids, orchestrator)


async def test_second_fleet_records_the_jobs_that_the_first_one_cancelled(cluster: Cluster, tmp_path: Path) -> None:
    jobs, others = tmp_path / "jobs.jsonl", tmp_path / "others.jsonl"
    async with open_orchestrator(SLOW) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        others.write_text(jobs.read_text())
        async with cluster.fleet(jobs, orchestrator) as first, cluster.fleet(others, orchestrator) as second:
            await cluster.wait_for(
                "pods", lambda pods: sum(pod["status"]["phase"] == "Running" for pod in pods) >= JOBS
            )
            first.signal(signal.SIGTERM)
            await first.ended(FLEET_TIMEOUT)
            await second.ended(FLEET_TIMEOUT)
        reports = sorted(orchestrator.reports())
    assert reports == sorted(ids)
    assert sorted(result["job_id"] for result in results_of(others)) == sorted(ids)
    assert {result["status"] for result in results_of(others)} <= {"completed", "cancelled"}
