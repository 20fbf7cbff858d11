"""What answers the orchestrator's LLM requests: one protocol, its errors, and the choice of a backend by `--llm`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from trioworker.errors import ConfigError, WorkerError
from trioworker.wire import Body, Message, Reply, ToolDefinition

SPEC_FORMS = "script:FILE or openai:BASE_URL"


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


def open_backend(spec: str, model: str | None = None) -> Backend:
    """The backend that `spec` names, `script:FILE` or `openai:BASE_URL`.

    Raises:
        ConfigError: no such form, an unusable script, or a URL that is none.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or not rest:
        raise ConfigError(f"--llm {spec}: not a model; use {SPEC_FORMS}")
    # Each backend's libraries are loaded for its own sake alone: YAML for the one, an HTTP client for the other.
    if kind == "script":
        from trioworker.local.script_file import ScriptBackend

        return ScriptBackend(Path(rest))
    if kind == "openai":
        from trioworker.local.openai import OpenAIBackend

        return OpenAIBackend(rest, model)
    raise ConfigError(f"--llm {spec}: unknown kind '{kind}'; use {SPEC_FORMS}")


class NoBackend:
    """Stands where no `--llm` was given: every request is refused with the remedy."""

    async def complete(self, _: LlmRequest, /) -> Reply:
        """Refuse."""
        raise LlmError(f"this orchestrator has no model; start it with --llm {SPEC_FORMS}")

    async def aclose(self) -> None:
        """Nothing to close."""
