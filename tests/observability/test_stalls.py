"""Marks of a held event loop, on a real clock: a computation is marked, with its stack; a frozen process is not."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trio
from loguru import logger

from trioworker.observability.finished_spans import STALL, FinishedSpan
from trioworker.observability.recording import RecordingTracer
from trioworker.observability.span_observers import SpanStream
from trioworker.observability.stalls import LIMIT, THREAD_NAME, StallWatcher
from trioworker.observability.tracing import open_tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trioworker.observability.recording import RecordedSpan
    from trioworker.observability.spans import Attribute

LONG = 4 * LIMIT


class MarkSink:
    """Keeps the marks: track and attributes of each."""

    propagates = False

    def __init__(self) -> None:
        self.marks: list[tuple[str, dict[str, Any]]] = []

    def span_started(self, span: RecordedSpan, /) -> None: ...

    def span_ended(self, span: RecordedSpan, /) -> None: ...

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute], /) -> None:
        assert name == STALL
        assert 0 < at < time.perf_counter_ns()
        self.marks.append((track, dict(attributes)))

    def counter(self, name: str, at: int, value: float, /) -> None: ...

    def headers(self, span: RecordedSpan, /) -> Mapping[str, str]:
        return {}

    def flush(self) -> None: ...


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """A garbage collection is a stall, too."""
    gc.disable()
    yield
    gc.enable()


def compute(seconds: float) -> None:
    """Compute for this many seconds of CPU time: the time of other processes isn't part of a stall."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def marks_of(hold: Callable[[], None]) -> list[tuple[str, dict[str, Any]]]:
    """The marks of a run in which a task whose span is on the track `reasoner` calls `hold`."""
    sink = MarkSink()
    recorder = RecordingTracer([sink], lambda text: text.replace("secret", "[redacted]"))

    with StallWatcher(recorder).running(), recorder.span("actor", "reasoner", track="reasoner"):
        await trio.sleep(0.01)
        hold()
        await trio.sleep(2 * LIMIT)
    return sink.marks


async def test_computation_is_marked_with_its_stack_duration_and_track() -> None:
    def secret_plan() -> None:
        compute(2 * LONG)

    marks = [mark for mark in await marks_of(secret_plan) if mark[1]["milliseconds"] >= LONG * 1000]
    ((track, attributes),) = marks
    assert track == "reasoner"
    first, second, *_ = attributes["stack"].splitlines()
    assert re.fullmatch(r"(tests/)?observability/test_stalls.py:\d+ compute", first)
    assert second.endswith("[redacted]_plan")


async def test_blocking_call_is_marked() -> None:
    marks = await marks_of(lambda: time.sleep(LONG))
    assert any("test_stalls.py" in attributes["stack"].splitlines()[0] for _, attributes in marks)


async def test_machine_that_cannot_start_threads_has_no_marks_and_logs_one_debug_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lines: list[str] = []
    number = logger.add(lines.append, format="{level} {message}")  # pyright: ignore[reportArgumentType] - a str it is
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert await marks_of(lambda: compute(LONG)) == []
    logger.remove(number)
    assert lines == ["DEBUG the trace will have no stalls of the event loop: can't start new thread\n"]


async def test_observer_and_stream_get_a_stall_as_a_span() -> None:
    observed: list[FinishedSpan] = []
    for late in (False, True):
        async with open_tracer(None, "job-1", str, None if late else observed.append) as tracer:
            spans = SpanStream(tracer)
            with tracer.span("actor", "reasoner", track="reasoner"):
                await trio.sleep(0.01)
                compute(2 * LONG)
                await trio.sleep(2 * LIMIT)
        streamed = [span async for span in spans]
        (stall,) = [span for span in streamed if span.kind == "stall" and span.duration >= LONG]
        assert (stall.name, stall.track, stall.parent) == ("stall", "reasoner", None)
        assert "test_stalls.py" in str(stall.attributes["stack"])
        if not late:
            assert stall in observed


async def test_nothing_is_watched_without_an_observer() -> None:
    def watchers() -> int:
        return [thread.name for thread in threading.enumerate()].count(THREAD_NAME)

    async with open_tracer(None, "job-1", str) as tracer:
        assert watchers() == 0
        with closing(SpanStream(tracer)), closing(SpanStream(tracer)):
            assert watchers() == 1
        assert watchers() == 0
    SpanStream(tracer).close()
    assert watchers() == 0


FROZEN = """
import os, signal
from functools import partial
import trio
from observability.test_stalls import marks_of

print(len(trio.run(marks_of, partial(os.kill, os.getpid(), signal.SIGSTOP))))
"""


def test_frozen_process_has_no_marks() -> None:
    """The process is stopped while a task runs."""
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", FROZEN], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        time.sleep(LONG)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=30)
    assert out == "0\n"
