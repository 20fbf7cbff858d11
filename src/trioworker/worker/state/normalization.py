"""Normalization of the conversation for requests, so that the strictest provider accepts it.

The journal keeps the original messages, and these functions change only what is sent. They are deterministic, so that
requests begin alike and providers can cache the beginning.

What providers refuse (HTTP 400 unless noted), and who:

| in a request                                          | refused by                                                 |
|-------------------------------------------------------|------------------------------------------------------------|
| an empty tool name                                    | all                                                        |
| a tool name outside `[a-zA-Z0-9_-]{1,64}`             | OpenAI, Anthropic, DeepSeek, Bedrock                       |
| a tool name that starts with a digit or `-`           | Google                                                     |
| arguments that are not an object                      | Anthropic, Google, Bedrock; chat templates of vLLM         |
| a text that is empty or whitespace, without calls     | Anthropic, Bedrock                                         |
| an empty result                                       | Bedrock                                                    |
| `null` as content                                     | some OpenAI-compatible servers                             |
| a call id with spaces or control characters           | Anthropic, Bedrock                                         |
| a call without the reasoning or signature it came with| Google, DeepSeek and Anthropic, when the model thinks      |
| two `user` messages in a row                          | Mistral; chat templates of Gemma and Llama 2               |
| the assistant's message at the end                    | Mistral; Anthropic, when the model thinks                  |
| a system message after the start, or a second one     | Mistral; chat templates of Qwen                            |
| a first message that is not the user's                | Anthropic, Bedrock                                         |
| a result without its call, or a call without a result | all                                                        |
| calls in the history, but no `tools`                  | Anthropic, Bedrock                                         |

`Conversation` and `Model` prevent the last two, and keep calls and results in order. A provider's ids are returned
unchanged, as some contain a signature. Mistral requires ids of nine letters and digits from other providers; the
contract gives ours another form.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trioworker.protocol import wire
from trioworker.protocol.json_size import has_too_many_values

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_NAME = "unnamed_tool"
"""The name of a call that has none."""
NO_TEXT = "(no text)"
NO_OUTPUT = "(no output)"
"""In place of an empty text or result."""
ARGUMENTS_KEY = "arguments"
"""The field that holds arguments that are not an object."""
GO_ON = "Continue with the job."
"""Added after an assistant's message at the end."""
SEPARATOR = "\n\n"
"""Between the texts of two messages that were merged."""

_NAME_CHARACTERS = r"[^a-zA-Z0-9_-]"
_MAX_NAME = 64
_ID = r"[!-~]+"

_decode = msgspec.json.Decoder(wire.Message).decode
_encode = msgspec.json.Encoder().encode


def normalized(message: wire.Message) -> wire.Message:
    """The message in a form that every provider accepts; the same object if nothing has to change."""
    changes: dict[str, Any] = {}
    if not message.content.strip() and not message.tool_calls and message.role != "system":
        changes["content"] = NO_OUTPUT if message.role == "tool" else NO_TEXT
    if message.name is not None and (name := normalized_name(message.name)) != message.name:
        changes["name"] = name
    if message.tool_call_id is not None and (call_id := _normalized_id(message.tool_call_id)) != message.tool_call_id:
        changes["tool_call_id"] = call_id
    if message.tool_calls is not None:
        calls = tuple(map(_normalized_call, message.tool_calls))
        if any(after is not before for after, before in zip(calls, message.tool_calls, strict=True)):
            changes["tool_calls"] = calls
    return msgspec.structs.replace(message, **changes) if changes else message


def normalized_json(message: bytes) -> bytes:
    """The encoded message, normalized; the same bytes if nothing has to change."""
    before = _decode(message)
    after = normalized(before)
    return message if after is before else _encode(after)


def normalized_name(name: str) -> str:
    """The name of a tool within `[a-zA-Z_][a-zA-Z0-9_-]{0,63}`. Different names may become the same."""
    valid = re.sub(_NAME_CHARACTERS, "_", name)
    if not valid.strip("_-"):
        return NO_NAME
    return (f"_{valid}" if re.match(r"[0-9-]", valid) else valid)[:_MAX_NAME]


def merged(roles: Sequence[wire.Role], messages: Sequence[msgspec.Raw]) -> tuple[msgspec.Raw, ...]:
    """The messages in an order that every provider accepts; `roles` are their roles.

    Consecutive user messages become one, and a final assistant message is followed by a user message.
    """
    ordered: list[msgspec.Raw] = []
    start = 0
    while start < len(messages):
        end = start + 1
        while roles[start] == "user" and end < len(messages) and roles[end] == "user":
            end += 1
        ordered.append(messages[start] if end == start + 1 else _joined(messages[start:end]))
        start = end
    if roles and roles[-1] == "assistant":
        ordered.append(msgspec.Raw(_encode(wire.Message(role="user", content=GO_ON))))
    return tuple(ordered)


def _joined(messages: Sequence[msgspec.Raw]) -> msgspec.Raw:
    text = SEPARATOR.join(_decode(message).content for message in messages)
    return msgspec.Raw(_encode(wire.Message(role="user", content=text)))


def _normalized_call(call: wire.ToolCall) -> wire.ToolCall:
    changes: dict[str, Any] = {}
    if (name := normalized_name(call.name)) != call.name:
        changes["name"] = name
    if (call_id := _normalized_id(call.id)) != call.id:
        changes["id"] = call_id
    if not isinstance(call.arguments, dict):
        changes["arguments"] = _as_object(call.arguments)
    if call.arguments_parse_error is not wire.ABSENT:
        changes["arguments_parse_error"] = wire.ABSENT
    return msgspec.structs.replace(call, **changes) if changes else call


def _as_object(arguments: Any) -> dict[str, Any]:
    """Arguments as an object: JSON text is decoded, null becomes `{}`, and any other value is put in a field."""
    if isinstance(arguments, str) and not has_too_many_values(arguments):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
            arguments = msgspec.json.decode(arguments)
    if isinstance(arguments, dict):
        return cast("dict[str, Any]", arguments)
    return {} if arguments in (None, "", []) else {ARGUMENTS_KEY: arguments}


def _normalized_id(call_id: str) -> str:
    """The id if it is printable ASCII, otherwise its checksum, which is the same for a call and its result."""
    if re.fullmatch(_ID, call_id):
        return call_id
    return f"call_{zlib.crc32(call_id.encode('utf-8', 'replace')):08x}"
