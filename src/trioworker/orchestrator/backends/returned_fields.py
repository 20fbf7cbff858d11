"""Fields that a model server wants back unchanged: its thoughts, and the signatures of its calls.

The contract has one name for each, servers have several, and a server refuses the names that others use. The value
therefore contains the server's name when the worker stores and returns it, which also survives a restart of the
orchestrator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from trioworker.protocol.wire import ABSENT, Message, ToolCall, Untouched

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

THOUGHTS = ("reasoning_content", "reasoning")
"""Thoughts as text. DeepSeek and Moonshot refuse a call in the history without its `reasoning_content`."""
THOUGHT_PARTS = ("reasoning_details", "thinking_blocks")
"""Signed or encrypted thoughts, of OpenRouter and of LiteLLM."""
THOUGHT_FIELDS = (*THOUGHTS, *THOUGHT_PARTS)
CALL_FIELDS = ("extra_content", "provider_specific_fields")
"""Signatures of a call. Gemini refuses a call without its signature; its server and LiteLLM send it in these fields."""

SENT_AS = "sent_as"
"""In the object that replaces `reasoning_details`, the key for the server's name of `reasoning`."""


class Reasoning(NamedTuple):
    """The thoughts of a reply, in the contract's fields."""

    reasoning: Untouched = ABSENT
    reasoning_details: Untouched = ABSENT


def thoughts_of(message: Mapping[str, Any]) -> Reasoning:
    """The thoughts in a server's message, for the worker to return."""
    name = next((name for name in THOUGHTS if message.get(name) is not None), None)
    reasoning = ABSENT if name is None else _raw(message[name])
    parts = _present(message, THOUGHT_PARTS)
    if name == "reasoning_content" or "thinking_blocks" in parts:
        return Reasoning(reasoning, _raw({SENT_AS: name, **parts}))
    return Reasoning(reasoning, _raw(parts["reasoning_details"]) if parts else ABSENT)


def thoughts_to_return(message: Message) -> dict[str, Any]:
    """The fields of a message from the worker, under the names that the server used."""
    own = {name: value for name in Reasoning._fields if (value := getattr(message, name)) is not ABSENT}
    details = _object(message.reasoning_details)
    if SENT_AS not in details:
        return own
    fields = _present(details, THOUGHT_PARTS)
    if details[SENT_AS] in THOUGHTS and "reasoning" in own:
        fields[details[SENT_AS]] = own["reasoning"]
    return fields


def signature_of(call: Mapping[str, Any]) -> Untouched:
    """The signatures of a server's call, for the worker to return."""
    fields = _present(call, CALL_FIELDS)
    return _raw(fields) if fields else ABSENT


def signature_to_return(call: ToolCall) -> dict[str, Any]:
    """The fields of a call from the worker, under the names that the server used."""
    return _present(_object(call.signature), CALL_FIELDS)


def _present(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := fields.get(name)) is not None}


def _object(value: Untouched) -> dict[str, Any]:
    """The object that the worker returned; empty if it isn't an object."""
    decoded: Any = None if isinstance(value, msgspec.UnsetType) else msgspec.json.decode(value)
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
