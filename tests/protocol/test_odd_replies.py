"""Replies that deviate from the contract: all that is readable is read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from linear_time import assert_linear
from trioworker.protocol import wire
from trioworker.protocol.odd_replies import read_reply


def read(**fields: Any) -> wire.Reply:
    return read_reply(msgspec.json.encode(fields))


def only_call(**fields: Any) -> wire.ToolCall:
    calls = read(tool_calls=[fields], content="Hello").tool_calls
    assert calls is not None
    assert len(calls) == 1
    return calls[0]


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (3, 3),
        (3.0, 3),
        (3.7, 3),
        ("3", 3),
        (-1, 0),
        (10**30, 2**53),
        (1e300, 2**53),
        ("many", None),
        (True, None),
        ([3], None),
        (None, None),
    ],
)
def test_token_count_of_another_type_is_read_or_absent(given: Any, count: int | None) -> None:
    reply = read(content="Hello", output_tokens=given, cache_read_input_tokens=given, cache_creation_input_tokens=given)
    assert reply.content == "Hello"
    assert reply.output_tokens == count
    assert reply.cache_read_input_tokens == reply.cache_creation_input_tokens == count


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "Hello, "}, {"type": "text", "text": "you"}], "Hello, you"),
        (["Hello, ", "you"], "Hello, you"),
        ([{"type": "thinking", "thinking": "Hm.", "text": "Hm."}, {"type": "text", "text": "Hello"}], "Hello"),
        ([{"type": "refusal", "refusal": "No."}], "No."),
        ({"type": "text", "text": "Hello"}, "Hello"),
        ([{"type": "image"}, None, 3], ""),
        (3, ""),
        ([], ""),
    ],
)
def test_content_in_parts_is_joined(content: Any, text: str) -> None:
    assert read(content=content).content == text


@pytest.mark.parametrize("calls", [None, [], {}, "", 3, [None], ["shell"]])
def test_reply_without_readable_calls_has_none_or_a_nameless_one(calls: Any) -> None:
    reply = read(content="Hello", tool_calls=calls)
    assert reply.content == "Hello"
    assert [call.name for call in reply.tool_calls or ()] in ([], [""])


def test_call_without_id_name_and_arguments_is_kept() -> None:
    assert only_call() == wire.ToolCall(id="", name="", arguments={})
    assert only_call(id=None, name=None, arguments=None) == wire.ToolCall(id="", name="", arguments={})


def test_integer_id_becomes_a_string() -> None:
    assert only_call(id=7, name="shell", arguments={}).id == "7"


def test_call_that_is_wrapped_as_a_function_is_read() -> None:
    call = only_call(id="a", type="function", function={"name": "shell", "arguments": '{"command": "ls"}'})
    assert (call.id, call.name, call.arguments) == ("a", "shell", '{"command": "ls"}')


def test_other_calls_of_a_reply_with_an_odd_one_are_kept_with_their_data() -> None:
    body = (
        b'{"tool_calls":[{"id":1,"name":"a","arguments":{"n":123456789012345678901234567890}},'
        b'{"id":"b","name":"b","arguments":[],"signature":{ "x": 1.50 },"reasoning":null}],"reasoning":[1,  2]}'
    )
    reply = read_reply(body)
    assert reply.tool_calls is not None
    first, second = reply.tool_calls
    assert first.arguments == {"n": 123456789012345678901234567890}
    assert second.signature == msgspec.Raw(b'{ "x": 1.50 }')
    assert reply.reasoning == msgspec.Raw(b"[1,  2]")


def test_byte_order_mark_is_skipped() -> None:
    assert read_reply(b'\xef\xbb\xbf{"content": "Hello"}').content == "Hello"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"content": "a\ud800b"}', "a\ufffdb"),
        (rb'{"content": "a\udc00\ud800"}', "a\ufffd\ufffd"),
        (rb'{"content": "\ud800\\ud83d\ude00"}', "\ufffd\\ud83d\ufffd"),
        (rb'{"content": "\ud800 \ud83d\ude00"}', "\ufffd \U0001f600"),
        (rb'{"content": "\\\ud800"}', "\\\ufffd"),
        (b'{"content": "\xff\xfe"}', "\ufffd\ufffd"),
    ],
)
def test_text_that_is_not_unicode_is_replaced(body: bytes, text: str) -> None:
    assert read_reply(body).content == text


@pytest.mark.parametrize("reason", [3, ["stop"], {}, True])
def test_finish_reason_that_is_not_a_string_is_unknown(reason: Any) -> None:
    assert read(content="Hello", finish_reason=reason).ended_by == "unknown"


@pytest.mark.parametrize("unit", ["\\", "\\\\", "\\ud800", "\\ud83d", "\ufeff"])
def test_odd_text_takes_linear_time(unit: str) -> None:
    assert_linear(lambda text: read_reply(b'{"output_tokens": 1.5, "content": "' + text.encode() + b' "}'), unit)


def test_call_whose_function_is_null_is_read_by_its_own_fields() -> None:
    call = only_call(id=1, name="shell", arguments={"command": "ls"}, function=None)
    assert (call.name, call.arguments) == ("shell", {"command": "ls"})


def test_thoughts_that_are_not_utf8_are_replaced() -> None:
    reply = read_reply(b'{"content": "Hello", "reasoning": "\xff\xed\xa0\x80"}')
    assert isinstance(reply.reasoning, msgspec.Raw)
    assert "\ufffd" in bytes(reply.reasoning).decode()
