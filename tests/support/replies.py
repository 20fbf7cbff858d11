"""Replies of a model, for the tests of their interpretation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.protocol import wire
from trioworker.worker.llm.interpretation import Context
from trioworker.worker.state.conversation import encode_message
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from trioworker.worker.llm.interpretation import Interpretation

TOOLS = ("shell", "read_file")
COMPLETE = "All is well. The job is complete."


def context(loop_state: LoopState | None = None, *, taken: tuple[str, ...] = (), output: str | None = None) -> Context:
    """The context in which a reply is interpreted."""
    return Context(tools=TOOLS, taken=frozenset(taken), loop_state=loop_state or LoopState(), last_output=output)


def text(content: str | None, finish_reason: str | None = "stop", **more: Any) -> wire.Reply:
    """A text reply."""
    return wire.Reply(content=content, finish_reason=finish_reason, **more)


def call(call_id: str = "a", name: str = "shell", arguments: Any = None, **more: Any) -> wire.ToolCall:
    """A tool call as a provider sends it."""
    return wire.ToolCall(id=call_id, name=name, arguments={} if arguments is None else arguments, **more)


def calling(*calls: wire.ToolCall, content: str | None = None, finish_reason: str = "tool_use") -> wire.Reply:
    """A reply with tool calls."""
    return wire.Reply(content=content, tool_calls=calls, finish_reason=finish_reason)


def markup(name: str = "shell", arguments: str = '{"command": "ls"}') -> str:
    """A tool call as markup in a text."""
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


def sent(interpretation: Interpretation) -> dict[str, Any]:
    """The message that is added to the conversation, as it is sent."""
    assert interpretation.said is not None
    return msgspec.json.decode(encode_message(interpretation.said))
