"""The contract's bodies: required and unknown fields when decoding, absent fields when encoding."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trioworker.protocol import wire


def read(kind: type[msgspec.Struct], value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


def written(body: msgspec.Struct) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body))


CALL: dict[str, Any] = {"id": "a", "name": "shell", "arguments": {}}


@pytest.mark.parametrize(
    ("kind", "minimal"),
    [
        (wire.JobDescription, {"title": "T", "description": "D"}),
        (wire.Credential, {"env_var": "A", "value": ""}),
        (wire.Reply, {}),
        (wire.Prompt, {"content": "x"}),
        (wire.ToolCall, CALL),
        (wire.Message, {"role": "tool", "content": ""}),
    ],
)
def test_required_fields_suffice_and_unknown_ones_are_ignored(
    kind: type[msgspec.Struct], minimal: dict[str, Any]
) -> None:
    body = read(kind, minimal)
    assert read(kind, {**minimal, "invented_later": {"deep": [1]}}) == body
    optional = {field.name: None for field in msgspec.structs.fields(kind) if not field.required}
    nulled = read(kind, {**minimal, **optional})
    assert [getattr(nulled, name) in (None, wire.ABSENT, msgspec.Raw(b"null")) for name in optional] == [True] * len(
        optional
    )
    for name in minimal:
        with pytest.raises(msgspec.ValidationError, match=name):
            read(kind, {field: value for field, value in minimal.items() if field != name})


@pytest.mark.parametrize(
    ("finish_reason", "meaning"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_use", "tool_use"),
        ("tool_calls", "tool_use"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_use"),
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("refusal", "content_filter"),
        ("SAFETY", "content_filter"),
        ("eos", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_finish_reason_is_mapped_to_the_contracts_terms(finish_reason: str | None, meaning: str) -> None:
    assert wire.Reply(finish_reason=finish_reason).ended_by == meaning
    assert wire.Reply().ended_by == "unknown"


def test_absent_fields_of_a_message_are_left_out() -> None:
    assert written(wire.Message(role="user", content="")) == {"role": "user", "content": ""}


def test_arguments_of_a_call_are_a_value_and_not_a_string() -> None:
    assert written(wire.ToolCall(id="a", name="t", arguments={"n": 1})) == {
        "id": "a", "name": "t", "arguments": {"n": 1},
    }  # fmt: skip
    assert written(wire.ToolCall(id="a", name="t", arguments=None))["arguments"] is None


def test_required_fields_of_posts_may_be_null() -> None:
    assert written(wire.StatusUpdate(message=None, iteration=0)) == {
        "state": "in_progress", "message": None, "iteration": 0,
    }  # fmt: skip
    assert written(wire.CompletionReport(success=False, message=None, iterations=0)) == {
        "success": False, "message": None, "iterations": 0,
    }  # fmt: skip


def test_absent_fields_of_requests_to_the_model_are_left_out() -> None:
    messages = (msgspec.Raw(b'{"role":"user","content":"hi"}'),)
    tools = msgspec.Raw(msgspec.json.encode([wire.ToolDefinition(name="t", description="d", parameters={})]))
    body = written(wire.ToolCompletionRequest(messages=messages, tools=tools, max_tokens=1024, tool_choice="auto"))
    assert body == {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "t", "description": "d", "parameters": {}}],
        "max_tokens": 1024,
        "tool_choice": "auto",
    }
    assert "temperature" not in body
    assert written(wire.CompletionRequest(messages=messages, max_tokens=4096, temperature=0.7))["temperature"] == 0.7


def test_bodies_are_immutable() -> None:
    prompt, field = wire.Prompt(content="x"), "content"
    with pytest.raises(AttributeError):
        setattr(prompt, field, "y")
