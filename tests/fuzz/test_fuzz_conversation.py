"""Compaction of any conversation under any limit keeps it well-formed and changes only what it may."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fuzz.foreign import JSON, encoded
from fuzz.profile import fuzzing
from support.wire_rules import assert_well_formed
from trioworker.protocol import wire
from trioworker.worker.state.compaction import COMPACTABLE_BYTES, encode_message
from trioworker.worker.state.conversation import OPENING, Conversation
from trioworker.worker.state.records import HistoryCompacted, MessageAppended

sizes = st.sampled_from([0, 1, 100, COMPACTABLE_BYTES - 50, COMPACTABLE_BYTES, 3_000, 40_000])
turns = st.lists(
    st.fixed_dictionaries(
        {
            "results": st.lists(sizes, max_size=5),
            "arguments": JSON | sizes.map(lambda size: {"content": "\n" * size}),
            "text": sizes,
            "reasoning": st.none() | JSON.map(encoded),
            "follow_up": st.none() | sizes,
        }
    ),
    max_size=25,
)


def build(
    plan: list[dict[str, Any]], limit: int
) -> tuple[Conversation, Conversation, list[MessageAppended | HistoryCompacted]]:
    """The conversation compacted before each request, the same without compaction, and the records of the first."""
    compacted, whole = Conversation(), Conversation()
    records: list[MessageAppended | HistoryCompacted] = []

    def say(role: wire.Role, content: str, **more: Any) -> None:
        message = encode_message(wire.Message(role=role, content=content, **more))
        compacted.append(role, message)
        whole.append(role, message)
        records.append(MessageAppended(role=role, message=message))

    say("system", "You are an agent. " * 20)
    say("user", "Fix the parser. " * 20)
    for number, turn in enumerate(plan):
        compacted.compact(limit)
        records.append(HistoryCompacted(limit=limit))
        calls = tuple(
            wire.ToolCall(id=f"{number}_{index}", name="shell", arguments=turn["arguments"])
            for index in range(len(turn["results"]))
        )
        raw = wire.ABSENT if turn["reasoning"] is None else msgspec.Raw(turn["reasoning"])
        say("assistant", "t" * turn["text"], tool_calls=calls or None, reasoning=raw)
        for call, size in zip(calls, turn["results"], strict=True):
            say("tool", "\u00e9" * size, tool_call_id=call.id, name=call.name)
        if turn["follow_up"] is not None or not calls:
            say("user", "f" * (turn["follow_up"] or 1))
    return compacted, whole, records


def assert_consistent(conversation: Conversation) -> None:
    # A bracket or a comma each.
    assert sum(len(encode_message(message)) + 1 for message in conversation) == conversation.size
    assert_well_formed(map(msgspec.json.decode, conversation.snapshot()))


@fuzzing(0.5)
@given(turns, st.integers(0, 300_000))
def test_compaction_keeps_roles_ids_and_what_people_wrote(plan: list[dict[str, Any]], limit: int) -> None:
    compacted, whole, _ = build(plan, limit)
    assert_consistent(compacted)
    if any("earlier messages were left out" in message.content for message in compacted):
        return
    for before, after in zip(whole, compacted, strict=True):
        assert (before.role, before.tool_call_id, before.name) == (after.role, after.tool_call_id, after.name)
        if before.role in {"user", "system"}:
            assert before == after or "was left out to save space" in after.content
        assert after.reasoning in (before.reasoning, wire.ABSENT)
        assert [(call.id, call.name) for call in before.tool_calls or ()] == [
            (call.id, call.name) for call in after.tool_calls or ()
        ]


@fuzzing(0.5)
@given(turns, st.integers(30_000, 300_000))
def test_compaction_brings_any_conversation_under_the_limit(plan: list[dict[str, Any]], limit: int) -> None:
    compacted, whole, _ = build(plan, limit)
    compacted.compact(limit)
    assert_consistent(compacted)
    assert compacted.size <= limit
    assert list(compacted)[:OPENING] == list(whole)[:OPENING]


@fuzzing(0.5)
@given(turns, st.integers(0, 100_000))
def test_compactions_are_repeatable_after_a_restart(plan: list[dict[str, Any]], limit: int) -> None:
    compacted, _, records = build(plan, limit)
    restored = Conversation()
    for record in records:
        if isinstance(record, HistoryCompacted):
            restored.compact(record.limit)
        else:
            restored.append(record.role, record.message)
    assert restored.snapshot() == compacted.snapshot()
    assert restored.size == compacted.size
