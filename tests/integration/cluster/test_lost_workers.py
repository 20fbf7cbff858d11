"""Workers that end without an outcome: on a node that is killed, and images that aren't workers."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
import trio

from support.cluster import FLEET_TIMEOUT, assert_each_reported_once
from support.fleets import open_orchestrator, results_of
from trioworker.testing import say

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

PODS = int(os.environ.get("CLUSTER_PODS", "40"))
"""How many pods of a wrong image run; 1,000 take some minutes on two processors."""


async def test_jobs_of_a_killed_node_are_reported_once(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    node = cluster.component("node-a")
    async with open_orchestrator(say("The job is complete.", delay=6)) as orchestrator:
        ids = orchestrator.jobs(jobs, 12)
        async with cluster.fleet(jobs, orchestrator) as program:
            await cluster.wait_for("pods", lambda pods: sum(pod["status"]["phase"] == "Running" for pod in pods) == 12)
            await node.kill(signal.SIGUSR1)
            # Until its pods are evicted.
            await trio.sleep(20)
            node.start()
            ended = await program.ended(FLEET_TIMEOUT)
        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)


async def test_no_success_is_reported_for_an_image_that_is_not_a_workers(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, PODS // 2)
        ended = await cluster.run_fleet(jobs, orchestrator, "--attempts", "2", image="code-0")
        assert orchestrator.reports() == []
    assert ended.code == 1, ended.err
    results = results_of(jobs)
    assert sorted(result["job_id"] for result in results) == sorted(ids)
    for result in results:
        assert (result["exit_code"], result["status"], result["success"]) == (None, "lost", False)
        assert result["attempts"] == 2
        assert "check that --image is a worker image" in result["message"]


@pytest.mark.parametrize(
    ("image", "status", "message"),
    [
        ("sh:echo trioworker: no such option >&2; exit 2", "failed", "no such option"),
        ("sh:echo trioworker: no orchestrator >&2; exit 3", "refused", "no orchestrator"),
        ("sh:echo no such program >&2; exit 127", "lost", "exit code 127: no such program"),
        ("sh:exit 137", "lost", "the worker was killed by signal 9"),
    ],
)
async def test_last_line_or_signal_is_the_message(
    cluster: Cluster, tmp_path: Path, image: str, status: str, message: str
) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, 1)
        await cluster.run_fleet(jobs, orchestrator, "--attempts", "1", image=image)
    (result,) = results_of(jobs)
    assert (result["status"], result["success"], result["message"]) == (status, False, message)
    assert result["attempts"] == 1
