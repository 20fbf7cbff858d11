"""Determines why a job waits for its worker, from its Job, its newest pod and their warnings. Pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.fleet.kubernetes.api.objects import ContainerStatus, Event, Job, Pod

STARTING = (None, "ContainerCreating", "PodInitializing")
"""Reasons of containers that are starting normally."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_SUBJECT = re.compile(r'^(?:\(combined from similar events\): )?(?:Error creating: )?(?:pods "[^"]*" is forbidden: )?')
_PREEMPTION = re.compile(r"\.? (?:no new claims to deallocate, )?preemption: .*", re.DOTALL)


def newest(pods: Iterable[Pod]) -> Pod | None:
    """The pod that was created last."""
    return max(pods, key=lambda pod: pod.metadata.creation_timestamp, default=None)


def why_suspended(job: Job) -> str | None:
    """Why the Job has no pods, if it is suspended, as Kueue does until there is capacity."""
    if not job.spec.suspend:
        return None
    queue = job.metadata.labels.get(QUEUE_LABEL)
    return "its Job is suspended" if queue is None else f"the queue {queue} has not admitted its Job yet"


def why_waiting(pod: Pod) -> str | None:
    """Why the worker of this pod can't start; None if it may start, is running, or has ended."""
    status = pod.status
    if pod.metadata.deletion_timestamp is not None:
        return None
    for each in status.init_container_statuses:
        if (reason := _why_not_initialized(each)) is not None:
            return f"the init container {each.name} {reason}"
    if status.phase != "Pending":
        return None
    for condition in status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            return _PREEMPTION.sub("", condition.message or condition.reason or "the pod can't be scheduled")
    for each in status.container_statuses:
        waiting = each.state.waiting
        if waiting is not None and waiting.reason not in STARTING:
            return _joined(waiting.reason, waiting.message)
    return None


def why_not_created(job: Job, pods: Iterable[Pod], events: Iterable[Event]) -> str | None:
    """Why the cluster refuses the next pod of the Job, such as a quota or Pod Security. `events` are those of Jobs."""
    last = newest(pods)
    since = job.metadata.creation_timestamp if last is None else last.metadata.creation_timestamp
    ours = (each for each in events if each.involved_object.uid == job.metadata.uid and each.reason == "FailedCreate")
    latest = max(ours, key=lambda each: each.time, default=None)
    return None if latest is None or latest.time < since else _SUBJECT.sub("", latest.message)


def why_not_started(pod: Pod | None, events: Iterable[Event]) -> str:
    """What a Job waits for that has waited for a while without a specific reason. `events` are those of pods."""
    if pod is None:
        return "the cluster has not created the pod yet"
    ours = (each for each in events if each.involved_object.uid == pod.metadata.uid)
    latest = max(ours, key=lambda each: each.time, default=None)
    if latest is not None:
        return _joined(latest.reason, latest.message)
    if (running := next((each for each in pod.status.init_container_statuses if each.state.running), None)) is not None:
        return f"the init container {running.name} is running"
    if not any(each.type == "PodScheduled" and each.holds for each in pod.status.conditions):
        return "the pod is not scheduled yet"
    reason = next((each.state.waiting.reason for each in pod.status.container_statuses if each.state.waiting), None)
    return f"the node is starting the pod ({reason or 'Pending'})"


def _why_not_initialized(status: ContainerStatus) -> str | None:
    ended, waiting = status.state.terminated, status.state.waiting
    if ended is not None and ended.exit_code != 0:
        return _joined(f"failed with exit code {ended.exit_code}", ended.message)
    if waiting is not None and waiting.reason not in STARTING:
        return f"is waiting: {_joined(waiting.reason, waiting.message)}"
    return None


def _joined(reason: str | None, message: str | None) -> str:
    return ": ".join(filter(None, (reason, message)))
