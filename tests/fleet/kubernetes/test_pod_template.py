"""What a Job consists of that is made with a pod template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from support.pod_security import violations
from support.pod_templates import in_worker
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.kubernetes.manifests.job import job_manifest
from trioworker.fleet.kubernetes.manifests.pod_template import read_pod_template
from trioworker.fleet.kubernetes.manifests.settings import PodSettings

if TYPE_CHECKING:
    from pathlib import Path

JOB = FleetJob(
    job_id="123e4567-e89b-12d3-a456-426614174000",
    token="s3cret",
    orchestrator_url="http://orchestrator.jobs:50051",
    workspace=None,
    worker_options=("--timeout=600",),
)
ATTEMPTS = 3
VERSIONS = ["1.31", "1.34", "1.36"]

EVERYTHING = """
metadata:
  labels: {kueue.x-k8s.io/queue-name: agents}
  annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: "false"}
spec:
  imagePullSecrets: [{name: registry}]
  nodeSelector: {pool: gpu}
  tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a, b]}]}]
  priorityClassName: low
  serviceAccountName: agents
  terminationGracePeriodSeconds: 60
  activeDeadlineSeconds: 7200
  securityContext: {runAsUser: 2000, fsGroup: 2000}
  initContainers:
    - name: clone
      image: alpine/git
      command: [sh, -c, "test -e /workspace/.git || git clone https://git.test/$(TRIOWORKER_JOB_ID) /workspace"]
      env: [{name: HOME, value: /tmp}]
      volumeMounts: [{name: workspace, mountPath: /workspace, subPathExpr: work/$(TRIOWORKER_JOB_ID)}]
  containers:
    - name: worker
      image: registry.test/own:1
      env: [{name: LANG, value: C.UTF-8}, {name: PROXY, value: http://$(HOST):1}]
      resources: {limits: {nvidia.com/gpu: 1}}
      volumeMounts:
        - {name: state, subPathExpr: state/$(TRIOWORKER_JOB_ID)}
        - {name: workspace, mountPath: /workspace/, subPathExpr: work/$(TRIOWORKER_JOB_ID)}
        - {name: models, mountPath: /models, readOnly: true}
  volumes:
    - name: state
      persistentVolumeClaim: {claimName: agents}
    - name: workspace
      persistentVolumeClaim: {claimName: agents}
    - name: models
      configMap: {name: models}
"""


def settings(tmp_path: Path, template: str, attempts: int = ATTEMPTS) -> PodSettings:
    path = tmp_path / "pod.yaml"
    path.write_text(template)
    return PodSettings(
        image="img:1", cpu=0.5, memory="2Gi", attempts=attempts, template=read_pod_template(path, attempts)
    )


def manifest(tmp_path: Path, template: str, job: FleetJob = JOB) -> dict[str, Any]:
    return job_manifest(job, settings(tmp_path, template))


def pod(tmp_path: Path, template: str, job: FleetJob = JOB) -> dict[str, Any]:
    return manifest(tmp_path, template, job)["spec"]["template"]["spec"]


def worker(tmp_path: Path, template: str, job: FleetJob = JOB) -> dict[str, Any]:
    first = pod(tmp_path, template, job)["containers"][0]
    assert first["name"] == "worker"
    return first


@pytest.mark.parametrize("version", VERSIONS)
def test_job_with_everything_is_valid_and_restricted(tmp_path: Path, version: str) -> None:
    validate: Any = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    job = manifest(tmp_path, EVERYTHING)
    validate.validate(job, version, strict=True)
    assert violations(job["spec"]["template"]["spec"]) == []


def test_pod_has_the_fields_of_the_template(tmp_path: Path) -> None:
    spec = pod(tmp_path, EVERYTHING)
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert "nodeAffinity" in spec["affinity"]
    assert (spec["priorityClassName"], spec["terminationGracePeriodSeconds"]) == ("low", 60)
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("agents", False)
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsNonRoot"]) == (2000, True)


def test_worker_keeps_what_the_template_leaves(tmp_path: Path) -> None:
    ours, merged = worker(tmp_path, "{}"), worker(tmp_path, EVERYTHING)
    assert merged["image"] == "registry.test/own:1"
    assert merged["resources"]["limits"] == {**ours["resources"]["limits"], "nvidia.com/gpu": 1}
    assert merged["resources"]["requests"] == ours["resources"]["requests"]
    assert merged["env"][: len(ours["env"])] == ours["env"]
    assert [each["name"] for each in merged["env"][len(ours["env"]) :]] == ["LANG", "PROXY"]
    assert merged["args"] == [*ours["args"][:4], "--on-sigterm=suspend", "--timeout=600"]
    paths = [(each["name"], each["mountPath"].rstrip("/")) for each in merged["volumeMounts"]]
    assert paths == [(each["name"], each["mountPath"]) for each in ours["volumeMounts"]] + [("models", "/models")]


def test_labels_and_annotations_are_those_of_the_job_and_of_its_pod(tmp_path: Path) -> None:
    job = manifest(tmp_path, EVERYTHING)
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "agents"
        assert metadata["labels"]["trioworker.io/job-id"] == JOB.job_id
        assert metadata["annotations"] == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}


def test_each_container_knows_the_job_first(tmp_path: Path) -> None:
    spec = pod(tmp_path, EVERYTHING)
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["env"][0] == {"name": "TRIOWORKER_JOB_ID", "value": JOB.job_id}
    assert spec["initContainers"][0]["env"][1:] == [{"name": "HOME", "value": "/tmp"}]


def test_worker_comes_before_the_containers_of_the_template(tmp_path: Path) -> None:
    spec = pod(tmp_path, "spec: {containers: [{name: proxy, image: p}, {name: worker, image: w}]}")
    assert [each["name"] for each in spec["containers"]] == ["worker", "proxy"]


@pytest.mark.parametrize(
    ("volume", "keeps"),
    [
        ("persistentVolumeClaim: {claimName: c}", True),
        ("nfs: {server: s, path: /p}", True),
        ("emptyDir: {sizeLimit: 1Gi}", False),
        ("ephemeral: {volumeClaimTemplate: {}}", False),
    ],
)
def test_worker_is_suspended_by_sigterm_if_its_state_outlives_the_pod(tmp_path: Path, volume: str, keeps: bool) -> None:
    template = f"spec: {{volumes: [{{name: state, {volume}}}]}}"
    assert ("--on-sigterm=suspend" in worker(tmp_path, template)["args"]) == keeps
    (state,) = [each for each in pod(tmp_path, template)["volumes"] if each["name"] == "state"]
    assert len(state) == 2


def test_state_may_be_on_a_volume_of_another_name(tmp_path: Path) -> None:
    own = "volumes: [{name: data, persistentVolumeClaim: {claimName: c}}]"
    mounted = f"spec: {{{own}, containers: [{{name: worker, volumeMounts: [{{name: data, mountPath: PATH}}]}}]}}"
    at_path, beside = (mounted.replace("PATH", path) for path in ("/var/lib/trioworker", "/data"))
    moved = msgspec.structs.replace(JOB, worker_options=("--state-dir=/data/state",))
    assert "--on-sigterm=suspend" in worker(tmp_path, at_path)["args"]
    assert "--on-sigterm=suspend" not in worker(tmp_path, beside)["args"]
    assert "--on-sigterm=suspend" in worker(tmp_path, beside, moved)["args"]


@pytest.mark.parametrize(
    ("resources", "requests", "limits"),
    [
        ("requests: {memory: 4Gi}", {"cpu": "500m", "memory": "4Gi"}, {"cpu": "1000m"}),
        ("limits: {memory: 4Gi}", {"cpu": "500m"}, {"cpu": "1000m", "memory": "4Gi"}),
        ("limits: {cpu: null}", {"cpu": "500m", "memory": "2Gi"}, {"memory": "2Gi"}),
        (
            "requests: {cpu: 2}, limits: {cpu: 4}",
            {"cpu": 2, "memory": "2Gi"},
            {"cpu": 4, "memory": "2Gi"},
        ),
    ],
)
def test_a_resource_that_the_template_sets_has_none_of_our_quantities(
    tmp_path: Path, resources: str, requests: dict[str, Any], limits: dict[str, Any]
) -> None:
    assert worker(tmp_path, in_worker(f"resources: {{{resources}}}"))["resources"] == {
        "requests": requests,
        "limits": limits,
    }


@pytest.mark.parametrize(
    ("template", "needed", "requests", "limits"),
    [
        ("{}", {"cpu": "0.2"}, {"cpu": "0.2", "memory": "2Gi"}, {"cpu": "1000m", "memory": "2Gi"}),
        ("{}", {"cpu": "4", "memory": "1Gi"}, {"cpu": "4", "memory": "1Gi"}, {"cpu": "4", "memory": "1Gi"}),
        (
            in_worker("resources: {limits: {cpu: null}}"),
            {"cpu": "4", "nvidia.com/gpu": "1"},
            {"cpu": "4", "memory": "2Gi", "nvidia.com/gpu": "1"},
            {"memory": "2Gi", "nvidia.com/gpu": "1"},
        ),
        (in_worker("resources: null"), {"cpu": "4"}, {"cpu": "4"}, None),
    ],
)
def test_resources_of_a_line_override_the_template(
    tmp_path: Path, template: str, needed: dict[str, str], requests: dict[str, str], limits: dict[str, str] | None
) -> None:
    job = msgspec.structs.replace(JOB, resources=tuple(needed.items()), image="line:1")
    found = worker(tmp_path, template, job)
    assert (found["resources"]["requests"], found["resources"].get("limits")) == (requests, limits)
    assert found["image"] == "line:1"


def test_null_removes_a_field(tmp_path: Path) -> None:
    assert "livenessProbe" in worker(tmp_path, "{}")
    assert "livenessProbe" not in worker(tmp_path, in_worker("livenessProbe: null"))
    assert "fsGroup" not in pod(tmp_path, "spec: {securityContext: {fsGroup: null}}")["securityContext"]


def test_fields_of_a_mapping_are_merged(tmp_path: Path) -> None:
    found = worker(
        tmp_path, in_worker("livenessProbe: {periodSeconds: 60}, securityContext: {readOnlyRootFilesystem: false}")
    )
    assert found["livenessProbe"]["exec"] == {"command": ["trioworker", "health"]}
    assert (found["livenessProbe"]["periodSeconds"], found["livenessProbe"]["timeoutSeconds"]) == (60, 5)
    assert found["securityContext"]["allowPrivilegeEscalation"] is False
    assert found["securityContext"]["readOnlyRootFilesystem"] is False


@pytest.mark.parametrize("version", VERSIONS)
def test_kind_job_also_sets_fields_of_the_job(tmp_path: Path, version: str) -> None:
    validate: Any = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    job = manifest(
        tmp_path,
        """
apiVersion: batch/v1
kind: Job
metadata: {labels: {team: a}}
spec:
  ttlSecondsAfterFinished: 60
  activeDeadlineSeconds: 3600
  suspend: true
  backoffLimit: 2
  template:
    metadata: {labels: {tier: b}}
    spec: {restartPolicy: Never, priorityClassName: low}
""",
    )
    validate.validate(job, version, strict=True)
    spec = job["spec"]
    assert (spec["ttlSecondsAfterFinished"], spec["activeDeadlineSeconds"], spec["suspend"]) == (60, 3600, True)
    assert spec["backoffLimit"] == ATTEMPTS - 1
    assert (job["metadata"]["labels"]["team"], spec["template"]["metadata"]["labels"]["tier"]) == ("a", "b")
    assert "team" not in spec["template"]["metadata"]["labels"]
    assert spec["template"]["spec"]["priorityClassName"] == "low"


def test_attempts_that_are_left_limit_the_pods_whatever_the_template_says(tmp_path: Path) -> None:
    fleet = settings(tmp_path, "{kind: Job, spec: {backoffLimit: 2}}")
    again = msgspec.structs.replace(fleet, attempts=1)
    assert [job_manifest(JOB, each)["spec"]["backoffLimit"] for each in (fleet, again)] == [2, 0]


@pytest.mark.parametrize(("template", "grace"), [("{}", 30), ("spec: {terminationGracePeriodSeconds: 90}", 90)])
def test_grace_is_that_of_the_template(tmp_path: Path, template: str, grace: int) -> None:
    fleet = settings(tmp_path, template)
    pod_spec = job_manifest(JOB, fleet)["spec"]["template"]["spec"]
    assert fleet.grace_seconds == pod_spec["terminationGracePeriodSeconds"] == grace


@pytest.mark.parametrize(
    "template",
    [
        "apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b}}\nspec: {nodeName: n}",
        "apiVersion: v1\nkind: PodTemplate\ntemplate: {metadata: {labels: {a: b}}, spec: {nodeName: n}}",
        "metadata: {labels: {a: b}}\nspec: {nodeName: n}",
    ],
)
def test_kind_pod_and_pod_template_are_accepted(tmp_path: Path, template: str) -> None:
    found = manifest(tmp_path, template)["spec"]["template"]
    assert (found["metadata"]["labels"]["a"], found["spec"]["nodeName"]) == ("b", "n")
