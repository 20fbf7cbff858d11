"""Bounds for the CPU time that the journal takes, about ten times what it takes, whatever else the machine does."""

from __future__ import annotations

import itertools
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
"""CPU seconds for opening a journal of so many records and restoring the job."""
APPEND_SECONDS = 0.0002
"""CPU seconds for a commit, at the median, without the sync."""
ATTEMPTS = 5
"""The fastest one counts."""
OUTPUT = "a line of a tool's output\n" * 70


def test_opening_a_long_journal_is_fast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
        print(f"\n{written} records, {size / 1e6:.1f} MB, read back in {best * 1e3:.1f} ms of CPU time")
    assert best < READ_SECONDS


def test_commit_is_fast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = open_journal(tmp_path, JOB_ID)
    job = Job(journal)
    seconds: list[float] = []
    for group in itertools.islice(_history(), RECORDS):
        start = time.process_time()
        job.commit(*group)
        seconds.append(time.process_time() - start)
    journal.close()

    median = statistics.median(seconds)
    with capsys.disabled():
        print(f"\na commit takes {median * 1e6:.0f} µs of CPU time, the median of {len(seconds)}")
    assert median < APPEND_SECONDS


def _seconds_to_read(folder: Path, job: Job) -> float:
    start = time.process_time()
    journal = open_journal(folder, JOB_ID)
    read = Job(journal)
    read.replay(journal.past)
    seconds = time.process_time() - start
    journal.close()
    assert (read.iteration, read.posts) == (job.iteration, job.posts)
    assert read.conversation.snapshot() == job.conversation.snapshot()
    return seconds


def _history() -> Iterator[tuple[Record, ...]]:
    """Yield the commits of a job whose every turn has one call, with its events."""
    yield (
        JobOpened(job_id=JOB_ID, title="Fix it", description="Fix the parser.", started_at=1.0),
        _system_message(OUTPUT),
    )
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


def _system_message(content: str) -> MessageAppended:
    return MessageAppended(role="system", message=encode_message(Message(role="system", content=content)))


def _event(event_type: str, **data: str) -> EventQueued:
    return EventQueued(path="event", body={"event_type": event_type, "data": data})
