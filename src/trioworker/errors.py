"""Every error that trioworker raises on purpose: one root, few children, each raised where its meaning is known.

What httpx, the operating system and msgspec raise is mapped to these at one edge each (`client.py`, `tools/`).
The message is one line: what, where, and the remedy where there is one.
"""

from __future__ import annotations


class WorkerError(Exception):
    """The root of all errors of this package."""


class ConfigError(WorkerError):
    """An option, a variable or a file that a user gave is unusable (exit code 2)."""


class OrchestratorError(WorkerError):
    """A request to the orchestrator failed for good."""


class RefusedError(OrchestratorError):
    """The orchestrator answered with a status that no retry can change.

    `status` is the HTTP status code.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(OrchestratorError):
    """The orchestrator did not answer, or only with passing failures, within the time that the request had.

    `pause` is the seconds for which its last answer asked to be left alone, 0 if it did not.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadReplyError(OrchestratorError):
    """The orchestrator answered 2xx with a body that is not what the contract tells."""


class ReasoningError(WorkerError):
    """The model can't be brought to go on; the job fails with this reason."""


class ActorFailedError(WorkerError):
    """An actor ended more often than its supervisor may restart it; the job fails with this reason."""


class ToolError(WorkerError):
    """A tool could not do what it was asked; the model is told, and the job goes on."""


class InvalidParametersError(ToolError):
    """A tool's arguments don't fit its schema; `problems` holds a `FIELD: MESSAGE` for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("invalid parameters: " + "; ".join(problems))
        self.problems = problems
