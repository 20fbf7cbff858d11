"""How a reply is read: a pure function from what the model said to what happens next."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.protocol import wire
from trioworker.protocol.text import signals_completion
from trioworker.worker.llm import loop_detection as rules
from trioworker.worker.llm.call_limits import clamp_calls
from trioworker.worker.llm.call_markup import clean, recover_calls
from trioworker.worker.state.records import LoopState, PlannedCall

if TYPE_CHECKING:
    from collections.abc import Collection


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply is read against: the names of the tools, the ids that are taken, and the memory."""

    tools: tuple[str, ...]
    taken: Container[str]
    loop_state: LoopState
    last_output: str | None = None


class Interpretation(msgspec.Struct, frozen=True, kw_only=True):
    """What happens next, in one piece.

    `said` joins the conversation; `calls` make the next turn; `note` is then said to the model and `status` told to
    people; `text` is what people see of the reply; `finished` ends the job well, with this as its message.
    """

    loop_state: LoopState
    said: wire.Message | None = None
    calls: tuple[PlannedCall, ...] = ()
    text: str = ""
    note: str = ""
    status: str = ""
    finished: str | None = None


def interpret(reply: wire.Reply, context: Context) -> Interpretation:
    """What a reply means.

    Raises:
        ReasoningError: the model can't be brought to go on.
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
    """Whether a reply asks for a call, and is not cut off in it."""
    if reply.ended_by == "length":
        return False
    return bool(reply.tool_calls) or bool(recover_calls(reply.content or "", tools, ()).calls)


def _read(reply: wire.Reply, context: Context) -> tuple[tuple[wire.ToolCall, ...], str]:
    """The reply's calls, native or written as text, within their limits; and its text."""
    if reply.tool_calls:
        return clamp_calls(reply.tool_calls, context.taken), clean(reply.content or "")
    recovery = recover_calls(reply.content or "", context.tools, context.taken)
    return clamp_calls(recovery.calls, context.taken), recovery.rest


def _act(reply: wire.Reply, calls: tuple[wire.ToolCall, ...], text: str, context: Context) -> Interpretation:
    cut = reply.ended_by == "length"
    return Interpretation(
        loop_state=_awake(context.loop_state),
        said=_assistant(reply, text, calls),
        calls=tuple(_planned(call, cut=cut) for call in calls),
        text=text,
        status="The reply was cut off at the length limit: its tool calls are not run" if cut else "",
    )


def _planned(call: wire.ToolCall, *, cut: bool) -> PlannedCall:
    refusal = rules.CALL_CUT if cut else ""
    if call.arguments_parse_error:
        refusal = f"invalid parameters: arguments: {call.arguments_parse_error}"
    return PlannedCall(call_id=call.id, name=call.name, arguments=msgspec.json.encode(call.arguments), refusal=refusal)


def _on_empty(reply: wire.Reply, context: Context) -> Interpretation:
    if context.loop_state.last_text and _is_silence(reply):
        # After real text, silence means that the model has said all it has to say.
        return Interpretation(
            loop_state=context.loop_state, finished=context.last_output or context.loop_state.last_text
        )
    nudge = rules.on_empty_reply(context.loop_state)
    filtered = " (stopped by the provider's content filter)" if reply.ended_by == "content_filter" else ""
    return Interpretation(loop_state=nudge.loop_state, note=nudge.note, status=nudge.status + filtered)


def _is_silence(reply: wire.Reply) -> bool:
    """Nothing was said at all; a reply whose text or calls were lost on the way is none."""
    return not (reply.content or "").strip() and reply.ended_by in {"stop", "unknown"}


def _on_text(reply: wire.Reply, text: str, context: Context) -> Interpretation:
    said = _assistant(reply, text)
    awake = _awake(context.loop_state)
    if reply.ended_by == "length":
        return _nudged(rules.on_cut_text(awake), said, text)
    if signals_completion(text):
        return Interpretation(loop_state=awake, said=said, text=text, finished=context.last_output or text)
    settled = msgspec.structs.replace(awake, last_text=text)
    return Interpretation(loop_state=settled, said=said, text=text)


def _nudged(nudge: rules.Nudge, said: wire.Message, text: str) -> Interpretation:
    return Interpretation(loop_state=nudge.loop_state, said=said, text=text, note=nudge.note, status=nudge.status)


def _awake(loop_state: LoopState) -> LoopState:
    """The memory after a reply that was not empty: a turn without tools lasts one text."""
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
