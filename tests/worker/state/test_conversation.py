"""The conversation: its size, and compaction when it exceeds a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.wire_rules import assert_well_formed
from trioworker.protocol import wire
from trioworker.worker.state.compaction import encode_message
from trioworker.worker.state.conversation import KEPT_TURNS, Conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = 200_000
"""Bytes. The real limit would only make these tests slow."""


def say(conversation: Conversation, role: wire.Role, content: str, **more: Any) -> None:
    conversation.append(role, encode_message(wire.Message(role=role, content=content, **more)))


def opened() -> Conversation:
    conversation = Conversation()
    say(conversation, "system", "You are an agent. " * 50)
    say(conversation, "user", "Fix the parser. " * 50)
    return conversation


def take_turn(
    conversation: Conversation,
    number: int,
    results: Sequence[str],
    *,
    arguments: Any = None,
    content: str = "",
    reasoning: bytes | None = None,
) -> None:
    calls = tuple(
        wire.ToolCall(id=f"call_{number}_{index}", name="shell", arguments={} if arguments is None else arguments)
        for index in range(len(results))
    )
    raw = wire.ABSENT if reasoning is None else msgspec.Raw(reasoning)
    say(conversation, "assistant", content, tool_calls=calls, reasoning=raw, reasoning_details=raw)
    for call, result in zip(calls, results, strict=True):
        say(conversation, "tool", result, tool_call_id=call.id, name=call.name)


def assert_size_is_real(conversation: Conversation) -> None:
    # A bracket or a comma each.
    assert sum(len(encode_message(message)) + 1 for message in conversation) == conversation.size


def contents(conversation: Conversation) -> list[str]:
    return [message.content for message in conversation]


def test_new_conversation_is_empty() -> None:
    conversation = Conversation()
    assert len(conversation) == 0
    assert conversation.last_role is None
    assert conversation.snapshot() == ()
    conversation.compact(0)
    assert conversation.size == 0


def test_messages_are_sent_as_they_were_encoded() -> None:
    conversation = Conversation()
    raw = b'{ "role": "user",  "content": "\\u0041" }'
    conversation.append("user", raw)
    assert [bytes(message) for message in conversation.snapshot()] == [raw]
    assert contents(conversation) == ["A"]
    assert conversation.last_role == "user"


def test_no_compaction_within_the_limit() -> None:
    conversation = opened()
    for number in range(50):
        take_turn(conversation, number, ["x" * 1_000])
    before = conversation.snapshot()
    conversation.compact(conversation.size)
    assert conversation.snapshot() == before


def test_compaction_shortens_the_oldest_turns_and_nothing_else() -> None:
    conversation = opened()
    for number in range(30):
        take_turn(conversation, number, ["x" * 9_000, "short"], arguments={"command": "y" * 500}, content="Look. " * 90)
        if number == 5:
            say(conversation, "user", "Update the docs, too. " * 40)
    before = list(conversation)
    conversation.compact(LIMIT)
    after = list(conversation)
    assert len(after) == len(before)
    assert conversation.size <= LIMIT / 2
    changed = [index for index, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    for index in range(2, max(changed) + 1):
        old, new = before[index], after[index]
        if old.role == "tool" and len(old.content) > 1_000:
            assert new.content.startswith("[compacted to save space: shell returned 9000 bytes; beginning: xxx")
            assert (new.tool_call_id, new.name) == (old.tool_call_id, old.name)
        elif old.role == "assistant":
            assert new.content == old.content
            assert [call.id for call in new.tool_calls or ()] == [call.id for call in old.tool_calls or ()]
        else:
            assert new == old
    starts = [index for index, message in enumerate(before) if message.role == "assistant"]
    assert max(changed) < starts[-KEPT_TURNS]
    assert_size_is_real(conversation)
    assert_well_formed(map(msgspec.json.decode, conversation.snapshot()))


def test_compacted_result_names_the_file_with_the_whole_output() -> None:
    conversation = opened()
    for number in range(30):
        take_turn(conversation, number, ["x" * 9_000])
        conversation.kept_outputs[f"call_{number}_0"] = f"/tmp/job/output-{number}.txt"
    conversation.compact(LIMIT)
    assert "returned 9000 bytes; the full output is in /tmp/job/output-0.txt; beginning" in contents(conversation)[3]


def test_one_compaction_frees_enough_for_many_turns() -> None:
    conversation = opened()
    compacted_at: list[int] = []
    for number in range(200):
        take_turn(conversation, number, [f"{number:6}" + "x" * 9_000])
        if conversation.size > LIMIT:
            conversation.compact(LIMIT)
            compacted_at.append(number)
        assert conversation.size <= LIMIT
        assert_size_is_real(conversation)
    assert len(compacted_at) < 200 / 8
    assert contents(conversation)[-1].endswith("x")
    assert_well_formed(map(msgspec.json.decode, conversation.snapshot()))


def test_shortened_turns_that_fill_the_conversation_are_left_out_with_one_note() -> None:
    conversation = opened()
    for number in range(1_500):
        take_turn(conversation, number, ["y" * 1_000])
        conversation.compact(LIMIT)
    notes = [content for content in contents(conversation) if "were left out to save space" in content]
    assert len(notes) == 1
    assert contents(conversation)[2] == notes[0]
    left_out = int(notes[0].split()[0].removeprefix("["))
    # Two messages of each turn, besides the opening and the note.
    assert left_out + len(conversation) == 2 * 1_500 + 3
    assert contents(conversation)[-3::2] == ["y" * 1_000] * 2
    assert_size_is_real(conversation)
    assert_well_formed(map(msgspec.json.decode, conversation.snapshot()))


def test_last_turns_over_the_limit_keep_head_and_tail() -> None:
    conversation = opened()
    for number in range(3):
        take_turn(conversation, number, [f"HEAD{number}" + "x" * 95_000 + "TAIL"])
    conversation.compact(LIMIT)
    assert conversation.size <= LIMIT
    last = contents(conversation)[-1]
    assert last.startswith("HEAD2xxx")
    assert last.endswith("xxxTAIL")
    assert_size_is_real(conversation)
    assert_well_formed(map(msgspec.json.decode, conversation.snapshot()))


def test_last_text_is_that_of_the_last_turn_that_has_one() -> None:
    conversation = opened()
    assert conversation.last_text() == ""
    take_turn(conversation, 1, ["ok"], content="First I look.")
    take_turn(conversation, 2, ["ok"])
    assert conversation.last_text() == "First I look."


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "a.py", "content": "\n" * 300_000},
        "z" * 300_000,
        {"deep": {"list": ["z" * 1_000] * 300}},
        {f"field_{number}": "z" * 100 for number in range(3_000)},
        [1] * 200_000,
    ],
    ids=["a file", "no object", "nested", "many fields", "a list"],
)
def test_call_that_fits_into_no_request_is_shortened(arguments: Any) -> None:
    conversation = opened()
    take_turn(conversation, 0, ["done"], arguments=arguments)
    conversation.compact(LIMIT)
    assert conversation.size <= LIMIT
    calls = list(conversation)[2].tool_calls
    assert calls is not None
    assert (calls[0].id, calls[0].name) == ("call_0_0", "shell")
    assert_size_is_real(conversation)
    assert_well_formed(map(msgspec.json.decode, conversation.snapshot()))


def test_small_arguments_are_kept_beside_a_large_one() -> None:
    conversation = opened()
    take_turn(conversation, 0, ["done"], arguments={"path": "a.py", "content": "x" * 300_000, "mode": {"bits": 420}})
    conversation.compact(LIMIT)
    calls = list(conversation)[2].tool_calls
    assert calls is not None
    assert calls[0].arguments["path"] == "a.py"
    assert calls[0].arguments["mode"] == {"bits": 420}
    assert calls[0].arguments["content"].endswith("xxx... [compacted to save space: 300000 characters in all]")


def test_reasoning_that_fits_into_no_request_is_removed_whole() -> None:
    conversation = opened()
    for number in range(20):
        take_turn(conversation, number, ["ok"], reasoning=b'"' + b"r" * 15_000 + b'"')
    conversation.compact(LIMIT)
    assert conversation.size <= LIMIT
    for message in conversation:
        assert message.reasoning == wire.ABSENT or bytes(message.reasoning) == b'"' + b"r" * 15_000 + b'"'


def test_follow_ups_that_fit_into_no_request_keep_their_beginning() -> None:
    conversation = opened()
    job = contents(conversation)
    for number in range(8):
        say(conversation, "user", f"Follow-up {number}: " + "\n" * 40_000)
    conversation.compact(LIMIT)
    assert conversation.size <= LIMIT
    assert contents(conversation)[:2] == job
    assert [content[:11] for content in contents(conversation)[2:]] == [f"Follow-up {number}" for number in range(8)]


sizes = st.integers(0, 60_000)
turns = st.lists(
    st.fixed_dictionaries(
        {
            "results": st.lists(sizes, min_size=1, max_size=4),
            "arguments": sizes,
            "content": sizes,
            "reasoning": sizes,
            "follow_up": st.one_of(st.none(), sizes),
        }
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(turns)
def test_any_conversation_is_brought_under_the_limit(plan: list[dict[str, Any]]) -> None:
    conversation = opened()
    opening = contents(conversation)
    for number, turn in enumerate(plan):
        take_turn(
            conversation,
            number,
            ["\n" * size for size in turn["results"]],
            arguments={"content": "a" * turn["arguments"]},
            content="\u00e9" * turn["content"],
            reasoning=b'"' + b"r" * turn["reasoning"] + b'"',
        )
        if turn["follow_up"] is not None:
            say(conversation, "user", "f" * turn["follow_up"])
    conversation.compact(LIMIT)
    assert conversation.size <= LIMIT
    assert contents(conversation)[:2] == opening
    assert_size_is_real(conversation)
    assert_well_formed(map(msgspec.json.decode, conversation.snapshot()))
