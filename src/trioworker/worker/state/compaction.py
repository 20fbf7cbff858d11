"""How messages are shortened when a conversation exceeds its limit. Pure functions of the messages.

A result becomes one line, or keeps its head and its tail. A turn keeps its calls, and the beginnings of its text and
of its arguments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from trioworker.protocol import wire
from trioworker.protocol.text import truncate
from trioworker.worker.state.short_arguments import shortened_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPACTABLE_BYTES = 400
"""Messages up to this length aren't compacted: it would save too little."""
MIN_SAVED_BYTES = 200
"""Cuts that save less aren't made."""
TEXT_BYTES = 1_000
"""The length that the model's text of an old turn is cut to."""
SHOWN_BYTES = 120
"""The lengths of the first words and of the last line of an old result."""
REPEATABLE = frozenset({"read_file", "list_dir", "glob", "grep"})
"""The tools that may be called again to see a result. Calling another one again could have effects."""

_LINE_END = b"\n"
_NUMBERED_LINE = r"\s*(\d+)\t"
"""A line that `read_file` shows."""
_MIN_SHARE = 0.5
"""The share of its room that a head or tail of whole lines fills; if it fills less, a line is cut within."""
_GAP_BYTES = 150
"""Bytes that are left for the line between head and tail, besides the path in it."""

encode_message = msgspec.json.Encoder().encode


def result_line(result: wire.Message, whole_size: int, kept: str) -> wire.Message:
    """The result of an old call as one line: tool, size, where the whole is, first words, last line.

    The arguments stand in the call. `whole_size` is the size of the result before it was ever cut, in bytes, and
    `kept` is the file with the whole output, empty if there is none.
    """
    tool = result.name or "a tool"
    where = f"; the full output is in {kept}" if kept else "; call it again to see it" if tool in REPEATABLE else ""
    words = one_line(result.content[: 2 * SHOWN_BYTES], SHOWN_BYTES)
    line = f"[compacted to save space: {tool} returned {whole_size} bytes{where}; beginning: {words}"
    if ending := _ending(result.content.rstrip(), any_line=tool not in REPEATABLE):
        line += f"; end: {ending}"
    return msgspec.structs.replace(result, content=f"{line}]")


def cut_result(result: wire.Message, limit: int, kept: str) -> wire.Message:
    """The result with its head and tail only, at most `limit` bytes long when encoded."""
    size = len(result.content.encode("utf-8", "replace"))
    frame = len(encode_message(msgspec.structs.replace(result, content="")))
    room = max(0, limit - frame) * size // max(1, len(encode_message(result)) - frame)
    while True:
        cut = msgspec.structs.replace(result, content=head_and_tail(result.content, room, result.name or "", kept))
        # The parts that stay may have more characters that JSON escapes than the whole.
        if room == 0 or (encoded := len(encode_message(cut))) <= limit:
            return cut
        room = room * limit // encoded


def cut_request(message: wire.Message, limit: int, whole_size: int) -> wire.Message:
    """The beginning of what a person wrote, at most `limit` bytes long when encoded. It had `whole_size` bytes."""
    remark = f"\n[the rest was left out to save space: it had {whole_size} bytes in all]"
    room = limit - len(encode_message(msgspec.structs.replace(message, content=remark)))
    while True:
        cut = msgspec.structs.replace(message, content=truncate(message.content, max(0, room)) + remark)
        if room <= 0 or (encoded := len(encode_message(cut))) <= limit:
            return cut
        room = room * limit // encoded


def shortened_turn(message: wire.Message) -> wire.Message:
    """The assistant's message of an old turn, with its text and arguments shortened.

    The provider's opaque data stays: it can't be cut, and some providers refuse a call without it.
    """
    return msgspec.structs.replace(
        message,
        content=truncate(message.content, TEXT_BYTES),
        tool_calls=message.tool_calls and tuple(map(_shortened_call, message.tool_calls)),
    )


def cut_turn(message: wire.Message, limit: int) -> wire.Message:
    """A shortened turn, without opaque data if it exceeds `limit` bytes: the last resort."""
    shortened = shortened_turn(message)
    if len(encode_message(shortened)) <= limit:
        return shortened
    return msgspec.structs.replace(
        shortened,
        content=truncate(message.content, min(limit, TEXT_BYTES)),
        tool_calls=shortened.tool_calls and tuple(map(_without_opaque_data, shortened.tool_calls)),
        reasoning=wire.ABSENT,
        reasoning_details=wire.ABSENT,
    )


def cut_length(sizes: Sequence[int], budget: int) -> int:
    """The greatest length to which the larger ones of messages must be cut, so that all have at most `budget` bytes."""
    low, high = COMPACTABLE_BYTES, max(sizes, default=0)
    while low < high:
        length = (low + high + 1) // 2
        if sum(length if is_worth_cutting(size, length) else size for size in sizes) <= budget:
            low = length
        else:
            high = length - 1
    return low


def is_worth_cutting(size: int, length: int) -> bool:
    """Whether cutting a message of `size` bytes to `length` saves enough."""
    return size >= length + MIN_SAVED_BYTES


def one_line(text: str, limit: int) -> str:
    """The beginning of the text, with each run of white space as one space."""
    return truncate(" ".join(text[: 8 * limit].split()), limit)


def head_and_tail(text: str, limit: int, tool: str, kept: str) -> str:
    """About `limit` bytes of the beginning and the end of a result, as whole lines where they aren't too long.

    The line between them says how much of what was shown is missing, and where it is.
    """
    data = text.encode("utf-8", "replace")
    room = max(0, limit - _GAP_BYTES - len(kept.encode("utf-8", "replace")))
    head = data[: room - room // 2]
    if whole_head := (end := head.rfind(_LINE_END) + 1) > len(head) * _MIN_SHARE:
        head = head[:end]
    tail = data[len(data) - room // 2 :]
    # A line end that is the last byte of the text starts no line.
    start = tail.find(_LINE_END, 0, max(0, len(tail) - 1)) + 1
    if whole_tail := 0 < start < len(tail) * _MIN_SHARE:
        tail = tail[start:]
    beginning, ending = head.decode("utf-8", "ignore"), tail.decode("utf-8", "ignore")
    if whole_head and whole_tail:
        missing = data.count(_LINE_END, len(head), len(data) - len(tail))
        count = f"{missing} of the {data.count(_LINE_END) + (not data.endswith(_LINE_END))} lines shown"
    else:
        count = f"{len(data) - len(beginning.encode()) - len(ending.encode())} of the {len(data)} bytes shown"
    line = f"[{count} were left out here to save space{_where(beginning, tool, kept)}]"
    separator = "" if beginning.endswith("\n") or not beginning else "\n"
    return f"{beginning}{separator}{line}\n{ending}"


def _where(beginning: str, tool: str, kept: str) -> str:
    """How to get what is missing after the beginning."""
    if kept:
        return f"; the full output is in {kept}"
    if tool not in REPEATABLE:
        return ""
    again = f"; call {tool} again for them"
    last = beginning.removesuffix("\n").rpartition("\n")[2] if beginning.endswith("\n") else ""
    if tool == "read_file" and (number := re.match(_NUMBERED_LINE, last)):
        again += f", from line {int(number[1]) + 1}"
    return again


def _ending(text: str, *, any_line: bool) -> str:
    """The last line of a result, and the one before if the last one is a remark in brackets.

    Empty if it has one line only, or, without `any_line`, if the last one is no remark.
    """
    before, _, last = text.rpartition("\n")
    if not before or not (any_line or last.startswith("[")):
        return ""
    if any_line and last.startswith("["):
        line_before = before.rstrip().rpartition("\n")[2]
        last = f"{one_line(line_before, SHOWN_BYTES)} {last}"
    return one_line(last, 2 * SHOWN_BYTES)


def _shortened_call(call: wire.ToolCall) -> wire.ToolCall:
    return msgspec.structs.replace(call, arguments=shortened_arguments(call.arguments))


def _without_opaque_data(call: wire.ToolCall) -> wire.ToolCall:
    return msgspec.structs.replace(call, reasoning=wire.ABSENT, signature=wire.ABSENT)
