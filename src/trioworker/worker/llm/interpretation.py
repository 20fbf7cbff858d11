"""Reply interpretation: a pure function from the model's reply to what happens next."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.protocol import wire
from trioworker.protocol.text import signals_completion
from trioworker.worker.llm import loop_detection
from trioworker.worker.llm.call_limits import clamp_calls
from trioworker.worker.llm.call_markup import clean, recover_calls
from trioworker.worker.state.records import LoopState, PlannedCall

if TYPE_CHECKING:
    from collections.abc import Collection


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the meaning of a reply depends on.

    `tools` are the names of the tools, and `taken` the ids of the calls so far. `last_output` is the output of the last
    successful call, which a completed job reports.
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
        note: a user message to add after `said`.
        status: a line for a `status` event.
        finished: the report of the job, if the reply completes it.
        failed: the report of the job, if the reply says that it can't be done.
    """

    loop_state: LoopState
    said: wire.Message | None = None
    calls: tuple[PlannedCall, ...] = ()
    text: str = ""
    note: str = ""
    status: str = ""
    finished: str | None = None
    failed: str | None = None


def interpret(reply: wire.Reply, context: Context) -> Interpretation:
    """Interpret a reply.

    Raises:
        ReasoningError: the model gave too many empty replies.
    """
    if context.loop_state.text_only:
        calls, text = (), clean(reply.content or "")
    else:
        calls, text = _read(reply, context)
    if calls:
        return _act(reply, calls, text, context)
    if not text:
        return _on_empty(reply, context)
    return _on_text(reply, text, context)


def holds_calls(reply: wire.Reply, tools: Collection[str]) -> bool:
    """Whether a reply contains calls to run. A reply that was cut at the length limit never does."""
    if reply.ended_by == "length":
        return False
    return bool(reply.tool_calls) or bool(recover_calls(reply.content or "", tools, ()).calls)


def _read(reply: wire.Reply, context: Context) -> tuple[tuple[wire.ToolCall, ...], str]:
    """The calls of the reply, native or written as text, within their limits, and its cleaned text."""
    if reply.tool_calls:
        return clamp_calls(reply.tool_calls, context.taken), clean(reply.content or "")
    recovery = recover_calls(reply.content or "", context.tools, context.taken)
    return clamp_calls(recovery.calls, context.taken), recovery.rest


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
    refusal = loop_detection.CALL_CUT if cut else ""
    if call.arguments_parse_error:
        refusal = f"invalid parameters: arguments: {call.arguments_parse_error}"
    return PlannedCall(call_id=call.id, name=call.name, arguments=msgspec.json.encode(call.arguments), refusal=refusal)


def _on_empty(reply: wire.Reply, context: Context) -> Interpretation:
    if context.loop_state.last_text and _is_silence(reply):
        # After a text, an empty reply means that the model has nothing to add.
        return Interpretation(
            loop_state=context.loop_state, finished=context.last_output or context.loop_state.last_text
        )
    nudge = loop_detection.on_empty_reply(context.loop_state)
    filtered = " (stopped by the provider's content filter)" if reply.ended_by == "content_filter" else ""
    return Interpretation(loop_state=nudge.loop_state, note=nudge.note, status=nudge.status + filtered)


def _is_silence(reply: wire.Reply) -> bool:
    """Whether the model chose to say nothing, rather than that its text or calls were cut, filtered or dropped."""
    return not (reply.content or "").strip() and reply.ended_by in {"stop", "unknown"}


def _on_text(reply: wire.Reply, text: str, context: Context) -> Interpretation:
    said = _assistant(reply, text)
    loop_state = _after_reply(context.loop_state)
    if reply.ended_by == "length":
        return _nudged(loop_detection.on_cut_text(loop_state), said, text)
    if signals_completion(text):
        return Interpretation(loop_state=loop_state, said=said, text=text, finished=context.last_output or text)
    loop_state = msgspec.structs.replace(loop_state, last_text=text)
    return Interpretation(loop_state=loop_state, said=said, text=text)


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
