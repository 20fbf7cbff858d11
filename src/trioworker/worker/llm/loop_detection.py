"""Loop detection: rules for a model that repeats itself or says nothing.

A rule is a pure function of the `LoopState` and of what just happened. It returns a `Nudge`: the new state, a note to
the model, and a status for people.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trioworker.errors import ReasoningError
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.worker.state.job import TurnCall

COMPLETION_PHRASE = "The job is complete"
"""The sentence with which the model is asked to complete the job; the contract lists it as a completion phrase."""
FAILURES_WARNED = 3
FAILURES_STOPPED = 5
"""Consecutive failures of the same call that cause a warning, and a turn without tools."""

GO_ON = (
    "Your last reply had no tool call and did not end the job. Call a tool for the next step, or, if nothing is left "
    f'to do, write the full report and end it with "{COMPLETION_PHRASE}."'
)
"""The reminder after a text without a call: no request may end with the assistant's message."""
REPLY_EMPTY = (
    "Your last reply was empty. Call a tool for the next step, or say what was done and end with "
    f'"{COMPLETION_PHRASE}."'
)
ONLY_THOUGHTS = (
    "Your last reply contained only thoughts: no text and no tool call. Call a tool for the next step, or say what was "
    f'done and end with "{COMPLETION_PHRASE}."'
)
THOUGHTS_CUT = (
    "Your last reply was cut off at the length limit while you were thinking: it contained no text and no tool call. "
    "Think less this time, and take one small step: a single tool call."
)
TEXT_WANTED = (
    "Your last replies contained no text and no tool call. Answer in plain text now, without a tool call: what is "
    "done, and what is not?"
)
CALL_IN_TEXT_TURN = "Tools are disabled for this turn, so your tool call was not run. Answer in plain text."
CALL_UNREADABLE = (
    "The tool call in your last reply can't be run: {}. Use the interface for tool calls, or write "
    '<tool_call>{{"name": "NAME", "arguments": {{…}}}}</tool_call> with valid JSON.'
)
CALL_TEXT_CUT = (
    "Your last reply was cut off at the length limit in the middle of a tool call, which was not run. Make a "
    "shorter call; write a long file in several parts."
)
REPLY_CUT = (
    "Your last reply was cut off at the length limit. Continue from where it stopped, in smaller pieces: several short "
    "replies or tool calls instead of one long one."
)
CALL_CUT = (
    "not run: the reply was cut off at the length limit, so this call may be incomplete. Make a shorter call; "
    "write a long file in several parts."
)


class Nudge(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rule: the new state, a note to the model and a status for people; both may be empty."""

    loop_state: LoopState
    note: str = ""
    status: str = ""


class Unusable(NamedTuple):
    """A reply with neither text nor a call that can be run.

    Attributes:
        note: the message to the model.
        status: the status event for people.
        failure: the reason why the job fails after `limit` such replies in a row.
        wants_text: whether the second one in a row causes a turn without tools.
    """

    note: str
    status: str
    failure: str
    wants_text: bool = True
    limit: int = 3


EMPTY_REPLY = Unusable(
    note=REPLY_EMPTY,
    status="Empty reply: the model was asked to continue",
    failure="the model gave three empty replies in a row",
)
THOUGHTS_ONLY_REPLY = Unusable(
    note=ONLY_THOUGHTS,
    status="The reply contained only thoughts: the model was asked to continue",
    failure="the model gave three replies in a row that contained only thoughts",
)
THOUGHTS_CUT_REPLY = Unusable(
    note=THOUGHTS_CUT,
    status="The model's thinking used up the length limit of the reply",
    failure="the model's thinking used up the length limit of three replies in a row; raise --max-tokens",
    wants_text=False,
)
CALL_IN_TEXT_TURN_REPLY = Unusable(
    note=CALL_IN_TEXT_TURN,
    status="The model called a tool in a turn without tools",
    failure="the model called tools when it was asked for text only",
)
FILTERED = " (stopped by the provider's content filter)"


def unreadable_call(reasons: Iterable[str]) -> Unusable:
    """A reply whose calls, written as text, can't be run for these reasons."""
    told = "; ".join(reasons)
    return Unusable(
        note=CALL_UNREADABLE.format(told),
        status=f"A tool call written as text can't be run: {told}",
        failure=f"the model wrote {FAILURES_STOPPED} replies in a row with tool calls that can't be run: {told}",
        wants_text=False,
        limit=FAILURES_STOPPED,
    )


def on_unusable_reply(loop_state: LoopState, reply: Unusable, *, is_filtered: bool = False) -> Nudge:
    """Tell the model what is wrong with its reply; the second one in a row may cause a turn without tools.

    Raises:
        ReasoningError: it is the last of `reply.limit` such replies in a row.
    """
    count = loop_state.empty_replies + 1
    suffix = FILTERED if is_filtered else ""
    if count >= reply.limit:
        raise ReasoningError(reply.failure + suffix)
    text_only = reply.wants_text and count > 1
    return Nudge(
        loop_state=msgspec.structs.replace(loop_state, empty_replies=count, text_only=text_only, last_text=""),
        note=TEXT_WANTED if text_only and reply is not CALL_IN_TEXT_TURN_REPLY else reply.note,
        status=reply.status + suffix,
    )


def on_cut_reply(loop_state: LoopState, note: str) -> Nudge:
    """Tell the model that a reply was cut at the length limit."""
    return Nudge(loop_state=loop_state, note=note, status="The reply was cut off at the length limit")


def after_turn(loop_state: LoopState, calls: Iterable[TurnCall]) -> Nudge:
    """Count failures of the same call in a row: warn first, then remove the tools for one turn.

    A call fails when its tool reports an error. A command with a nonzero exit code is a result. An interrupted call
    does not count, since it is not the model's fault.
    """
    key, count = loop_state.failing_call, loop_state.failing_count
    name = ""
    for call in calls:
        outcome = call.ended.outcome if call.ended else "interrupted"
        if outcome == "success":
            key, count = "", 0
        elif outcome != "interrupted":
            call_key = f"{call.planned.name} {zlib.crc32(call.planned.arguments):x}"
            key, count = call_key, count + 1 if call_key == key else 1
            name = call.planned.name
    counted = msgspec.structs.replace(loop_state, failing_call=key, failing_count=count)
    if count >= FAILURES_STOPPED:
        return Nudge(
            loop_state=msgspec.structs.replace(counted, failing_call="", failing_count=0, text_only=True),
            note=(
                f"The same call to {name} has failed {count} times in a row. Tools are disabled for one turn: say in "
                "plain text why it fails and what you will do instead."
            ),
            status=f"{name} failed {count} times in a row: the next turn has no tools",
        )
    if count >= FAILURES_WARNED > loop_state.failing_count:
        return Nudge(
            loop_state=counted,
            note=(
                f"The same call to {name} has failed {count} times in a row. Repeating it will not help: change its "
                "arguments or try another approach."
            ),
            status=f"{name} failed {count} times in a row: the model was warned",
        )
    return Nudge(loop_state=counted)
