"""Request bodies as a cassette stores them: redacted, and as the difference from the previous body.

A conversation grows by a few messages per turn, so storing only what is new keeps a cassette small. A body is restored
to the byte. Each string of the JSON is redacted by itself, not the JSON text: a replay redacts the strings that it
sends in the same way, so both sides can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

UNCHANGED = b'"="'
"""Stands for a field's value that is the same as in the previous request; no request has this value."""
MAX_INLINE_BYTES = 200
"""A field up to this size is written each time, which reads better."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class BodyParts(msgspec.Struct, frozen=True):
    """A redacted body: `whole`, and its fields and messages if it can be restored from them."""

    whole: bytes
    fields: dict[str, bytes] = {}
    messages: tuple[bytes, ...] = ()


NO_PARTS = BodyParts(b"")


class BodySplitter:
    """Splits and redacts the bodies of one job's requests. What the previous body contained isn't redacted again."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._known: dict[bytes, bytes] = {}

    def split(self, body: bytes) -> BodyParts:
        """Return the body, redacted; in parts if it is an object with messages."""
        known: dict[bytes, bytes] = {}

        def redacted(piece: bytes) -> bytes:
            known[piece] = clean = self._known.get(piece) or redact_json(piece, self._redact)
            return clean

        try:
            fields = {name: bytes(value) for name, value in _fields(body).items()}
            messages = tuple(bytes(item) for item in _items(fields["messages"]))
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
            return BodyParts(redact_text(body, self._redact))
        fields["messages"] = b""
        if b"\n" in body or join_parts(fields, messages) != body:
            return BodyParts(redact_text(body, self._redact))
        messages = tuple(map(redacted, messages))
        fields = {name: redacted(value) if value else value for name, value in fields.items()}
        self._known = known
        return BodyParts(join_parts(fields, messages), fields, messages)


def join_parts(fields: dict[str, bytes], messages: tuple[bytes, ...]) -> bytes:
    """Return the body that has these parts."""
    whole = {**fields, "messages": b"[%b]" % b",".join(messages)}
    return b"{%b}" % b",".join(_encode(name) + b":" + value for name, value in whole.items())


def shorten(parts: BodyParts, before: BodyParts) -> tuple[int, bytes]:
    """Return how many leading messages are those of the request `before`, and the body without them."""
    pairs = zip(parts.messages, before.messages, strict=False)
    kept = next((number for number, (one, other) in enumerate(pairs) if one != other), None)
    kept = min(len(parts.messages), len(before.messages)) if kept is None else kept
    fields = {
        name: UNCHANGED if len(value) > MAX_INLINE_BYTES and before.fields.get(name) == value else value
        for name, value in parts.fields.items()
    }
    return kept, join_parts(fields, parts.messages[kept:])


def restore(kept: int, body: bytes, before: BodyParts) -> BodyParts:
    """Undo `shorten`.

    Raises:
        ValueError: `before` isn't the request before this one.
    """
    fields = {name: bytes(value) for name, value in _fields(body).items()}
    if kept > len(before.messages) or "messages" not in fields:
        raise ValueError("a request continues one that is missing")
    messages = before.messages[:kept] + tuple(bytes(item) for item in _items(fields["messages"]))
    fields["messages"] = b""
    for name, value in fields.items():
        if value == UNCHANGED:
            fields[name] = before.fields.get(name, UNCHANGED)
    return BodyParts(join_parts(fields, messages), fields, messages)


def redact_json(value: bytes, redact: Callable[[str], str]) -> bytes:
    """Return a JSON value with its strings redacted; unchanged, byte for byte, if they hold no secret."""
    try:
        decoded = _any(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return redact_text(value, redact)
    cleaned = _redact_values(decoded, redact)
    return value if cleaned == decoded else _encode(cleaned)


def redact_text(text: bytes, redact: Callable[[str], str]) -> bytes:
    """Return text that isn't JSON, redacted; bytes that aren't UTF-8 are replaced."""
    return redact(text.decode("utf-8", "replace")).encode("utf-8", "replace")


def _redact_values(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redact_values(item, redact) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {redact(name): _redact_values(item, redact) for name, item in pairs}
    return value
