"""The Kubernetes objects of the documentation: valid, restricted, and with the permissions that a fleet uses."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from support.pages import ROOT
from support.pod_security import violations
from support.samples import KUSTOMIZATION, SAMPLES, job_by_hand, pod_specs, sample_objects, template_texts
from trioworker.cli.option_table import ORCHESTRATOR
from trioworker.cli.options import resolve
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.kubernetes.api.client import KubernetesClient
from trioworker.fleet.kubernetes.api.objects import Job, Metadata, Secret
from trioworker.fleet.kubernetes.manifests.job import job_manifest
from trioworker.fleet.kubernetes.manifests.pod_template import read_pod_template
from trioworker.fleet.kubernetes.manifests.settings import PodSettings

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

VERSIONS = ["1.31", "1.34", "1.36"]
RIGHTS = {
    ("jobs", "create"),
    ("jobs", "get"),
    ("jobs", "list"),
    ("jobs", "delete"),
    ("secrets", "create"),
    ("secrets", "get"),
    ("secrets", "delete"),
    ("pods", "list"),
    ("pods/log", "get"),
    ("events", "list"),
}
JOB = FleetJob(
    job_id="123e4567-e89b-12d3-a456-426614174000",
    token="s3cret",
    orchestrator_url="http://orchestrator:50051",
    workspace=None,
    worker_options=(),
)
OBJECTS = sample_objects()


def of(kind: str) -> list[dict[str, Any]]:
    return [each for each in OBJECTS if each["kind"] == kind]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "each", [*OBJECTS, job_by_hand()], ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
def test_object_is_valid(each: dict[str, Any], version: str) -> None:
    validate: Any = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    validate.validate(each, version, strict=True)


@pytest.mark.parametrize("spec", pod_specs([*OBJECTS, job_by_hand()]))
def test_pod_passes_the_restricted_standard(spec: dict[str, Any]) -> None:
    assert violations(spec) == []


def test_namespace_enforces_the_restricted_standard() -> None:
    (namespace,) = of("Namespace")
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert yaml.safe_load(KUSTOMIZATION.read_text())["namespace"] == namespace["metadata"]["name"]


def test_base_has_each_file() -> None:
    resources = yaml.safe_load(KUSTOMIZATION.read_text())["resources"]
    assert sorted([*resources, KUSTOMIZATION.name]) == sorted(path.name for path in SAMPLES.iterdir())


def test_role_has_the_minimal_permissions() -> None:
    (role,) = of("Role")
    rules = {(name, verb) for rule in role["rules"] for name in rule["resources"] for verb in rule["verbs"]}
    groups = {name: rule["apiGroups"] for rule in role["rules"] for name in rule["resources"]}
    assert rules == RIGHTS
    assert groups == {"jobs": ["batch"]} | {name: [""] for name in ("secrets", "pods", "pods/log", "events")}


def test_role_is_bound_to_the_service_account_of_the_orchestrator() -> None:
    (account,), (role,), (binding,), (deployment,) = map(of, ("ServiceAccount", "Role", "RoleBinding", "Deployment"))
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    pod = deployment["spec"]["template"]["spec"]
    assert account["metadata"]["name"] == subject["name"] == pod["serviceAccountName"]


async def test_client_uses_the_permissions_of_the_role_and_no_others(autojump_clock: MockClock) -> None:
    used: set[tuple[str, str]] = set()

    def respond(request: httpx.Request) -> httpx.Response:
        used.add(right_of(request))
        return httpx.Response(404, json={"message": "", "reason": "NotFound"})

    metadata = Metadata(name="n", uid="u")
    values: dict[str, Any] = {
        "manifest": {},
        "name": "n",
        "job": Job(metadata=metadata),
        "secret": Secret(metadata=metadata),
        "job_ids": [JOB.job_id],
        "pod": "n",
        "count": 1,
        "kind": "Job",
    }
    async with httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://api.test") as http:
        client = KubernetesClient(http, "jobs", lambda _: None)
        for name, method in inspect.getmembers(client, inspect.iscoroutinefunction):
            if not name.startswith("_"):
                parameters = inspect.signature(method).parameters.values()
                needed = {each.name: values[each.name] for each in parameters if each.default is each.empty}
                try:
                    await method(**needed)
                except Exception as error:
                    assert type(error).__module__.startswith("trioworker."), error  # noqa: PT017
    assert used == RIGHTS


def right_of(request: httpx.Request) -> tuple[str, str]:
    """The resource and the verb that the API checks for a request."""
    found = re.fullmatch(r"/(?:api/v1|apis/batch/v1)/namespaces/jobs/(\w+)(?:/(n)(/\w+)?)?", request.url.path)
    assert found is not None, request.url.path
    resource, name, part = found.groups(default="")
    verbs = {"POST": "create", "DELETE": "delete", "GET": "get" if name else "list"}
    return resource + part, verbs[request.method]


def test_orchestrator_of_the_base_has_valid_arguments_and_variables() -> None:
    (deployment,), (service,) = of("Deployment"), of("Service")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    command, *arguments = container["args"]
    given = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    (generated,) = yaml.safe_load(KUSTOMIZATION.read_text())["configMapGenerator"]
    environment = dict(literal.split("=", 1) for literal in generated["literals"])
    values = resolve(ORCHESTRATOR, given, environment)
    assert command == "orchestrator"
    assert values["llm"] == environment["TRIOWORKER_LLM"]
    assert container["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    assert {port["containerPort"] for port in container["ports"]} == {values["port"]}
    assert {port["port"] for port in service["spec"]["ports"]} == {values["port"]}
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_image_of_the_base_can_be_built() -> None:
    page, containerfile = (ROOT / "docs" / "kubernetes.md").read_text(), (ROOT / "Containerfile").read_text()
    (image,) = yaml.safe_load(KUSTOMIZATION.read_text())["images"]
    (deployment,) = of("Deployment")
    assert f"{image['newName']}:{image['newTag']} --build-arg EXTRAS=local,kubernetes" in page
    assert "ARG EXTRAS=\n" in containerfile
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image["name"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", template_texts())
def test_template_of_the_page_makes_a_valid_and_restricted_job(tmp_path: Path, text: str, version: str) -> None:
    validate: Any = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    path = tmp_path / "pod.yaml"
    path.write_text(text)
    template = read_pod_template(path, 3)
    manifest = job_manifest(JOB, PodSettings(image="i", cpu=1, memory="1Gi", attempts=3, template=template))
    validate.validate(manifest, version, strict=True)
    assert violations(manifest["spec"]["template"]["spec"]) == []


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "volumes.v.hostPath"),
        ({"securityContext": {}}, "worker.runAsNonRoot"),
        ({"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}, "worker.runAsUser"),
        ({"securityContext": {"runAsNonRoot": True}}, "worker.seccompProfile"),
        ({"initContainers": [{"name": "i"}]}, "i.allowPrivilegeEscalation"),
        (
            {"containers": [{"name": "w", "securityContext": {"capabilities": {"add": ["CHOWN"]}}}]},
            "w.capabilities.add",
        ),
        ({"containers": [{"name": "w", "ports": [{"hostPort": 1}]}]}, "w.hostPort"),
    ],
)
def test_check_of_the_standard_finds_violations(change: dict[str, Any], violation: str) -> None:
    spec = job_manifest(JOB, PodSettings(image="i", cpu=1, memory="1Gi", attempts=3))["spec"]["template"]["spec"]
    assert violations(spec) == []
    assert violation in violations({**spec, **change})
