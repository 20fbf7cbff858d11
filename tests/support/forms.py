"""What a conversation must look like for every provider to take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.protocol import wire


def assert_well_formed(messages: Iterable[wire.Message]) -> None:
    """One system message, at the start; each call answered, in order, before anybody else speaks; the last word is not
    the assistant's.
    """
    messages = list(messages)
    waiting: list[str] = []
    for message in messages:
        if message.role == "tool":
            assert waiting, "an answer to no call"
            assert message.tool_call_id == waiting.pop(0)
        else:
            assert not waiting, "a call without an answer"
            waiting = [call.id for call in message.tool_calls or ()]
    assert not waiting, "a call without an answer"
    assert [index for index, message in enumerate(messages) if message.role == "system"] == [0]
    assert messages[-1].role != "assistant"
