"""Which turn of a script answers a conversation: a pure function of the conversation, with no state of its own.

A request that is made again, after a lost reply or a restart, therefore gets the same answer. The turns so far are read
off the assistant's messages: each one advances the script, but for one whose calls were interrupted: those calls, and
no others, are asked for again under new ids. The ids name their turn (`call_TURN_CALL`, and `call_TURN_CALL_ATTEMPT`
when asked again), so a conversation whose beginning was dropped still tells where it stands.

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

INTERRUPTED_MAX = 400
"""Characters of such an answer: a longer one only quotes the words, as a search of this file would."""
HEARD_SHOWN = 120
"""Characters of what was heard that the error of an unmet expectation quotes: its end, where results stand."""

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Tokens = Annotated[int, msgspec.Meta(ge=0)]


class ScriptError(WorkerError):
    """The script has no answer for this conversation, and never will."""


class ScriptedCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call in a turn; its id comes from its place."""

    name: str
    arguments: Any = {}


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reply of the scripted model.

    `delay` is in seconds. `expect` is a regular expression (Python's `re`, multi-line) that must be found in what was
    said since the turn before: tool results as the model sees them, and a person's words. `finish_reason` is `tool_use`
    for a turn with calls and `stop` for others unless it is given.
    """

    content: str | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()
    finish_reason: str | None = None
    delay: Seconds = 0.0
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    expect: str | None = None


class TimedReply(NamedTuple):
    """A reply, and the seconds to wait before it."""

    reply: Reply
    delay: float


def answer(turns: Sequence[Turn], messages: Sequence[Message], *, tools: bool = True) -> TimedReply:
    """The reply to `messages`. `tools` tells whether the reply may call tools.

    Raises:
        ScriptError: the turns are used up, the expectation is not met, or the turn needs tools and may not have them.
    """
    place = _place(messages)
    if place.turn >= len(turns):
        raise ScriptError(
            f"the script has no turn {place.turn + 1}: the job went on after its {len(turns)}; "
            "let its last turn end the job with 'The job is complete.'"
        )
    turn = turns[place.turn]
    if place.attempt == 0:
        _check(turn, place, messages)
    if turn.tool_calls and not tools:
        if not turn.content:
            raise ScriptError(f"turn {place.turn + 1} of the script calls tools where the worker asks for text alone")
        return TimedReply(_reply(turn, (), turn.content), turn.delay)
    again = place.again or range(1, len(turn.tool_calls) + 1)
    calls = tuple(_call(turn, place, number) for number in again if number <= len(turn.tool_calls))
    return TimedReply(_reply(turn, calls, None if place.again else turn.content), turn.delay)


class _Place(NamedTuple):
    """Where a conversation stands: the turn to give, from 0; of its calls those to ask again, from 1, and for which
    time; and the index of the message from where its expectation reads.
    """

    turn: int
    again: tuple[int, ...]
    attempt: int
    since: int


_OWN_ID = re.compile(r"call_(?P<turn>\d{1,9})_(?P<call>\d{1,9})(?:_(?P<attempt>\d{1,9}))?")


def _place(messages: Sequence[Message]) -> _Place:
    results = {message.tool_call_id: message.content for message in messages if message.role == "tool"}
    place = _Place(0, (), 0, 0)
    for index, message in enumerate(messages):
        if message.role == "assistant":
            place = _after(place, index, message.tool_calls or (), results)
    return place


def _after(place: _Place, index: int, calls: Sequence[ToolCall], results: dict[str | None, str]) -> _Place:
    own = [match for call in calls if (match := _OWN_ID.fullmatch(call.id))]
    turn = int(own[0]["turn"]) - 1 if own else place.turn
    # An expectation reads from where its turn's predecessor was asked for first, over all its attempts.
    since = index if place.attempt == 0 else place.since
    if not any(_interrupted(results.get(call.id, "")) for call in calls):
        return _Place(turn + 1, (), 0, since)
    lost = tuple(int(match["call"]) for match in own if _interrupted(results.get(match[0], "")))
    return _Place(turn, lost, 1 + max((int(match["attempt"] or 0) for match in own), default=0), since)


def _interrupted(result: str) -> bool:
    return len(result) <= INTERRUPTED_MAX and INTERRUPTED in result


def _check(turn: Turn, place: _Place, messages: Sequence[Message]) -> None:
    if turn.expect is None:
        return
    heard = "\n".join(message.content for message in messages[place.since :] if message.role != "assistant")
    if re.search(turn.expect, heard, re.MULTILINE) is None:
        end = " ".join(heard[-HEARD_SHOWN:].split())
        raise ScriptError(f"turn {place.turn + 1} of the script expects /{turn.expect}/, which is not in: …{end}")


def _call(turn: Turn, place: _Place, number: int) -> ToolCall:
    call = turn.tool_calls[number - 1]
    suffix = f"_{place.attempt}" if place.attempt else ""
    return ToolCall(id=f"call_{place.turn + 1}_{number}{suffix}", name=call.name, arguments=call.arguments)


def _reply(turn: Turn, calls: tuple[ToolCall, ...], content: str | None) -> Reply:
    return Reply(
        content=content,
        tool_calls=calls,
        input_tokens=turn.input_tokens,
        output_tokens=turn.output_tokens,
        finish_reason=turn.finish_reason or ("tool_use" if calls else "stop"),
    )
