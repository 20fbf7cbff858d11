"""The interpretation of empty replies, and of replies in a turn without tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from support.replies import COMPLETE, call, calling, context, markup, sent, text
from trioworker.errors import ReasoningError
from trioworker.worker.llm import loop_detection
from trioworker.worker.llm.interpretation import interpret
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from trioworker.protocol import wire

# Empty replies


@pytest.mark.parametrize("content", [None, "", "  \n"])
def test_empty_replies_cause_a_note_then_a_text_turn_then_failure(content: str | None) -> None:
    first = interpret(text(content), context())
    assert first.said is None
    assert first.note == loop_detection.REPLY_EMPTY
    second = interpret(text(content), context(first.loop_state))
    assert second.note == loop_detection.TEXT_WANTED
    assert second.loop_state.text_only
    with pytest.raises(ReasoningError, match="empty"):
        interpret(text(content), context(second.loop_state))


def test_a_call_resets_the_count_of_empty_replies() -> None:
    loop_state = interpret(text(""), context()).loop_state
    loop_state = interpret(calling(call()), context(loop_state)).loop_state
    assert interpret(text(""), context(loop_state)).note == loop_detection.REPLY_EMPTY


@pytest.mark.parametrize("output", [None, '{"n": 1}'])
@pytest.mark.parametrize("silence", [None, "", " \n"])
def test_silence_after_a_text_ends_the_job(silence: str | None, output: str | None) -> None:
    loop_state = interpret(text("I fixed the parser."), context()).loop_state
    interpretation = interpret(text(silence), context(loop_state, output=output))
    assert interpretation.finished == "I fixed the parser."
    assert interpretation.said is None


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (text("", "length"), "while you were thinking"),
        (text("<think>Let me see", "length"), "while you were thinking"),
        (text(None, "length", reasoning=msgspec.Raw(b'"Let me see"')), "while you were thinking"),
        (text(None, "content_filter"), "was empty"),
        (text("", "tool_use"), "was empty"),
        (text('<tool_call>{"name": "teleport", "arguments": {}}</tool_call>'), "tool 'teleport' not found"),
        (text('<tool_call>{"name": "shell", "argu'), "has no closing tag"),
        (text("<tool_call>shell"), "has no closing tag"),
        (
            text('<tool_call>{"name": "shell", "argu', "length"),
            "cut off at the length limit in the middle of a tool call",
        ),
        (text("<function=shell><parameter=command>ls", "length"), "in the middle of a tool call"),
        (text("<thinking>I should run the tests once more."), "only thoughts"),
        (text("I should run the tests once more.</think>"), "only thoughts"),
    ],
)
def test_reply_without_text_and_calls_is_described_to_the_model_and_does_not_end_the_job(
    reply: wire.Reply, told: str
) -> None:
    loop_state = interpret(text("I fixed the parser."), context()).loop_state
    interpretation = interpret(reply, context(loop_state, output="half of it"))
    assert interpretation.finished is None
    assert told in interpretation.note
    assert ("empty" in interpretation.note) == (told == "was empty")
    assert interpretation.status


def test_reply_with_only_reasoning_is_reported_as_only_thoughts() -> None:
    reply = text("", reasoning=msgspec.Raw(b'"Let me see"'))
    assert interpret(reply, context()).note == loop_detection.ONLY_THOUGHTS


def test_silence_with_reasoning_after_a_text_ends_the_job() -> None:
    loop_state = interpret(text("I fixed the parser."), context()).loop_state
    reply = text("", reasoning=msgspec.Raw(b'"I said it all."'))
    assert interpret(reply, context(loop_state)).finished == "I fixed the parser."


def test_three_replies_cut_while_thinking_fail_the_job_with_the_limit_and_not_as_empty() -> None:
    loop_state = LoopState()
    for _ in range(2):
        interpretation = interpret(text("<think>Let me see", "length"), context(loop_state))
        assert interpretation.note == loop_detection.THOUGHTS_CUT
        loop_state = interpretation.loop_state
    with pytest.raises(ReasoningError, match="thinking used up the length limit of three replies in a row") as caught:
        interpret(text("<think>Let me see", "length"), context(loop_state))
    assert "empty" not in str(caught.value)


def test_call_that_cannot_be_read_is_shown_to_the_model_again() -> None:
    broken = '<tool_call>{"name": "shell",}</tool_call>'
    interpretation = interpret(text(broken), context())
    assert sent(interpretation)["content"] == broken
    assert not interpretation.text
    assert "JSON" in interpretation.note


def test_text_beside_a_call_that_cannot_be_read_is_kept_and_completes_nothing() -> None:
    interpretation = interpret(text(f"{COMPLETE} <tool_call>{{}}</tool_call>"), context())
    assert interpretation.finished is None
    assert sent(interpretation)["content"] == interpretation.text == COMPLETE
    assert "name" in interpretation.note


def test_silence_after_calls_does_not_end_the_job() -> None:
    loop_state = interpret(text("I fixed the parser."), context()).loop_state
    loop_state = interpret(calling(call()), context(loop_state)).loop_state
    assert interpret(text(""), context(loop_state, output="x")).finished is None


def test_silence_after_a_cut_text_does_not_end_the_job() -> None:
    loop_state = interpret(text("Half a sentence that", "length"), context()).loop_state
    assert interpret(text(""), context(loop_state)).finished is None


def test_status_names_the_content_filter() -> None:
    assert "content filter" in interpret(text("", "content_filter"), context()).status


# A turn without tools


def test_text_turn_ends_after_one_text() -> None:
    interpretation = interpret(
        text("The path is wrong, since the folder moved."), context(LoopState(text_only=True, empty_replies=2))
    )
    assert not interpretation.loop_state.text_only
    assert interpretation.loop_state.empty_replies == 0


def test_text_turn_drops_calls() -> None:
    for reply in (calling(call(), content="The path is wrong."), text(f"The path is wrong. {markup()}")):
        interpretation = interpret(reply, context(LoopState(text_only=True)))
        assert not interpretation.calls
        assert not interpretation.note
        assert sent(interpretation) == {"role": "assistant", "content": "The path is wrong."}


@pytest.mark.parametrize("reply", [calling(call()), text(markup()), text("<tool_call>{</tool_call>")])
def test_call_in_a_text_turn_is_answered_that_tools_are_disabled(reply: wire.Reply) -> None:
    interpretation = interpret(reply, context(LoopState(text_only=True)))
    assert not interpretation.calls
    assert interpretation.note == loop_detection.CALL_IN_TEXT_TURN


def test_text_turn_can_end_the_job() -> None:
    assert interpret(text(COMPLETE), context(LoopState(text_only=True))).finished == COMPLETE
