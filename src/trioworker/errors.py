"""Every error that trioworker raises on purpose, under one root.

Exceptions of httpx, the operating system and msgspec are translated into these at one place each (`worker/client`,
`worker/tools`). Each message is one line: what failed, where, and what to do about it. No message about a configuration
or a request shows the password of a URL.
"""

from __future__ import annotations

from trioworker.protocol.url_passwords import hide_url_passwords


class WorkerError(Exception):
    """The root of all errors of this package."""


class ConfigError(WorkerError):
    """An option, a variable or a file from the user can't be used (exit code 2)."""

    def __init__(self, message: str) -> None:
        super().__init__(hide_url_passwords(message))


class OrchestratorError(WorkerError):
    """A request to the orchestrator failed, and retries didn't or can't help."""

    def __init__(self, message: str) -> None:
        super().__init__(hide_url_passwords(message))


class RefusedError(OrchestratorError):
    """The orchestrator responded with a status that no retry can change.

    Attributes:
        status: the HTTP status code.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class SupersededError(OrchestratorError):
    """Another worker was started for the same job later, and the orchestrator serves only that one (409).

    This worker stops without a report.
    """


class ReleasedError(OrchestratorError):
    """This worker stops without a report, and its job can be resumed.

    Either it was suspended, or the program that started it and served its job has ended.
    """


class UnreachableError(OrchestratorError):
    """The orchestrator didn't respond within the time of the request, or only with transient failures.

    Attributes:
        retry_after: the number of seconds that the last response asked to wait, 0 if none did.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServerFailingError(UnreachableError):
    """The orchestrator answered a request only with 5xx statuses, for longer than the request tolerates them."""


class BadReplyError(OrchestratorError):
    """The orchestrator responded with a 2xx status and a body that violates the contract."""


class ModelRefusedError(OrchestratorError):
    """The model server refused a request for good: a wrong key, an unknown model, an exhausted quota.

    The message quotes the server's own words.
    """


class MaxTokensError(ModelRefusedError):
    """The model server refused the `max_tokens` of a request.

    `allowed` is the highest value that it accepts, None if it didn't say.
    """

    def __init__(self, message: str, allowed: int | None = None) -> None:
        super().__init__(message)
        self.allowed = allowed


class ContextLengthError(OrchestratorError):
    """The model server refused a request because the conversation is longer than the model's context.

    `limit` is the length of that context in tokens, None if the server didn't say.
    """

    def __init__(self, message: str, limit: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class ReasoningError(WorkerError):
    """The model makes no progress; the job fails with this reason."""


class ActorFailedError(WorkerError):
    """An actor ended more often than its supervisor may restart it; the job fails with this reason."""


class ToolError(WorkerError):
    """A tool could not do what the model asked for. The message is the model's result, and the job continues."""


class InvalidParametersError(ToolError):
    """The arguments of a call don't match the tool's schema.

    Attributes:
        problems: one `FIELD: MESSAGE` for each mismatch.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("invalid parameters: " + "; ".join(problems))
        self.problems = problems
