"""Requests in OpenAI's format, as strict servers require it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trioworker.orchestrator.backends.base import LlmRequest
from trioworker.orchestrator.backends.openai_wire import chat_body
from trioworker.protocol.wire import Message, ToolCall, ToolDefinition

SHELL = ToolDefinition(name="shell", description="runs", parameters={"type": "object", "properties": {}})


def sent(request: LlmRequest) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(chat_body(request, "m", "max_tokens")))


def test_a_request_is_converted_to_openais_format() -> None:
    signature, reasoning = msgspec.Raw(b'{"extra_content":{"s":1}}'), msgspec.Raw(b'"because"')
    call = ToolCall(id="c1", name="shell", arguments={"command": "ls"}, signature=signature)
    request = LlmRequest(
        messages=(
            Message(role="system", content="You are"),
            Message(role="assistant", content="", tool_calls=(call,), reasoning=reasoning),
            Message(role="tool", content="a.py", tool_call_id="c1", name="shell"),
        ),
        tools=(SHELL,),
        max_tokens=1024,
        temperature=0.7,
        tool_choice="none",
        stop_sequences=("END",),
    )

    function = {"name": "shell", "arguments": '{"command":"ls"}'}
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    assert sent(request) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You are"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "type": "function", "function": function, "extra_content": {"s": 1}}],
                "reasoning": "because",
            },
            {"role": "tool", "content": "a.py", "tool_call_id": "c1"},
        ],
        "max_tokens": 1024,
        "temperature": 0.7,
        "stop": ["END"],
        "tools": [{"type": "function", "function": {"name": "shell", "description": "runs", "parameters": parameters}}],
        "tool_choice": "none",
    }


@pytest.mark.parametrize("tools", [None, ()])
def test_absent_fields_are_not_sent(tools: tuple[ToolDefinition, ...] | None) -> None:
    request = LlmRequest(messages=(Message(role="user", content="go"),), tools=tools, tool_choice="auto")

    assert sent(request) == {"model": "m", "messages": [{"role": "user", "content": "go"}]}
