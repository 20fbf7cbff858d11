"""Tool results and arguments as text for people, without their JSON."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import msgspec

TEXT_FIELDS = ("output", "content")
LIST_FIELDS = ("entries", "files", "matches")
"""The fields in which the contract's tools return their main result."""

_ENVELOPE = re.compile(r"\A<tool_output [^<>]*>\n?(.*?)\n?(?:</tool_output>)?\Z", re.DOTALL)
_TRUNCATED_TEXT = re.compile(r'"(?:output|content)": "((?:[^"\\]|\\.)*)')


def readable_output(output: str) -> str:
    """The main text or list of a tool result, followed by the exit code if it isn't 0."""
    if envelope := _ENVELOPE.match(output):
        output = envelope[1]
    result = _object_of(output)
    if result is None:
        return _readable_truncated(output)
    for field in TEXT_FIELDS:
        if isinstance(text := result.get(field), str):
            code = result.get("exit_code", 0)
            return text if code == 0 else f"{text.rstrip()}\n(exit code {code})"
    for field in LIST_FIELDS:
        if isinstance(items := result.get(field), list):
            return "\n".join(item if isinstance(item, str) else json.dumps(item) for item in cast("list[Any]", items))
    return _pairs(result)


def _readable_truncated(output: str) -> str:
    """The text of a result whose JSON is truncated, as in previews."""
    field = _TRUNCATED_TEXT.search(output)
    if field is None:
        return output
    # The text may end within an escape sequence.
    text = re.sub(r"\\(?:u[0-9a-fA-F]{0,3})?\Z", "", field[1])
    try:
        return json.loads(f'"{text}"', strict=False)
    except ValueError:
        return output


def readable_arguments(text: str) -> str:
    """A call's arguments as `command=ls  workdir=src`. Truncated JSON is returned unchanged."""
    values = _object_of(text)
    return text if values is None else _pairs(values)


def _object_of(text: str) -> dict[str, Any] | None:
    """`text` as a JSON object, or None if it is truncated, another value, or not JSON."""
    try:
        return _object.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None


def _pairs(values: dict[str, Any]) -> str:
    return "  ".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items())


_object = msgspec.json.Decoder(dict[str, Any])
