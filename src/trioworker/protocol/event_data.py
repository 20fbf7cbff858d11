"""The `data` of each type of event (contract, 'Events'), as structs: the schemas of `/openapi.json`.

Fields that may be absent are additions to the original worker's events.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

if TYPE_CHECKING:
    from collections.abc import Mapping


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """What all events have in common."""

    seq: (
        Annotated[int, Meta(ge=0, description="Counts a job's events from 0; a repeated one keeps it.")] | UnsetType
    ) = UNSET


class MessageData(EventData, frozen=True):
    """The model or a person wrote something."""

    role: Annotated[Literal["assistant", "user"], Meta(description="`user` is a follow-up prompt.")]
    content: Annotated[str, Meta(description="The text, cut to 2,000 bytes.")]


class ToolUseData(EventData, frozen=True):
    """A tool call starts."""

    tool_name: str
    input: Annotated[str, Meta(description="The arguments as JSON, cut to 500 bytes.")]
    tool_call_id: Annotated[str, Meta(description="The same in the `tool_result`.")] | UnsetType = UNSET


class ToolResultData(EventData, frozen=True):
    """A tool call ended."""

    tool_name: str
    output: Annotated[str, Meta(description="The result, cut to 2,000 bytes; or `Error: ` and the error, cut to 500.")]
    success: Annotated[bool, Meta(description="Whether the tool worked: true also for a command that failed.")]
    tool_call_id: Annotated[str, Meta(description="The same in the `tool_use`.")] | UnsetType = UNSET
    exit_code: Annotated[int, Meta(description="The exit code of a command (`shell`).")] | UnsetType = UNSET
    tail: Annotated[str, Meta(description="The last 2,000 bytes of the result, if `output` was cut.")] | UnsetType = (
        UNSET
    )
    diff: (
        Annotated[str, Meta(description="A unified diff of what an edit changed, cut to 8,000 bytes.")] | UnsetType
    ) = UNSET


class ResultData(EventData, frozen=True):
    """The outcome of the job: its last event."""

    success: bool
    message: Annotated[str, Meta(description="The answer, or the reason of the failure, cut to 2,000 bytes.")]
    status: Literal["completed", "failed", "cancelled", "stuck"] | UnsetType = UNSET
    iterations: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    metrics: Annotated[dict[str, float], Meta(description="What the job cost; times in seconds.")] | UnsetType = UNSET


class StatusData(EventData, frozen=True):
    """Anything else worth showing."""

    message: Annotated[str, Meta(description="One line, cut to 2,000 bytes.")]


EVENT_DATA: Mapping[str, type[EventData]] = MappingProxyType(
    {
        "message": MessageData,
        "tool_use": ToolUseData,
        "tool_result": ToolResultData,
        "result": ResultData,
        "status": StatusData,
    }
)
"""The data of each type of event."""
