"""A readable diff of two requests: unified, over their messages, with text by lines and everything else as JSON."""

from __future__ import annotations

import difflib
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINES = 80
"""Maximum length of a diff, in lines."""
MAX_LINE_CHARACTERS = 160
"""A longer line is wrapped, so that a difference far to the right is visible."""
CONTEXT_LINES = 3
MAX_COMPARED_LINES = 2_000
"""Lines of each request that are compared, from the first difference: the time grows with their product."""


def diff_requests(recorded: bytes, sent: bytes) -> str:
    """Return a diff of at most `MAX_LINES` lines."""
    old, new = _lines(recorded), _lines(sent)
    if old == new:
        return _byte_difference(recorded, sent)
    start = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), None)
    start = max(0, (min(len(old), len(new)) if start is None else start) - CONTEXT_LINES)
    window = slice(_heading(old, start), start + MAX_COMPARED_LINES)
    lines = list(difflib.unified_diff(old[window], new[window], "recorded", "sent", n=CONTEXT_LINES, lineterm=""))
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} more lines"]
    return "\n".join(lines)


def _heading(lines: list[str], start: int) -> int:
    """Return the line of the heading above `start`, if it is near: it shows whose message this is."""
    return next(
        (
            at
            for at in range(start, max(-1, start - CONTEXT_LINES), -1)
            if lines[at : at + 1] and _is_heading(lines[at])
        ),
        start,
    )


def _is_heading(line: str) -> bool:
    return line.startswith("== ")


def _byte_difference(recorded: bytes, sent: bytes) -> str:
    """Describe requests that are equal as JSON and differ in bytes, for instance in a space."""
    at = next((at for at, (one, other) in enumerate(zip(recorded, sent, strict=False)) if one != other), None)
    at = min(len(recorded), len(sent)) if at is None else at
    window = slice(max(0, at - MAX_LINE_CHARACTERS // 2), at + MAX_LINE_CHARACTERS // 2)
    return f"equal as JSON, but the bytes differ from byte {at}:\n-{recorded[window]!r}\n+{sent[window]!r}"


def _lines(body: bytes) -> list[str]:
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [*_wrapped(body.decode("utf-8", "replace"))]
    shown = chain.from_iterable(_field(name, value) for name, value in fields.items())
    return [line for text in shown for line in _wrapped(text)]


def _field(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"== {name}: {_json(value)}"
        return
    for number, item in enumerate(cast("list[Any]", value), start=1):
        if isinstance(item, dict):
            yield from _item(f"== {name} {number}", cast("dict[str, Any]", item))
        else:
            yield f"== {name} {number}: {_json(item)}"


def _item(heading: str, item: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a message or a tool: a heading of its short fields, then the others."""
    short = [str(item[name]) for name in ("role", "name", "tool_call_id") if name in item]
    yield " ".join((heading, *short))
    for name, value in item.items():
        if name in {"role", "name", "tool_call_id"}:
            continue
        if isinstance(value, str):
            yield from value.split("\n")
        else:
            yield f"{name}:"
            yield from msgspec.json.format(msgspec.json.encode(value), indent=2).decode().split("\n")


def _wrapped(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        # Escape sequences in a tool's output must not reach the terminal.
        clean = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
        yield from (clean[at : at + MAX_LINE_CHARACTERS] for at in range(0, max(1, len(clean)), MAX_LINE_CHARACTERS))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
