"""Why a job waits, read from objects as a cluster returns them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from trioworker.fleet.kubernetes.api.objects import Event, Job, Pod
from trioworker.fleet.kubernetes.waiting import (
    newest,
    why_not_created,
    why_not_started,
    why_suspended,
    why_waiting,
)

Object = dict[str, Any]

SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"}


def pod_of(*, phase: str = "Pending", created: str = "2026-01-01T00:00:01Z", name: str = "p", **status: Any) -> Pod:
    metadata: Object = {"name": name, "uid": f"uid-{name}", "creationTimestamp": created, "labels": {}}
    item: Object = {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": []},
        "status": {"phase": phase, **status},
    }
    return msgspec.json.decode(json.dumps(item), type=Pod)


def job_of(*, labels: dict[str, str] | None = None, **spec: Any) -> Job:
    metadata = {"name": "j", "uid": "uid-j", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels or {}}
    return msgspec.json.decode(json.dumps({"kind": "Job", "metadata": metadata, "spec": spec}), type=Job)


def event_of(reason: str, message: str, *, uid: str = "uid-j", at: str = "2026-01-01T00:00:05Z") -> Event:
    item = {"metadata": {"name": "e"}, "involvedObject": {"uid": uid}, "lastTimestamp": at}
    return msgspec.json.decode(
        json.dumps({**item, "type": "Warning", "reason": reason, "message": message}), type=Event
    )


def container(reason: str | None, message: str | None = None, name: str = "worker") -> dict[str, Any]:
    return {"name": name, "ready": False, "state": {"waiting": {"reason": reason, "message": message}}}


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption "
    "victims found for incoming pod.",
}
UNTOLERATED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/2 nodes are available: 2 node(s) had untolerated taint(s). no new claims to deallocate, preemption: "
    "0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
}
GATED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}
FAILED_INIT = {
    "name": "clone",
    "state": {"terminated": {"exitCode": 128, "reason": "Error", "message": "repository not found"}},
}


REASONS: list[tuple[Object, str | None]] = [
    ({"conditions": [UNSCHEDULABLE]}, "0/2 nodes are available: 2 Insufficient cpu"),
    ({"conditions": [UNTOLERATED]}, "0/2 nodes are available: 2 node(s) had untolerated taint(s)"),
    ({"conditions": [GATED]}, "Scheduling is blocked due to non-empty scheduling gates"),
    (
        {"conditions": [SCHEDULED], "containerStatuses": [container("ImagePullBackOff", 'Back-off pulling "x"')]},
        'ImagePullBackOff: Back-off pulling "x"',
    ),
    ({"containerStatuses": [container("ErrImagePull", "not found")]}, "ErrImagePull: not found"),
    ({"containerStatuses": [container("InvalidImageName", "bad")]}, "InvalidImageName: bad"),
    (
        {"containerStatuses": [container("CreateContainerConfigError", 'secret "s" not found')]},
        'CreateContainerConfigError: secret "s" not found',
    ),
    (
        {"initContainerStatuses": [container("ImagePullBackOff", "git", "clone")]},
        "the init container clone is waiting: ImagePullBackOff: git",
    ),
    (
        {"initContainerStatuses": [FAILED_INIT]},
        "the init container clone failed with exit code 128: repository not found",
    ),
    (
        {"phase": "Failed", "initContainerStatuses": [FAILED_INIT]},
        "the init container clone failed with exit code 128: repository not found",
    ),
    # Nothing is wrong.
    ({}, None),
    ({"conditions": [SCHEDULED], "containerStatuses": [container("ContainerCreating")]}, None),
    ({"conditions": [SCHEDULED], "containerStatuses": [container("PodInitializing")]}, None),
    ({"initContainerStatuses": [{"name": "clone", "state": {"terminated": {"exitCode": 0}}}]}, None),
    ({"phase": "Running", "containerStatuses": [{"name": "worker", "state": {"running": {}}}]}, None),
    (
        {"phase": "Failed", "containerStatuses": [{"name": "worker", "state": {"terminated": {"exitCode": 3}}}]},
        None,
    ),
]


@pytest.mark.parametrize(("status", "reason"), REASONS)
def test_reason_of_a_pod(status: dict[str, Any], reason: str | None) -> None:
    assert why_waiting(pod_of(**status)) == reason


def test_job_that_a_queue_holds_back_is_suspended() -> None:
    assert why_suspended(job_of(suspend=True)) == "its Job is suspended"
    labels = {"kueue.x-k8s.io/queue-name": "team-a"}
    assert why_suspended(job_of(labels=labels, suspend=True)) == "the queue team-a has not admitted its Job yet"
    assert why_suspended(job_of(labels=labels, suspend=False)) is None
    assert why_suspended(job_of()) is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            'Error creating: pods "j-x7x2p" is forbidden: exceeded quota: small, requested: pods=1, used: pods=5',
            "exceeded quota: small, requested: pods=1, used: pods=5",
        ),
        (
            'Error creating: pods "j-x7" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
            'violates PodSecurity "restricted:latest": runAsNonRoot != true',
        ),
        (
            '(combined from similar events): Error creating: pods "j-a" is forbidden: exceeded quota: small',
            "exceeded quota: small",
        ),
        (
            'Error creating: Internal error occurred: failed calling webhook "a.b"',
            'Internal error occurred: failed calling webhook "a.b"',
        ),
    ],
)
def test_refused_pod_has_the_reason_of_the_event_without_its_random_name(message: str, reason: str) -> None:
    assert why_not_created(job_of(), [], [event_of("FailedCreate", message)]) == reason


def test_only_the_latest_event_of_this_job_since_its_last_pod_counts() -> None:
    events = [
        event_of("FailedCreate", "Error creating: old", at="2026-01-01T00:00:04Z"),
        event_of("FailedCreate", "Error creating: new", at="2026-01-01T00:00:06Z"),
        event_of("FailedCreate", "Error creating: another Job's", uid="uid-k", at="2026-01-01T00:00:08Z"),
        event_of("PodFailurePolicy", "not about creation", at="2026-01-01T00:00:09Z"),
    ]
    assert why_not_created(job_of(), [], events) == "new"
    assert why_not_created(job_of(), [pod_of(created="2026-01-01T00:00:05Z")], events) == "new"
    assert why_not_created(job_of(), [pod_of(created="2026-01-01T00:00:07Z")], events) is None
    assert why_not_created(job_of(), [], []) is None


def test_slow_start_has_the_warning_or_the_step_that_it_is_at() -> None:
    starting = pod_of(conditions=[SCHEDULED], containerStatuses=[container("ContainerCreating")])
    mount = event_of("FailedMount", 'MountVolume.SetUp failed for volume "state"', uid="uid-p")
    assert why_not_started(starting, [mount]) == 'FailedMount: MountVolume.SetUp failed for volume "state"'
    assert why_not_started(starting, []) == "the node is starting the pod (ContainerCreating)"
    assert why_not_started(pod_of(), [event_of("FailedMount", "of another pod")]) == "the pod is not scheduled yet"
    assert why_not_started(None, []) == "the cluster has not created the pod yet"
    init = [{"name": "clone", "state": {"running": {"startedAt": "2026-01-01T00:00:02Z"}}}]
    assert why_not_started(pod_of(conditions=[SCHEDULED], initContainerStatuses=init), []) == (
        "the init container clone is running"
    )


def test_newest_pod_counts() -> None:
    pods = [pod_of(name="b", created="2026-01-01T00:00:09Z"), pod_of(name="a", created="2026-01-01T00:00:01Z")]
    assert newest(pods) == pods[0]
    assert newest([]) is None
