"""Reads how a Job has ended: the outcome in the log of a worker, or the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trioworker.fleet.engine import REPORTED, Attempt, attempt_from_exit
from trioworker.fleet.kubernetes.waiting import newest, why_waiting
from trioworker.protocol.exit_codes import BAD_USAGE, NO_ORCHESTRATOR, UNREPORTED
from trioworker.protocol.odd_replies import is_json_object

if TYPE_CHECKING:
    from trioworker.fleet.kubernetes.api.client import KubernetesClient
    from trioworker.fleet.kubernetes.api.objects import Condition, Job, Pod, Terminated

LOG_LINES = 20
"""Last lines of a log that are searched for the outcome: it is the last line on stdout, but stderr may follow."""
DEADLINE_EXCEEDED = "DeadlineExceeded"
"""The reason of a Job, or of a pod, that has run for its activeDeadlineSeconds."""
EXPLAINED = (BAD_USAGE, NO_ORCHESTRATOR, UNREPORTED)
"""Exit codes after which a worker's last line says what to do. After others, it may be any program's."""
MAX_SIGNAL = 64
"""The highest signal number on Linux."""


class _Ended(NamedTuple):
    """A pod whose worker has ended."""

    pod: Pod
    end: Terminated


async def read_outcome(client: KubernetesClient, job_id: str, job: Job) -> Attempt:
    """Read how `job`, an ended Job, ended. Without a worker's outcome, `exit_code` may be None."""
    pods = [pod for pod in await client.pods([job_id]) if pod.metadata.is_owned_by(job.metadata)]
    ended = [_Ended(pod, end) for pod in pods if (end := pod.worker.terminated) is not None]
    ended.sort(key=lambda each: each.end.finished_at or "")
    if ended:
        attempt = await _last_attempt(client, ended, job)
    else:
        pod = newest(pods)
        waits_for = None if pod is None else why_waiting(pod)
        attempt = Attempt(exit_code=None, message=waits_for or _reason(job.end) or "its pods are gone")
    counted = job.status.counted
    never_started = sum(not each.end.was_started for each in ended)
    return msgspec.structs.replace(
        attempt,
        count=max(counted - never_started, len(ended) - never_started),
        had_predecessors=len(ended) < counted or any(end.exit_code != NO_ORCHESTRATOR for _, end in ended[:-1]),
    )


async def _last_attempt(client: KubernetesClient, ended: list[_Ended], job: Job) -> Attempt:
    # Usually, the last worker has reported. But a pod is also replaced if another of its containers fails.
    for pod, end in reversed(ended):
        if end.exit_code in REPORTED:
            attempt = await _read_pod(client, pod, end, job.end)
            if attempt.exit_code is not None:
                return attempt
    return await _read_pod(client, *ended[-1], job.end)


async def _read_pod(client: KubernetesClient, pod: Pod, end: Terminated, condition: Condition | None) -> Attempt:
    log = await client.last_lines(pod.metadata.name, LOG_LINES)
    # The log mixes stdout and stderr.
    said = b"\n".join(line for line in log.splitlines() if not is_json_object(line))
    code = _exit_code(end)
    attempt = attempt_from_exit(code, log, said, pod.spec.node_name)
    if attempt.exit_code in REPORTED:
        return attempt
    return msgspec.structs.replace(attempt, message=_message(pod, end, condition, attempt.message))


def _exit_code(end: Terminated) -> int:
    """The exit code, or the negative number of the signal by which the container was killed."""
    return 128 - end.exit_code if 128 < end.exit_code <= 128 + MAX_SIGNAL else end.exit_code


def _message(pod: Pod, end: Terminated, condition: Condition | None, said: str | None) -> str:
    """Say why there is no outcome. `said` is the worker's last line, or the signal that killed it."""
    if end.reason == "OOMKilled":
        return "the container was killed: OOMKilled; raise --memory"
    if (stopped := _reason_of_pod(pod)) is not None:
        return f"the pod was stopped: {stopped}"
    if condition is not None and condition.reason == DEADLINE_EXCEEDED:
        return _reason(condition) or DEADLINE_EXCEEDED
    if end.exit_code in REPORTED:
        text = f"exit code {end.exit_code} without a worker's outcome in the log: check that --image is a worker image"
        return text if said is None else f"{text}; its last line: {said}"
    if said is not None:
        return said if _exit_code(end) < 0 or end.exit_code in EXPLAINED else f"exit code {end.exit_code}: {said}"
    if end.message is not None:
        return f"{end.reason}: {end.message}"
    return f"exit code {end.exit_code}"


def _reason_of_pod(pod: Pod) -> str | None:
    """Why the cluster has stopped a pod, such as an eviction."""
    if pod.status.reason is not None:
        return f"{pod.status.reason}: {pod.status.message or 'no details'}"
    disruptions = (each for each in pod.status.conditions if each.type == "DisruptionTarget" and each.holds)
    return next((_reason(each) for each in disruptions), None)


def _reason(condition: Condition | None) -> str | None:
    if condition is None or not condition.reason:
        return None
    return f"{condition.reason}: {condition.message or 'no details'}"
