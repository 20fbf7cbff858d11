"""Jobs that wait for the cluster: their reasons are shown within 10 s, once for all jobs, and in the table."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.cluster import CORE
from support.fleets import open_orchestrator

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

JOBS = 7
QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-pods"},
    "spec": {"hard": {"pods": "0"}},
}


async def waiting_fleet(cluster: Cluster, jobs: Path, *options: str, **fields: Any) -> str:
    """Run a fleet until its Jobs are 10 s old, and return what it printed."""
    async with open_orchestrator() as orchestrator:
        orchestrator.jobs(jobs, JOBS)
        async with cluster.fleet(jobs, orchestrator, *options, **fields) as program:
            await cluster.wait_for("jobs", lambda found: len(found) == JOBS)
            await trio.sleep(10)
            program.signal(signal.SIGTERM)
            ended = await program.ended()
    assert ended.code == 4, ended.err
    return ended.err


def assert_reported(err: str, reason: str) -> None:
    before, _, after = err.partition("stopping: cancelling")
    lines = [line for line in before.splitlines() if "waiting" in line]
    # A poll may come while the Jobs are being created, so that their number doubles later.
    assert f" {reason}" in lines[-1], err
    assert len(lines) <= 2, err
    # The table shortens it to the width of the terminal.
    assert after.count(f"waiting: {reason[:40]}") == JOBS, err


async def test_missing_image(cluster: Cluster, tmp_path: Path) -> None:
    err = await waiting_fleet(cluster, tmp_path / "jobs.jsonl", image="missing:1")
    assert_reported(err, "ImagePullBackOff: Back-off pulling image missing:1")


async def test_no_node_with_room(cluster: Cluster, tmp_path: Path) -> None:
    err = await waiting_fleet(cluster, tmp_path / "jobs.jsonl", "--cpu", "100")
    assert_reported(err, "0/2 nodes are available: 2 Insufficient cpu")


async def test_pods_beyond_the_quota(cluster: Cluster, tmp_path: Path) -> None:
    (await cluster.admin.post(f"{CORE}/resourcequotas", json=QUOTA)).raise_for_status()
    try:
        # The quota's controller must have counted first.
        await trio.sleep(2)
        err = await waiting_fleet(cluster, tmp_path / "jobs.jsonl")
    finally:
        with trio.CancelScope(shield=True):
            await cluster.admin.delete(f"{CORE}/resourcequotas/no-pods")
    assert_reported(err, "exceeded quota: no-pods, requested: pods=1, used: pods=0, limited: pods=0")
