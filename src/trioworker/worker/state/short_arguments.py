"""Arguments of old calls, shortened. Objects and arrays keep their types, since models imitate calls they have made."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from trioworker.protocol.text import truncate

MAX_BYTES = 2_000
"""The maximum length of all arguments of an old call."""
STEPS = ((200, 10), (80, 5), (40, 3))
"""The bytes of each text, and the number of members of each object and array, at each attempt to stay within that."""
MAX_DEPTH = 4
"""Objects and arrays in more others than that become text."""

_encode = msgspec.json.Encoder().encode


def shortened_arguments(arguments: Any) -> Any:
    """The arguments, at most about `MAX_BYTES` long. What is shortened says so, with its length."""
    for text_bytes, members in STEPS:
        shortened = _shortened(arguments, text_bytes, members, MAX_DEPTH)
        if len(_encode(shortened)) <= MAX_BYTES:
            return shortened
    return {"compacted": truncate(_encode(arguments).decode(), STEPS[0][0])}


def _shortened(value: Any, text_bytes: int, members: int, depth: int) -> Any:
    if isinstance(value, str):
        return _beginning(value, text_bytes)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return _beginning(_encode(value).decode(), text_bytes)
    remark = f"[compacted to save space: {len(cast('list[Any]', value))} members in all]"
    if isinstance(value, list):
        items = cast("list[Any]", value)
        shown = [_shortened(item, text_bytes, members, depth - 1) for item in items[:members]]
        return shown if len(items) <= members else [*shown, remark]
    fields = list(cast("dict[str, Any]", value).items())
    short = {
        truncate(name, text_bytes): _shortened(item, text_bytes, members, depth - 1) for name, item in fields[:members]
    }
    return short if len(fields) <= members else {**short, "compacted": remark}


def _beginning(text: str, text_bytes: int) -> str:
    beginning = truncate(text, text_bytes)
    return text if beginning == text else f"{beginning} [compacted to save space: {len(text)} characters in all]"
