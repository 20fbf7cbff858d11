"""Reply interpretation: a pure function from the model's reply to what happens next."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.protocol import wire
from trioworker.protocol.text import (
    says_only_that_it_is_complete,
    signals_completion,
    signals_failure,
    truncate,
)
from trioworker.worker.llm import loop_detection
from trioworker.worker.llm.call_limits import clamp_calls
from trioworker.worker.llm.call_markup import Recovery, recover_calls, recovered_ids
from trioworker.worker.state.records import LoopState, PlannedCall

if TYPE_CHECKING:
    from collections.abc import Collection


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the meaning of a reply depends on.

    `tools` are the names of the tools, and `taken` the ids of the calls so far. `last_output` is the output of the last
    successful call, which a completed job reports if the model says no more than that it is complete.
    """

    tools: tuple[str, ...]
    taken: Container[str]
    loop_state: LoopState
    last_output: str | None = None


class Interpretation(msgspec.Struct, frozen=True, kw_only=True):
    """What happens next.

    Attributes:
        loop_state: the state of loop detection from now on.
        said: the assistant message to add to the conversation, None for an empty reply.
        calls: the calls of the next turn.
        text: the text of the reply, for a `message` event.
        note: the content of a user message to add after `said`.
        status: the message of a `status` event.
        finished: the report of the job, if the reply completes it.
        failed: the report of the job, if the reply says that it can't be completed.
    """

    loop_state: LoopState
    said: wire.Message | None = None
    calls: tuple[PlannedCall, ...] = ()
    text: str = ""
    note: str = ""
    status: str = ""
    finished: str | None = None
    failed: str | None = None


UNREADABLE_CALL = "unreadable_call"
"""The name given to a call that is written as text and whose own name can't be read."""
SHOWN_MARKUP_BYTES = 2_000
"""Bytes of a reply without text that the model sees again, to correct its call."""
MAX_REASONS = 3
"""Calls that can't be run and are explained in one note."""


def interpret(reply: wire.Reply, context: Context) -> Interpretation:
    """Interpret a reply.

    Raises:
        ReasoningError: the model gave too many replies in a row without text or a call that can be run.
    """
    recovery = recover_calls(reply.content or "", context.tools, context.taken)
    if not context.loop_state.text_only and (calls := _calls(reply, recovery, context)):
        return _act(reply, calls, recovery.rest, context)
    if _is_silence(reply) and context.loop_state.last_text:
        # After a text, an empty reply means that the model has nothing to add.
        return Interpretation(loop_state=context.loop_state, finished=context.loop_state.last_text)
    if recovery.rest:
        return _on_text(reply, recovery, context)
    return _on_no_text(reply, recovery, context)


def holds_calls(reply: wire.Reply, tools: Collection[str]) -> bool:
    """Whether a reply contains calls to run. A reply that was cut at the length limit never does."""
    if reply.ended_by == "length":
        return False
    return bool(reply.tool_calls) or bool(recover_calls(reply.content or "", tools, ()).calls)


def _calls(reply: wire.Reply, recovery: Recovery, context: Context) -> tuple[wire.ToolCall, ...]:
    """The calls of the reply, native or written as text, within their limits.

    If one of them can be run, those that can't are returned too, so that each is answered with its own error.
    """
    if reply.tool_calls:
        return clamp_calls(reply.tool_calls, context.taken)
    if not recovery.calls:
        return ()
    ids = recovered_ids({call.id for call in recovery.calls})
    broken = (
        wire.ToolCall(
            id=next(call_id for call_id in ids if call_id not in context.taken),
            name=problem.name or UNREADABLE_CALL,
            arguments={},
            # The executor answers a call to an unknown tool.
            arguments_parse_error=wire.ABSENT if problem.is_unknown_tool else problem.reason,
        )
        for problem in recovery.problems
    )
    return clamp_calls((*recovery.calls, *broken), context.taken)


def _act(reply: wire.Reply, calls: tuple[wire.ToolCall, ...], text: str, context: Context) -> Interpretation:
    cut = reply.ended_by == "length"
    return Interpretation(
        loop_state=_after_reply(context.loop_state),
        said=_assistant(reply, text, calls),
        calls=tuple(_planned(call, cut=cut) for call in calls),
        text=text,
        status="The reply was cut off at the length limit: its tool calls are not run" if cut else "",
    )


def _planned(call: wire.ToolCall, *, cut: bool) -> PlannedCall:
    refusal = ""
    if cut:
        refusal = loop_detection.CALL_CUT
    elif call.arguments_parse_error:
        refusal = f"invalid parameters: arguments: {call.arguments_parse_error}"
    return PlannedCall(call_id=call.id, name=call.name, arguments=msgspec.json.encode(call.arguments), refusal=refusal)


def _is_silence(reply: wire.Reply) -> bool:
    """Whether the model chose to say nothing, rather than that its text or calls were cut, filtered or dropped."""
    return not ((reply.content or "").strip() or reply.tool_calls) and reply.ended_by in {"stop", "unknown"}


def _on_text(reply: wire.Reply, recovery: Recovery, context: Context) -> Interpretation:
    text = recovery.rest
    said = _assistant(reply, text)
    loop_state = _after_reply(context.loop_state)
    if reply.ended_by == "length":
        note = loop_detection.CALL_TEXT_CUT if recovery.problems else loop_detection.REPLY_CUT
        return _nudged(loop_detection.on_cut_reply(loop_state, note), said, text)
    if recovery.problems and not context.loop_state.text_only:
        return _nudged(loop_detection.on_unusable_reply(context.loop_state, _unreadable(recovery)), said, text)
    if signals_failure(text):
        return Interpretation(loop_state=loop_state, said=said, text=text, failed=text)
    if signals_completion(text):
        report = text
        if says_only_that_it_is_complete(text):
            # The text since the last call is the answer that this sentence follows.
            report = context.loop_state.last_text or context.last_output or text
        return Interpretation(loop_state=loop_state, said=said, text=text, finished=report)
    loop_state = msgspec.structs.replace(loop_state, last_text=text)
    return Interpretation(loop_state=loop_state, said=said, text=text)


def _on_no_text(reply: wire.Reply, recovery: Recovery, context: Context) -> Interpretation:
    """A reply with neither text nor calls that can be run: the note says what it contained instead."""
    loop_state = context.loop_state
    is_cut = reply.ended_by == "length"
    if recovery.problems and not loop_state.text_only:
        # The model sees its call again, to correct it.
        said = _assistant(reply, truncate((reply.content or "").strip(), SHOWN_MARKUP_BYTES))
        if is_cut:
            return _nudged(loop_detection.on_cut_reply(loop_state, loop_detection.CALL_TEXT_CUT), said, "")
        return _nudged(loop_detection.on_unusable_reply(loop_state, _unreadable(recovery)), said, "")
    if reply.tool_calls or recovery.calls or recovery.problems:
        unusable = loop_detection.CALL_IN_TEXT_TURN_REPLY
    elif is_cut:
        unusable = loop_detection.THOUGHTS_CUT_REPLY
    elif recovery.has_thoughts or _has_reasoning(reply):
        unusable = loop_detection.THOUGHTS_ONLY_REPLY
    else:
        unusable = loop_detection.EMPTY_REPLY
    is_filtered = reply.ended_by == "content_filter"
    nudge = loop_detection.on_unusable_reply(loop_state, unusable, is_filtered=is_filtered)
    return Interpretation(loop_state=nudge.loop_state, note=nudge.note, status=nudge.status)


def _unreadable(recovery: Recovery) -> loop_detection.Unusable:
    return loop_detection.unreadable_call(problem.reason for problem in recovery.problems[:MAX_REASONS])


def _has_reasoning(reply: wire.Reply) -> bool:
    return any(
        isinstance(value, msgspec.Raw) and bytes(value) not in {b"null", b'""', b"[]"}
        for value in (reply.reasoning, reply.reasoning_details)
    )


def _nudged(nudge: loop_detection.Nudge, said: wire.Message, text: str) -> Interpretation:
    return Interpretation(loop_state=nudge.loop_state, said=said, text=text, note=nudge.note, status=nudge.status)


def _after_reply(loop_state: LoopState) -> LoopState:
    """The state after a reply that was not empty. A turn without tools ends with it."""
    return msgspec.structs.replace(loop_state, empty_replies=0, text_only=False, last_text="")


def _assistant(reply: wire.Reply, text: str, calls: tuple[wire.ToolCall, ...] | None = None) -> wire.Message:
    return wire.Message(
        role="assistant",
        content=text,
        tool_calls=calls and tuple(_sent_back(call) for call in calls),
        reasoning=_present(reply.reasoning),
        reasoning_details=_present(reply.reasoning_details),
    )


def _sent_back(call: wire.ToolCall) -> wire.ToolCall:
    return msgspec.structs.replace(
        call,
        reasoning=_present(call.reasoning),
        signature=_present(call.signature),
        arguments_parse_error=wire.ABSENT,
    )


def _present(value: Any) -> Any:
    return wire.ABSENT if isinstance(value, msgspec.Raw) and bytes(value) == b"null" else value
