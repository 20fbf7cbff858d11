"""Compaction of any conversation under any limit keeps it well-formed and changes only what it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fuzz.foreign import JSON, encoded
from fuzz.profile import fuzzing
from support.wire_rules import assert_well_formed
from trioworker.protocol import wire
from trioworker.worker.state.conversation import COMPACTABLE_BYTES, KEPT_TURNS, OPENING, Conversation, encode_message

if TYPE_CHECKING:
    from trioworker.worker.state.records import HistoryCompacted

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


def build(plan: list[dict[str, Any]], limit: int) -> tuple[Conversation, Conversation, list[HistoryCompacted]]:
    """The conversation compacted before each request, the same without compaction, and the compactions."""
    compacted, whole = Conversation(), Conversation()
    compactions: list[HistoryCompacted] = []

    def say(role: wire.Role, content: str, **more: Any) -> None:
        message = encode_message(wire.Message(role=role, content=content, **more))
        compacted.append(role, message)
        whole.append(role, message)

    say("system", "You are an agent. " * 20)
    say("user", "Fix the parser. " * 20)
    for number, turn in enumerate(plan):
        compaction = compacted.next_compaction(limit)
        if compaction is not None:
            compacted.compact(compaction)
            compactions.append(compaction)
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
    return compacted, whole, compactions


def assert_consistent(conversation: Conversation) -> None:
    assert len(encoded(conversation.snapshot())) == conversation.size + 1
    assert_well_formed(map(msgspec.json.decode, conversation.snapshot()))


@fuzzing(0.5)
@given(turns, st.integers(0, 300_000))
def test_compaction_changes_only_old_results(plan: list[dict[str, Any]], limit: int) -> None:
    compacted, whole, _ = build(plan, limit)
    assert_consistent(compacted)
    spoken = [index for index, message in enumerate(whole) if message.role == "assistant"]
    recent = spoken[-KEPT_TURNS] if len(spoken) >= KEPT_TURNS else OPENING
    for index, (before, after) in enumerate(zip(whole.snapshot(), compacted.snapshot(), strict=True)):
        message = msgspec.json.decode(before, type=wire.Message)
        if message.role != "tool" or index >= recent:
            assert bytes(before) == bytes(after)
        elif bytes(before) != bytes(after):
            assert "compacted to save room" in msgspec.json.decode(after, type=wire.Message).content


@fuzzing(0.5)
@given(turns, st.integers(30_000, 300_000))
def test_emergency_compaction_brings_any_conversation_under_the_limit(plan: list[dict[str, Any]], limit: int) -> None:
    compacted, whole, _ = build(plan, limit)
    for compaction in compacted.emergency_compactions():
        if compacted.size <= limit:
            break
        compacted.compact(compaction)
    assert_consistent(compacted)
    assert compacted.size <= limit
    assert [bytes(raw) for raw in compacted.snapshot()[:OPENING]] == [bytes(raw) for raw in whole.snapshot()[:OPENING]]


@fuzzing(0.5)
@given(turns, st.integers(0, 100_000))
def test_compactions_are_repeatable_after_a_restart(plan: list[dict[str, Any]], limit: int) -> None:
    compacted, whole, compactions = build(plan, limit)
    for compaction in compactions:
        whole.compact(compaction)
    assert whole.snapshot() == compacted.snapshot()
    assert whole.size == compacted.size
