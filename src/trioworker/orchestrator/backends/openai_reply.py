"""Converts OpenAI's chat completions to the contract's replies; no I/O.

Servers and gateways deviate from the format in many ways. All that is readable is read: the reply matters more than an
odd field, and a retry would return the same field.
"""

from __future__ import annotations

import json
import math
import uuid
from typing import Any, cast

from trioworker.orchestrator.backends.base import NamedReply
from trioworker.orchestrator.backends.lenient_json import read_json
from trioworker.orchestrator.backends.returned_fields import signature_of, thoughts_of
from trioworker.protocol.wire import ABSENT, ToolCall

QUOTED_CHARACTERS = 60
"""Characters of arguments that an error quotes: the history doesn't show what can't be read."""

MAX_TOKEN_COUNT = 2**53
"""The largest token count that a reply may report (`wire.TokenCount`)."""

FINISH_REASONS = {
    "tool_calls": "tool_use",
    "tool_call": "tool_use",
    "function_call": "tool_use",
    "max_tokens": "length",
    "model_length": "length",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "safety": "content_filter",
}
"""Other names of the contract's finish reasons: OpenAI's, and those that gateways pass on from Mistral, Anthropic and
Gemini.
"""


def read_reply(completion: dict[str, Any], requested_model: str | None = None) -> NamedReply:
    """The first choice of a completion. The server may name the model more exactly than the request did.

    Raises:
        ValueError: there is no choice.
    """
    choices = _list(completion.get("choices"))
    if not choices or not isinstance(choices[0], dict):
        raise ValueError("the response has no choices")
    choice = _dict(choices[0])
    # Some servers put a message of a stream there.
    message = _dict(choice.get("message") or choice.get("delta"))
    calls = tuple(_read_call(call) for call in _calls(message))
    usage = _dict(completion.get("usage"))
    thoughts = thoughts_of(message)
    named = completion.get("model")
    return NamedReply(
        model=named if isinstance(named, str) and named else requested_model,
        content=_content(message, choice),
        tool_calls=calls,
        input_tokens=_count(usage.get("prompt_tokens")) or 0,
        output_tokens=_count(usage.get("completion_tokens")) or 0,
        cache_read_input_tokens=_count(_dict(usage.get("prompt_tokens_details")).get("cached_tokens")),
        finish_reason=_finish_reason(choice.get("finish_reason"), has_calls=bool(calls)),
        reasoning=thoughts.reasoning,
        reasoning_details=thoughts.reasoning_details,
    )


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    given = message.get("tool_calls")
    calls = [_dict(call) for call in (_list(given) or [given]) if isinstance(call, dict) and call]
    # The format before `tools`.
    if not calls and isinstance(message.get("function_call"), dict):
        calls = [{"function": message["function_call"]}]
    # Anthropic's format, which some gateways don't convert.
    parts = [_dict(part) for part in _list(message.get("content"))]
    return calls + [
        {"id": part.get("id"), "name": part.get("name"), "arguments": part.get("input")}
        for part in parts
        if part.get("type") == "tool_use"
    ]


def _read_call(call: dict[str, Any]) -> ToolCall:
    function = _dict(call.get("function")) or call
    arguments, problem = _arguments(function.get("arguments"))
    name, call_id = function.get("name"), call.get("id")
    return ToolCall(
        id=str(call_id) if isinstance(call_id, str | int) and call_id != "" else f"call_{uuid.uuid4().hex[:24]}",
        name=name if isinstance(name, str) else "",
        arguments=arguments,
        signature=signature_of(call),
        arguments_parse_error=problem or ABSENT,
    )


def _arguments(given: Any) -> tuple[Any, str]:
    """Arguments as a JSON value, and why they can't be read. Some servers send a value, or empty text for none."""
    if not isinstance(given, str):
        return ({} if given is None else given), ""
    if not given.strip():
        return {}, ""
    try:
        return read_json(given.encode()), ""
    except json.JSONDecodeError as error:
        start = max(error.pos - QUOTED_CHARACTERS // 2, 0)
        quoted = " ".join(error.doc[start : start + QUOTED_CHARACTERS].split())
        remedy = r"in strings, write \" for a quote and \\ for a backslash"
        return {}, f"not JSON: {error.msg} at character {error.pos}, in `{quoted}`; {remedy}"
    except ValueError as error:
        return {}, f"not JSON: {error}"


def _content(message: dict[str, Any], choice: dict[str, Any]) -> str | None:
    content = message.get("content")
    if isinstance(content, list | dict):
        return "".join(_text_of(part) for part in _list(content) or [content])
    for text in (content, message.get("refusal"), choice.get("text")):
        if isinstance(text, str) and text:
            return text
    return None if content is None else str(content)


def _text_of(part: Any) -> str:
    """The text of a part of the content. Thoughts have none: theirs is nested, or in another field."""
    text = part if isinstance(part, str) else _dict(part).get("text")
    return text if isinstance(text, str) else ""


def _finish_reason(given: Any, *, has_calls: bool) -> str | None:
    reason = given.casefold() if isinstance(given, str) else None
    reason = FINISH_REASONS.get(reason or "", reason)
    # Some servers send "stop" with calls, or nothing; the calls are complete.
    return "tool_use" if has_calls and reason in {"stop", None, ""} else reason


def _count(value: Any) -> int | None:
    """A token count; None if it isn't one. Some servers send floats or text."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(min(max(number, 0.0), MAX_TOKEN_COUNT)) if math.isfinite(number) else None


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
