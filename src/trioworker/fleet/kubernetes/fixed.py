"""The parts of the objects that the fleet depends on, which no pod template may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioworker.protocol.exit_codes import BAD_USAGE, FAILED, STOPPED

if TYPE_CHECKING:
    from trioworker.fleet.jobs import FleetJob

LABEL, LABEL_VALUE = "app.kubernetes.io/name", "trioworker"
JOB_LABEL = "trioworker.io/job-id"
"""The labels by which the fleet finds its objects."""
SELECTOR = f"{LABEL}={LABEL_VALUE}"
"""Selects the objects of all fleets."""
JOB_ID_VARIABLE = "TRIOWORKER_JOB_ID"
"""A worker's variable for --job-id. Every container has it, so that a template can use `$(TRIOWORKER_JOB_ID)`."""
FINAL = (FAILED, BAD_USAGE, STOPPED)
"""Exit codes after which no other pod is started: the outcome was reported, or the command is wrong."""
POD_FAILURE_POLICY: dict[str, Any] = {
    "rules": [
        # First: an evicted worker that has reported the job isn't replaced.
        {"action": "FailJob", "onExitCodes": {"containerName": "worker", "operator": "In", "values": list(FINAL)}},
        # A pod that is evicted, or whose node dies, doesn't count as an attempt.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
}
POD_REPLACEMENT_POLICY = "Failed"
"""A terminating pod may still report: the next one must not start before it has ended."""


def object_name(job: FleetJob) -> str:
    """Return the name of the job's objects."""
    return f"trioworker-{job.job_id}"
