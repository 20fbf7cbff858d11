"""The contract's HTTP bodies, as typed structs, and nothing else.

A struct's fields are the contract's, so the schema is the type: decoding validates, unknown fields are ignored, and
`null` means absent in every optional field. What a worker only hands back (`reasoning`, `signature`, …) stays the bytes
that came, as `msgspec.Raw`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_use", "content_filter", "unknown"]

ABSENT = msgspec.UNSET
"""Stands for a field that was not in the body; such a field is left out again when it is sent back."""

Untouched = msgspec.Raw | msgspec.UnsetType
"""A JSON value that is kept and sent back byte for byte."""

TokenCount = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Tokens of one reply. Up to what every JSON reader takes for an integer (RFC 8259, 6); sums of it fit the journal."""


INTERRUPTED = "interrupted; its effects are unknown"
"""The answer to a call that was started and not seen to end: it never runs a second time (design, rule 6)."""


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all bodies: immutable, and what is absent is left out."""


class JobDescription(Body, frozen=True):
    """The answer to `GET job`."""

    title: str
    description: str
    project_dir: str | None = None


class Credential(Body, frozen=True):
    """One entry of the answer to `GET credentials`: a variable for the tools' environment."""

    env_var: str
    value: str


class StatusUpdate(Body, frozen=True, omit_defaults=False):
    """The body of `POST status`."""

    message: str | None
    iteration: int
    state: Literal["in_progress"] = "in_progress"


class ToolCall(Body, frozen=True, omit_defaults=False):
    """One call that the model asks for; `arguments` is any JSON value."""

    id: str
    name: str
    arguments: Any
    reasoning: Untouched = ABSENT
    signature: Untouched = ABSENT
    arguments_parse_error: str | msgspec.UnsetType | None = ABSENT


class Message(Body, frozen=True):
    """One message of the conversation."""

    role: Role
    content: str
    tool_call_id: str | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    reasoning: Untouched = ABSENT
    reasoning_details: Untouched = ABSENT


class ToolDefinition(Body, frozen=True):
    """A tool as the model is told of it; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class CompletionRequest(Body, frozen=True):
    """The body of `POST llm/complete`. Messages are encoded once and joined here as they are."""

    messages: tuple[msgspec.Raw, ...]
    max_tokens: int
    temperature: float | None = None
    stop_sequences: tuple[str, ...] | None = None


class ToolCompletionRequest(Body, frozen=True):
    """The body of `POST llm/complete_with_tools`."""

    messages: tuple[msgspec.Raw, ...]
    tools: msgspec.Raw
    max_tokens: int
    tool_choice: str
    temperature: float | None = None


class Reply(Body, frozen=True):
    """The answer to either LLM request; without tools it holds no calls."""

    content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    input_tokens: TokenCount | None = None
    output_tokens: TokenCount | None = None
    cache_read_input_tokens: TokenCount | None = None
    cache_creation_input_tokens: TokenCount | None = None
    finish_reason: str | None = None
    reasoning: Untouched = ABSENT
    reasoning_details: Untouched = ABSENT

    @property
    def ended_by(self) -> FinishReason:
        """`finish_reason` in the contract's terms; `tool_calls` is `tool_use`, anything else is `unknown`."""
        match self.finish_reason:
            case "tool_use" | "tool_calls":
                return "tool_use"
            case "stop" | "length" | "content_filter" as reason:
                return reason
            case _:
                return "unknown"


class Prompt(Body, frozen=True):
    """The answer to `GET prompt`: a follow-up from a person; `done` ends the polling."""

    content: str
    done: bool | None = False


class EventPost(Body, frozen=True):
    """The body of `POST event`."""

    event_type: str
    data: dict[str, Any]


class CompletionReport(Body, frozen=True, omit_defaults=False):
    """The body of `POST complete`, always the last request of a job."""

    success: bool
    message: str | None
    iterations: int
