"""How two requests differ, for a person: a unified diff of their messages, text by lines and the rest as JSON."""

from __future__ import annotations

import difflib
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINES = 80
"""Lines of a diff that are shown."""
WIDTH = 160
"""Characters of a line; a longer one goes on in the next, so that what differs far to the right is seen."""
CONTEXT = 3
COMPARED_LINES = 2_000
"""Lines of each request that are compared, from the first that differs on: comparing takes their product."""


def difference(recorded: bytes, sent: bytes) -> str:
    """The diff, of `MAX_LINES` lines at the most."""
    old, new = _lines(recorded), _lines(sent)
    if old == new:
        return _of_bytes(recorded, sent)
    start = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), None)
    start = max(0, (min(len(old), len(new)) if start is None else start) - CONTEXT)
    window = slice(_heading(old, start), start + COMPARED_LINES)
    lines = list(difflib.unified_diff(old[window], new[window], "recorded", "sent", n=CONTEXT, lineterm=""))
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} lines more"]
    return "\n".join(lines)


def _heading(lines: list[str], start: int) -> int:
    """Where the message begins in which `start` lies, if that is not far: it tells who speaks."""
    return next(
        (at for at in range(start, max(-1, start - CONTEXT), -1) if lines[at : at + 1] and _opens(lines[at])), start
    )


def _opens(line: str) -> bool:
    return line.startswith("== ")


def _of_bytes(recorded: bytes, sent: bytes) -> str:
    """For requests that say the same in other bytes, such as a space more."""
    at = next((at for at, (one, other) in enumerate(zip(recorded, sent, strict=False)) if one != other), None)
    at = min(len(recorded), len(sent)) if at is None else at
    window = slice(max(0, at - WIDTH // 2), at + WIDTH // 2)
    return f"the same when read, but not the same bytes, from byte {at} on:\n-{recorded[window]!r}\n+{sent[window]!r}"


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
    """A message, or a tool: the short fields as its heading, then the text, then the rest."""
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
        # Escape sequences in a tool's output would otherwise speak to the terminal.
        clean = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
        yield from (clean[at : at + WIDTH] for at in range(0, max(1, len(clean)), WIDTH))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
