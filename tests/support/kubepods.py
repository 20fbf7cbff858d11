"""How the pods of the fake Kubernetes API end, and what their ends mean for their Job."""

from __future__ import annotations

import json
from typing import Any

import msgspec

Object = dict[str, Any]


class PodScript(msgspec.Struct, frozen=True, kw_only=True):
    """How a pod ends: after `seconds` with `code` and `log`; `code` None: it runs until it is deleted.

    `reason` and `message` are those of the container's end, `status` further fields of the pod's status. With
    `sidecar_code`, a second container ends with it. A pod whose `node` is None never starts; one that failed for the
    reason `ContainerStatusUnknown` has never started.
    """

    code: int | None = 0
    log: str = ""
    seconds: float = 1.0
    node: str | None = "node-a"
    reason: str | None = None
    message: str | None = None
    sidecar_code: int | None = None
    status: Object = {}

    def terminated(self, started_at: str, finished_at: str) -> list[Object]:
        """The statuses of the pod's containers after its end."""
        end: Object = {
            "exitCode": self.code,
            "reason": "Error" if self.code else "Completed",
            "finishedAt": finished_at,
        }
        end |= {name: value for name in ("reason", "message") if (value := getattr(self, name)) is not None}
        if self.reason != "ContainerStatusUnknown":
            end["startedAt"] = started_at
        statuses: list[Object] = [{"name": "worker", "state": {"terminated": end}}]
        if self.sidecar_code is not None:
            state = {"terminated": {**end, "exitCode": self.sidecar_code, "finishedAt": "2027-01-01T00:00:00Z"}}
            statuses.append({"name": "sidecar", "state": state})
        return statuses


def outcome(status: str = "completed", message: str = "done") -> str:
    """The line with which a worker ends that has reported."""
    line = {"status": status, "success": status == "completed", "message": message, "iterations": 1, "reported": True}
    return json.dumps({**line, "metrics": {}}) + "\n"


def count_end(job: Object, script: PodScript) -> None:
    """Count the end of a pod in its Job's status, and end the Job if its rules say so."""
    status, spec, code = job["status"], job["spec"], script.code
    if code == 0 and not script.sidecar_code:
        status["succeeded"] = 1
        status["conditions"] = [{"type": "Complete", "status": "True"}]
        return
    status["failed"] = status.get("failed", 0) + 1
    reason = message = ""
    for rule in spec.get("podFailurePolicy", {}).get("rules", []):
        if rule["action"] == "FailJob" and code in rule.get("onExitCodes", {}).get("values", []):
            reason, message = "PodFailurePolicy", f"Container worker failed with exit code {code}, which ends the Job"
    if not reason and status["failed"] > spec.get("backoffLimit", 6):
        reason, message = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    if reason:
        status["conditions"] = [{"type": "Failed", "status": "True", "reason": reason, "message": message}]
