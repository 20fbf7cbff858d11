"""Selects the turn of a script that answers a conversation. A pure function, so a repeated request gets the same reply.

The position in the script is read from the assistant's messages: each one advances it by a turn. If some of a turn's
calls were interrupted, only these calls are repeated, under new ids. An id contains its turn (`call_TURN_CALL`, or
`call_TURN_CALL_ATTEMPT` if repeated), so the position is known even if the start of the conversation was dropped.

A turn that leaves no assistant message in the conversation, such as one without text and calls, is given again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from trioworker.errors import WorkerError
from trioworker.protocol.wire import INTERRUPTED, Message, Reply, ToolCall

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_INTERRUPTED = 400
"""Characters of the result of an interrupted call. A longer result only quotes the words, e.g. of a source file."""
MAX_QUOTED = 120
"""Characters of the messages that the error of an unmet expectation quotes: their end, where the results are."""

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Tokens = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class ScriptError(WorkerError):
    """The script has no reply to this conversation. Final: a retry has the same result."""


class ScriptedCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call in a turn. Its id is derived from its position."""

    name: str
    arguments: Any = {}


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reply of the scripted model.

    `delay` is in seconds. `expect` is a regular expression (Python's `re`, multi-line) that must match in the messages
    since the previous turn: tool results as the model sees them, and follow-ups. `finish_reason` defaults to `tool_use`
    for a turn with calls and to `stop` for other turns.
    """

    content: str | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()
    finish_reason: str | None = None
    delay: Seconds = 0.0
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    expect: str | None = None


class TimedReply(NamedTuple):
    """A reply, and the delay before it in seconds."""

    reply: Reply
    delay: float


def answer(turns: Sequence[Turn], messages: Sequence[Message], *, tools: bool = True) -> TimedReply:
    """The reply to `messages`. `tools`: whether the reply may call tools.

    Raises:
        ScriptError: there are no more turns, the expectation isn't met, or the turn has calls and no text, without
            `tools`.
    """
    position = _position(messages)
    if position.turn >= len(turns):
        raise ScriptError(
            f"the script has no turn {position.turn + 1}: the job continued after its {len(turns)}; "
            "end the job in the last turn with 'The job is complete.'"
        )
    turn = turns[position.turn]
    if position.attempt == 0:
        _check(turn, position, messages)
    if turn.tool_calls and not tools:
        if not turn.content:
            raise ScriptError(f"turn {position.turn + 1} of the script calls tools, but the worker asks for text only")
        return TimedReply(_reply(turn, (), turn.content), turn.delay)
    numbers = position.repeated or range(1, len(turn.tool_calls) + 1)
    calls = tuple(_call(turn, position, number) for number in numbers if number <= len(turn.tool_calls))
    return TimedReply(_reply(turn, calls, None if position.repeated else turn.content), turn.delay)


class _Position(NamedTuple):
    """The position of a conversation in the script."""

    turn: int
    """The turn to give, from 0."""
    repeated: tuple[int, ...]
    """The numbers of its calls to repeat, from 1; empty on the first attempt."""
    attempt: int
    """The attempt at these calls, from 0."""
    since: int
    """The index of the first message that its expectation is matched against."""


_OWN_ID = re.compile(r"call_(?P<turn>\d{1,9})_(?P<call>\d{1,9})(?:_(?P<attempt>\d{1,9}))?")


def _position(messages: Sequence[Message]) -> _Position:
    results = {message.tool_call_id: message.content for message in messages if message.role == "tool"}
    position = _Position(0, (), 0, 0)
    for index, message in enumerate(messages):
        if message.role == "assistant":
            position = _after(position, index, message.tool_calls or (), results)
    return position


def _after(position: _Position, index: int, calls: Sequence[ToolCall], results: dict[str | None, str]) -> _Position:
    own = [match for call in calls if (match := _OWN_ID.fullmatch(call.id))]
    turn = int(own[0]["turn"]) - 1 if own else position.turn
    # Match an expectation against all attempts of the previous turn.
    since = index if position.attempt == 0 else position.since
    if not any(_interrupted(results.get(call.id, "")) for call in calls):
        return _Position(turn + 1, (), 0, since)
    interrupted = tuple(int(match["call"]) for match in own if _interrupted(results.get(match[0], "")))
    return _Position(turn, interrupted, 1 + max((int(match["attempt"] or 0) for match in own), default=0), since)


def _interrupted(result: str) -> bool:
    return len(result) <= MAX_INTERRUPTED and INTERRUPTED in result


def _check(turn: Turn, position: _Position, messages: Sequence[Message]) -> None:
    if turn.expect is None:
        return
    received = "\n".join(message.content for message in messages[position.since :] if message.role != "assistant")
    if re.search(turn.expect, received, re.MULTILINE) is None:
        end = " ".join(received[-MAX_QUOTED:].split())
        raise ScriptError(f"turn {position.turn + 1} of the script expects /{turn.expect}/, which is not in: …{end}")


def _call(turn: Turn, position: _Position, number: int) -> ToolCall:
    call = turn.tool_calls[number - 1]
    suffix = f"_{position.attempt}" if position.attempt else ""
    return ToolCall(id=f"call_{position.turn + 1}_{number}{suffix}", name=call.name, arguments=call.arguments)


def _reply(turn: Turn, calls: tuple[ToolCall, ...], content: str | None) -> Reply:
    return Reply(
        content=content,
        tool_calls=calls,
        input_tokens=turn.input_tokens,
        output_tokens=turn.output_tokens,
        finish_reason=turn.finish_reason or ("tool_use" if calls else "stop"),
    )
