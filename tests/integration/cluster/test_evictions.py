"""Pods that are evicted, deleted or lost with their node: with a claim for the state, the next one resumes."""

from __future__ import annotations

import json
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.cluster import CORE, FLEET_TIMEOUT
from support.fleets import open_orchestrator, results_of
from support.program import until
from trioworker.testing import DONE, call, reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from support.cluster import Cluster
    from support.fleets import OrchestratorForFleet

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

NAMESPACE = "claims"
"""It has no Pod Security Standard: the nodes of the kit know no claims, and the restricted one forbids hostPath."""
CLAIMS = f"/api/v1/namespaces/{NAMESPACE}"
RULES = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "delete"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "get", "delete"]},
    {"apiGroups": [""], "resources": ["events", "pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
]
SLOW = "test -e /var/lib/trioworker/go-on || sleep 300"
TURNS = (reply(call("shell", command="echo first"), text="First."), call("shell", command=SLOW), DONE)
SUSPENDED = "The worker was suspended by SIGTERM; the next one resumes the job"


class Claim:
    """A folder for the state of a fleet's workers, and the template of the pods that mount it."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state"
        self._state.mkdir()
        os.chown(self._state, 1000, 1000)
        self.template = folder / "pod.yaml"
        volume = {"name": "state", "hostPath": {"path": str(self._state)}}
        self.template.write_text(json.dumps({"spec": {"volumes": [volume]}}))

    def let_go_on(self) -> None:
        """Let the slow command end at once when it is run again."""
        (self._state / "go-on").touch()


@asynccontextmanager
async def open_namespace(cluster: Cluster) -> AsyncGenerator[None]:
    """A namespace in which a fleet may create Jobs whose pods mount folders of the node."""
    admin, rights = cluster.admin, f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    role = {"kind": "Role", "name": "fleet", "apiGroup": "rbac.authorization.k8s.io"}
    user = {"kind": "User", "name": "fleet", "apiGroup": "rbac.authorization.k8s.io"}
    name = {"metadata": {"name": "fleet"}}
    for path, body in (
        ("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}),
        (f"{rights}/roles", {**name, "rules": RULES}),
        (f"{rights}/rolebindings", {**name, "roleRef": role, "subjects": [user]}),
    ):
        response = await admin.post(path, json=body)
        assert response.status_code in {201, 409}, response.text
    try:
        yield
    finally:
        with trio.move_on_after(30, shield=True):
            path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
            await admin.request("DELETE", path, json={"propagationPolicy": "Background"})
            while await pods_of(cluster, CLAIMS):  # noqa: ASYNC110 - the API has the state
                await trio.sleep(0.2)


async def pods_of(cluster: Cluster, path: str) -> list[dict[str, Any]]:
    return (await cluster.admin.get(f"{path}/pods")).raise_for_status().json()["items"]


async def evict(cluster: Cluster, path: str) -> None:
    """Evict the only pod, as `kubectl drain` does."""
    (pod,) = await pods_of(cluster, path)
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    response = await cluster.admin.post(f"{path}/pods/{name}/eviction", json=body)
    assert response.status_code == 201, response.text


async def delete(cluster: Cluster, path: str) -> None:
    """Delete the only pod, as `kubectl delete pod` does."""
    (pod,) = await pods_of(cluster, path)
    (await cluster.admin.delete(f"{path}/pods/{pod['metadata']['name']}")).raise_for_status()


async def lose_node(cluster: Cluster, path: str) -> None:
    """Kill the node of the only pod, and start it again once the cluster has noticed."""
    (pod,) = await pods_of(cluster, path)
    node = cluster.component(pod["spec"]["nodeName"])
    await node.kill(signal.SIGUSR1)
    await trio.sleep(20)
    node.start()


def calls(orchestrator: OrchestratorForFleet, job_id: str) -> list[str]:
    """The inputs of the calls that were started."""
    return [event.data["input"] for event in orchestrator.store.events(job_id, 0) if event.event_type == "tool_use"]


def statuses(orchestrator: OrchestratorForFleet, job_id: str) -> list[str]:
    return [event.data["message"] for event in orchestrator.store.events(job_id, 0) if event.event_type == "status"]


@pytest.mark.parametrize(
    ("end", "attempts", "is_suspended"),
    [(evict, 1, True), (delete, 2, True), (lose_node, 1, False)],
    ids=["evicted", "deleted", "node-killed"],
)
async def test_next_pod_resumes_from_the_journal_in_a_claim(
    cluster: Cluster,
    tmp_path: Path,
    end: Callable[[Cluster, str], Awaitable[None]],
    attempts: int,
    is_suspended: bool,
) -> None:
    jobs, claim = tmp_path / "jobs.jsonl", Claim(tmp_path)
    async with open_namespace(cluster), open_orchestrator(*TURNS) as orchestrator:
        (job_id,) = orchestrator.jobs(jobs, 1)
        options = ("--namespace", NAMESPACE, "--pod-template", str(claim.template))
        async with cluster.fleet(jobs, orchestrator, *options) as program:
            await until(lambda: len(calls(orchestrator, job_id)) == 2)
            await end(cluster, CLAIMS)
            claim.let_go_on()
            ended = await program.ended(FLEET_TIMEOUT)

        assert ended.code == 0, ended.err
        (result,) = results_of(jobs)
        assert (result["status"], result["success"], result["attempts"]) == ("completed", True, attempts)
        assert orchestrator.reports() == [job_id]
        assert sum("first" in each for each in calls(orchestrator, job_id)) == 1
        seen = statuses(orchestrator, job_id)
        assert (SUSPENDED in seen) == is_suspended
        assert sum(each.startswith("The worker was restarted and continues at iteration 2") for each in seen) == 1


async def test_job_of_an_evicted_pod_without_a_claim_is_cancelled_after_one_attempt(
    cluster: Cluster, tmp_path: Path
) -> None:
    jobs = tmp_path / "jobs.jsonl"
    async with open_orchestrator(*TURNS) as orchestrator:
        (job_id,) = orchestrator.jobs(jobs, 1)
        async with cluster.fleet(jobs, orchestrator) as program:
            await until(lambda: len(calls(orchestrator, job_id)) == 2)
            await evict(cluster, CORE)
            ended = await program.ended(60)

        assert ended.code == 1, ended.err
        (result,) = results_of(jobs)
        assert (result["status"], result["exit_code"], result["attempts"]) == ("cancelled", 4, 1)
        assert "stopped by SIGTERM" in result["message"]
        assert orchestrator.reports() == [job_id]
