"""A fleet on a real Ray cluster: three nodes on this machine, one of which is lost in the middle."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.fleets import DONE, held, results_of
from support.program import started, until
from trioworker.orchestrator.backends.script import ScriptedCall, Turn

if TYPE_CHECKING:
    from collections.abc import Generator

pytest.importorskip("ray", reason="Ray is not installed: pip install 'trioworker[ray]'")

# Ray leaves sockets and files for the interpreter's end to close.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]

JOBS = int(os.environ.get("FLEET_RAY_JOBS", "24"))
"""Enough for each node to have some when one goes; 200 where time is no matter."""
CPUS = 2
"""Of each node: so many workers are lost with it."""
STORE_BYTES = 80 * 1024 * 1024
LONGEST = 900.0
"""Seconds for all jobs, on a machine that has much else to do."""


@contextmanager
def three_nodes(cpus: int) -> Generator[tuple[Any, Any]]:
    """A cluster whose head runs no tasks; gives the cluster and the node that is to be lost."""
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
    """How many workers have a workspace under `folder`."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = entry.read_bytes()
            count += b"\0worker\0" in line and f"--workspace={folder}/".encode() in line and b"leash" not in line
    return count


async def test_a_node_is_lost_and_every_job_is_reported_once(tmp_path: Path) -> None:
    jobs, go, work = tmp_path / "jobs.jsonl", tmp_path / "go", tmp_path / "work"
    go.touch()
    command = "touch began; until test -e ../../go; do sleep 0.1; done; touch finished"
    acting = Turn(tool_calls=(ScriptedCall(name="shell", arguments={"command": command}),))

    def held_up() -> int:
        return len(list(work.glob("*/began"))) - len(list(work.glob("*/finished")))

    async with held(acting, DONE) as orchestrator:
        ids = orchestrator.jobs(jobs, JOBS)
        with three_nodes(CPUS) as (cluster, doomed):
            options = ("--engine", "ray", "--address", cluster.address, "--cpu", "1", "--attempts", "5")
            options = (*options, "--orchestrator-url", orchestrator.url, "--workspace", f"{work}/{{job_id}}")
            async with started("fleet", str(jobs), *options) as program:
                with trio.fail_after(LONGEST):
                    while len(orchestrator.reports()) < JOBS // 3:  # noqa: ASYNC110 - the store tells nobody of it
                        await trio.sleep(0.2)
                # Each place is taken when the node goes, also its own.
                go.unlink()
                await until(lambda: held_up() == 3 * CPUS)
                await trio.to_thread.run_sync(lambda: cluster.remove_node(doomed, allow_graceful=False))
                await until(lambda: workers_of(work) == 2 * CPUS)
                go.touch()
                with trio.fail_after(LONGEST):
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
