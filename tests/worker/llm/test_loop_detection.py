"""The rules against a model that goes in circles: when each one acts, and when it leaves the model alone."""

from __future__ import annotations

import pytest

from trioworker.errors import ReasoningError
from trioworker.protocol.text import signals_completion
from trioworker.worker.llm import loop_detection as rules
from trioworker.worker.state.job import Call
from trioworker.worker.state.records import CallEnded, CallOutcome, LoopState, PlannedCall


def ended(outcome: CallOutcome, name: str = "shell", arguments: bytes = b"{}") -> Call:
    call = Call(PlannedCall(call_id="a", name=name, arguments=arguments))
    call.ended = CallEnded(call_id="a", content="", output="", outcome=outcome)
    return call


def after(*turns: list[Call], loop_state: LoopState | None = None) -> rules.Nudge:
    """The last of the nudges after so many turns."""
    nudge = rules.Nudge(loop_state=loop_state or LoopState())
    for calls in turns:
        nudge = rules.after_turn(nudge.loop_state, calls)
    return nudge


def test_an_empty_reply_is_nudged_then_text_is_asked_for_then_the_job_fails() -> None:
    first = rules.on_empty_reply(LoopState())
    assert first.note == rules.REPLY_EMPTY
    assert not first.loop_state.text_only
    second = rules.on_empty_reply(first.loop_state)
    assert second.note == rules.TEXT_WANTED
    assert second.loop_state.text_only
    assert first.status
    assert second.status
    with pytest.raises(ReasoningError, match="three empty replies in a row"):
        rules.on_empty_reply(second.loop_state)


def test_a_forced_text_turn_that_stays_empty_gives_the_tools_back() -> None:
    assert not rules.on_empty_reply(LoopState(text_only=True)).loop_state.text_only


def test_two_failures_say_nothing() -> None:
    nudge = after([ended("failure")], [ended("failure")])
    assert not nudge.note
    assert not nudge.status


def test_the_third_failure_in_a_row_warns_once_and_the_fifth_takes_the_tools_away() -> None:
    turn = [ended("failure")]
    third = after(turn, turn, turn)
    assert "shell has failed 3 times" in third.note
    assert "warned" in third.status
    assert not third.loop_state.text_only
    fourth = after(turn, loop_state=third.loop_state)
    assert not fourth.note
    fifth = after(turn, loop_state=fourth.loop_state)
    assert "shell has failed 5 times" in fifth.note
    assert "without tools" in fifth.status
    assert fifth.loop_state.text_only


def test_counting_starts_anew_after_the_tools_were_taken_away() -> None:
    turn = [ended("failure")]
    nudge = after(turn, turn, turn, turn, turn)
    assert not after(turn, turn, loop_state=nudge.loop_state).note
    assert "3 times" in after(turn, turn, turn, loop_state=nudge.loop_state).note


def test_failures_within_one_turn_count_each() -> None:
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
def test_a_row_is_broken_by_anything_else_that_ended(between: Call) -> None:
    failure = [ended("failure")]
    assert not after(failure, failure, [between], failure, failure).note


def test_an_interrupted_call_is_no_failure_and_breaks_no_row() -> None:
    failure, interrupted = [ended("failure")], [ended("interrupted")]
    assert not after(*[interrupted] * 6).note
    assert "3 times" in after(failure, interrupted, failure, interrupted, failure).note


def test_a_turn_of_success_leaves_other_memories_alone() -> None:
    loop_state = LoopState(intents_nudged=2, empty_replies=1)
    assert after([ended("success")], loop_state=loop_state).loop_state == loop_state


def test_announcements_are_counted() -> None:
    nudge = rules.on_announced_call(rules.on_announced_call(LoopState()).loop_state)
    assert nudge.loop_state.intents_nudged == 2
    assert nudge.note
    assert nudge.status


def test_a_cut_text_is_asked_to_go_on() -> None:
    nudge = rules.on_cut_text(LoopState(intents_nudged=1))
    assert nudge.loop_state == LoopState(intents_nudged=1)
    assert nudge.note
    assert nudge.status


def test_the_phrase_that_the_model_is_told_ends_the_job() -> None:
    assert signals_completion(f"{rules.COMPLETION_PHRASE}.")
    assert rules.COMPLETION_PHRASE in rules.GO_ON
    assert rules.COMPLETION_PHRASE in rules.REPLY_EMPTY
