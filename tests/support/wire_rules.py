"""Rules for what a worker sends, whatever happened to it: conversations that every provider accepts, and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def conversation_errors(messages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What a provider would refuse in a conversation that is sent to it; nothing if it is well-formed.

    One system message, at the start, then a user's; content is a string; each call is answered, in order, before any
    other message; the last message isn't the assistant's.
    """
    roles = [message["role"] for message in messages]
    if roles[:2] != ["system", "user"] or "system" in roles[1:]:
        yield f"starts with {roles[:3]}, and has {roles.count('system')} system messages"
    if roles[-1] == "assistant":
        yield "ends with the assistant"
    unanswered: list[str] = []
    for message in messages:
        if not isinstance(message["content"], str):
            yield f"content {message['content']!r}"
        if message["role"] == "tool":
            answered = message["tool_call_id"]
            if unanswered[:1] != [answered]:
                yield f"an answer to no call, or out of order: {answered}, expected {unanswered[:1]}"
            unanswered = [call for call in unanswered if call != answered]
            continue
        if unanswered:
            yield f"calls without an answer: {unanswered}"
        unanswered = [call["id"] for call in message.get("tool_calls") or ()]
    if unanswered:
        yield f"calls without an answer: {unanswered}"


def assert_well_formed(messages: Iterable[dict[str, Any]]) -> None:
    """No provider refuses this conversation for its form."""
    assert list(conversation_errors(list(messages))) == []


def changed_events(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The bodies of `POST event` that differ from an earlier one with the same `seq`: a repeat must not."""
    sent: dict[int, dict[str, Any]] = {}
    for event in events:
        seq = event["data"]["seq"]
        if sent.setdefault(seq, event) != event:
            yield f"event {seq} was sent with two bodies: {sent[seq]} and {event}"
