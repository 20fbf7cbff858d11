"""Replies that say nothing, and turns without tools: what is nudged, what is the end, and what is lifted again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.replies import COMPLETE, call, calling, context, markup, sent, text
from trioworker.errors import ReasoningError
from trioworker.llm import guards as rules
from trioworker.llm.reasoning import judge
from trioworker.records import Guards

if TYPE_CHECKING:
    from trioworker import wire

# Silence


@pytest.mark.parametrize("content", [None, "", "  \n", "<thinking>Hm.</thinking>", "<tool_call>teleport</tool_call>"])
def test_an_empty_reply_is_nudged_then_asked_for_text_then_fatal(content: str | None) -> None:
    first = judge(text(content), context())
    assert first.said is None
    assert first.note == rules.REPLY_EMPTY
    second = judge(text(content), context(first.guards))
    assert second.note == rules.TEXT_WANTED
    assert second.guards.text_only
    with pytest.raises(ReasoningError, match="empty"):
        judge(text(content), context(second.guards))


def test_empty_replies_are_counted_in_a_row() -> None:
    guards = judge(text(""), context()).guards
    guards = judge(calling(call()), context(guards)).guards
    assert judge(text(""), context(guards)).note == rules.REPLY_EMPTY


@pytest.mark.parametrize("output", [None, '{"n": 1}'])
@pytest.mark.parametrize("silence", [None, "", " \n"])
def test_silence_after_a_text_means_that_all_was_said(silence: str | None, output: str | None) -> None:
    guards = judge(text("I fixed the parser."), context()).guards
    verdict = judge(text(silence), context(guards, output=output))
    assert verdict.finished == (output or "I fixed the parser.")
    assert verdict.said is None


@pytest.mark.parametrize(
    "reply",
    [
        text("", "length"),
        text(None, "content_filter"),
        text("", "tool_use"),
        text('<tool_call>{"name": "teleport", "arguments": {}}</tool_call>'),
        text('<tool_call>{"name": "shell", "argu'),
        text("<thinking>I should run the tests once more."),
    ],
    ids=["cut", "filtered", "lost calls", "an unknown tool", "half a call", "only a thought"],
)
def test_a_reply_that_came_to_nothing_is_no_silence(reply: wire.Reply) -> None:
    guards = judge(text("I fixed the parser."), context()).guards
    verdict = judge(reply, context(guards, output="half of it"))
    assert verdict.finished is None
    assert verdict.note == rules.REPLY_EMPTY


def test_silence_after_calls_is_not_the_end() -> None:
    guards = judge(text("I fixed the parser."), context()).guards
    guards = judge(calling(call()), context(guards)).guards
    assert judge(text(""), context(guards, output="x")).finished is None


@pytest.mark.parametrize(
    "unfinished",
    [text("Half a sentence that", "length"), text("I will now run the tests with shell.")],
    ids=["cut", "announced"],
)
def test_silence_after_a_text_that_was_not_a_last_word_is_not_the_end(unfinished: wire.Reply) -> None:
    guards = judge(unfinished, context()).guards
    assert judge(text(""), context(guards)).finished is None


def test_a_content_filter_is_told() -> None:
    assert "content filter" in judge(text("", "content_filter"), context()).status


# A turn without tools


def test_a_forced_text_turn_ends_after_one_text() -> None:
    verdict = judge(
        text("The path is wrong, since the folder moved."), context(Guards(text_only=True, empty_replies=2))
    )
    assert not verdict.guards.text_only
    assert verdict.guards.empty_replies == 0


def test_a_forced_text_turn_runs_no_calls() -> None:
    for reply in (calling(call(), content="The path is wrong."), text(f"The path is wrong. {markup()}")):
        verdict = judge(reply, context(Guards(text_only=True)))
        assert not verdict.calls
        assert sent(verdict) == {"role": "assistant", "content": "The path is wrong."}


def test_a_plan_in_a_forced_text_turn_is_what_was_asked_for() -> None:
    verdict = judge(text("It fails. I will now run shell with another path."), context(Guards(text_only=True)))
    assert not verdict.note
    assert verdict.guards.intents_nudged == 0
    assert judge(text(""), context(verdict.guards)).finished is None


def test_a_forced_text_turn_can_end_the_job() -> None:
    assert judge(text(COMPLETE), context(Guards(text_only=True))).finished == COMPLETE
