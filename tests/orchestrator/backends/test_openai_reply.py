"""Reading completions: OpenAI's own, and the odd ones of other servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from trioworker.orchestrator.backends.openai_reply import read_reply
from trioworker.protocol.wire import Reply

if TYPE_CHECKING:
    from trioworker.protocol.wire import ToolCall


def completion(message: Any, finish_reason: Any = "stop", **fields: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish_reason}], **fields}


def read(message: Any, finish_reason: Any = "stop", **fields: Any) -> Reply:
    """The reply, as the worker decodes it."""
    return msgspec.json.decode(
        msgspec.json.encode(read_reply(completion(message, finish_reason, **fields))), type=Reply
    )


def calling(arguments: object, **fields: Any) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "shell", "arguments": arguments}, **fields}
    return {"content": None, "tool_calls": [call]}


def only_call(reply: Reply) -> ToolCall:
    (call,) = list(reply.tool_calls or ())
    return call


@pytest.mark.parametrize(
    ("sent", "arguments", "problem"),
    [
        ('{"command": "ls"}', {"command": "ls"}, False),
        ({"command": "ls"}, {"command": "ls"}, False),
        ('{"command": "a\nb"}', {"command": "a\nb"}, False),
        (r'{"command": "\ud800"}', {"command": "\ufffd"}, False),
        ("", {}, False),
        (None, {}, False),
        ("[1]", [1], False),
        ('{"command": "ls', {}, True),
        ("[" * 100_000, {}, True),
    ],
)
def test_arguments_are_decoded(sent: object, arguments: object, problem: bool) -> None:
    reply = read(calling(sent), "tool_calls")

    assert reply.ended_by == "tool_use"
    call = only_call(reply)
    assert (call.id, call.name, call.arguments) == ("c1", "shell", arguments)
    assert isinstance(call.arguments_parse_error, str) == problem


def test_arguments_that_are_not_json_are_quoted_around_the_error() -> None:
    sent = '{"command": "' + "x" * 1000 + '\necho "hello" world", "timeout": 5}' + " " * 1000
    call = only_call(read(calling(sent), "tool_calls"))

    assert call.arguments_parse_error == (
        "not JSON: Expecting ',' delimiter at character 1020, in `"
        + "x" * 23
        + ' echo "hello" world", "timeout": 5}`; '
        r"in strings, write \" for a quote and \\ for a backslash"
    )


@pytest.mark.parametrize(("given", "call_id"), [(7, "7"), ("7", "7"), (0, "0")])
def test_an_integer_id_becomes_text(given: object, call_id: str) -> None:
    assert only_call(read(calling("{}", id=given))).id == call_id


@pytest.mark.parametrize("given", [None, "", [], 1.5])
def test_calls_without_an_id_get_distinct_ones(given: object) -> None:
    first, second = (only_call(read(calling("{}", id=given))).id for _ in range(2))

    assert first.startswith("call_")
    assert first != second


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "function_call": {"name": "shell", "arguments": '{"command": "ls"}'}},
        {"content": "", "tool_calls": None, "function_call": {"name": "shell", "arguments": {"command": "ls"}}},
        {"content": [{"type": "tool_use", "id": "a", "name": "shell", "input": {"command": "ls"}}]},
        {"tool_calls": {"function": {"name": "shell", "arguments": '{"command": "ls"}'}}},
        {"tool_calls": [None, {"name": "shell", "arguments": '{"command": "ls"}'}]},
    ],
)
def test_calls_in_other_formats_are_read(message: dict[str, Any]) -> None:
    call = only_call(read(message, "function_call"))

    assert (call.name, call.arguments) == ("shell", {"command": "ls"})


def test_a_call_without_a_name_reaches_the_worker() -> None:
    assert only_call(read({"tool_calls": [{"id": "a", "function": {"name": None, "arguments": "{}"}}]})).name == ""


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": "hi"}, "hi"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": ["a", {"text": None}, None, {"text": "b"}]}, "ab"),
        ({"content": [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "a"}]}, "a"),
        ({"content": {"type": "text", "text": "a"}}, "a"),
        ({"content": None, "refusal": "I won't"}, "I won't"),
        ({"content": ""}, ""),
        ({"content": 42}, "42"),
        ({"tool_calls": None}, None),
        (None, None),
    ],
)
def test_each_form_of_content_is_accepted(message: Any, content: str | None) -> None:
    reply = read(message)

    assert reply.content == content
    assert not reply.tool_calls


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}, (9, 4, 3)),
        ({"prompt_tokens": 9.0, "completion_tokens": 4.7, "prompt_tokens_details": {"cached_tokens": 3.0}}, (9, 4, 3)),
        ({"prompt_tokens": None, "completion_tokens": None, "prompt_tokens_details": None}, (0, 0, None)),
        ({"prompt_tokens": "9", "completion_tokens": -1, "prompt_tokens_details": []}, (9, 0, None)),
        ({"prompt_tokens": 10**400, "completion_tokens": 10**20}, (0, 2**53, None)),
        ({"prompt_tokens": float("inf"), "completion_tokens": [1]}, (0, 0, None)),
        (None, (0, 0, None)),
        ([], (0, 0, None)),
    ],
)
def test_each_form_of_usage_is_accepted(usage: Any, counts: tuple[int, int, int | None]) -> None:
    reply = read({"content": "hi"}, usage=usage)

    assert (reply.input_tokens, reply.output_tokens, reply.cache_read_input_tokens) == counts


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("tool_calls", "tool_use"),
        ("content_filter", "content_filter"),
        ("odd", "unknown"),
        (None, "unknown"),
        (3, "unknown"),
    ],
)
def test_finish_reasons_are_mapped(given: Any, reason: str) -> None:
    assert read({"content": "hi"}, given).ended_by == reason


@pytest.mark.parametrize(
    ("given", "reason"), [("stop", "tool_use"), (None, "tool_use"), ("", "tool_use"), ("length", "length")]
)
def test_calls_are_complete_unless_the_reply_was_cut(given: str | None, reason: str) -> None:
    assert read(calling("{}"), given).ended_by == reason


def test_a_missing_finish_reason_is_unknown() -> None:
    assert read_reply({"choices": [{"message": {"content": "hi"}}]}).ended_by == "unknown"


@pytest.mark.parametrize("choices", [[], None, {}, "x", [None], ["x"]])
def test_a_response_without_choices_is_an_error(choices: Any) -> None:
    with pytest.raises(ValueError, match="no choices"):
        read_reply({"choices": choices})


@pytest.mark.parametrize(("named", "shown"), [("large-2", "large-2"), (None, "large"), ("", "large"), (7, "large")])
def test_the_model_is_the_servers_name_or_else_the_requested_one(named: object, shown: str) -> None:
    reply = read_reply({"model": named, "choices": [{"message": {"content": "hi"}}]}, "large")
    assert reply.model == shown
