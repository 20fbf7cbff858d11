"""The time line, from traces that are whole, still written, killed, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from trioworker.orchestrator.web.timeline import MAX_SPANS, from_trace, read_trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def trace(*events: Mapping[str, object], ended: bool = True) -> bytes:
    return b"[\n" + b",\n".join(msgspec.json.encode(event) for event in events) + (b"\n]\n" if ended else b"")


NAME = {"ph": "M", "pid": 1, "tid": 1, "ts": 0, "name": "thread_name", "args": {"name": "reasoner"}}
ACTOR = {"ph": "B", "pid": 1, "tid": 1, "ts": 1_000_000, "name": "reasoner", "cat": "actor"}
ASKED = {"ph": "X", "pid": 1, "tid": 1, "ts": 2_000_000, "dur": 500_000, "name": "complete", "cat": "llm"}
FAILED = {**ASKED, "ts": 3_000_000, "args": {"error": "TimeoutError"}}
END = {"ph": "E", "pid": 1, "tid": 1, "ts": 5_000_000}


def test_spans_lie_in_their_actors_lane_from_the_beginning_on() -> None:
    drawn = from_trace(trace(NAME, ACTOR, ASKED, FAILED, END))
    assert drawn is not None
    assert drawn.seconds == pytest.approx(4)
    (lane,) = drawn.lanes
    assert lane.name == "reasoner"
    shown = [(span.kind, span.began, span.ended, span.open, span.failed) for span in lane.spans]
    assert shown == [("actor", 0, 4, False, False), ("llm", 1, 1.5, False, False), ("llm", 2, 2.5, False, True)]


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_a_trace_that_is_still_written_shows_what_is_open(cut: int) -> None:
    content = trace(NAME, ACTOR, ASKED, FAILED, ended=False)
    drawn = from_trace(content[: len(content) - cut])
    assert drawn is not None
    (lane,) = drawn.lanes
    assert lane.spans[0].open
    assert lane.spans[0].ended == max(span.ended for span in lane.spans)


@pytest.mark.parametrize("error", ["Cancelled", "BaseExceptionGroup"])
def test_an_actor_that_was_cancelled_at_the_end_has_not_failed(error: str) -> None:
    drawn = from_trace(trace(NAME, {**ASKED, "args": {"error": error}}))
    assert drawn is not None
    assert not drawn.lanes[0].spans[0].failed


def test_a_worker_that_was_killed_left_nothing_open() -> None:
    drawn = from_trace(trace(NAME, ACTOR, {**ASKED, "pid": 2, "ts": 9_000_000}))
    assert drawn is not None
    assert [span.open for lane in drawn.lanes for span in lane.spans] == [False, False]


def test_no_more_is_drawn_than_can_be_seen() -> None:
    many = [{**ASKED, "ts": 1_000_000 + 10 * number, "dur": number} for number in range(MAX_SPANS + 100)]
    drawn = from_trace(trace(NAME, *many))
    assert drawn is not None
    assert sum(len(lane.spans) for lane in drawn.lanes) == MAX_SPANS


@pytest.mark.parametrize("content", [b"", b"[", b"[\n", b"{}", b"[1, 2]", b"\xff\xfe", b'[\n{"ph": "X"'])
def test_what_is_no_trace_has_no_time_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_bytes(content)
    assert read_trace(file) is None


def test_a_file_that_is_not_there_has_no_time_line(tmp_path: Path) -> None:
    assert read_trace(tmp_path / "none") is None
