"""Loop detection: rules for a model that repeats itself or says nothing.

A rule is a pure function of the `LoopState` and of what just happened. It returns a `Nudge`: the new state, a note to
the model, and a status for people.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from trioworker.errors import ReasoningError
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.worker.state.job import TurnCall

COMPLETION_PHRASE = "The job is complete"
"""The sentence that the model is asked to complete the job with; the contract agrees that it signals completion."""
FAILURES_WARNED = 3
FAILURES_STOPPED = 5
"""This many failures of the same call in a row cause a warning, and a turn without tools."""

GO_ON = f'Go on with the job. Call a tool for the next step, or say "{COMPLETION_PHRASE}." when nothing is left to do.'
"""The reminder after a text without a call: no request may end with the assistant's message."""
REPLY_EMPTY = (
    f'Your last reply was empty. Call a tool for the next step, or say "{COMPLETION_PHRASE}." and what was done.'
)
TEXT_WANTED = "Your last replies were empty. Answer in plain text now, with no tool call: what is done, and what not?"
REPLY_CUT = (
    "Your last reply was cut off at the length limit. Go on from where it stopped, in smaller pieces: several short "
    "replies or tool calls instead of one long one."
)
CALL_CUT = (
    "not run: the reply was cut off at the length limit, so this call may be incomplete. Make it again with less; "
    "write a long file in several parts."
)


class Nudge(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rule: the new state, and unless empty, a note to the model and a status for people."""

    loop_state: LoopState
    note: str = ""
    status: str = ""


def on_empty_reply(loop_state: LoopState) -> Nudge:
    """Ask for a reply after the first empty one, and for text only after the second.

    Raises:
        ReasoningError: this is the third empty reply in a row.
    """
    match loop_state.empty_replies:
        case 0:
            nudged = msgspec.structs.replace(loop_state, empty_replies=1, text_only=False)
            return Nudge(loop_state=nudged, note=REPLY_EMPTY, status="Empty reply: the model was asked to continue")
        case 1:
            nudged = msgspec.structs.replace(loop_state, empty_replies=2, text_only=True)
            return Nudge(
                loop_state=nudged, note=TEXT_WANTED, status="Empty reply again: the model was asked for text only"
            )
        case _:
            raise ReasoningError("the model gave three empty replies in a row")


def on_cut_text(loop_state: LoopState) -> Nudge:
    """Ask the model to continue a text that was cut at the length limit."""
    return Nudge(loop_state=loop_state, note=REPLY_CUT, status="The reply was cut off at the length limit")


def after_turn(loop_state: LoopState, calls: Iterable[TurnCall]) -> Nudge:
    """Count failures of the same call in a row: warn first, then remove the tools for one turn.

    A call fails when its tool reports an error. A command that exits with an error is a result, and an interrupted call
    counts for nothing, since it is not the model's fault.
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
                f"The same call of {name} has failed {count} times in a row. Tools are off for one turn: say in plain "
                "text why it fails and what you will do instead."
            ),
            status=f"{name} failed {count} times in a row: a turn without tools",
        )
    if count >= FAILURES_WARNED > loop_state.failing_count:
        return Nudge(
            loop_state=counted,
            note=(
                f"The same call of {name} has failed {count} times in a row. Making it again will not help: change its "
                "arguments or take another way."
            ),
            status=f"{name} failed {count} times in a row: the model was warned",
        )
    return Nudge(loop_state=counted)
