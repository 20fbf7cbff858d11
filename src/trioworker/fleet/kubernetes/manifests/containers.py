"""The containers of a job's pod: the worker, and those that a pod template adds."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from trioworker.fleet.kubernetes.fixed import JOB_ID_VARIABLE, object_name
from trioworker.fleet.kubernetes.manifests.merging import merge
from trioworker.fleet.resources import amount, is_extended
from trioworker.protocol.values import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trioworker.fleet.jobs import FleetJob

WORKSPACE, STATE_DIR, HEALTH_SOCKET = "/workspace", "/var/lib/trioworker", "/dev/shm/trioworker-health.sock"  # noqa: S108 - the pod's own
LIVENESS_PROBE = {
    # A start of the program on a busy node takes seconds, and the default time-out of 1 s would kill busy workers.
    "initialDelaySeconds": 30,
    "periodSeconds": 30,
    "timeoutSeconds": 5,
    # A worker that doesn't respond is killed after 2.5 minutes, and the Job starts another one.
    "failureThreshold": 5,
}
TEMPORARY_VOLUMES = ("emptyDir", "ephemeral")
"""Sources of volumes that are deleted with their pod."""
SECURITY_CONTEXT = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""What the restricted Pod Security Standard requires of each container."""


def worker_defaults(job: FleetJob, *, image: str | None, cpu: float, memory: str) -> dict[str, Any]:
    """Return the parts of the worker's container that a template may change. `cpu` is in cores."""
    mounts = (("workspace", job.workspace or WORKSPACE), ("state", STATE_DIR), ("tmp", "/tmp"))  # noqa: S108 - the pod's own
    return {
        "name": "worker",
        **({} if image is None else {"image": image}),
        "args": [],
        "env": [
            _job_id(job),
            {"name": TOKEN_VARIABLE, "valueFrom": {"secretKeyRef": {"name": object_name(job), "key": "token"}}},
            # For images that don't set them.
            {"name": "TRIOWORKER_STATE_DIR", "value": STATE_DIR},
            {"name": "TRIOWORKER_HEALTH_SOCKET", "value": HEALTH_SOCKET},
        ],
        "resources": {
            "requests": {"cpu": f"{round(cpu * 1000)}m", "memory": memory},
            "limits": {"cpu": f"{round(max(1.0, cpu) * 1000)}m", "memory": memory},
        },
        "securityContext": {**SECURITY_CONTEXT, "readOnlyRootFilesystem": True},
        "livenessProbe": {"exec": {"command": _health_command(job)}, **LIVENESS_PROBE},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts],
    }


def complete_worker(worker: dict[str, Any], job: FleetJob, volumes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the worker's container with its arguments and the settings of its line; `volumes` are the pod's."""
    options = [
        f"--job-id={job.job_id}",
        f"--orchestrator-url={job.orchestrator_url}",
        f"--workspace={job.workspace or WORKSPACE}",
    ]
    if _keeps_state(job, worker.get("volumeMounts", []), volumes):
        options.append("--on-sigterm=suspend")
    complete = {**worker, "args": ["worker", *options, *job.worker_options]}
    if job.image is not None:
        complete["image"] = job.image
    if job.resources:
        complete["resources"] = _with_resources(worker.get("resources", {}), dict(job.resources))
    return complete


def helper(container: dict[str, Any], job: FleetJob) -> dict[str, Any]:
    """Return another container of a template, with the settings that each container of the pod needs."""
    complete = merge({"name": container["name"], "securityContext": SECURITY_CONTEXT}, container)
    # It comes first, so that later variables can refer to it.
    return {**complete, "env": [_job_id(job), *container.get("env", [])]}


def _job_id(job: FleetJob) -> dict[str, Any]:
    return {"name": JOB_ID_VARIABLE, "value": job.job_id}


def _health_command(job: FleetJob) -> list[str]:
    socket = [option for option in job.worker_options if option.startswith("--health-socket=")]
    return ["trioworker", "health", *socket[-1:]]


def _keeps_state(job: FleetJob, mounts: Sequence[dict[str, Any]], volumes: Sequence[dict[str, Any]]) -> bool:
    """Whether the journal is on a volume that outlives the pod, so that the next pod can resume the job."""
    given = [option.partition("=")[2] for option in job.worker_options if option.startswith("--state-dir=")]
    folder = PurePosixPath(given[-1] if given else STATE_DIR)
    above = {PurePosixPath(mount["mountPath"]): mount.get("name") for mount in mounts if "mountPath" in mount}
    nearest = [above[path] for path in (folder, *folder.parents) if path in above][:1]
    sources = [name for volume in volumes if volume["name"] in nearest for name in volume if name != "name"]
    return bool(sources) and not set(sources) & set(TEMPORARY_VOLUMES)


def _with_resources(ours: Mapping[str, Any], needed: Mapping[str, str]) -> dict[str, Any]:
    """Return requests and limits with what a job needs. A limit is set only if there is one or must be one."""
    requests = {**ours.get("requests", {}), **needed}
    limits = dict(ours.get("limits", {}))
    for name, quantity in needed.items():
        if is_extended(name):
            limits[name] = quantity
        elif name in limits:
            # A higher CPU limit allows bursts.
            is_enough = name == "cpu" and amount(limits[name]) >= amount(quantity)
            limits[name] = limits[name] if is_enough else quantity
    return dict(ours) | {"requests": requests} | ({"limits": limits} if limits else {})
