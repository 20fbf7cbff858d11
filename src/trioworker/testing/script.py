"""The script of a simulated model: its replies, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, cast

import msgspec

from trioworker.orchestrator.backends.script import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack


class TurnOptions(TypedDict, total=False):
    """The options of `say` and `reply`."""

    delay: float
    """Seconds before the reply, in addition to the orchestrator's `thinking`."""
    expect: str
    """A regular expression (Python's `re`, multi-line) that must match in what the model received since its last reply:
    tool results and follow-ups. Otherwise the job fails, and its message quotes the expression."""
    finish_reason: str
    """The finish reason, such as `length`; by default, `tool_use` for a reply with calls and `stop` for others."""
    input_tokens: int
    output_tokens: int
    """The tokens that the reply reports; 0 by default."""


def say(text: str | None, /, **options: Unpack[TurnOptions]) -> Turn:
    """A reply of text only: `say("The job is complete.")`. `options` are those of `TurnOptions`.

    Raises:
        TypeError: an argument has the wrong type, or an option is unknown.
    """
    return _turn("say", content=text, **options)


def call(tool: str, arguments: Mapping[str, Any] | None = None, /, **named: Any) -> Turn:
    """A reply that calls a tool: `call("shell", command="make")`.

    `arguments` are further arguments, whose names can't be written as keywords.

    Raises:
        TypeError: `tool` is not text, or the arguments are not JSON.
    """
    every = {**(arguments or {}), **named}
    try:
        msgspec.json.encode(every)
    except TypeError as error:
        raise TypeError(f"call: the arguments of {tool} are not JSON: {error}") from None
    return _turn("call", tool_calls=({"name": tool, "arguments": every},))


def reply(*calls: Turn, text: str | None = None, **options: Unpack[TurnOptions]) -> Turn:
    """A reply with several calls, or with calls and text: `reply(call("glob"), call("grep"), text="I look.")`.

    The worker runs the calls in this order. `options` are those of `TurnOptions`.

    Raises:
        TypeError: an argument has the wrong type, or an option is unknown.
    """
    turns = checked_turns("reply", calls)
    if any(turn.content is not None for turn in turns):
        raise TypeError("reply: positional arguments are calls; pass text as text=…")
    return _turn("reply", content=text, tool_calls=tuple(one for turn in turns for one in turn.tool_calls), **options)


def checked_turns(where: str, turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns. `where` begins the message of an error.

    Raises:
        TypeError: an item isn't a turn; the message says which one, and how to write it.
    """
    given: object = turns
    if not isinstance(given, list | tuple):
        raise TypeError(f'{where}: {given!r:.80} is not a list of turns; write [call("shell", command="make"), DONE]')
    for number, turn in enumerate(cast("Sequence[object]", given), 1):
        if not isinstance(turn, Turn):
            raise TypeError(
                f"{where}: item {number}, {turn!r:.80}, is not a turn; make it with call(…), say(…) or reply(…)"
            )
    return tuple(turns)


def _turn(where: str, **fields: Any) -> Turn:
    try:
        return msgspec.convert(fields, Turn)
    except msgspec.ValidationError as error:
        raise TypeError(f"{where}: {error}") from None


DONE = say("All of it was done. The job is complete.")
"""The last reply of most scripts."""
