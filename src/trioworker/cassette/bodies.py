"""A request's body in pieces, without its secrets, and put together again to the byte.

A conversation grows by a few messages a turn, so a cassette keeps what is new. Secrets are taken out of each string of
the JSON and not of its text: what a replay sends was made of strings that went through the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

SAME = b'"="'
"""Stands for the value of the request before; nothing that is sent has this value."""
SHORT_BYTES = 200
"""A field up to this long is told again each time, which reads better."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class Parts(msgspec.Struct, frozen=True):
    """A body without its secrets: `whole`, and its fields and messages if it can be put together from them."""

    whole: bytes
    fields: dict[str, bytes] = {}
    messages: tuple[bytes, ...] = ()


NOTHING = Parts(b"")


class Bodies:
    """Takes one request after the other apart; what the one before held already is not looked at again."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._known: dict[bytes, bytes] = {}

    def parts(self, body: bytes) -> Parts:
        """The body without its secrets."""
        known: dict[bytes, bytes] = {}

        def redacted(piece: bytes) -> bytes:
            known[piece] = clean = self._known.get(piece) or redact_json(piece, self._redact)
            return clean

        try:
            fields = {name: bytes(value) for name, value in _fields(body).items()}
            messages = tuple(bytes(item) for item in _items(fields["messages"]))
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
            return Parts(redact_text(body, self._redact))
        fields["messages"] = b""
        if b"\n" in body or joined(fields, messages) != body:
            return Parts(redact_text(body, self._redact))
        messages = tuple(map(redacted, messages))
        fields = {name: redacted(value) if value else value for name, value in fields.items()}
        self._known = known
        return Parts(joined(fields, messages), fields, messages)


def joined(fields: dict[str, bytes], messages: tuple[bytes, ...]) -> bytes:
    """The body of which these are the parts."""
    whole = {**fields, "messages": b"[%b]" % b",".join(messages)}
    return b"{%b}" % b",".join(_encode(name) + b":" + value for name, value in whole.items())


def shortened(parts: Parts, before: Parts) -> tuple[int, bytes]:
    """How many messages are those of the request `before`, and the body without them."""
    pairs = zip(parts.messages, before.messages, strict=False)
    kept = next((number for number, (one, other) in enumerate(pairs) if one != other), None)
    kept = min(len(parts.messages), len(before.messages)) if kept is None else kept
    fields = {
        name: SAME if len(value) > SHORT_BYTES and before.fields.get(name) == value else value
        for name, value in parts.fields.items()
    }
    return kept, joined(fields, parts.messages[kept:])


def lengthened(kept: int, body: bytes, before: Parts) -> Parts:
    """What `shortened` was given.

    Raises:
        ValueError: it can't have been this.
    """
    fields = {name: bytes(value) for name, value in _fields(body).items()}
    if kept > len(before.messages) or "messages" not in fields:
        raise ValueError("a request goes on from one that is not there")
    messages = before.messages[:kept] + tuple(bytes(item) for item in _items(fields["messages"]))
    fields["messages"] = b""
    for name, value in fields.items():
        if value == SAME:
            fields[name] = before.fields.get(name, SAME)
    return Parts(joined(fields, messages), fields, messages)


def redact_json(value: bytes, redact: Callable[[str], str]) -> bytes:
    """A JSON value without the secrets in its strings; one without any stays the bytes that it is."""
    try:
        decoded = _any(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return redact_text(value, redact)
    cleaned = _cleaned(decoded, redact)
    return value if cleaned == decoded else _encode(cleaned)


def redact_text(text: bytes, redact: Callable[[str], str]) -> bytes:
    """What is no JSON, as far as it is UTF-8, without its secrets."""
    return redact(text.decode("utf-8", "replace")).encode("utf-8", "replace")


def _cleaned(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_cleaned(item, redact) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {redact(name): _cleaned(item, redact) for name, item in pairs}
    return value
