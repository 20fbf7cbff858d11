"""Normalization: whatever the model sent, the next request is valid for the strictest provider."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.foreign import JSON
from support.raw_model import RawModel, reply_with
from support.tools import Log, Probe
from support.wire_rules import assert_well_formed
from trioworker import run_job
from trioworker.protocol import wire
from trioworker.testing import DONE, SimulatedOrchestrator, say
from trioworker.worker.state.normalization import merged, normalized, normalized_name

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


def said(*calls: wire.ToolCall, content: str = "") -> wire.Message:
    return wire.Message(role="assistant", content=content, tool_calls=calls or None)


def call(name: str = "shell", arguments: Any = None, call_id: str = "a", **more: Any) -> wire.ToolCall:
    return wire.ToolCall(id=call_id, name=name, arguments={} if arguments is None else arguments, **more)


def only_call(message: wire.Message) -> wire.ToolCall:
    assert message.tool_calls is not None
    assert len(message.tool_calls) == 1
    return message.tool_calls[0]


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("shell", "shell"),
        ("functions.shell", "functions_shell"),
        ("shell\n", "shell_"),
        ("\u00fcber", "_ber"),
        ("3d", "_3d"),
        ("-x", "_-x"),
        ("x" * 100, "x" * 64),
        ("9" * 100, "_" + "9" * 63),
        ("", "unnamed_tool"),
        ("???", "unnamed_tool"),
    ],
)
def test_invalid_name_is_replaced_in_the_call_and_in_its_result(name: str, valid: str) -> None:
    assert only_call(normalized(said(call(name)))).name == valid
    result = wire.Message(role="tool", content="x", tool_call_id="a", name=name)
    assert normalized(result).name == valid


@given(st.text())
def test_normalized_name_is_valid_and_stays_itself(name: str) -> None:
    valid = normalized_name(name)
    assert 1 <= len(valid) <= 64
    assert set(valid) <= {*string.ascii_letters, *string.digits, *"_-"}
    assert normalized_name(valid) == valid


@pytest.mark.parametrize(
    ("given", "valid"),
    [
        ({"command": "ls"}, {"command": "ls"}),
        ('{"command": "ls"}', {"command": "ls"}),
        ([], {}),
        ("", {}),
        ("null", {}),
        ("ls -l", {"arguments": "ls -l"}),
        ([1, 2], {"arguments": [1, 2]}),
        (0, {"arguments": 0}),
        (False, {"arguments": False}),
    ],
)
def test_arguments_become_an_object(given: Any, valid: dict[str, Any]) -> None:
    assert only_call(normalized(said(call(arguments=given)))).arguments == valid


def test_null_arguments_become_an_empty_object() -> None:
    assert only_call(normalized(said(wire.ToolCall(id="a", name="shell", arguments=None)))).arguments == {}


def test_parse_error_is_not_sent() -> None:
    assert only_call(normalized(said(call(arguments_parse_error="?")))).arguments_parse_error is wire.ABSENT


@pytest.mark.parametrize(("role", "text"), [("tool", "(no output)"), ("user", "(no text)"), ("assistant", "(no text)")])
def test_blank_content_is_replaced(role: Any, text: str) -> None:
    assert normalized(wire.Message(role=role, content=" \n")).content == text


def test_content_beside_calls_may_be_empty() -> None:
    message = said(call())
    assert normalized(message) is message


def test_id_with_whitespace_is_the_same_in_the_call_and_its_result() -> None:
    odd = "call 1\n"
    sent = only_call(normalized(said(call(call_id=odd)))).id
    assert sent == normalized(wire.Message(role="tool", content="x", tool_call_id=odd)).tool_call_id
    assert sent.replace("_", "").isalnum()


def test_id_that_a_provider_made_is_unchanged() -> None:
    message = said(call(call_id="functions.shell:0|sig=a/b+c=="))
    assert normalized(message) is message


def test_data_of_the_provider_is_unchanged() -> None:
    raw = msgspec.Raw(b'{ "b": 1.50 }')
    message = msgspec.structs.replace(said(call("a.b", reasoning=raw, signature=raw)), reasoning=raw)
    after = normalized(message)
    assert (after.reasoning, only_call(after).reasoning, only_call(after).signature) == (raw, raw, raw)


def order(*parts: tuple[wire.Role, str]) -> list[tuple[str, str]]:
    roles: list[wire.Role] = [role for role, _ in parts]
    raws = [msgspec.Raw(msgspec.json.encode(wire.Message(role=role, content=content))) for role, content in parts]
    sent = [msgspec.json.decode(raw, type=wire.Message) for raw in merged(roles, raws)]
    return [(message.role, message.content) for message in sent]


def test_user_messages_in_a_row_are_merged() -> None:
    parts: tuple[tuple[wire.Role, str], ...] = (("system", "s"), ("user", "a"), ("user", "b"), ("user", "c"))
    assert order(*parts) == [("system", "s"), ("user", "a\n\nb\n\nc")]


def test_assistant_at_the_end_is_followed_by_a_user_message() -> None:
    sent = order(("system", "s"), ("user", "a"), ("assistant", "b"))
    assert [role for role, _ in sent] == ["system", "user", "assistant", "user"]


def test_empty_conversation_stays_empty() -> None:
    assert order() == []


ROLES: tuple[wire.Role, ...] = get_args(wire.Role)


@given(st.lists(st.sampled_from(ROLES), max_size=12))
def test_merged_beginning_is_the_same_in_the_next_request(roles: list[wire.Role]) -> None:
    raws = [msgspec.Raw(msgspec.json.encode(wire.Message(role=role, content=str(n)))) for n, role in enumerate(roles)]
    whole = merged(roles, raws)
    for end in range(1, len(roles)):
        if roles[end - 1] != "assistant":
            before = merged(roles[:end], raws[:end])
            # The text of the last message may continue.
            assert [bytes(raw) for raw in before[:-1]] == [bytes(raw) for raw in whole[: len(before) - 1]]
            assert all(bytes(whole[len(before) - 1]).startswith(bytes(last)[:-2]) for last in before[-1:])


# Through the job


async def test_request_after_calls_with_invalid_names_and_arguments_is_valid(
    workspace: Path, autojump_clock: MockClock
) -> None:
    calls = reply_with(
        {"id": "a", "name": "functions.shell", "arguments": {}},
        {"id": "b", "name": "", "arguments": None},
        {"id": "c", "name": "probe", "arguments": []},
        {"id": "d", "name": "probe", "arguments": '{"text": "x"}'},
    )
    world = RawModel(calls)
    log = Log()
    outcome = await run_job(world.config(workspace), transport=world, tools=[Probe(log)])
    assert outcome.success
    assert log.texts[-1:] == ["x"]
    conversation = world.conversations()[-1]
    assert_well_formed(conversation)
    assert [sent["name"] for sent in conversation[2]["tool_calls"]] == [
        "functions_shell",
        "unnamed_tool",
        "probe",
        "probe",
    ]
    # People see the original names.
    assert [data["tool_name"] for data in world.of_type("tool_use")] == ["functions.shell", "", "probe", "probe"]


@given(JSON)
def test_any_arguments_become_an_object(arguments: Any) -> None:
    assert isinstance(only_call(normalized(said(call(arguments=arguments)))).arguments, dict)


async def test_notes_after_empty_replies_are_one_message(workspace: Path, autojump_clock: MockClock) -> None:
    world = SimulatedOrchestrator([say(""), say(""), DONE])
    await run_job(world.config(workspace), transport=world, tools=[])
    for conversation in world.conversations():
        assert_well_formed(conversation)
    assert [message["role"] for message in world.conversations()[-1]] == ["system", "user"]
