"""Converts the contract's LLM requests to the body of OpenAI's chat completions; no I/O.

In OpenAI's format arguments are JSON text, and calls are wrapped as functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.orchestrator.backends.returned_fields import THOUGHT_FIELDS, signature_to_return, thoughts_to_return

if TYPE_CHECKING:
    from trioworker.orchestrator.backends.base import LlmRequest
    from trioworker.protocol.wire import Message, ToolCall


def chat_body(request: LlmRequest, model: str, limit_name: str) -> dict[str, Any]:
    """The request body. `limit_name` is the server's name of the parameter `max_tokens`.

    Strict servers refuse null, an empty list of tools, and a tool choice without tools.
    """
    body: dict[str, Any] = {"model": model, "messages": [_chat_message(message) for message in request.messages]}
    if request.max_tokens is not None:
        body[limit_name] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.stop_sequences:
        body["stop"] = request.stop_sequences
    if request.tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
        body["tool_choice"] = request.tool_choice or "auto"
    return body


def drop_thoughts(body: dict[str, Any]) -> bool:
    """Remove the thoughts from a request body. Returns whether there were any."""
    thoughts = [(message, name) for message in body["messages"] for name in THOUGHT_FIELDS if name in message]
    for message, name in thoughts:
        del message[name]
    return bool(thoughts)


def _chat_message(message: Message) -> dict[str, Any]:
    converted: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id is not None:
        converted["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        converted["tool_calls"] = [_chat_call(call) for call in message.tool_calls]
    return converted | thoughts_to_return(message)


def _chat_call(call: ToolCall) -> dict[str, Any]:
    arguments = msgspec.json.encode(call.arguments).decode()
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
        **signature_to_return(call),
    }
