"""Jobs that vanish while the fleet waits for them: each is reported once and has one result."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.cluster import BATCH, FLEET_TIMEOUT, assert_each_reported_once
from support.fleets import open_orchestrator, results_of
from trioworker.fleet.kubernetes.poll import POLL_INTERVAL
from trioworker.testing import say

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

SLOW = say("The job is complete.", delay=6)
JOBS = 6


def are_running(pods: list[dict[str, Any]]) -> bool:
    return sum(pod["status"]["phase"] == "Running" for pod in pods) == JOBS


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
async def test_deleted_jobs_have_one_outcome(cluster: Cluster, tmp_path: Path, propagation: str) -> None:
    """SIGTERM cancels the worker of a deleted Job; before its start, it kills it. Orphans run on."""
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(SLOW) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        async with cluster.fleet(jobs, orchestrator) as program:
            await cluster.wait_for("pods", are_running)
            for job_id in ids[:3]:
                await cluster.delete_job(f"trioworker-{job_id}", propagation)
            ended = await program.ended()
        reports = sorted(orchestrator.reports())

    results = {result["job_id"]: result["status"] for result in results_of(jobs)}
    assert reports == sorted(ids)
    assert {results.pop(job_id) for job_id in ids[:3]} <= {"completed", "cancelled"}, ended.err
    assert results == dict.fromkeys(ids[3:], "completed"), ended.err


async def test_jobs_that_expire_at_their_end_have_their_outcome(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(SLOW) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        async with cluster.fleet(jobs, orchestrator) as program:
            await cluster.wait_for("pods", are_running)
            for job_id in ids:
                response = await cluster.admin.patch(
                    f"{BATCH}/jobs/trioworker-{job_id}",
                    json={"spec": {"ttlSecondsAfterFinished": 0}},
                    headers={"Content-Type": "application/merge-patch+json"},
                )
                response.raise_for_status()
            ended = await program.ended()
        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)


async def test_jobs_that_are_deleted_with_their_lost_workers_are_created_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    jobs = tmp_path / "jobs.jsonl"
    nodes = [cluster.component(name) for name in ("node-a", "node-b")]
    async with open_orchestrator(say("The job is complete.", delay=15)) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        async with cluster.fleet(jobs, orchestrator) as program:
            await cluster.wait_for("pods", are_running)
            # The fleet counts the workers that it has seen.
            await trio.sleep(2 * POLL_INTERVAL)
            for node in nodes:
                await node.kill(signal.SIGUSR1)
            for job_id in ids:
                await cluster.delete_job(f"trioworker-{job_id}")
            for node in nodes:
                node.start()
            ended = await program.ended(FLEET_TIMEOUT)
        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)
    assert {result["attempts"] for result in results_of(jobs)} == {2}


async def test_job_whose_deletion_is_under_way_is_created_again(cluster: Cluster, tmp_path: Path) -> None:
    """A foreign finalizer delays its deletion."""
    jobs = tmp_path / "jobs.jsonl"
    merge = {"Content-Type": "application/merge-patch+json"}
    async with open_orchestrator() as orchestrator:
        (job_id,) = orchestrator.jobs(jobs, 1)
        path = f"{BATCH}/jobs/trioworker-{job_id}"
        async with cluster.fleet(jobs, orchestrator, "--cpu", "100") as program:
            await cluster.wait_for("secrets", lambda secrets: len(secrets) == 1)
            held = {"metadata": {"finalizers": ["example.com/hold"]}}
            (await cluster.admin.patch(path, json=held, headers=merge)).raise_for_status()
            program.signal(signal.SIGKILL)
            await program.ended()
        await cluster.delete_job(f"trioworker-{job_id}")
        async with cluster.fleet(jobs, orchestrator) as program:
            await trio.sleep(5)
            assert results_of(jobs) == []
            await cluster.admin.patch(path, json={"metadata": {"finalizers": None}}, headers=merge)
            ended = await program.ended()
        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, [job_id], orchestrator)


async def test_foreign_job_of_the_same_name_is_left_alone(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, 2)
        async with cluster.foreign_job(f"trioworker-{ids[0]}") as uid:
            ended = await cluster.run_fleet(jobs, orchestrator)
            found = await cluster.admin.get(f"{BATCH}/jobs/trioworker-{ids[0]}")
            assert found.json()["metadata"]["uid"] == uid
    assert ended.code == 1
    assert f"the Job trioworker-{ids[0]} in the namespace jobs does not belong to a fleet; delete it" in ended.err
    assert [result["job_id"] for result in results_of(jobs)] == [ids[1]]
