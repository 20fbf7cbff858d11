"""The live line's text."""

from __future__ import annotations

from typing import Any

import pytest

from support.views import job_view
from trioworker.local.activity import Activity
from trioworker.orchestrator.views import JobView, StoredEvent, Usage


def event(event_type: str, at: float, tokens: int = 0, **data: Any) -> StoredEvent:
    usage = Usage(input_tokens=tokens, output_tokens=tokens)
    return StoredEvent(number=1, event_type=event_type, data=data, at=at, usage=usage)


def call(number: int, at: float, command: str = "pytest -q") -> StoredEvent:
    return event("tool_use", at, tool_name="shell", input=f'{{"command": "{command}"}}', tool_call_id=str(number))


def result(number: int, at: float) -> StoredEvent:
    return event("tool_result", at, tool_name="shell", output="", tool_call_id=str(number))


def job(iteration: int, tokens: int) -> JobView:
    return job_view(iteration=iteration, usage=Usage(input_tokens=tokens, output_tokens=tokens))


def line(now: float, *events: StoredEvent, width: int = 100, view: JobView | None = None) -> str:
    activity = Activity(100.0)
    if view is not None:
        activity.update(view)
    for each in events:
        activity.show(each)
    return activity.line(now, width)


def test_the_line_says_what_is_waited_for_and_for_how_long() -> None:
    message = event("message", 101.0, role="assistant", content="x")
    assert line(103.0) == "waiting for the worker to start 3 s"
    assert line(113.0, message) == "waiting for the model 12 s"
    assert line(135.5, message, call(1, 101.0)) == "shell: pytest -q 34 s"
    assert line(136.0, call(1, 101.0), result(1, 135.0)) == "waiting for the model 1 s"
    assert line(137.0, event("result", 136.0, status="completed")) == "waiting for the worker to end 1 s"


def test_of_several_calls_the_oldest_is_shown() -> None:
    calls = [call(1, 100.0), call(2, 105.0, "ls"), call(3, 106.0)]
    assert line(110.0, *calls) == "shell: pytest -q 10 s · 3 calls running"
    assert line(110.0, *calls, result(1, 108.0)) == "shell: ls 5 s · 2 calls running"


def test_iteration_and_tokens_are_shown() -> None:
    message = event("message", 101.0, 5000, role="assistant")
    assert line(102.0, message, view=job(3, 6172)) == "waiting for the model 1 s · iteration 3 · 12k tokens"
    assert line(102.0, event("message", 101.0, 7000), view=job(3, 6172)).endswith("14k tokens")


def test_a_retry_shows_its_reason_until_it_is_over() -> None:
    text = "the model does not answer: 503 overloaded; retrying until the job's time is up, in 580 s"
    retry = event("status", 101.0, message=text)
    assert line(105.0, retry) == "retrying: 503 overloaded 4 s"
    assert line(105.0, retry, event("message", 104.0, role="assistant")) == "waiting for the model 1 s"


def test_a_stop_and_queued_follow_ups_are_shown() -> None:
    activity = Activity(100.0)
    activity.queued = 2
    assert activity.line(101.0, 100) == "waiting for the worker to start 1 s · 2 follow-ups queued"
    activity.show(event("message", 100.0, role="user", content="x"))
    assert activity.line(101.0, 100) == "waiting for the model 1 s · 1 follow-up queued"
    activity.stopping = True
    assert activity.line(101.0, 100).startswith("stopping…")


@pytest.mark.parametrize("width", [34, 40])
def test_queued_follow_ups_are_in_view_in_a_narrow_terminal(width: int) -> None:
    activity = Activity(100.0)
    activity.show(event("message", 100.0, role="assistant"))
    activity.queued = 1
    shown = activity.line(825.0, width)
    assert len(shown) <= width
    assert shown.endswith("12 min 05 s · 1 queued")


def test_text_of_the_model_is_escaped() -> None:
    assert line(100.0, call(1, 100.0, "\\u001b[2J")) == r"shell: \x1b[2J 0 s"


@pytest.mark.parametrize("width", [20, 30, 40])
def test_the_duration_is_in_view_in_a_narrow_terminal(width: int) -> None:
    events = [call(1, 100.0, "for each in one two three; do sleep 1; done")]
    shown = line(134.0, *events, width=width, view=job(3, 5000))
    assert len(shown) <= width
    assert shown.endswith("… 34 s")
