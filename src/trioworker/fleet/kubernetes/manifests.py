"""The Kubernetes objects of a job: a `batch/v1` Job, and the Secret with its token. Pure functions."""

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
"""Seconds from SIGTERM to SIGKILL: a worker's shutdown takes 8 s by default."""
TTL_SECONDS = 3600
"""Seconds that a finished Job is kept, so that a fleet that was interrupted can read its outcome."""
FINAL = (FAILED, BAD_USAGE, STOPPED)
"""Exit codes after which no other pod is started: the outcome was reported, or the command is wrong."""


class PodSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that all pods of a fleet share. `cpu` is in cores, `memory` a quantity of Kubernetes."""

    image: str
    cpu: float
    memory: str
    attempts: int


def object_name(job: FleetJob) -> str:
    """Return the name of the job's objects."""
    return f"trioworker-{job.job_id}"


def secret_manifest(job: FleetJob, owner_uid: str) -> dict[str, Any]:
    """Return the Secret with the token; it is deleted with its owner, the Job with the uid `owner_uid`."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": object_name(job), "uid": owner_uid}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": object_name(job), "labels": _labels(job), "ownerReferences": [owner]},
        "type": "Opaque",
        "stringData": {"token": job.token},
    }


def job_manifest(job: FleetJob, settings: PodSettings) -> dict[str, Any]:
    """Return the Job. The Secret, which it owns, is created after it; the pod waits for that."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": object_name(job), "labels": _labels(job)},
        "spec": {
            "backoffLimit": settings.attempts - 1,
            "ttlSecondsAfterFinished": TTL_SECONDS,
            # A terminating pod may still report: the next one must not start before it has ended.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    # The first rule that matches holds: an evicted worker that has reported must not be replaced.
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "worker", "operator": "In", "values": list(FINAL)},
                    },
                    # A pod that is evicted, or whose node dies, doesn't count as an attempt.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
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
                    "containers": [_container(job, settings)],
                    "volumes": [{"name": name, "emptyDir": {}} for name in ("workspace", "state", "tmp")],
                },
            },
        },
    }


def _container(job: FleetJob, settings: PodSettings) -> dict[str, Any]:
    workspace = job.workspace or "/workspace"
    options = [f"--job-id={job.job_id}", f"--orchestrator-url={job.orchestrator_url}", f"--workspace={workspace}"]
    mounts = (("workspace", workspace), ("state", "/var/lib/trioworker"), ("tmp", "/tmp"))  # noqa: S108 - the pod's own
    return {
        "name": "worker",
        "image": settings.image,
        "args": ["worker", *options, *job.worker_options],
        "env": [
            {"name": TOKEN_VARIABLE, "valueFrom": {"secretKeyRef": {"name": object_name(job), "key": "token"}}},
        ],
        "resources": {
            "requests": {"cpu": f"{round(settings.cpu * 1000)}m", "memory": settings.memory},
            "limits": {"cpu": f"{round(max(1.0, settings.cpu) * 1000)}m", "memory": settings.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts],
    }


def _labels(job: FleetJob) -> dict[str, str]:
    return {LABEL: "trioworker", JOB_LABEL: job.job_id}
