"""The scripted model of the tests of real workers; `trioworker.testing` has the functions that make its turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
import trio

from trioworker.orchestrator.backends.script_file import ScriptBackend
from trioworker.protocol.wire import Reply, ToolCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from trioworker.orchestrator.backends.base import LlmRequest
    from trioworker.testing import Turn

CALL_ID = "CALL_ID"
"""In a string argument of a scripted call: replaced by the call's id, so that an effect shows which call had it."""


class ScriptedModel(ScriptBackend):
    """Plays turns, or gives the same reply or error to every request, and records the requests.

    Attributes:
        requests: in the order in which they came.
        cancelled: how many requests were cancelled before they were answered.
        before_reply: awaited with the number of the request, from 1.
    """

    def __init__(self, script: Sequence[Turn] | Reply | Exception, *, delay: float = 0.0) -> None:
        """`delay` is the seconds before a reply or an error that isn't a turn's."""
        super().__init__(() if isinstance(script, Reply | Exception) else script)
        self.requests: list[LlmRequest] = []
        self.cancelled = 0
        self.before_reply: Callable[[int], Awaitable[None]] | None = None
        self._fixed = script if isinstance(script, Reply | Exception) else None
        self._delay = delay

    async def complete(self, request: LlmRequest, /) -> Reply:
        self.requests.append(request)
        try:
            if self.before_reply is not None:
                await self.before_reply(len(self.requests))
            await trio.sleep(self._delay)
            reply = self._fixed or await super().complete(request)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        if isinstance(reply, Exception):
            raise reply
        if not reply.tool_calls:
            return reply
        return msgspec.structs.replace(reply, tool_calls=tuple(map(_with_id, reply.tool_calls)))

    def received(self, role: str) -> list[str]:
        """The contents of one role's messages in the last request."""
        return [message.content for message in self.requests[-1].messages if message.role == role]


def _with_id(call: ToolCall) -> ToolCall:
    given: Any = call.arguments
    if not isinstance(given, dict):
        return call
    arguments = {
        name: value.replace(CALL_ID, call.id) if isinstance(value, str) else value
        for name, value in cast("dict[str, Any]", given).items()
    }
    return msgspec.structs.replace(call, arguments=arguments)
