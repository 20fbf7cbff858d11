"""The conversation with the model: its messages, in order, each encoded once, and their compaction.

Successive requests of a long job differ by only a few messages. Each message is therefore stored as the JSON that is
sent, and a request joins them. `compactions` says what to shorten when they exceed a limit. One compaction frees
enough space for many turns: providers cache a conversation only while its beginning doesn't change.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec

from trioworker.protocol import wire
from trioworker.worker.state.compaction import (
    COMPACTABLE_BYTES,
    cut_message,
    encode_message,
    result_line,
    shortened_turn,
)
from trioworker.worker.state.normalization import merged, normalized_json
from trioworker.worker.state.records import HistoryCompacted, MessageAppended

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENING = 2
"""The number of messages at the start, the system message and the job, that are never shortened."""
KEPT_TURNS = 2
"""The number of last turns that aren't shortened, unless they exceed the limit by themselves."""
COMPACTED_SHARE = 0.4
"""The share of its room to which a compaction reduces what follows the opening."""
HISTORY_SHARE = 0.3
"""When shortened turns take more than this share of the room, the oldest are left out until half of it is free."""
CUT_STEPS = (64 * 1024, 32 * 1024, 16 * 1024, 8 * 1024, 4 * 1024, 1024, COMPACTABLE_BYTES)
"""The maximum size of a message, in bytes, at each step of cutting the last turns."""
LEAVE_OUT = 0
"""The value of `HistoryCompacted.over` that removes the turns entirely."""

_decode = msgspec.json.Decoder(wire.Message).decode


def message_record(role: wire.Role, content: str) -> MessageAppended:
    """The record that adds a message of plain text."""
    return MessageAppended(role=role, message=encode_message(wire.Message(role=role, content=content)))


class Conversation:
    """All messages so far.

    Attributes:
        size: their size in bytes when joined for a request.
        kept_outputs: the files with the full outputs of calls, by the calls' ids.
    """

    def __init__(self) -> None:
        self.size = 0
        self.kept_outputs: dict[str, str] = {}
        self._messages: list[msgspec.Raw] = []
        self._sizes: list[int] = []
        self._roles: list[wire.Role] = []
        self._turn_starts: list[int] = []
        self._compacted_before = OPENING
        self._left_out = 0
        self._last_calls: tuple[msgspec.Raw | None, tuple[wire.ToolCall, ...]] = None, ()

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

    @property
    def opening_size(self) -> int:
        """The size in bytes of the messages that are never shortened."""
        return sum(size + 1 for size in self._sizes[:OPENING])

    def last_text(self) -> str:
        """The last text that the model wrote, empty if there is none."""
        for start in reversed(self._turn_starts):
            if content := _decode(self._messages[start]).content:
                return content
        return ""

    def snapshot(self) -> tuple[msgspec.Raw, ...]:
        """The encoded messages, in a form that every provider accepts."""
        return merged(self._roles, self._messages)

    def append(self, role: wire.Role, message: bytes) -> None:
        """Add an encoded message."""
        if role == "assistant":
            self._turn_starts.append(len(self._messages))
        message = normalized_json(message)
        self._messages.append(msgspec.Raw(message))
        self._sizes.append(len(message))
        self._roles.append(role)
        self.size += len(message) + 1

    def compactions(self, limit: int) -> Iterator[HistoryCompacted]:
        """Yield stronger and stronger compactions until `size` is within `limit` bytes or nothing is left to shorten.

        Apply each with `compact` before asking for the next. Old turns are shortened first, then left out; the last
        `KEPT_TURNS` are cut only when that isn't enough.
        """
        if self.size <= limit:
            return
        room = max(0, limit - self.opening_size)
        if (before := self._shortened_until(self.opening_size + int(room * COMPACTED_SHARE))) is not None:
            yield HistoryCompacted(before=before, over=COMPACTABLE_BYTES)
        if (before := self._left_out_until(int(room * HISTORY_SHARE))) is not None:
            yield HistoryCompacted(before=before, over=LEAVE_OUT)
        for over in CUT_STEPS:
            if self.size <= limit:
                return
            if any(size > over for size in self._sizes[OPENING:]):
                yield HistoryCompacted(before=len(self), over=over, everything=True)
        while self.size > limit and len(self._turn_starts) > 1:
            yield HistoryCompacted(before=self._turn_starts[len(self._turn_starts) // 2], over=LEAVE_OUT)

    def compact(self, compaction: HistoryCompacted) -> None:
        """Apply a compaction that `compactions` proposed."""
        if compaction.over == LEAVE_OUT:
            self._leave_out(compaction.before)
        elif compaction.everything:
            for index in range(OPENING, min(compaction.before, len(self))):
                if self._sizes[index] > compaction.over:
                    self._replace(index, cut_message(_decode(self._messages[index]), compaction.over))
        else:
            for index in range(self._compacted_before, min(compaction.before, len(self))):
                if (shortened := self._shortened(index)) is not None:
                    self._replace(index, shortened)
            self._compacted_before = max(self._compacted_before, compaction.before)

    @property
    def _kept_from(self) -> int:
        """The index of the first message of the last turns."""
        return self._turn_starts[-KEPT_TURNS] if len(self._turn_starts) > KEPT_TURNS else OPENING

    def _shortened_until(self, target: int) -> int | None:
        """The index before which to shorten the oldest turns to bring `size` to `target`; None if none is left."""
        size, before = self.size, self._compacted_before
        while before < self._kept_from and size > target:
            if (shortened := self._shortened(before)) is not None:
                size += len(encode_message(shortened)) - self._sizes[before]
            before += 1
        return before if before > self._compacted_before else None

    def _left_out_until(self, share: int) -> int | None:
        """The index before which to leave out turns, if all old ones are shortened and take more than `share` bytes."""
        end = self._kept_from
        if self._compacted_before < end:
            return None
        history = sum(self._sizes[index] + 1 for index in range(OPENING, end) if self._roles[index] != "user")
        if history <= share:
            return None
        index = OPENING
        while history > share // 2:
            if self._roles[index] != "user":
                history -= self._sizes[index] + 1
            index += 1
        return next(start for start in self._turn_starts if start >= index)

    def _shortened(self, index: int) -> wire.Message | None:
        """The message of an old turn, shortened; None if that would save nothing."""
        role = self._roles[index]
        if self._sizes[index] <= COMPACTABLE_BYTES or role not in {"assistant", "tool"}:
            return None
        message = _decode(self._messages[index])
        if role == "assistant":
            shortened = shortened_turn(message)
        else:
            shortened = result_line(
                message, self._calls_of_turn(index), self.kept_outputs.get(message.tool_call_id or "", "")
            )
        return shortened if len(encode_message(shortened)) < self._sizes[index] else None

    def _calls_of_turn(self, index: int) -> tuple[wire.ToolCall, ...]:
        """The calls of the turn that the message at `index` belongs to."""
        turn = bisect_right(self._turn_starts, index)
        if turn == 0:
            return ()
        raw = self._messages[self._turn_starts[turn - 1]]
        # A turn may have many results, and its calls megabytes of arguments.
        if self._last_calls[0] is not raw:
            self._last_calls = raw, _decode(raw).tool_calls or ()
        return self._last_calls[1]

    def _leave_out(self, before: int) -> None:
        """Remove whole turns, calls and answers together, but keep the messages from people."""
        raws, roles, compacted_before = self._messages, self._roles, self._compacted_before
        first = OPENING + bool(self._left_out)
        kept = [index for index in range(first, len(raws)) if index >= before or roles[index] == "user"]
        self._left_out += len(raws) - first - len(kept)
        note = wire.Message(role="user", content=f"[{self._left_out} earlier messages were left out to save space]")
        self.size, self._messages, self._sizes, self._roles, self._turn_starts = 0, [], [], [], []
        for index in range(OPENING):
            self.append(roles[index], bytes(raws[index]))
        self.append("user", encode_message(note))
        for index in kept:
            self.append(roles[index], bytes(raws[index]))
        self._compacted_before = OPENING + 1 + sum(index < compacted_before for index in kept)

    def _replace(self, index: int, message: wire.Message) -> None:
        encoded = encode_message(message)
        self.size += len(encoded) - self._sizes[index]
        self._messages[index] = msgspec.Raw(encoded)
        self._sizes[index] = len(encoded)
