"""Outputs and arguments of events as text for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERLAP_CHARACTERS = 64
"""Length of the tail's beginning that is searched for in the preview, so that no text is shown twice."""


def readable_output(data: Mapping[str, Any]) -> str:
    """The output of a `tool_result` event: its preview and, if that was cut, its tail."""
    output, tail = str(data.get("output") or ""), str(data.get("tail") or "")
    if not tail:
        return output
    head = output.removesuffix("...")
    overlap = head.find(tail[:OVERLAP_CHARACTERS])
    # Repetitive output contains the same characters in many places.
    while overlap >= 0 and not tail.startswith(head[overlap:]):
        overlap = head.find(tail[:OVERLAP_CHARACTERS], overlap + 1)
    return head[:overlap] + tail if overlap >= 0 else f"{head}\n…\n{tail}"


def readable_arguments(text: str) -> str:
    """A call's arguments as `command=ls  workdir=src`. The last value of truncated JSON is shown as far as it goes."""
    values = arguments_of(text)
    if values is None:
        return text
    return "  ".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items())


def arguments_of(text: str) -> dict[str, Any] | None:
    """A call's arguments by name; None if they can't be read. The last value of truncated JSON ends with `…`."""
    try:
        return _decoded(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None


def is_failed_command(data: Mapping[str, Any]) -> bool:
    """Whether a `tool_result` event is of a command whose exit code isn't 0."""
    return bool(data.get("exit_code"))


def _decoded(text: str) -> dict[str, Any]:
    if not text.endswith("..."):
        return _object.decode(text)
    cut = text.removesuffix("...")
    # The cut may be within an escape sequence, which is six characters long at most.
    for length in range(len(cut), max(len(cut) - 6, 0), -1):
        try:
            return _object.decode(f'{cut[:length]}…"}}')
        except msgspec.MsgspecError:
            continue
    return _object.decode(text)


_object = msgspec.json.Decoder(dict[str, Any])
