"""A fleet on a real Ray cluster: three nodes on this machine, one of which is removed while jobs run."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.fleets import open_orchestrator, results_of
from support.program import started, until
from trioworker.testing import DONE, call

if TYPE_CHECKING:
    from collections.abc import Generator

pytest.importorskip("ray", reason="Ray is not installed: pip install 'trioworker[ray]'")

# Ray leaves sockets and files open until the interpreter exits.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]

JOBS = int(os.environ.get("FLEET_RAY_JOBS", "24"))
"""Enough for each node to run some when one is removed."""
CPUS = 2
"""Per node, and so the number of workers that are lost with it."""
STORE_BYTES = 80 * 1024 * 1024
TIMEOUT = 900.0
"""Seconds for all jobs, on a busy machine."""


@contextmanager
def three_nodes(cpus: int) -> Generator[tuple[Any, Any]]:
    """Start a cluster; yields it and the node to remove."""
    kind: Any = import_module("ray.cluster_utils").Cluster
    cluster = kind(initialize_head=True, head_node_args={"num_cpus": cpus, "object_store_memory": STORE_BYTES})
    try:
        doomed = cluster.add_node(num_cpus=cpus, object_store_memory=STORE_BYTES)
        cluster.add_node(num_cpus=cpus, object_store_memory=STORE_BYTES)
        cluster.wait_for_nodes()
        yield cluster, doomed
    finally:
        cluster.shutdown()


def workers_of(folder: Path) -> int:
    """Count the workers with a workspace under `folder`."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = entry.read_bytes()
            count += b"\0worker\0" in line and f"--workspace={folder}/".encode() in line and b"pdeathsig" not in line
    return count


async def test_every_job_is_reported_once_when_a_node_is_lost(tmp_path: Path) -> None:
    jobs, go, work = tmp_path / "jobs.jsonl", tmp_path / "go", tmp_path / "work"
    go.touch()
    command = "touch began; until test -e ../../go; do sleep 0.1; done; touch finished"
    acting = call("shell", command=command)

    def blocked() -> int:
        return len(list(work.glob("*/began"))) - len(list(work.glob("*/finished")))

    async with open_orchestrator(acting, DONE) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        with three_nodes(CPUS) as (cluster, doomed):
            options = ("--engine", "ray", "--address", cluster.address, "--cpu", "1", "--attempts", "5")
            options = (*options, "--orchestrator-url", orchestrator.url, "--workspace", f"{work}/{{job_id}}")
            async with started("fleet", str(jobs), *options) as program:
                with trio.fail_after(TIMEOUT):
                    while len(orchestrator.reports()) < JOBS // 3:  # noqa: ASYNC110 - the store has no event for it
                        await trio.sleep(0.2)
                # Remove the node when each CPU, including its own, runs a worker.
                go.unlink()
                await until(lambda: blocked() == 3 * CPUS)
                await trio.to_thread.run_sync(lambda: cluster.remove_node(doomed, allow_graceful=False))
                await until(lambda: workers_of(work) == 2 * CPUS)
                go.touch()
                with trio.fail_after(TIMEOUT):
                    while len(orchestrator.reports()) < JOBS:  # noqa: ASYNC110 - as above
                        await trio.sleep(0.2)
                ended = await program.ended()

        assert ended.code == 0, ended.err
        assert sorted(orchestrator.reports()) == sorted(ids)
    results = results_of(jobs)
    print(
        f"{JOBS} jobs in {ended.seconds:.0f} s; attempts {dict(Counter(result['attempts'] for result in results))};",
        f"nodes {dict(Counter(result['node'] for result in results))}",
    )
    assert sorted(result["job_id"] for result in results) == sorted(ids)
    assert all(result["success"] for result in results)
    assert sum(result["attempts"] - 1 for result in results) == CPUS
