"""What the strictest providers refuse in a request to `/v1/chat/completions`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""OpenAI and Anthropic."""
_REQUEST_FIELDS = {
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "stop",
    "tools",
    "tool_choice",
}
_MESSAGE_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}
_CALL_FIELDS = {"id", "type", "function"}


def problems(request: dict[str, Any], returned: frozenset[str]) -> Iterator[str]:
    """What is wrong with a request. `returned`: fields that the provider sent itself, and accepts on the assistant's
    messages and calls.
    """
    yield from _in_parameters(request)
    messages: list[dict[str, Any]] = request["messages"]
    for index, message in enumerate(messages):
        for problem in _in_message(message, returned):
            yield f"messages[{index}]: {problem}"
    yield from _in_order(messages)
    if any(message.get("tool_calls") for message in messages) and not request.get("tools"):
        yield "tools: required when the history has calls"


def _in_parameters(request: dict[str, Any]) -> Iterator[str]:
    for name, value in request.items():
        if name not in _REQUEST_FIELDS:
            yield f"Unsupported parameter: {name}"
        if value is None or value == []:
            yield f"{name}: null or empty"
    if "tool_choice" in request:
        if "tools" not in request:
            yield "tool_choice is only allowed when tools are specified"
        if request["tool_choice"] not in {"auto", "none", "required"}:
            yield f"tool_choice: {request['tool_choice']!r}"
    for tool in request.get("tools") or ():
        if not _NAME.fullmatch(tool["function"]["name"]):
            yield f"tools: name {tool['function']['name']!r}"


def _in_message(message: dict[str, Any], returned: frozenset[str]) -> Iterator[str]:
    role = message["role"]
    allowed = _MESSAGE_FIELDS[role] | (returned if role == "assistant" else set[str]())
    if extra := message.keys() - allowed:
        yield f"property {sorted(extra)} is unsupported"
    content = message["content"]
    if not isinstance(content, str):
        yield f"content is not a string: {content!r}"
    elif not content.strip() and role != "tool" and not message.get("tool_calls"):
        yield f"{role}: content is empty"
    for call in message.get("tool_calls") or ():
        yield from _in_call(call, returned)


def _in_call(call: dict[str, Any], returned: frozenset[str]) -> Iterator[str]:
    if extra := call.keys() - _CALL_FIELDS - returned:
        yield f"call: property {sorted(extra)} is unsupported"
    if not isinstance(call["id"], str) or not call["id"]:
        yield f"call: id {call['id']!r}"
    function = call["function"]
    if not isinstance(function["name"], str) or not _NAME.fullmatch(function["name"]):
        yield f"call: name {function['name']!r}"
    try:
        arguments = json.loads(function["arguments"])
    except (TypeError, ValueError):
        arguments = None
    if not isinstance(arguments, dict):
        yield f"call: arguments {function['arguments']!r} are no JSON object"


def _in_order(messages: list[dict[str, Any]]) -> Iterator[str]:
    roles = [message["role"] for message in messages]
    if roles[:2] != ["system", "user"] or "system" in roles[1:]:
        yield f"messages: begin with {roles[:3]}"
    if roles[-1] == "assistant":
        yield "messages: the last is the assistant's"
    unanswered: list[str] = []
    ids: set[str] = set()
    for index, message in enumerate(messages):
        role = roles[index]
        if role == "tool":
            if message["tool_call_id"] not in unanswered:
                yield f"messages[{index}]: answers no call of the message before"
            unanswered = [call_id for call_id in unanswered if call_id != message["tool_call_id"]]
            continue
        if unanswered:
            yield f"messages[{index}]: the calls {unanswered} are not answered"
        if index and role == roles[index - 1]:
            yield f"messages[{index}]: two {role} messages in a row"
        unanswered = [call["id"] for call in message.get("tool_calls") or ()]
        if len(set(unanswered)) < len(unanswered) or ids & set(unanswered):
            yield f"messages[{index}]: an id occurs twice"
        ids |= set(unanswered)
    if unanswered:
        yield f"messages: the calls {unanswered} are not answered"
