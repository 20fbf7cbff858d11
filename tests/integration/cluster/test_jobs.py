"""Real workers as Jobs of a real control plane: each job is reported once and has one result."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.cluster import assert_each_reported_once
from support.fleets import open_orchestrator, results_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

JOBS = int(os.environ.get("CLUSTER_JOBS", "10"))
"""How many jobs run; 300 take about 100 s on two processors."""


async def test_each_job_is_reported_once_with_its_outcome(cluster: Cluster, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        ended = await cluster.run_fleet(jobs, orchestrator)

        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)
    for result in results_of(jobs):
        assert (result["exit_code"], result["success"], result["attempts"]) == (0, True, 1)
        assert result["node"] in {"node-a", "node-b"}
