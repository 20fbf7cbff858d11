"""What the journal costs: bounds that a busy machine keeps, and the figures of this one."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from trioworker.protocol.wire import Message, ToolCall
from trioworker.worker.state.conversation import encode_message
from trioworker.worker.state.job import Job
from trioworker.worker.state.journal_file import open_journal
from trioworker.worker.state.records import (
    CallAnnounced,
    CallEnded,
    CallStarted,
    EventDelivered,
    EventQueued,
    IterationStarted,
    JobOpened,
    LoopState,
    MessageAppended,
    PlannedCall,
    ReplyAccepted,
    TurnClosed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from trioworker.worker.state.records import Record

JOB_ID = "00000000-0000-4000-8000-00000000000b"
RECORDS = 1_500
READ_SECONDS = 0.09
"""For so many records; what is told of the journal."""
APPEND_SECONDS = 0.0002
"""For one commit at the median, not synced; what is told of the journal."""
ATTEMPTS = 5
"""The best one counts: the others tell of the machine."""
OUTPUT = "a line of output, as a tool gives it\n" * 50


def test_a_long_journal_is_read_back_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = 0
    journal = open_journal(tmp_path, JOB_ID)
    job = Job(journal)
    for group in _history():
        job.commit(*group)
        written += len(group)
        if written >= RECORDS:
            break
    journal.close()

    best = min(_seconds_to_read(tmp_path, job) for _ in range(ATTEMPTS))

    with capsys.disabled():
        size = (tmp_path / f"{JOB_ID}.journal").stat().st_size
        print(f"\n{written} records, {size / 1e6:.1f} MB, read back in {best * 1e3:.1f} ms")
    assert best < READ_SECONDS


def test_an_append_costs_next_to_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = open_journal(tmp_path, JOB_ID)
    job = Job(journal)
    seconds: list[float] = []
    for _, group in zip(range(RECORDS), _history(), strict=False):
        began = time.perf_counter()
        job.commit(*group)
        seconds.append(time.perf_counter() - began)
    journal.close()

    median = statistics.median(seconds)
    with capsys.disabled():
        print(f"\na commit of {len(seconds)} takes {median * 1e6:.0f} µs at the median")
    assert median < APPEND_SECONDS


def _seconds_to_read(folder: Path, job: Job) -> float:
    began = time.perf_counter()
    journal = open_journal(folder, JOB_ID)
    read = Job(journal)
    read.replay(journal.past)
    seconds = time.perf_counter() - began
    journal.close()
    assert (read.iteration, read.posts) == (job.iteration, job.posts)
    assert read.conversation.snapshot() == job.conversation.snapshot()
    return seconds


def _history() -> Iterator[tuple[Record, ...]]:
    """Commits as a job makes them: turn after turn of one call, with its events."""
    yield (JobOpened(job_id=JOB_ID, title="Mend", description="Mend the parser.", started_at=1.0), _said(OUTPUT))
    number = 0
    while True:
        number += 1
        call = f"call_{number}"
        asked = ToolCall(id=call, name="shell", arguments={"command": "make test"})
        planned = PlannedCall(call_id=call, name="shell", arguments=b'{"command":"make test"}')
        reply = Message(role="assistant", content="", tool_calls=(asked,))
        yield (IterationStarted(number=number),)
        yield (
            ReplyAccepted(loop_state=LoopState(), calls=(planned,), input_tokens=900, output_tokens=40),
            MessageAppended(role="assistant", message=encode_message(reply)),
        )
        yield CallAnnounced(call_id=call), _event("tool_use", input="make test")
        yield (CallStarted(call_id=call),)
        yield (EventDelivered(),)
        ended = CallEnded(call_id=call, content=OUTPUT, output=OUTPUT, outcome="success")
        yield ended, _event("tool_result", output=OUTPUT)
        yield (EventDelivered(),)
        yield (TurnClosed(loop_state=LoopState()),)


def _said(content: str) -> MessageAppended:
    return MessageAppended(role="system", message=encode_message(Message(role="system", content=content)))


def _event(event_type: str, **data: str) -> EventQueued:
    return EventQueued(path="event", body={"event_type": event_type, "data": data})
