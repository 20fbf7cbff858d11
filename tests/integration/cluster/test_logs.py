"""`--logs` on a real cluster, whose nodes serve logs but don't follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.fleets import open_orchestrator
from support.program import until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.cluster]


async def test_logs_are_written_while_pods_run_and_complete_at_the_end(cluster: Cluster, tmp_path: Path) -> None:
    jobs, logs = tmp_path / "jobs.jsonl", tmp_path / "logs"
    image = "sh:for i in $(seq 12); do echo line $i; sleep 1; done; exit 3"
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, 3)
        options = ("--logs", str(logs), "--attempts", "1")
        async with cluster.fleet(jobs, orchestrator, *options, image=image) as program:
            await until(lambda: all(_text(logs / f"{job_id}.log").count("line") > 3 for job_id in ids))
            assert not any("line 12" in _text(logs / f"{job_id}.log") for job_id in ids)
            ended = await program.ended()
    assert "--logs" not in ended.err
    for job_id in ids:
        header, *lines = _text(logs / f"{job_id}.log").splitlines()
        assert header.startswith(f"==> trioworker-{job_id}-")
        assert header.split()[2:] in (["on", "node-a", "<=="], ["on", "node-b", "<=="])
        assert lines == [f"line {number}" for number in range(1, 13)]


async def test_logs_of_short_jobs_are_complete(cluster: Cluster, tmp_path: Path) -> None:
    jobs, logs = tmp_path / "jobs.jsonl", tmp_path / "logs"
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, 30)
        ended = await cluster.run_fleet(jobs, orchestrator, "--logs", str(logs), image="worker")
    assert ended.code == 0, ended.err
    assert "--logs" not in ended.err
    for job_id in ids:
        # Each once, in either order: the outcome is on stdout, the rest on stderr.
        text = _text(logs / f"{job_id}.log")
        assert (text.count('"reported":true'), text.count(f"job {job_id}: completed")) == (1, 1)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
