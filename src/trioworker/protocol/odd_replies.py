"""Decodes the model's replies: strictly at first, and if that fails, field by field.

Providers and gateways send usable JSON that deviates from the contract: token counts as floats, ids as integers,
content as a list of parts, calls wrapped as functions, a byte order mark, lone surrogates. All that is readable is
read.
"""

from __future__ import annotations

import codecs
import math
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

from trioworker.protocol.json_size import TOO_MANY_VALUES, has_too_many_values
from trioworker.protocol.limits import MIB
from trioworker.protocol.wire import ABSENT, MAX_TOKEN_COUNT, Reply, ToolCall, Untouched

if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Raised by msgspec for JSON that is malformed, of another type, or nested too deeply."""

THOUGHT_PARTS = frozenset({"thinking", "reasoning", "redacted_thinking"})
"""Types of content parts that are not text of the reply."""

CHECKED_BYTES = MIB
"""Bytes that are checked for UTF-8 at once: decoded, they may take four times as much memory."""


def is_json_object(content: bytes) -> bool:
    """Whether the bytes are one JSON object."""
    try:
        return isinstance(msgspec.json.decode(content), dict)
    except INVALID:
        return False


class _Reply(msgspec.Struct):
    content: Untouched = ABSENT
    tool_calls: Untouched = ABSENT
    input_tokens: Untouched = ABSENT
    output_tokens: Untouched = ABSENT
    cache_read_input_tokens: Untouched = ABSENT
    cache_creation_input_tokens: Untouched = ABSENT
    finish_reason: Untouched = ABSENT
    reasoning: Untouched = ABSENT
    reasoning_details: Untouched = ABSENT


class _Call(msgspec.Struct):
    id: Untouched = ABSENT
    name: Untouched = ABSENT
    arguments: Untouched = ABSENT
    function: Untouched = ABSENT
    reasoning: Untouched = ABSENT
    signature: Untouched = ABSENT
    arguments_parse_error: Untouched = ABSENT


def read_reply(body: bytes) -> Reply:
    """The reply in the body of a response.

    Raises:
        msgspec.MsgspecError: the body isn't a JSON object.
        RecursionError: it is nested too deeply.
    """
    if not has_too_many_values(body):
        try:
            # The decoder takes what is returned untouched as it is, and only the rest has to be UTF-8.
            _check_utf8(body)
            return _strict(body)
        except INVALID:
            pass
    return _read_loosely(body)


def _check_utf8(body: bytes) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), CHECKED_BYTES):
        decoder.decode(body[start : start + CHECKED_BYTES], final=start + CHECKED_BYTES >= len(body))


def _read_loosely(body: bytes) -> Reply:
    reply = _loose("".join(_without_lone_surrogates(body.decode("utf-8-sig", "replace"))))
    reason = _value(reply.finish_reason)
    return Reply(
        content=_content(_value(reply.content)),
        tool_calls=tuple(_calls(reply.tool_calls)) or None,
        input_tokens=_count(reply.input_tokens),
        output_tokens=_count(reply.output_tokens),
        cache_read_input_tokens=_count(reply.cache_read_input_tokens),
        cache_creation_input_tokens=_count(reply.cache_creation_input_tokens),
        finish_reason=reason if isinstance(reason, str) else None,
        reasoning=reply.reasoning,
        reasoning_details=reply.reasoning_details,
    )


def _value(raw: Untouched) -> Any:
    """The value of a field, None if it is absent, can't be decoded, or would take too much memory."""
    if not isinstance(raw, msgspec.Raw) or has_too_many_values(bytes(raw)):
        return None
    try:
        return msgspec.json.decode(raw)
    except INVALID:
        return None


def _content(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case list():
            return "".join(map(_part, cast("list[Any]", value)))
        case _:
            return _part(value)


def _part(value: Any) -> str:
    """The text of a content part: a string, or an object with a text. Thoughts have none."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    part = cast("dict[str, Any]", value)
    text = "" if part.get("type") in THOUGHT_PARTS else part.get("text") or part.get("refusal")
    return text if isinstance(text, str) else ""


def _calls(raw: Untouched) -> Iterator[ToolCall]:
    if isinstance(raw, msgspec.Raw) and has_too_many_values(bytes(raw)):
        # Not even their names: the model gets this one answer to all of them.
        yield ToolCall(id="", name="", arguments={}, arguments_parse_error=TOO_MANY_VALUES)
        return
    for one in _elements(raw):
        try:
            call = msgspec.json.decode(one, type=_Call)
            function = call.function if isinstance(_value(call.function), dict) else None
            inner = call if function is None else msgspec.json.decode(cast("msgspec.Raw", function), type=_Call)
        except INVALID:
            continue
        arguments = _value(inner.arguments)
        yield ToolCall(
            id=_string(_value(call.id)),
            name=_string(_value(inner.name)),
            arguments={} if arguments is None else arguments,
            reasoning=call.reasoning,
            signature=call.signature,
            arguments_parse_error=_string(_value(call.arguments_parse_error)) or ABSENT,
        )


def _elements(raw: Untouched) -> list[msgspec.Raw]:
    """The elements of a list; a single object counts as a list of one."""
    if not isinstance(raw, msgspec.Raw):
        return []
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except INVALID:
        return [raw]


def _string(value: Any) -> str:
    """A string, or an integer in its place."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)


def _count(raw: Untouched) -> int | None:
    """A count of tokens: an integer, or a float or a string in its place, within what `TokenCount` allows."""
    value = _value(raw)
    if isinstance(value, str):
        value = int(value) if re.fullmatch(r"[0-9]{1,30}", value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(max(int(value), 0), MAX_TOKEN_COUNT)


def _without_lone_surrogates(text: str) -> Iterator[str]:
    """The text in pieces: there may be millions of escapes."""
    piece, escape = re.compile(_PIECE), re.compile(_ESCAPE)
    position = 0
    while position < len(text):
        # Only a backslash at the end is in no piece.
        end = found.end() if (found := piece.match(text, position)) else len(text)
        yield escape.sub(_without_lone_surrogate, text[position:end])
        position = end


def _without_lone_surrogate(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape[1] else escape[0]


_strict = msgspec.json.Decoder(Reply).decode
_loose = msgspec.json.Decoder(_Reply).decode

# Two escapes of a surrogate pair, one of a lone surrogate, or any other escape.
_ESCAPE = r"(?s)\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
# As many escapes, each with the text before it, as are replaced at once.
_PIECE = rf"(?:[^\\]*+(?:{_ESCAPE.removeprefix('(?s)').replace('(u', '(?:u')}|\Z)){{1,4096}}"
