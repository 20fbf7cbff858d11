"""What answers the orchestrator's LLM requests: one protocol, its errors, and the choice of a backend by `--llm`."""

from __future__ import annotations

from typing import Protocol

from trioworker.errors import WorkerError
from trioworker.protocol.wire import Body, Message, Reply, ToolDefinition


class LlmRequest(Body, frozen=True):
    """The body of either LLM request, as the orchestrator reads it. Without `tools` the reply is text."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    stop_sequences: tuple[str, ...] | None = None
    tools: tuple[ToolDefinition, ...] | None = None
    tool_choice: str | None = None


class LlmError(WorkerError):
    """The model could not answer now; another try may be answered (502). `retry_after` is as it was told."""

    def __init__(self, message: str, *, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LlmRefusedError(LlmError):
    """The model will never answer this request (422), so that a worker need not try again until its time is over."""


class Backend(Protocol):
    """A model. One instance serves all jobs, many requests at a time."""

    async def complete(self, request: LlmRequest, /) -> Reply:
        """The reply to one request.

        Raises:
            LlmError: one line, why there is none.
        """
        ...

    async def aclose(self) -> None:
        """Give up what it holds."""
        ...
