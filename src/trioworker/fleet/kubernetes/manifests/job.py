"""The Kubernetes objects of a job: a `batch/v1` Job, and the Secret with its token. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioworker.fleet.kubernetes.fixed import (
    JOB_LABEL,
    LABEL,
    LABEL_VALUE,
    POD_FAILURE_POLICY,
    POD_REPLACEMENT_POLICY,
    object_name,
)
from trioworker.fleet.kubernetes.manifests.containers import complete_worker, helper, worker_defaults
from trioworker.fleet.kubernetes.manifests.merging import merge

if TYPE_CHECKING:
    from trioworker.fleet.jobs import FleetJob
    from trioworker.fleet.kubernetes.manifests.settings import PodSettings

TTL_SECONDS = 3600
"""Seconds for which a finished Job is kept, so that an interrupted fleet can read its outcome."""


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
    """Return the Job. It owns the Secret, which is therefore created after it; the pod waits for the Secret."""
    template = settings.template
    fixed = {
        "backoffLimit": settings.attempts - 1,
        "podReplacementPolicy": POD_REPLACEMENT_POLICY,
        "podFailurePolicy": POD_FAILURE_POLICY,
    }
    spec = merge({"ttlSecondsAfterFinished": TTL_SECONDS}, template.job_spec)
    pod = {"metadata": _metadata(job, template.pod_metadata), "spec": _pod_spec(job, settings)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": object_name(job), **_metadata(job, template.job_metadata)},
        "spec": {**spec, **fixed, "template": pod},
    }


def _pod_spec(job: FleetJob, settings: PodSettings) -> dict[str, Any]:
    ours: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [worker_defaults(job, image=settings.image, cpu=settings.cpu, memory=settings.memory)],
        "volumes": [{"name": name, "emptyDir": {}} for name in ("workspace", "state", "tmp")],
    }
    pod = merge(ours, settings.template.pod_spec)
    worker, *sidecars = pod["containers"]
    pod["containers"] = [complete_worker(worker, job, pod["volumes"]), *(helper(each, job) for each in sidecars)]
    if "initContainers" in pod:
        pod["initContainers"] = [helper(each, job) for each in pod["initContainers"]]
    return pod


def _metadata(job: FleetJob, template: dict[str, Any]) -> dict[str, Any]:
    return merge(merge({}, template), {"labels": _labels(job)})


def _labels(job: FleetJob) -> dict[str, str]:
    return {LABEL: LABEL_VALUE, JOB_LABEL: job.job_id}
