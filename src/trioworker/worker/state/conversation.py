"""The conversation with the model: its messages, in order, each encoded once, and their compaction.

Successive requests of a long job differ by only a few messages. Each message is therefore stored as the JSON that is
sent, and a request joins them. When they exceed the limit, old tool results are each replaced by one line.
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
"""The number of messages at the start, the system message and the job, that are never shortened."""
KEPT_TURNS = 10
"""The number of turns at the end whose tool results are kept whole as long as they fit into one request."""
COMPACTABLE_BYTES = 400
"""Messages up to this length aren't compacted: it would save too little."""
COMPACTED_SHARE = 0.75
"""A compaction reduces the conversation to this share of the limit."""
SHORTENED_BYTES = 200
"""The length that texts and arguments are cut to when the conversation fits into no request otherwise."""
MANY_FIELDS = 10
"""Arguments whose shortened fields exceed `SHORTENED_BYTES` times this are replaced as a whole."""
EMERGENCY_STEPS = (64 * 1024, 4 * 1024, COMPACTABLE_BYTES)
"""The maximum length of a message at each step of the emergency compaction."""
LEAVE_OUT = 0
"""As `HistoryCompacted.over`: remove the turns entirely, since even shortened ones don't fit."""

_decode = msgspec.json.Decoder(wire.Message).decode
encode_message = msgspec.json.Encoder().encode


def message_record(role: wire.Role, content: str) -> MessageAppended:
    """The record that adds a message of plain text."""
    return MessageAppended(role=role, message=encode_message(wire.Message(role=role, content=content)))


class Conversation:
    """All messages so far. `size` is their length in bytes when joined for a request."""

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
    def has_calls(self) -> bool:
        """Whether the model has called a tool: providers then refuse requests without `tools`."""
        return "tool" in self._roles

    @property
    def last_role(self) -> wire.Role | None:
        """The role of the last message, None when there is no message."""
        return self._roles[-1] if self._roles else None

    def snapshot(self) -> tuple[msgspec.Raw, ...]:
        """The messages, encoded, for a request."""
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
        """The compaction of the oldest tool results that brings `size` under `limit` bytes.

        None when `size` is within the limit, or no tool result is left to compact: only results older than the last
        `KEPT_TURNS` turns are compacted. It shortens more than necessary, so that the next turns need no compaction:
        providers cache a conversation only as long as its beginning doesn't change.
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
        """Yield ever stronger compactions, for a conversation that exceeds a request; only the opening is exempt.

        Apply each with `compact` before asking for the next.
        """
        for over in EMERGENCY_STEPS:
            yield HistoryCompacted(before=len(self._messages), over=over, everything=True)
        while len(self._turn_starts) > 1:
            middle = self._turn_starts[len(self._turn_starts) // 2]
            yield HistoryCompacted(before=middle, over=LEAVE_OUT, everything=True)

    def compact(self, compaction: HistoryCompacted) -> None:
        """Apply a compaction that `next_compaction` or `emergency_compactions` proposed."""
        if compaction.over == LEAVE_OUT:
            self._leave_out(compaction.before)
            return
        start = 0 if compaction.everything else self._compacted_before
        for index in range(start, compaction.before):
            if self._sizes[index] > compaction.over:
                self._replace(index, self._shortened(index, compaction))
        self._compacted_before = max(self._compacted_before, 0 if compaction.everything else compaction.before)

    def _leave_out(self, before: int) -> None:
        """Remove whole turns, calls and answers together, but keep the messages from people."""
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
            size = len(message.content)
            note = f"[compacted to save room: a result of {size} characters; call the tool again if needed]"
            return msgspec.structs.replace(message, content=note)
        if not compaction.everything or index < OPENING:
            return None
        message = _decode(self._messages[index])
        if role == "assistant":
            return _shortened_turn(message)
        return msgspec.structs.replace(message, content=truncate(message.content, compaction.over))


def _shortened_turn(message: wire.Message) -> wire.Message:
    """Shorten an assistant message. Opaque provider data can't be shortened, so it is removed."""
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
