"""Loop detection: when each rule acts, and when it doesn't."""

from __future__ import annotations

import pytest

from trioworker.errors import ReasoningError
from trioworker.protocol.text import signals_completion
from trioworker.worker.llm import loop_detection
from trioworker.worker.state.job import TurnCall
from trioworker.worker.state.records import CallEnded, CallOutcome, LoopState, PlannedCall


def ended(outcome: CallOutcome, name: str = "shell", arguments: bytes = b"{}") -> TurnCall:
    call = TurnCall(PlannedCall(call_id="a", name=name, arguments=arguments))
    call.ended = CallEnded(call_id="a", content="", output="", outcome=outcome)
    return call


def after(*turns: list[TurnCall], loop_state: LoopState | None = None) -> loop_detection.Nudge:
    """The result of the rule after the last of these turns."""
    nudge = loop_detection.Nudge(loop_state=loop_state or LoopState())
    for calls in turns:
        nudge = loop_detection.after_turn(nudge.loop_state, calls)
    return nudge


def test_empty_replies_cause_a_note_then_a_text_turn_then_failure() -> None:
    first = loop_detection.on_unusable_reply(LoopState(), loop_detection.EMPTY_REPLY)
    assert first.note == loop_detection.REPLY_EMPTY
    assert not first.loop_state.text_only
    second = loop_detection.on_unusable_reply(first.loop_state, loop_detection.EMPTY_REPLY)
    assert second.note == loop_detection.TEXT_WANTED
    assert second.loop_state.text_only
    assert first.status
    assert second.status
    with pytest.raises(ReasoningError, match="three empty replies in a row"):
        loop_detection.on_unusable_reply(second.loop_state, loop_detection.EMPTY_REPLY)


def test_empty_reply_in_a_text_turn_restores_the_tools() -> None:
    nudge = loop_detection.on_unusable_reply(LoopState(text_only=True), loop_detection.EMPTY_REPLY)
    assert not nudge.loop_state.text_only


def test_calls_that_cannot_be_run_are_explained_four_times_before_the_job_fails() -> None:
    unreadable = loop_detection.unreadable_call(["it is not valid JSON"])
    loop_state = LoopState()
    for _ in range(4):
        nudge = loop_detection.on_unusable_reply(loop_state, unreadable)
        assert "not valid JSON" in nudge.note
        loop_state = nudge.loop_state
        assert not loop_state.text_only
    with pytest.raises(ReasoningError, match="5 replies in a row with tool calls that can't be run: it is not valid"):
        loop_detection.on_unusable_reply(loop_state, unreadable)


def test_two_failures_cause_no_note() -> None:
    nudge = after([ended("failure")], [ended("failure")])
    assert not nudge.note
    assert not nudge.status


def test_third_failure_in_a_row_warns_and_fifth_removes_the_tools() -> None:
    turn = [ended("failure")]
    third = after(turn, turn, turn)
    assert "shell has failed 3 times" in third.note
    assert "warned" in third.status
    assert not third.loop_state.text_only
    fourth = after(turn, loop_state=third.loop_state)
    assert not fourth.note
    fifth = after(turn, loop_state=fourth.loop_state)
    assert "shell has failed 5 times" in fifth.note
    assert "has no tools" in fifth.status
    assert fifth.loop_state.text_only


def test_text_turn_resets_the_count_of_failures() -> None:
    turn = [ended("failure")]
    nudge = after(turn, turn, turn, turn, turn)
    assert not after(turn, turn, loop_state=nudge.loop_state).note
    assert "3 times" in after(turn, turn, turn, loop_state=nudge.loop_state).note


def test_failures_in_one_turn_are_counted_separately() -> None:
    assert "failed 3 times" in after([ended("failure")] * 3).note
    assert after([ended("failure")] * 6).loop_state.text_only


@pytest.mark.parametrize(
    "between",
    [
        ended("success"),
        ended("success", "grep"),
        ended("failure", "grep"),
        ended("failure", arguments=b'{"command":"other"}'),
    ],
    ids=["a success", "another tool's success", "another tool's failure", "other arguments"],
)
def test_another_result_resets_the_count_of_failures(between: TurnCall) -> None:
    failure = [ended("failure")]
    assert not after(failure, failure, [between], failure, failure).note


def test_interrupted_call_neither_counts_nor_resets() -> None:
    failure, interrupted = [ended("failure")], [ended("interrupted")]
    assert not after(*[interrupted] * 6).note
    assert "3 times" in after(failure, interrupted, failure, interrupted, failure).note


def test_successful_turn_keeps_the_rest_of_the_state() -> None:
    loop_state = LoopState(last_text="so far", empty_replies=1)
    assert after([ended("success")], loop_state=loop_state).loop_state == loop_state


def test_cut_reply_causes_a_note() -> None:
    nudge = loop_detection.on_cut_reply(LoopState(empty_replies=1), loop_detection.REPLY_CUT)
    assert nudge.loop_state == LoopState(empty_replies=1)
    assert nudge.note
    assert nudge.status


def test_agreed_completion_phrase_ends_the_job() -> None:
    assert signals_completion(f"{loop_detection.COMPLETION_PHRASE}.")
    assert loop_detection.COMPLETION_PHRASE in loop_detection.GO_ON
    assert loop_detection.COMPLETION_PHRASE in loop_detection.REPLY_EMPTY
