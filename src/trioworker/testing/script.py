"""The script of a simulated model: its replies, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trioworker.orchestrator.backends.script import ScriptedCall, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping


def say(text: str | None, /, **more: Any) -> Turn:
    """A reply of text only. `more`: the fields of a turn, such as `delay` in seconds."""
    return Turn(content=text, **more)


def call(tool: str, arguments: Mapping[str, Any] | None = None, /, **named: Any) -> Turn:
    """A reply that calls a tool: `call("shell", command="make")`. `arguments` have names that Python doesn't allow."""
    return Turn(tool_calls=(ScriptedCall(name=tool, arguments={**(arguments or {}), **named}),))


def reply(*calls: Turn, text: str | None = None, **more: Any) -> Turn:
    """A reply with several calls, or with calls and text: `reply(call("glob"), call("grep"), text="I look.")`."""
    return Turn(content=text, tool_calls=tuple(one for turn in calls for one in turn.tool_calls), **more)


DONE = say("All of it was done. The job is complete.")
"""The last reply of most scripts."""
