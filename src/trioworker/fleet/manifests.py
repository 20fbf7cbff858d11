"""A job as Kubernetes' objects: a `batch/v1` Job, and the Secret that holds its token. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.protocol.exit_codes import BAD_USAGE, FAILED, STOPPED
from trioworker.protocol.values import TOKEN_VARIABLE

if TYPE_CHECKING:
    from trioworker.fleet.jobs import FleetJob

LABEL = "app.kubernetes.io/name"
JOB_LABEL = "trioworker.io/job-id"
GRACE_SECONDS = 30
"""From SIGTERM to SIGKILL: a worker's farewell takes 8 s by default."""
KEPT_SECONDS = 3600
"""How long a Job that ended is kept, for a fleet that was away to read how."""
FINAL = (FAILED, BAD_USAGE, STOPPED)
"""Exit codes after which no other pod is started: the job was reported, or its command is wrong."""


class PodPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What all pods of a fleet share. `cpu` in cores, `memory` as Kubernetes writes it."""

    image: str
    namespace: str
    cpu: float
    memory: str
    attempts: int


def name_of(job: FleetJob) -> str:
    """The name of the job's objects."""
    return f"trioworker-{job.job_id}"


def secret_manifest(job: FleetJob, namespace: str, owner_uid: str) -> dict[str, Any]:
    """The token, which goes when the Job with the uid `owner_uid` goes."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name_of(job), "uid": owner_uid}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**_metadata(job, namespace), "ownerReferences": [owner]},
        "type": "Opaque",
        "stringData": {"token": job.token},
    }


def job_manifest(job: FleetJob, plan: PodPlan) -> dict[str, Any]:
    """The Job. A pod waits for its Secret, which is made after it, since the Job owns it."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(job, plan.namespace),
        "spec": {
            "backoffLimit": plan.attempts - 1,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            # A pod that is on its way out may still report: the next one starts when it has ended.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    # A node that is drained or dies is not the job's fault, and costs none of its attempts.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "worker", "operator": "In", "values": list(FINAL)},
                    },
                ]
            },
            "template": {
                "metadata": {"labels": _labels(job)},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 1000,
                        "runAsGroup": 1000,
                        "fsGroup": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [_container(job, plan)],
                    "volumes": [{"name": name, "emptyDir": {}} for name in ("workspace", "state", "tmp")],
                },
            },
        },
    }


def _container(job: FleetJob, plan: PodPlan) -> dict[str, Any]:
    workspace = job.workspace or "/workspace"
    options = [f"--job-id={job.job_id}", f"--orchestrator-url={job.orchestrator_url}", f"--workspace={workspace}"]
    mounts = (("workspace", workspace), ("state", "/var/lib/trioworker"), ("tmp", "/tmp"))  # noqa: S108 - the pod's own
    return {
        "name": "worker",
        "image": plan.image,
        "args": ["worker", *options, *job.worker_options],
        "env": [
            {"name": TOKEN_VARIABLE, "valueFrom": {"secretKeyRef": {"name": name_of(job), "key": "token"}}},
        ],
        "resources": {
            "requests": {"cpu": f"{round(plan.cpu * 1000)}m", "memory": plan.memory},
            "limits": {"cpu": f"{round(max(1.0, plan.cpu) * 1000)}m", "memory": plan.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts],
    }


def _metadata(job: FleetJob, namespace: str) -> dict[str, Any]:
    return {"name": name_of(job), "namespace": namespace, "labels": _labels(job)}


def _labels(job: FleetJob) -> dict[str, str]:
    return {LABEL: "trioworker", JOB_LABEL: job.job_id}
