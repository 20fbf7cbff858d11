"""How messages are shortened when a conversation exceeds its limit. Pure functions of the messages.

A turn is shortened in one of two ways. An old one keeps what it did and where its full output is: each result becomes
one line, and long arguments are cut. A recent one that is too large by itself is cut to head and tail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.protocol import wire
from trioworker.protocol.text import truncate

if TYPE_CHECKING:
    from collections.abc import Iterable

COMPACTABLE_BYTES = 400
"""Messages up to this length, in bytes, aren't compacted: it would save too little."""
TEXT_BYTES = 1_000
"""Bytes to which the model's text in an old turn is cut."""
SHORTENED_BYTES = 200
"""Bytes to which each argument of an old call is cut."""
MANY_FIELDS = 10
"""If an arguments object exceeds this many times `SHORTENED_BYTES` even shortened, it is replaced entirely."""
SHOWN_ARGUMENTS_BYTES = 100
SHOWN_RESULT_BYTES = 120
"""Bytes of the arguments and of the result that the line for an old result shows."""
REPEATABLE = frozenset({"read_file", "list_dir", "glob", "grep"})
"""Tools that the line suggests calling again. Repeating a call of any other could have side effects."""

encode_message = msgspec.json.Encoder().encode


def result_line(result: wire.Message, calls: Iterable[wire.ToolCall], kept: str) -> wire.Message:
    """The result of an old call as one line: tool, arguments, first words, and the file with the full output.

    `calls` are those of its turn, and `kept` is the file with the full output, empty if there is none.
    """
    call = next((call for call in calls if call.id == result.tool_call_id), None)
    tool = call.name if call else result.name or "a tool"
    arguments = f" {_one_line(encode_message(call.arguments).decode(), SHOWN_ARGUMENTS_BYTES)}" if call else ""
    size = len(result.content.encode("utf-8", "replace"))
    where = f"; the full output is in {kept}" if kept else "; call it again to see it" if tool in REPEATABLE else ""
    words = _one_line(result.content, SHOWN_RESULT_BYTES)
    line = f"[compacted to save space: {tool}{arguments} returned {size} bytes{where}; beginning: {words}]"
    return msgspec.structs.replace(result, content=line)


def shortened_turn(message: wire.Message) -> wire.Message:
    """The assistant's message of an old turn, with its text and arguments shortened.

    The provider's opaque data stays: it can't be cut, and some providers refuse a call without it.
    """
    return msgspec.structs.replace(
        message,
        content=truncate(message.content, TEXT_BYTES),
        tool_calls=message.tool_calls and tuple(map(_shortened_call, message.tool_calls)),
    )


def cut_message(message: wire.Message, limit: int) -> wire.Message:
    """Any message, cut to about `limit` bytes: the last resort for those that `shortened_turn` doesn't reach."""
    if message.role != "assistant":
        return msgspec.structs.replace(message, content=head_and_tail(message.content, limit))
    shortened = shortened_turn(message)
    return msgspec.structs.replace(
        shortened,
        content=truncate(message.content, min(limit, TEXT_BYTES)),
        tool_calls=shortened.tool_calls and tuple(map(_without_opaque_data, shortened.tool_calls)),
        reasoning=wire.ABSENT,
        reasoning_details=wire.ABSENT,
    )


def head_and_tail(text: str, limit: int) -> str:
    """The text, or about `limit` bytes of its beginning and end, with a line between them that says what is missing."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    head = data[: limit - limit // 2].decode("utf-8", "ignore")
    tail = data[len(data) - limit // 2 :].decode("utf-8", "ignore")
    return f"{head}\n[{len(data) - limit} bytes were left out to save space]\n{tail}"


def _shortened_call(call: wire.ToolCall) -> wire.ToolCall:
    return msgspec.structs.replace(call, arguments=_shortened_arguments(call.arguments))


def _without_opaque_data(call: wire.ToolCall) -> wire.ToolCall:
    return msgspec.structs.replace(call, reasoning=wire.ABSENT, signature=wire.ABSENT)


def _shortened_arguments(arguments: Any) -> Any:
    try:
        fields = msgspec.convert(arguments, dict[str, Any])
    except msgspec.ValidationError:
        return _shortened_value(arguments)
    shortened = {name: _shortened_value(value) for name, value in fields.items()}
    encoded = encode_message(shortened)
    if len(encoded) <= SHORTENED_BYTES * MANY_FIELDS:
        return shortened
    return {"compacted": truncate(encoded.decode(), SHORTENED_BYTES)}


def _shortened_value(value: Any) -> Any:
    if isinstance(value, str):
        return _with_size(value)
    encoded = encode_message(value)
    return value if len(encoded) <= SHORTENED_BYTES else _with_size(encoded.decode())


def _with_size(text: str) -> str:
    shortened = truncate(text, SHORTENED_BYTES)
    return text if shortened == text else f"{shortened} [compacted to save space: {len(text)} characters in all]"


def _one_line(text: str, limit: int) -> str:
    """The beginning of the text, with each run of whitespace as one space."""
    return truncate(" ".join(text[: 2 * limit].split()), limit)
