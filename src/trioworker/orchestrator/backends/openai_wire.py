"""Converts the contract's LLM requests and replies to and from OpenAI's chat completions; no I/O.

In OpenAI's format arguments are JSON text, calls are wrapped as functions, and finish reasons have other names.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from trioworker.orchestrator.backends.base import LlmError, LlmRequest
from trioworker.protocol.wire import Message, Reply, ToolCall, Untouched

_RAW_NULL = b"null"


class _Function(msgspec.Struct, frozen=True):
    name: str
    arguments: Any = None


class _Call(msgspec.Struct, frozen=True):
    function: _Function
    id: str | None = None
    extra_content: Untouched = msgspec.UNSET


class _Part(msgspec.Struct, frozen=True):
    text: str | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    reasoning: Untouched = msgspec.UNSET
    reasoning_details: Untouched = msgspec.UNSET


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Completion(msgspec.Struct, frozen=True):
    choices: list[_Choice]
    usage: _Usage | None = None


class Model(msgspec.Struct, frozen=True):
    """An entry of `ModelList`."""

    id: str


class ModelList(msgspec.Struct, frozen=True):
    """The response to `GET /models`."""

    data: list[Model]


def chat_body(request: LlmRequest, model: str, limit_name: str) -> dict[str, Any]:
    """The request body. `limit_name` is the server's name of the parameter `max_tokens`."""
    body: dict[str, Any] = {"model": model, "messages": [_chat_message(message) for message in request.messages]}
    if request.max_tokens is not None:
        body[limit_name] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.stop_sequences:
        body["stop"] = request.stop_sequences
    # Some servers reject an empty list of tools, others a tool choice without tools.
    if request.tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
        body["tool_choice"] = request.tool_choice or "auto"
    return body


def read_reply(body: bytes) -> Reply:
    """The first choice of a response.

    Raises:
        msgspec.MsgspecError: the body isn't a completion.
        LlmError: the completion has no choices.
    """
    completion = _decoder.decode(body)
    if not completion.choices:
        raise LlmError("openai: the response has no choices")
    choice, usage = completion.choices[0], completion.usage or _Usage()
    message = choice.message
    details = usage.prompt_tokens_details or _PromptDetails()
    calls = tuple(_read_call(call) for call in message.tool_calls or ())
    return Reply(
        content=_text(message),
        tool_calls=calls,
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read_input_tokens=details.cached_tokens,
        finish_reason=_finish(choice.finish_reason, calls),
        reasoning=_present(message.reasoning),
        reasoning_details=_present(message.reasoning_details),
    )


_decoder = msgspec.json.Decoder(_Completion)


def _chat_message(message: Message) -> dict[str, Any]:
    converted: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id is not None:
        converted["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        converted["tool_calls"] = [_chat_call(call) for call in message.tool_calls]
    # Servers that send reasoning require it back; other servers never get it, since they sent none.
    if message.reasoning is not msgspec.UNSET:
        converted["reasoning"] = message.reasoning
    if message.reasoning_details is not msgspec.UNSET:
        converted["reasoning_details"] = message.reasoning_details
    return converted


def _chat_call(call: ToolCall) -> dict[str, Any]:
    arguments = msgspec.json.encode(call.arguments).decode()
    converted: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if call.signature is not msgspec.UNSET:
        converted["extra_content"] = call.signature
    return converted


def _read_call(call: _Call) -> ToolCall:
    arguments, problem = _arguments(call.function.arguments)
    return ToolCall(
        id=call.id or f"call_{uuid.uuid4().hex[:24]}",
        name=call.function.name,
        arguments=arguments,
        # Gemini's servers keep a call's signature there and refuse the conversation without it.
        signature=_present(call.extra_content),
        arguments_parse_error=problem,
    )


def _arguments(given: Any) -> tuple[Any, str | msgspec.UnsetType]:
    """Arguments as a JSON value. Some servers send a value instead of text, others an empty text for no arguments."""
    if not isinstance(given, str):
        return ({} if given is None else given), msgspec.UNSET
    if not given.strip():
        return {}, msgspec.UNSET
    try:
        return msgspec.json.decode(given), msgspec.UNSET
    except (msgspec.DecodeError, RecursionError) as error:
        return {}, f"arguments are not JSON: {error}"


def _text(message: _Message) -> str | None:
    if isinstance(message.content, list):
        return "".join(part.text or "" for part in message.content)
    return message.content or message.refusal or message.content


def _finish(reason: str | None, calls: tuple[ToolCall, ...]) -> str | None:
    match reason:
        case "tool_calls" | "function_call":
            return "tool_use"
        case "stop" if calls:
            # Some servers send "stop" with calls; the calls are complete.
            return "tool_use"
        case _:
            return reason


def _present(value: Untouched) -> Untouched:
    """`value`, or UNSET if it is null, so that it isn't sent back."""
    return msgspec.UNSET if value is msgspec.UNSET or bytes(value) == _RAW_NULL else value
