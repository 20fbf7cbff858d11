"""The contract's bodies: what is let in, what is ignored, and what goes out."""

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
    ("kind", "least"),
    [
        (wire.JobDescription, {"title": "T", "description": "D"}),
        (wire.Credential, {"env_var": "A", "value": ""}),
        (wire.Reply, {}),
        (wire.Prompt, {"content": "x"}),
        (wire.ToolCall, CALL),
        (wire.Message, {"role": "tool", "content": ""}),
    ],
)
def test_required_fields_are_enough_and_unknown_ones_are_ignored(
    kind: type[msgspec.Struct], least: dict[str, Any]
) -> None:
    body = read(kind, least)
    assert read(kind, {**least, "invented_later": {"deep": [1]}}) == body
    optional = {field.name: None for field in msgspec.structs.fields(kind) if not field.required}
    nulled = read(kind, {**least, **optional})
    assert [getattr(nulled, name) in (None, wire.ABSENT, msgspec.Raw(b"null")) for name in optional] == [True] * len(
        optional
    )
    for name in least:
        with pytest.raises(msgspec.ValidationError, match=name):
            read(kind, {field: value for field, value in least.items() if field != name})


@pytest.mark.parametrize(
    ("told", "meaning"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_use", "tool_use"),
        ("tool_calls", "tool_use"),
        ("content_filter", "content_filter"),
        ("eos", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_end_of_a_reply_in_the_contracts_terms(told: str | None, meaning: str) -> None:
    assert wire.Reply(finish_reason=told).ended_by == meaning
    assert wire.Reply().ended_by == "unknown"


def test_a_message_leaves_out_what_it_has_not() -> None:
    assert written(wire.Message(role="user", content="")) == {"role": "user", "content": ""}


def test_a_calls_arguments_are_a_value_and_no_string() -> None:
    assert written(wire.ToolCall(id="a", name="t", arguments={"n": 1})) == {
        "id": "a", "name": "t", "arguments": {"n": 1},
    }  # fmt: skip
    assert written(wire.ToolCall(id="a", name="t", arguments=None))["arguments"] is None


def test_posts_say_null_where_the_contract_wants_a_field() -> None:
    assert written(wire.StatusUpdate(message=None, iteration=0)) == {
        "state": "in_progress", "message": None, "iteration": 0,
    }  # fmt: skip
    assert written(wire.CompletionReport(success=False, message=None, iterations=0)) == {
        "success": False, "message": None, "iterations": 0,
    }  # fmt: skip


def test_requests_to_the_model_say_only_what_they_mean() -> None:
    messages = (msgspec.Raw(b'{"role":"user","content":"hi"}'),)
    tools = msgspec.Raw(msgspec.json.encode([wire.ToolDefinition(name="t", description="d", parameters={})]))
    told = written(wire.ToolCompletionRequest(messages=messages, tools=tools, max_tokens=1024, tool_choice="auto"))
    assert told == {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "t", "description": "d", "parameters": {}}],
        "max_tokens": 1024,
        "tool_choice": "auto",
    }
    assert "temperature" not in told
    assert written(wire.CompletionRequest(messages=messages, max_tokens=4096, temperature=0.7))["temperature"] == 0.7


def test_a_body_is_not_changed() -> None:
    prompt, field = wire.Prompt(content="x"), "content"
    with pytest.raises(AttributeError):
        setattr(prompt, field, "y")
