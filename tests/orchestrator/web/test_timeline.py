"""Timelines of traces that are complete, still written, of a killed worker, or invalid."""

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
REQUEST = {"ph": "X", "pid": 1, "tid": 1, "ts": 2_000_000, "dur": 500_000, "name": "complete", "cat": "llm"}
FAILED = {**REQUEST, "ts": 3_000_000, "args": {"error": "TimeoutError"}}
END = {"ph": "E", "pid": 1, "tid": 1, "ts": 5_000_000}


def test_spans_are_in_their_actors_lane_relative_to_the_start() -> None:
    timeline = from_trace(trace(NAME, ACTOR, REQUEST, FAILED, END))
    assert timeline is not None
    assert timeline.seconds == pytest.approx(4)
    (lane,) = timeline.lanes
    assert lane.name == "reasoner"
    shown = [(span.kind, span.began, span.ended, span.open, span.failed) for span in lane.spans]
    assert shown == [("actor", 0, 4, False, False), ("llm", 1, 1.5, False, False), ("llm", 2, 2.5, False, True)]


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_an_unfinished_trace_has_open_spans(cut: int) -> None:
    content = trace(NAME, ACTOR, REQUEST, FAILED, ended=False)
    timeline = from_trace(content[: len(content) - cut])
    assert timeline is not None
    (lane,) = timeline.lanes
    assert lane.spans[0].open
    assert lane.spans[0].ended == max(span.ended for span in lane.spans)


def test_a_cancelled_actor_has_not_failed() -> None:
    timeline = from_trace(trace(NAME, {**REQUEST, "args": {"cancelled": True}}))
    assert timeline is not None
    assert not timeline.lanes[0].spans[0].failed


def test_the_spans_of_a_killed_worker_are_closed() -> None:
    timeline = from_trace(trace(NAME, ACTOR, {**REQUEST, "pid": 2, "ts": 9_000_000}))
    assert timeline is not None
    assert [span.open for lane in timeline.lanes for span in lane.spans] == [False, False]


def test_the_number_of_spans_is_limited() -> None:
    many = [{**REQUEST, "ts": 1_000_000 + 10 * number, "dur": number} for number in range(MAX_SPANS + 100)]
    timeline = from_trace(trace(NAME, *many))
    assert timeline is not None
    assert sum(len(lane.spans) for lane in timeline.lanes) == MAX_SPANS


@pytest.mark.parametrize("content", [b"", b"[", b"[\n", b"{}", b"[1, 2]", b"\xff\xfe", b'[\n{"ph": "X"'])
def test_an_invalid_trace_has_no_timeline(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_bytes(content)
    assert read_trace(file) is None


def test_a_missing_trace_has_no_timeline(tmp_path: Path) -> None:
    assert read_trace(tmp_path / "none") is None
