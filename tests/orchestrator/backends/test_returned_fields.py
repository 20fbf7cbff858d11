"""Thoughts and signatures travel through the worker and return under the server's names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trioworker.orchestrator.backends.returned_fields import (
    signature_of,
    signature_to_return,
    thoughts_of,
    thoughts_to_return,
)
from trioworker.protocol.wire import ABSENT, Message, ToolCall

DETAILS = [{"type": "reasoning.encrypted", "data": "x"}]
BLOCKS = [{"type": "thinking", "thinking": "why", "signature": "s"}]


def returned(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of the next request, after the worker received and returned those of a reply."""
    thoughts = thoughts_of(fields)
    message = Message(role="assistant", content="", **thoughts._asdict())
    message = msgspec.json.decode(msgspec.json.encode(message), type=Message)
    return msgspec.json.decode(msgspec.json.encode(thoughts_to_return(message)))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reasoning_content": "why"},
        {"reasoning_content": ""},
        {"reasoning": "why"},
        {"reasoning": "why", "reasoning_details": DETAILS},
        {"reasoning_details": DETAILS},
        {"reasoning_content": "why", "reasoning_details": DETAILS},
        {"reasoning_content": "why", "thinking_blocks": BLOCKS},
        {"thinking_blocks": BLOCKS},
    ],
)
def test_thoughts_return_under_the_servers_names(fields: dict[str, Any]) -> None:
    assert returned(fields) == fields


def test_null_thoughts_do_not_return() -> None:
    assert thoughts_of({"reasoning_content": None, "reasoning": None, "reasoning_details": None}) == (ABSENT, ABSENT)


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_the_worker_gets_the_text_of_the_thoughts(name: str) -> None:
    reasoning = thoughts_of({name: "why"}).reasoning

    assert isinstance(reasoning, msgspec.Raw)
    assert msgspec.json.decode(reasoning) == "why"


def test_thoughts_of_another_orchestrator_return_unchanged() -> None:
    message = Message(
        role="assistant", content="", reasoning=msgspec.Raw(b'"why"'), reasoning_details=msgspec.Raw(b"7")
    )

    assert msgspec.json.encode(thoughts_to_return(message)) == b'{"reasoning":"why","reasoning_details":7}'


def test_an_unknown_name_is_not_sent_to_the_server() -> None:
    details = msgspec.Raw(b'{"sent_as": "messages", "messages": [], "model": "m"}')
    message = Message(role="assistant", content="", reasoning=msgspec.Raw(b'"why"'), reasoning_details=details)

    assert thoughts_to_return(message) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"extra_content": {"google": {"thought_signature": "s"}}},
        {"provider_specific_fields": {"thought_signature": "s"}},
    ],
)
def test_a_calls_signature_returns_under_the_servers_name(fields: dict[str, Any]) -> None:
    call = ToolCall(id="a", name="shell", arguments={}, signature=signature_of({"id": "a", **fields}))

    assert signature_to_return(msgspec.json.decode(msgspec.json.encode(call), type=ToolCall)) == fields


def test_a_call_without_a_signature_has_none_and_a_foreign_one_is_not_sent() -> None:
    assert signature_of({"id": "a", "extra_content": None}) is ABSENT
    call = ToolCall(id="a", name="shell", arguments={}, signature=msgspec.Raw(b'"opaque"'))
    assert signature_to_return(call) == {}
