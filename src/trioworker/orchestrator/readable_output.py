"""Tool results and arguments for people: the text that their JSON is about."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import msgspec

TEXT_FIELDS = ("output", "content")
LIST_FIELDS = ("entries", "files", "matches")
"""The fields in which the contract's tools return what they were asked for."""

_ENVELOPE = re.compile(r"\A<tool_output [^<>]*>\n?(.*?)\n?(?:</tool_output>)?\Z", re.DOTALL)
_CUT_TEXT = re.compile(r'"(?:output|content)": "((?:[^"\\]|\\.)*)')


def readable_output(output: str) -> str:
    """A tool's result for a person: the text or the list that its JSON is about, and the exit code if it is not 0."""
    if envelope := _ENVELOPE.match(output):
        output = envelope[1]
    result = _object_of(output)
    if result is None:
        return _readable_cut(output)
    for field in TEXT_FIELDS:
        if isinstance(text := result.get(field), str):
            code = result.get("exit_code", 0)
            return text if code == 0 else f"{text.rstrip()}\n(exit code {code})"
    for field in LIST_FIELDS:
        if isinstance(items := result.get(field), list):
            return "\n".join(item if isinstance(item, str) else json.dumps(item) for item in cast("list[Any]", items))
    return _pairs(result)


def _readable_cut(output: str) -> str:
    """The text of a result whose JSON was cut, as previews are: what there is of it."""
    field = _CUT_TEXT.search(output)
    if field is None:
        return output
    # Half an escape may stand at the cut.
    whole = re.sub(r"\\(?:u[0-9a-fA-F]{0,3})?\Z", "", field[1])
    try:
        return json.loads(f'"{whole}"', strict=False)
    except ValueError:
        return output


def readable_arguments(text: str) -> str:
    """A call's arguments as a person would say them: `command=ls workdir=src`. Cut ones stay JSON."""
    values = _object_of(text)
    return text if values is None else _pairs(values)


def _object_of(text: str) -> dict[str, Any] | None:
    """A JSON object, or None where there is none: cut, another value, or no JSON at all."""
    try:
        return _object.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None


def _pairs(values: dict[str, Any]) -> str:
    return "  ".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items())


_object = msgspec.json.Decoder(dict[str, Any])
