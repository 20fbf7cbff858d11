"""The messages that the model is sent, in order, each encoded once.

A turn of a long job differs from the one before by a few messages; so each is kept as the JSON that goes out, and a
request joins them. When they outgrow what one request may carry, old tool results are folded to a line each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.protocol import wire
from trioworker.protocol.text import truncate
from trioworker.worker.state.records import HistoryCompacted, MessageAppended

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENING = 2
"""The first messages are the system's and the job: without them there is no job, so they stay whole, whatever comes."""
KEPT_TURNS = 10
"""The last turns, whose tool results stay whole as long as they fit into one request."""
COMPACTABLE_BYTES = 400
"""Folding something shorter would save nothing worth its loss."""
COMPACTED_SHARE = 0.75
"""The part of the limit that a fold brings the conversation down to."""
SHORTENED_BYTES = 200
"""Bytes that are left of a text or an argument that no request can carry."""
MANY_FIELDS = 10
"""Arguments of more such texts than this are too many to keep one by one."""
EMERGENCY_STEPS = (64 * 1024, 4 * 1024, COMPACTABLE_BYTES)
"""Bytes of the longest messages left standing, step by step, when folding old results was not enough."""
LEAVE_OUT = 0
"""As a fold's `over`: the turns before it go whole, when they are so many that even shortened they don't fit."""

_decode = msgspec.json.Decoder(wire.Message).decode
encode_message = msgspec.json.Encoder().encode


def message_record(role: wire.Role, content: str) -> MessageAppended:
    """The record that appends a message of plain text."""
    return MessageAppended(role=role, message=encode_message(wire.Message(role=role, content=content)))


class Conversation:
    """All messages so far. `size` is their length in bytes, as they are sent."""

    def __init__(self) -> None:
        self.size = 0
        self._messages: list[msgspec.Raw] = []
        self._sizes: list[int] = []
        self._roles: list[wire.Role] = []
        self._turn_starts: list[int] = []
        self._compacted_before = 0

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[wire.Message]:
        return (_decode(raw) for raw in self._messages)

    @property
    def last_role(self) -> wire.Role | None:
        """Who spoke last."""
        return self._roles[-1] if self._roles else None

    def snapshot(self) -> tuple[msgspec.Raw, ...]:
        """The messages as a request carries them."""
        return tuple(self._messages)

    def append(self, role: wire.Role, message: bytes) -> None:
        """Add an encoded message."""
        if role == "assistant":
            self._turn_starts.append(len(self._messages))
        self._messages.append(msgspec.Raw(message))
        self._sizes.append(len(message))
        self._roles.append(role)
        self.size += len(message) + 1

    def next_compaction(self, limit: int) -> HistoryCompacted | None:
        """What to shorten, oldest first, when `size` is over `limit` bytes; None when it is not, or nothing is left.

        The system message, the job, follow-ups and the last turns are spared. More is folded than is needed just now,
        since a conversation whose beginning changes each turn is one that no provider can cache.
        """
        if self.size <= limit or len(self._turn_starts) < KEPT_TURNS:
            return None
        wanted = self.size - int(limit * COMPACTED_SHARE)
        before = start = self._compacted_before
        end = self._turn_starts[-KEPT_TURNS]
        while before < end and wanted > 0:
            if self._roles[before] == "tool" and self._sizes[before] > COMPACTABLE_BYTES:
                wanted -= self._sizes[before] - COMPACTABLE_BYTES // 2
            before += 1
        return HistoryCompacted(before=before, over=COMPACTABLE_BYTES) if before > start else None

    def emergency_compactions(self) -> Iterator[HistoryCompacted]:
        """Ever harder measures for a conversation that no request could carry; nothing but the opening is spared.

        Each is meant to be done before the next is asked for.
        """
        for over in EMERGENCY_STEPS:
            yield HistoryCompacted(before=len(self._messages), over=over, everything=True)
        while len(self._turn_starts) > 1:
            middle = self._turn_starts[len(self._turn_starts) // 2]
            yield HistoryCompacted(before=middle, over=LEAVE_OUT, everything=True)

    def compact(self, compaction: HistoryCompacted) -> None:
        """Do what `next_fold` or `emergency_folds` proposed."""
        if compaction.over == LEAVE_OUT:
            self._leave_out(compaction.before)
            return
        start = 0 if compaction.everything else self._compacted_before
        for index in range(start, compaction.before):
            if self._sizes[index] > compaction.over:
                self._replace(index, self._shortened(index, compaction))
        self._compacted_before = max(self._compacted_before, 0 if compaction.everything else compaction.before)

    def _leave_out(self, before: int) -> None:
        """Drop whole turns, calls and answers together; what people said stays."""
        raws, roles, compacted_before = self._messages, self._roles, self._compacted_before
        kept = [index for index in range(len(raws)) if index < OPENING or index >= before or roles[index] == "user"]
        note = wire.Message(
            role="user", content=f"[{len(raws) - len(kept)} earlier messages were left out to save room]"
        )
        self.size, self._messages, self._sizes, self._roles, self._turn_starts = 0, [], [], [], []
        for index in kept:
            if len(self) == OPENING:
                self.append("user", encode_message(note))
            self.append(roles[index], bytes(raws[index]))
        self._compacted_before = sum(index < compacted_before for index in kept) + 1

    def _replace(self, index: int, message: wire.Message | None) -> None:
        if message is not None:
            encoded = encode_message(message)
            self.size += len(encoded) - self._sizes[index]
            self._messages[index] = msgspec.Raw(encoded)
            self._sizes[index] = len(encoded)

    def _shortened(self, index: int, compaction: HistoryCompacted) -> wire.Message | None:
        role = self._roles[index]
        if role == "tool":
            message = _decode(self._messages[index])
            said = f"[compacted to save room: a result of {len(message.content)} characters; call the tool again if needed]"
            return msgspec.structs.replace(message, content=said)
        if not compaction.everything or index < OPENING:
            return None
        message = _decode(self._messages[index])
        if role == "assistant":
            return _shortened_turn(message)
        return msgspec.structs.replace(message, content=truncate(message.content, compaction.over))


def _shortened_turn(message: wire.Message) -> wire.Message:
    """What the provider alone understands can't be shortened: it goes whole."""
    return msgspec.structs.replace(
        message,
        content=truncate(message.content, SHORTENED_BYTES),
        tool_calls=message.tool_calls and tuple(_shortened_call(call) for call in message.tool_calls),
        reasoning=wire.ABSENT,
        reasoning_details=wire.ABSENT,
    )


def _shortened_call(call: wire.ToolCall) -> wire.ToolCall:
    return msgspec.structs.replace(
        call, arguments=_shortened_arguments(call.arguments), reasoning=wire.ABSENT, signature=wire.ABSENT
    )


def _shortened_arguments(arguments: Any) -> Any:
    try:
        fields = msgspec.convert(arguments, dict[str, Any])
    except msgspec.ValidationError:
        return _shortened_value(arguments)
    shortened = {name: _shortened_value(value) for name, value in fields.items()}
    encoded = encode_message(shortened)
    if len(encoded) <= SHORTENED_BYTES * MANY_FIELDS:
        return shortened
    return {"compacted": truncate(encoded.decode(), SHORTENED_BYTES)}


def _shortened_value(value: Any) -> Any:
    if isinstance(value, str):
        return truncate(value, SHORTENED_BYTES)
    encoded = encode_message(value)
    return value if len(encoded) <= SHORTENED_BYTES else truncate(encoded.decode(), SHORTENED_BYTES)
