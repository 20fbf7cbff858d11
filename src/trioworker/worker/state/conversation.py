"""The conversation with the model: its messages, in order, each encoded once, and their compaction.

Successive requests of a long job differ by only a few messages. Each message is therefore stored as the JSON that is
sent, and a request joins them. One compaction frees enough for many turns: providers cache a conversation only as long
as its beginning doesn't change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from trioworker.protocol import wire
from trioworker.worker.state.compaction import (
    COMPACTABLE_BYTES,
    MIN_SAVED_BYTES,
    cut_length,
    cut_request,
    cut_result,
    cut_turn,
    encode_message,
    is_worth_cutting,
    result_line,
    shortened_turn,
)
from trioworker.worker.state.left_out import LeftOut
from trioworker.worker.state.normalization import merged, normalized_json
from trioworker.worker.state.records import MessageAppended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPENING = 2
"""The number of messages at the start, the system message and the job, that are never shortened."""
KEPT_TURNS = 2
"""The number of turns at the end that stay whole, unless they are too large."""
COMPACTED_SHARE = 0.4
"""A compaction reduces what follows the opening to this share of its room."""
OLDER_TURN_SHARE = 0.1
"""The share that the older of the last two turns keeps at least, when both exceed `COMPACTED_SHARE`."""
HISTORY_SHARE = 0.3
"""When shortened turns take more than this share of the room, the oldest are left out, down to half of it."""
CUT_SHARE = 0.8
"""The last turn is cut when it exceeds the limit, so that all messages fill this share of the room."""
NOTE_SHARE = 0.1
"""The maximum share of the note about what was left out."""
MIN_CUT_BYTES = 4 * 1024
"""What people wrote is cut only if cutting everything else to this length isn't enough."""

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
        self._messages: list[_Stored] = []
        self._turn_starts: list[int] = []
        self._left_out = LeftOut()

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[wire.Message]:
        return (stored.decoded() for stored in self._messages)

    @property
    def has_calls(self) -> bool:
        """Whether the model has called a tool: providers then refuse requests without `tools`."""
        return any(stored.role == "tool" for stored in self._messages)

    @property
    def last_role(self) -> wire.Role | None:
        """The role of the last message, None when there is no message."""
        return self._messages[-1].role if self._messages else None

    @property
    def opening_size(self) -> int:
        """The length of the messages that are never shortened."""
        return sum(stored.size + 1 for stored in self._messages[:OPENING])

    def last_text(self) -> str:
        """The last text that the model wrote, empty if there is none."""
        for start in reversed(self._turn_starts):
            if content := self._messages[start].decoded().content:
                return content
        return ""

    def snapshot(self) -> tuple[msgspec.Raw, ...]:
        """The messages, encoded, for a request that every provider accepts."""
        return merged([stored.role for stored in self._messages], [stored.raw for stored in self._messages])

    def append(self, role: wire.Role, message: bytes) -> None:
        """Add an encoded message."""
        encoded = normalized_json(message)
        content_size = len(_decode(encoded).content.encode("utf-8", "replace"))
        self._add(_Stored(role, msgspec.Raw(encoded), len(encoded), content_size))

    def compact(self, limit: int) -> None:
        """Bring `size` within `limit` bytes, as far as possible. Does nothing if it is.

        The result depends on the messages and the limit only. Old turns are shortened first, then left out. Of the last
        `KEPT_TURNS`, the older one is cut if they alone would fill the room again soon, and the last one if it must be.
        """
        if self.size <= limit:
            return
        room = max(0, limit - self.opening_size)
        self._shorten_until(self.opening_size + int(room * COMPACTED_SHARE))
        self._cut_older_turn(room)
        if self.size > self.opening_size + int(room * COMPACTED_SHARE):
            self._leave_out_history(room)
        if self.size > limit:
            self._cut_everything_to(self.opening_size + int(room * CUT_SHARE))
        while self.size > limit and len(self._turn_starts) > 1:
            self._leave_out(self._turn_starts[len(self._turn_starts) // 2], room)

    @property
    def _kept_from(self) -> int:
        """The index of the first message of the last turns."""
        return self._turn_starts[-KEPT_TURNS] if len(self._turn_starts) > KEPT_TURNS else OPENING

    def _shorten_until(self, target: int) -> None:
        """Shorten the oldest turns until `size` is `target`, or the last turns are reached."""
        for stored in self._messages[OPENING : self._kept_from]:
            if self.size <= target:
                return
            self._shorten(stored)

    def _cut_older_turn(self, room: int) -> None:
        """Cut the turn before the last, if both fill more than `COMPACTED_SHARE` of the room."""
        if len(self._turn_starts) < KEPT_TURNS:
            return
        start, end = self._turn_starts[-2:]
        older = [stored for stored in self._messages[start:end] if stored.role != "user"]
        last = sum(stored.size + 1 for stored in self._messages[end:])
        budget = int(room * COMPACTED_SHARE) - last
        if sum(stored.size + 1 for stored in older) > budget:
            self._cut(older, max(budget, int(room * OLDER_TURN_SHARE)), last_resort=False)

    def _cut_everything_to(self, target: int) -> None:
        """Cut the largest messages until `size` is `target`: what people wrote only if it must be."""
        for roles in ({"assistant", "tool"}, {"assistant", "tool", "user"}):
            messages = [stored for stored in self._messages[OPENING:] if stored.role in roles]
            budget = target - self.size + sum(stored.size + 1 for stored in messages)
            if "user" in roles or cut_length([stored.size + 1 for stored in messages], budget) >= MIN_CUT_BYTES:
                self._cut(messages, budget, last_resort=True)
                return

    def _cut(self, messages: Sequence[_Stored], budget: int, *, last_resort: bool) -> None:
        """Cut the largest of the messages to one length, so that all have at most `budget` bytes."""
        length = cut_length([stored.size + 1 for stored in messages], budget) - 1
        for stored in messages:
            if is_worth_cutting(stored.size, length):
                if stored.form == "whole" or last_resort:
                    self._cut_one(stored, length, last_resort=last_resort)
                else:
                    self._shorten(stored)

    def _cut_one(self, stored: _Stored, length: int, *, last_resort: bool) -> None:
        message = stored.decoded()
        match stored.role:
            case "tool" if stored.form == "whole":
                self._replace(stored, cut_result(message, length, self._kept_output(message)), "cut")
            case "tool":
                # A second cut could only count what the first one left.
                self._shorten(stored)
            case "assistant":
                self._replace(stored, cut_turn(message, length) if last_resort else shortened_turn(message), "cut")
            case _:
                self._replace(stored, cut_request(message, length, stored.content_size), "cut")

    def _shorten(self, stored: _Stored) -> None:
        """Shorten a message of an old turn, once."""
        if stored.form == "short" or stored.size <= COMPACTABLE_BYTES or stored.role not in {"assistant", "tool"}:
            return
        message = stored.decoded()
        if stored.role == "assistant":
            shortened = shortened_turn(message)
        else:
            shortened = result_line(message, stored.content_size, self._kept_output(message))
        self._replace(stored, shortened, "short")

    def _kept_output(self, result: wire.Message) -> str:
        return self.kept_outputs.get(result.tool_call_id or "", "")

    def _leave_out_history(self, room: int) -> None:
        """Leave out the oldest turns, if the old ones take more than `HISTORY_SHARE` of the room."""
        old = range(OPENING, self._kept_from)
        sizes = {index: self._messages[index].size + 1 for index in old if self._messages[index].role != "user"}
        history, share = sum(sizes.values()), int(room * HISTORY_SHARE)
        if history <= share:
            return
        index = OPENING
        while history > share // 2:
            history -= sizes.get(index, 0)
            index += 1
        self._leave_out(next(start for start in self._turn_starts if start >= index), room)

    def _leave_out(self, before: int, room: int) -> None:
        """Remove whole turns, calls and answers together, but keep the messages from people."""
        old = self._messages
        first = OPENING + bool(self._left_out.messages)
        self.size, self._messages, self._turn_starts = 0, [], []
        for stored in old[:OPENING]:
            self._add(stored)
        kept: list[_Stored] = []
        for index, stored in enumerate(old[first:], start=first):
            if index >= before or stored.role == "user":
                kept.append(stored)
            else:
                self._left_out.add(stored.decoded())
        note = self._left_out.note(int(room * NOTE_SHARE))
        self.append("user", encode_message(wire.Message(role="user", content=note)))
        for stored in kept:
            self._add(stored)

    def _add(self, stored: _Stored) -> None:
        if stored.role == "assistant":
            self._turn_starts.append(len(self._messages))
        self._messages.append(stored)
        self.size += stored.size + 1

    def _replace(self, stored: _Stored, message: wire.Message, form: Literal["cut", "short"]) -> None:
        """Replace a message by a shorter form, if that saves enough."""
        encoded = encode_message(message)
        stored.form = form
        if len(encoded) + MIN_SAVED_BYTES <= stored.size:
            self.size += len(encoded) - stored.size
            stored.raw, stored.size = msgspec.Raw(encoded), len(encoded)


@dataclass(slots=True)
class _Stored:
    """A message as it is sent. `content_size` is that of its content when it was added, in bytes."""

    role: wire.Role
    raw: msgspec.Raw
    size: int
    content_size: int
    form: Literal["whole", "cut", "short"] = "whole"

    def decoded(self) -> wire.Message:
        return _decode(self.raw)
