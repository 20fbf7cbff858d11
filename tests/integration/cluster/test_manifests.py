"""A real API server accepts our objects and those of the documentation, also as pods of a restricted namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.cluster import BATCH, CORE, NAMESPACE, assert_each_reported_once
from support.fleets import open_orchestrator
from support.samples import job_by_hand, pod_specs, sample_objects, template_texts
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.kubernetes.manifests.dry_run import PLACEHOLDER, UID
from trioworker.fleet.kubernetes.manifests.job import job_manifest, secret_manifest
from trioworker.fleet.kubernetes.manifests.pod_template import PodTemplate, read_pod_template
from trioworker.fleet.kubernetes.manifests.settings import PodSettings

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

JOB = FleetJob(
    job_id="123e4567-e89b-12d3-a456-426614174000",
    token=PLACEHOLDER,
    orchestrator_url="http://orchestrator:50051",
    workspace=None,
    worker_options=("--timeout=600",),
    resources=(("cpu", "0.1"), ("nvidia.com/gpu", "1")),
)
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
PATHS = {
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    "Job": f"{BATCH}/jobs",
    "Namespace": "/api/v1/namespaces",
    "PersistentVolumeClaim": f"{CORE}/persistentvolumeclaims",
    "Pod": f"{CORE}/pods",
    "Role": f"{RBAC}/roles",
    "RoleBinding": f"{RBAC}/rolebindings",
    "Secret": f"{CORE}/secrets",
    "Service": f"{CORE}/services",
    "ServiceAccount": f"{CORE}/serviceaccounts",
}


async def assert_accepted(cluster: Cluster, *objects: dict[str, Any]) -> None:
    for each in objects:
        response = await create(cluster, each)
        assert response == (201, ""), each


async def create(cluster: Cluster, each: dict[str, Any]) -> tuple[int, str]:
    """Create an object without keeping it; return the status and what the API server says."""
    parameters = {"dryRun": "All", "fieldValidation": "Strict"}
    response = await cluster.admin.post(PATHS[each["kind"]], params=parameters, json=each)
    return response.status_code, response.json().get("message", response.headers.get("Warning", ""))


def pods_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pods as the controllers make them; they are what Pod Security is enforced for."""
    meta = {"generateName": "made-by-hand-"}
    # The service account of a sample isn't in this namespace.
    specs = [{**spec, "serviceAccountName": "default"} for spec in pod_specs(objects)]
    return [{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec} for spec in specs]


@pytest.mark.parametrize("text", ["", *template_texts()])
async def test_objects_of_a_fleet_are_accepted(cluster: Cluster, tmp_path: Path, text: str) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text(text)
    template = read_pod_template(path, 3) if text else PodTemplate()
    job = job_manifest(JOB, PodSettings(image="worker", cpu=0.5, memory="2Gi", attempts=3, template=template))
    await assert_accepted(cluster, job, secret_manifest(JOB, UID), *pods_of([job]))


async def test_objects_of_the_documentation_are_accepted(cluster: Cluster) -> None:
    objects = [*sample_objects(), job_by_hand()]
    for each in objects:
        # The namespace has a Role of this name, for the other tests.
        each["metadata"]["name"] += "-sample"
    await assert_accepted(cluster, *objects, *pods_of(objects))


async def test_pod_that_is_not_restricted_is_refused(cluster: Cluster) -> None:
    (pod,) = pods_of([job_by_hand()])
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = {"drop": ["ALL"], "add": ["CHOWN"]}
    status, message = await create(cluster, pod)
    assert (status, "violates PodSecurity" in message) == (403, True)


async def test_jobs_run_with_a_template_and_with_what_their_lines_say(cluster: Cluster, tmp_path: Path) -> None:
    jobs, template = tmp_path / "jobs.jsonl", tmp_path / "pod.yaml"
    template.write_text("""
metadata: {labels: {team: a}}
spec:
  terminationGracePeriodSeconds: 20
  containers: [{name: worker, env: [{name: OWN, value: x}], livenessProbe: null}]
""")
    async with open_orchestrator() as orchestrator:
        ids = orchestrator.jobs(jobs, 2, image="worker", resources={"cpu": "60m", "memory": "200Mi"})
        options = ("--pod-template", str(template))
        ended = await cluster.run_fleet(jobs, orchestrator, *options, image="missing")

        assert ended.code == 0, ended.err
        assert_each_reported_once(jobs, ids, orchestrator)
    for pod in await cluster.objects("pods"):
        (container,) = pod["spec"]["containers"]
        assert pod["metadata"]["labels"]["team"] == "a"
        assert pod["spec"]["terminationGracePeriodSeconds"] == 20
        assert container["resources"]["requests"] == {"cpu": "60m", "memory": "200Mi"}
        assert "livenessProbe" not in container
