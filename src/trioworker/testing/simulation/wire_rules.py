"""Rules for what a worker sends under any fault: conversations that every provider accepts, and events."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def conversation_errors(messages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What a provider would refuse in a conversation; nothing if it is well-formed.

    The first message is the only system message, the second is a user's, and two user messages never follow each
    other. Content is a string, which is blank only if there are calls. Each call has a valid name and an object as its
    arguments, and is answered, in order, before any other message. The last message isn't the assistant's.
    """
    yield from _content_errors(messages)
    roles = [message["role"] for message in messages]
    if roles[:2] != ["system", "user"] or "system" in roles[1:]:
        yield f"starts with {roles[:3]}, and has {roles.count('system')} system messages"
    if roles[-1] == "assistant":
        yield "ends with the assistant"
    unanswered: list[str] = []
    for message in messages:
        if not isinstance(message["content"], str):
            yield f"content that is not a string: {message['content']!r}"
        if message["role"] == "tool":
            answered = message["tool_call_id"]
            if unanswered[:1] != [answered]:
                yield f"an answer to no call, or out of order: {answered}; expected {unanswered[:1]}"
            unanswered = [call for call in unanswered if call != answered]
            continue
        if unanswered:
            yield f"calls without an answer: {unanswered}"
        unanswered = [call["id"] for call in message.get("tool_calls") or ()]
    if unanswered:
        yield f"calls without an answer: {unanswered}"


def _content_errors(messages: Sequence[dict[str, Any]]) -> Iterator[str]:
    for before, message in pairwise(messages):
        if before["role"] == message["role"] == "user":
            yield f"two user messages in a row: {before['content'][:40]!r}, {message['content'][:40]!r}"
    for message in messages:
        calls = message.get("tool_calls") or ()
        if not (str(message["content"]).strip() or calls):
            yield f"a blank message from {message['role']}"
        for name in (*(call["name"] for call in calls), message.get("name") or "valid"):
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", name):
                yield f"an invalid name: {name!r}"
        for call in calls:
            if not isinstance(call["arguments"], dict):
                yield f"arguments that are not an object: {call['arguments']!r}"


def changed_events(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The events whose body differs from an earlier one with the same `seq`: a repeat must not differ."""
    sent: dict[int, dict[str, Any]] = {}
    for event in events:
        seq = event["data"]["seq"]
        if sent.setdefault(seq, event) != event:
            yield f"event {seq} was sent with two bodies: {sent[seq]} and {event}"
