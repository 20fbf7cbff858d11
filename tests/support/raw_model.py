"""A model whose answers are bytes, valid or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio

from trioworker.protocol import wire
from trioworker.testing import SimulatedOrchestrator

if TYPE_CHECKING:
    from trioworker.testing import Exchange

LAST = msgspec.json.encode(wire.Reply(content="The job is complete.", finish_reason="stop"))


class RawModel(SimulatedOrchestrator):
    """Answers with these bodies, whatever the conversation is, and then ends the job. `sizes`: of all requests."""

    def __init__(self, *replies: bytes, **options: Any) -> None:
        super().__init__(**options)
        self._replies = list(replies)

    @property
    def sizes(self) -> list[int]:
        return [len(exchange.content) for exchange in self.exchanges]

    async def think(self, exchange: Exchange) -> tuple[int, bytes]:
        await trio.sleep(self.thinking)
        return 200, self._replies.pop(0) if self._replies else LAST


def reply_with(*calls: dict[str, Any]) -> bytes:
    """A reply that makes these calls."""
    return msgspec.json.encode({"tool_calls": calls, "finish_reason": "tool_use"})
