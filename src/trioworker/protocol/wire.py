"""The contract's HTTP bodies as typed structs.

The type is the schema: decoding validates, ignores unknown fields, and accepts `null` for every optional field. Fields
that a worker only returns (`reasoning`, `signature`, …) keep their bytes, as `msgspec.Raw`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_use", "content_filter", "unknown"]

ABSENT = msgspec.UNSET
"""The value of a field that was absent. It is left out when the struct is encoded."""

Untouched = msgspec.Raw | msgspec.UnsetType
"""A JSON value that is returned byte for byte, or `ABSENT`."""

MAX_TOKEN_COUNT = 2**53
"""Integers that every JSON reader accepts (RFC 8259, 6)."""

TokenCount = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKEN_COUNT)]
"""Tokens of one reply. Sums fit into the journal."""

INTERRUPTED = "interrupted; its effects are unknown"
"""The answer to a call that was started and didn't end: it is never run a second time (design, rule 6)."""


FINISH_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {
        "stop": "stop",
        "end_turn": "stop",
        "stop_sequence": "stop",
        "length": "length",
        "max_tokens": "length",
        "max_output_tokens": "length",
        "model_length": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_use",
        "tool_calls": "tool_use",
        "function_call": "tool_use",
        "content_filter": "content_filter",
        "refusal": "content_filter",
        "safety": "content_filter",
    }
)
"""Values of `finish_reason` and what they mean: those of the contract, and those of Anthropic, Google and Mistral,
which some gateways pass on."""


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all bodies: immutable, and encoded without fields that have their default."""


class JobDescription(Body, frozen=True):
    """The response to `GET job`."""

    title: str
    description: str
    project_dir: str | None = None


class Credential(Body, frozen=True):
    """An entry of the response to `GET credentials`: a variable for the environment of the tools.

    `repr` never shows the value.
    """

    env_var: str
    value: str

    def __repr__(self) -> str:
        return f"Credential(env_var={self.env_var!r})"


class StatusUpdate(Body, frozen=True, omit_defaults=False):
    """The body of `POST status`."""

    message: str | None
    iteration: int
    state: Literal["in_progress"] = "in_progress"


class ToolCall(Body, frozen=True, omit_defaults=False):
    """A call that the model makes. `arguments` is any JSON value."""

    id: str
    name: str
    arguments: Any
    reasoning: Untouched = ABSENT
    signature: Untouched = ABSENT
    arguments_parse_error: str | msgspec.UnsetType | None = ABSENT


class Message(Body, frozen=True):
    """A message of the conversation."""

    role: Role
    content: str
    tool_call_id: str | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    reasoning: Untouched = ABSENT
    reasoning_details: Untouched = ABSENT


class ToolDefinition(Body, frozen=True):
    """The description of a tool for the model. `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class CompletionRequest(Body, frozen=True):
    """The body of `POST llm/complete`. The messages are already encoded."""

    messages: tuple[msgspec.Raw, ...]
    max_tokens: int
    temperature: float | None = None
    stop_sequences: tuple[str, ...] | None = None


class ToolCompletionRequest(Body, frozen=True):
    """The body of `POST llm/complete_with_tools`. The messages and the tools are already encoded."""

    messages: tuple[msgspec.Raw, ...]
    tools: msgspec.Raw
    max_tokens: int
    tool_choice: str
    temperature: float | None = None


class Reply(Body, frozen=True):
    """The response to either LLM request. Only `complete_with_tools` returns `tool_calls`."""

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
        """`finish_reason` in the contract's terms; a value that is not in `FINISH_REASONS` is `unknown`."""
        return FINISH_REASONS.get((self.finish_reason or "").lower(), "unknown")


class Prompt(Body, frozen=True):
    """The response to `GET prompt`: a follow-up from a person. `done` means that no more will come."""

    content: str
    done: bool | None = False


class EventPost(Body, frozen=True):
    """The body of `POST event`."""

    event_type: str
    data: dict[str, Any]


class CompletionReport(Body, frozen=True, omit_defaults=False):
    """The body of `POST complete`, the last request of a job."""

    success: bool
    message: str | None
    iterations: int
