"""The job's state: what each record changes, and the order of the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from trioworker.protocol import wire
from trioworker.worker.state import records
from trioworker.worker.state.conversation import encode_message
from trioworker.worker.state.job import Job
from trioworker.worker.state.records import LoopState

if TYPE_CHECKING:
    from trioworker.worker.state.records import CallOutcome, Record


def message_appended(role: wire.Role, content: str, *calls: str) -> records.MessageAppended:
    asked = tuple(wire.ToolCall(id=call_id, name="shell", arguments={}) for call_id in calls) or None
    return records.MessageAppended(
        role=role, message=encode_message(wire.Message(role=role, content=content, tool_calls=asked))
    )


def reply(*call_ids: str, loop_state: LoopState | None = None) -> records.ReplyAccepted:
    calls = tuple(records.PlannedCall(call_id=call_id, name="shell", arguments=b"{}") for call_id in call_ids)
    return records.ReplyAccepted(loop_state=loop_state or LoopState(), calls=calls, input_tokens=10, output_tokens=2)


def ended(call_id: str, output: str, outcome: CallOutcome = "success") -> records.CallEnded:
    return records.CallEnded(call_id=call_id, content=f"<{output}>", output=output, outcome=outcome)


def event(event_type: str = "status", **data: Any) -> records.EventQueued:
    return records.EventQueued(path="event", body={"event_type": event_type, "data": data})


def messages(job: Job) -> list[tuple[str, str, str | None]]:
    return [(message.role, message.content, message.tool_call_id) for message in job.conversation]


RECORDS: tuple[tuple[Record, ...], ...] = (
    (
        records.JobOpened(job_id="J", title="T", description="D", started_at=5.0),
        message_appended("system", "You are an agent."),
        message_appended("user", "the job"),
        records.EventQueued(path="status", body={"state": "in_progress", "message": "began", "iteration": 0}),
    ),
    (records.IterationStarted(number=1),),
    (reply("a", "b", loop_state=LoopState(empty_replies=1)), message_appended("assistant", "", "a", "b"), event()),
    (records.CallAnnounced(call_id="a"), event()),
    (records.CallStarted(call_id="a"),),
    (ended("a", "one"), event()),
    (records.EventDelivered(), records.FollowUpReceived(content="also this")),
    (ended("b", "two", "failure"),),
    (records.TurnClosed(loop_state=LoopState(failing_count=1)),),
    (records.IterationStarted(number=2), message_appended("user", "also this"), records.FollowUpsJoined(count=1)),
    (reply(), message_appended("assistant", "done"), records.OutcomeDecided(status="completed", message="one")),
    (event("result", success=True), records.OutboxSealed()),
    (records.EventDelivered(), records.EventDelivered(), records.EventDelivered(lost=True), records.EventDelivered()),
    (records.ReportStarted(),),
    (records.ReportAccepted(),),
)


def whole_job() -> Job:
    job = Job()
    for group in RECORDS:
        job.commit(*group)
    return job


def test_records_of_a_whole_job_give_its_final_state() -> None:
    job = whole_job()
    assert (job.job_id, job.title, job.started_at) == ("J", "T", 5.0)
    assert job.iteration == 2
    assert (job.llm_requests, job.input_tokens, job.output_tokens) == (2, 20, 4)
    assert job.last_output == "one"
    assert job.decided == records.OutcomeDecided(status="completed", message="one")
    assert job.outbox_sealed
    assert job.report_started
    assert job.report_accepted
    assert job.lost_events == 1
    assert not job.outbox
    assert not job.follow_ups
    assert not job.awaiting_reply


def test_results_follow_the_calls_in_their_order() -> None:
    job = Job()
    job.commit(message_appended("user", "go"), reply("a", "b", "c"), message_appended("assistant", "", "a", "b", "c"))
    for call_id in ("c", "a", "b"):
        assert not job.turn_settled
        job.commit(ended(call_id, call_id.upper()))
        assert len(job.conversation) == 2
    assert job.turn_settled
    job.commit(records.TurnClosed(loop_state=LoopState()), message_appended("user", "a nudge"))
    assert messages(job) == [
        ("user", "go", None),
        ("assistant", "", None),
        ("tool", "<A>", "a"),
        ("tool", "<B>", "b"),
        ("tool", "<C>", "c"),
        ("user", "a nudge", None),
    ]
    assert job.turn == ()
    assert job.turn_settled


@pytest.mark.parametrize("outcome", ["failure", "interrupted"])
def test_last_output_is_that_of_the_last_successful_call(outcome: CallOutcome) -> None:
    job = Job()
    job.commit(reply("a", "b"), ended("a", "good"), ended("b", "bad", outcome))
    assert job.last_output == "good"


def test_call_ids_of_all_turns_are_kept() -> None:
    job = Job()
    job.commit(reply("a", "b"), ended("a", ""), ended("b", ""), records.TurnClosed(loop_state=LoopState()), reply("c"))
    assert job.call_ids == {"a", "b", "c"}


def test_events_are_numbered_from_zero_and_status_updates_are_not() -> None:
    job = Job()
    progress = records.EventQueued(path="status", body={"message": "Iteration 1", "iteration": 1})
    job.commit(event(message="x"), progress, event("message", role="user"))
    assert [post.number for post in job.outbox] == [1, 2, 3]
    assert [post.body for post in job.outbox] == [
        {"event_type": "status", "data": {"message": "x", "seq": 0}},
        {"message": "Iteration 1", "iteration": 1},
        {"event_type": "message", "data": {"role": "user", "seq": 1}},
    ]
    assert job.events == 2


def test_oldest_post_leaves_the_outbox_first() -> None:
    job = Job()
    job.commit(event(number=1), event(number=2), records.EventDelivered(lost=True))
    assert [post.body["data"]["number"] for post in job.outbox] == [2]
    assert job.lost_events == 1


def test_first_decision_counts() -> None:
    job = Job()
    first = records.OutcomeDecided(status="completed", message="done")
    job.commit(first, records.OutcomeDecided(status="stuck", message="too late"))
    assert job.decided == first


def test_later_follow_ups_wait_for_the_next_iteration() -> None:
    job = Job()
    job.commit(*(records.FollowUpReceived(content=text) for text in ("one", "two", "three")))
    job.commit(records.FollowUpsJoined(count=2))
    assert list(job.follow_ups) == ["three"]


def test_call_is_announced_and_started() -> None:
    job = Job()
    job.commit(reply("a"))
    (call,) = job.turn
    assert (call.announced, call.started, call.ended) == (False, False, None)
    job.commit(records.CallAnnounced(call_id="a"), records.CallStarted(call_id="a"))
    assert (call.announced, call.started, call.ended) == (True, True, None)


def state(job: Job) -> tuple[object, ...]:
    """Everything that a restart needs, for comparison."""
    turn = [(call.planned, call.announced, call.started, call.ended) for call in job.turn]
    numbers = (
        job.iteration,
        job.events,
        job.posts,
        job.lost_events,
        job.llm_requests,
        job.input_tokens,
        job.output_tokens,
    )
    flags = (job.awaiting_reply, job.outbox_sealed, job.report_started, job.report_accepted, job.polling_ended)
    kept = (job.job_id, job.title, job.loop_state, job.call_ids, job.last_output, job.decided)
    return (messages(job), turn, list(job.outbox), list(job.follow_ups), numbers, flags, kept)


@pytest.mark.parametrize("groups", range(len(RECORDS) + 1))
def test_replaying_encoded_records_restores_the_state(groups: int) -> None:
    original, replayed = Job(), Job()
    for group in RECORDS[:groups]:
        original.commit(*group)
    replayed.replay(
        [msgspec.json.decode(msgspec.json.encode(record), type=type(record)) for record in group]
        for group in RECORDS[:groups]
    )
    assert state(replayed) == state(original)
