"""The interpretation of empty replies, and of replies in a turn without tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.replies import COMPLETE, call, calling, context, markup, sent, text
from trioworker.errors import ReasoningError
from trioworker.worker.llm import loop_detection
from trioworker.worker.llm.interpretation import interpret
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from trioworker.protocol import wire

# Empty replies


@pytest.mark.parametrize("content", [None, "", "  \n", "<thinking>Hm.</thinking>", "<tool_call>teleport</tool_call>"])
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
def test_reply_whose_content_was_dropped_is_not_silence(reply: wire.Reply) -> None:
    loop_state = interpret(text("I fixed the parser."), context()).loop_state
    interpretation = interpret(reply, context(loop_state, output="half of it"))
    assert interpretation.finished is None
    assert interpretation.note == loop_detection.REPLY_EMPTY


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
        assert sent(interpretation) == {"role": "assistant", "content": "The path is wrong."}


def test_text_turn_can_end_the_job() -> None:
    assert interpret(text(COMPLETE), context(LoopState(text_only=True))).finished == COMPLETE
