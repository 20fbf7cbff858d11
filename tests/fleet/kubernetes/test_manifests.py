"""The Kubernetes objects of a job: valid by the published schema, restricted, with the token only in the Secret."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from support.pod_security import violations
from trioworker.fleet.jobs import FleetJob
from trioworker.fleet.kubernetes.manifests.job import job_manifest, secret_manifest
from trioworker.fleet.kubernetes.manifests.settings import PodSettings

JOB = FleetJob(
    job_id="123e4567-e89b-12d3-a456-426614174000",
    token="s3cret",
    orchestrator_url="http://orchestrator.jobs:50051",
    workspace=None,
    worker_options=("--timeout=600",),
)
SETTINGS = PodSettings(image="registry.test/trioworker:1", cpu=0.5, memory="2Gi", attempts=4)


@pytest.mark.parametrize("version", ["1.31", "1.34", "1.36"])
@pytest.mark.parametrize("manifest", [job_manifest(JOB, SETTINGS), secret_manifest(JOB, "uid-1")])
def test_manifest_is_valid_by_the_published_schema(manifest: dict[str, Any], version: str) -> None:
    validate: Any = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    validate.validate(manifest, version, strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate({**manifest, "spek": {}}, version, strict=True)


def test_exit_codes_decide_whether_a_pod_is_replaced() -> None:
    spec = job_manifest(JOB, SETTINGS)["spec"]
    failing = [rule["onExitCodes"]["values"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert failing == [[1, 2, 4]]
    # An evicted worker that has reported must not be replaced.
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["FailJob", "Ignore"]
    assert spec["backoffLimit"] == 3
    # The API refuses a failure policy with any other.
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"


def test_pod_is_restricted() -> None:
    pod = job_manifest(JOB, SETTINGS)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert violations(pod) == []
    assert pod["terminationGracePeriodSeconds"] == 30
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 1000)
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "2Gi"}
    assert container["resources"]["limits"] == {"cpu": "1000m", "memory": "2Gi"}
    assert container["args"][-1] == "--timeout=600"
    assert pod["automountServiceAccountToken"] is False


def test_liveness_probe_asks_the_worker_at_its_socket() -> None:
    elsewhere = msgspec.structs.replace(JOB, worker_options=("--health-socket=/tmp/h",))
    for job, command in ((JOB, ["health"]), (elsewhere, ["health", "--health-socket=/tmp/h"])):
        (container,) = job_manifest(job, SETTINGS)["spec"]["template"]["spec"]["containers"]
        probe = container["livenessProbe"]
        assert probe["exec"]["command"] == ["trioworker", *command]
        # The default of 1 s would kill a busy worker.
        assert probe["timeoutSeconds"] == 5
        assert {"name": "TRIOWORKER_HEALTH_SOCKET", "value": "/dev/shm/trioworker-health.sock"} in container["env"]


def test_token_is_only_in_the_secret_which_the_job_owns() -> None:
    manifest, secret = job_manifest(JOB, SETTINGS), secret_manifest(JOB, "uid-1")
    assert "s3cret" not in json.dumps(manifest)
    assert secret["stringData"] == {"token": "s3cret"}
    (owner,) = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", manifest["metadata"]["name"], "uid-1")
