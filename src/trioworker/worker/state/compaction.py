"""How messages are shortened when a conversation exceeds its limit. Pure functions of the messages.

A turn is shortened in one of two ways. An old one keeps what it did and where its whole output is: each result becomes
one line, and long arguments are cut. A recent one that is too large on its own is cut to head and tail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.protocol import wire
from trioworker.protocol.text import truncate

if TYPE_CHECKING:
    from collections.abc import Iterable

COMPACTABLE_BYTES = 400
"""Messages up to this length aren't compacted: it would save too little."""
TEXT_BYTES = 1_000
"""The length that the model's text of an old turn is cut to."""
SHORTENED_BYTES = 200
"""The length that each argument of an old call is cut to."""
MANY_FIELDS = 10
"""Arguments whose shortened fields exceed `SHORTENED_BYTES` times this are replaced as a whole."""
SHOWN_ARGUMENTS_BYTES = 100
SHOWN_RESULT_BYTES = 120
"""The beginnings of the arguments and of the result that the line for an old result shows."""
REPEATABLE = frozenset({"read_file", "list_dir", "glob", "grep"})
"""The tools that the line suggests to call again. Calling another one again could have effects."""

encode_message = msgspec.json.Encoder().encode


def result_line(result: wire.Message, calls: Iterable[wire.ToolCall], kept: str) -> wire.Message:
    """The result of an old call as one line: tool, arguments, first words, and where the whole output is.

    `calls` are those of its turn, and `kept` is the file with the whole output, empty if there is none.
    """
    call = next((call for call in calls if call.id == result.tool_call_id), None)
    tool = call.name if call else result.name or "a tool"
    arguments = f" {_one_line(encode_message(call.arguments).decode(), SHOWN_ARGUMENTS_BYTES)}" if call else ""
    size = len(result.content.encode("utf-8", "replace"))
    where = f"; the whole is in {kept}" if kept else "; call it again to see it" if tool in REPEATABLE else ""
    words = _one_line(result.content, SHOWN_RESULT_BYTES)
    line = f"[compacted to save room: {tool}{arguments} gave {size} bytes{where}; they begin: {words}]"
    return msgspec.structs.replace(result, content=line)


def shortened_turn(message: wire.Message) -> wire.Message:
    """The assistant's message of an old turn, without the ends of its text and of its arguments.

    Opaque data of the provider stays: it can't be cut, and some providers refuse a call that has lost it.
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
    return f"{head}\n[{len(data) - limit} bytes were left out to save room]\n{tail}"


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
    return text if shortened == text else f"{shortened} [compacted to save room: {len(text)} characters in all]"


def _one_line(text: str, limit: int) -> str:
    """The beginning of the text, with each run of white space as one space."""
    return truncate(" ".join(text[: 2 * limit].split()), limit)
