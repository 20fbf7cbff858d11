"""The protocol that LLM backends implement, their request and their errors."""

from __future__ import annotations

from typing import Literal, Protocol

from trioworker.errors import WorkerError
from trioworker.protocol.wire import Body, Message, Reply, ToolDefinition

RefusalKind = Literal["rejected", "context_length", "max_tokens", "quota"]
"""Kinds of refusals, which no retry can change (contract, 'Additions of the embedded orchestrator')."""
ErrorKind = Literal["unavailable"] | RefusalKind


class LlmRequest(Body, frozen=True):
    """The body of both LLM requests. Without `tools` the reply is text."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    stop_sequences: tuple[str, ...] | None = None
    tools: tuple[ToolDefinition, ...] | None = None
    tool_choice: str | None = None


class NamedReply(Reply, frozen=True):
    """A reply with the name of the model that gave it, if known. The name isn't sent to the worker."""

    model: str | None = None


class LlmError(WorkerError):
    """The model couldn't answer; a retry may succeed (502). `retry_after` is the server's header, unchanged."""

    kind: ErrorKind = "unavailable"

    def __init__(self, message: str, *, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LlmRefusedError(LlmError):
    """The model will never answer this request, so the worker must not retry it unchanged (422)."""

    def __init__(self, message: str, kind: RefusalKind = "rejected") -> None:
        super().__init__(message)
        self.kind = kind


class Backend(Protocol):
    """A model. One instance serves all jobs and any number of concurrent requests."""

    async def complete(self, request: LlmRequest, /) -> Reply:
        """The reply to one request: a `NamedReply` if the model has a name.

        Raises:
            LlmError: there is no reply; the reason in one line.
        """
        ...

    async def aclose(self) -> None:
        """Release resources."""
        ...
