"""A fleet on Kubernetes: the real program over real HTTP, against a fake API server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from support.fleets import open_orchestrator, results_of
from support.kubeapi import NAMESPACE, KubeApi
from support.kubeconfigs import kubeconfig, write
from support.kubepods import PodScript, outcome
from support.program import ran
from trioworker.orchestrator.server import bind, serve

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


async def test_outcome_of_the_pods_is_the_result(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.jsonl"
    api = KubeApi(
        PodScript(code=5), PodScript(code=1, log="a line of the log\n" + outcome("failed", "no way"), node="node-b")
    )
    api.fail(503, times=2)
    async with open_orchestrator() as orchestrator, trio.open_nursery() as nursery:
        ids = orchestrator.jobs(jobs, 2)
        url: str = await nursery.start(serve, api.app(), bind("127.0.0.1", 0))
        config = write(tmp_path / "kubeconfig", kubeconfig(cluster={"server": url}, context={"namespace": NAMESPACE}))
        options = ("--engine", "kubernetes", "--image", "img:1", "--orchestrator-url", orchestrator.url)
        ended = await ran("fleet", str(jobs), *options, environment={"KUBECONFIG": str(config)})
        nursery.cancel_scope.cancel()

    assert ended.code == 1, ended.err
    results = results_of(jobs)
    assert sorted(result["job_id"] for result in results) == sorted(ids)
    for result in results:
        assert (result["exit_code"], result["status"], result["success"]) == (1, "failed", False)
        assert (result["message"], result["attempts"], result["node"]) == ("no way", 2, "node-b")
    tokens = {json.loads(line)["token"] for line in jobs.read_text().splitlines()}
    assert not any(token in json.dumps(api.of("Job")) + ended.err for token in tokens)
