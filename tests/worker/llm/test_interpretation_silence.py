"""Replies that say nothing, and turns without tools: what is nudged, what is the end, and what is lifted again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.replies import COMPLETE, call, calling, context, markup, sent, text
from trioworker.errors import ReasoningError
from trioworker.worker.llm import loop_detection as rules
from trioworker.worker.llm.interpretation import interpret
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from trioworker.protocol import wire

# Silence


@pytest.mark.parametrize("content", [None, "", "  \n", "<thinking>Hm.</thinking>", "<tool_call>teleport</tool_call>"])
def test_an_empty_reply_is_nudged_then_asked_for_text_then_fatal(content: str | None) -> None:
    first = interpret(text(content), context())
    assert first.said is None
    assert first.note == rules.REPLY_EMPTY
    second = interpret(text(content), context(first.loop_state))
    assert second.note == rules.TEXT_WANTED
    assert second.loop_state.text_only
    with pytest.raises(ReasoningError, match="empty"):
        interpret(text(content), context(second.loop_state))


def test_empty_replies_are_counted_in_a_row() -> None:
    loop_state = interpret(text(""), context()).loop_state
    loop_state = interpret(calling(call()), context(loop_state)).loop_state
    assert interpret(text(""), context(loop_state)).note == rules.REPLY_EMPTY


@pytest.mark.parametrize("output", [None, '{"n": 1}'])
@pytest.mark.parametrize("silence", [None, "", " \n"])
def test_silence_after_a_text_means_that_all_was_said(silence: str | None, output: str | None) -> None:
    loop_state = interpret(text("I fixed the parser."), context()).loop_state
    interpretation = interpret(text(silence), context(loop_state, output=output))
    assert interpretation.finished == (output or "I fixed the parser.")
    assert interpretation.said is None


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
    loop_state = interpret(text("I fixed the parser."), context()).loop_state
    interpretation = interpret(reply, context(loop_state, output="half of it"))
    assert interpretation.finished is None
    assert interpretation.note == rules.REPLY_EMPTY


def test_silence_after_calls_is_not_the_end() -> None:
    loop_state = interpret(text("I fixed the parser."), context()).loop_state
    loop_state = interpret(calling(call()), context(loop_state)).loop_state
    assert interpret(text(""), context(loop_state, output="x")).finished is None


@pytest.mark.parametrize(
    "unfinished",
    [text("Half a sentence that", "length"), text("I will now run the tests with shell.")],
    ids=["cut", "announced"],
)
def test_silence_after_a_text_that_was_not_a_last_word_is_not_the_end(unfinished: wire.Reply) -> None:
    loop_state = interpret(unfinished, context()).loop_state
    assert interpret(text(""), context(loop_state)).finished is None


def test_a_content_filter_is_told() -> None:
    assert "content filter" in interpret(text("", "content_filter"), context()).status


# A turn without tools


def test_a_forced_text_turn_ends_after_one_text() -> None:
    interpretation = interpret(
        text("The path is wrong, since the folder moved."), context(LoopState(text_only=True, empty_replies=2))
    )
    assert not interpretation.loop_state.text_only
    assert interpretation.loop_state.empty_replies == 0


def test_a_forced_text_turn_runs_no_calls() -> None:
    for reply in (calling(call(), content="The path is wrong."), text(f"The path is wrong. {markup()}")):
        interpretation = interpret(reply, context(LoopState(text_only=True)))
        assert not interpretation.calls
        assert sent(interpretation) == {"role": "assistant", "content": "The path is wrong."}


def test_a_plan_in_a_forced_text_turn_is_what_was_asked_for() -> None:
    interpretation = interpret(
        text("It fails. I will now run shell with another path."), context(LoopState(text_only=True))
    )
    assert not interpretation.note
    assert interpretation.loop_state.intents_nudged == 0
    assert interpret(text(""), context(interpretation.loop_state)).finished is None


def test_a_forced_text_turn_can_end_the_job() -> None:
    assert interpret(text(COMPLETE), context(LoopState(text_only=True))).finished == COMPLETE
