"""The loop lag, on a real clock: a blocked event loop is measured, an idle one is not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from trioworker.observability.loop_lag import LAG, TICK, measure_loop_lag
from trioworker.observability.recording import RecordingTracer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.observability.recording import RecordedSpan
    from trioworker.observability.spans import Attribute

STALL = 0.2
"""Seconds: longer than a process usually waits for a CPU on a busy machine."""


class CounterSink:
    """Keeps the values of counters, and the number of flushes."""

    propagates = False

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}
        self.flushes = 0

    def span_started(self, span: RecordedSpan, /) -> None: ...

    def span_ended(self, span: RecordedSpan, /) -> None: ...

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute], /) -> None: ...

    def counter(self, name: str, at: int, value: float, /) -> None:
        self.values.setdefault(name, []).append(value)

    def headers(self, span: RecordedSpan, /) -> Mapping[str, str]:
        return {}

    def flush(self) -> None:
        self.flushes += 1


async def lag_while(*, stall: bool) -> list[float]:
    sink = CounterSink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(measure_loop_lag, RecordingTracer([sink], str))
        await trio.sleep(TICK / 2)
        if stall:
            block_the_loop(TICK / 2 + STALL)
        await trio.sleep(3 * TICK)
        nursery.cancel_scope.cancel()
    assert sink.flushes >= 2
    return sink.values[LAG]


def block_the_loop(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def test_blocked_loop_is_measured_as_lag() -> None:
    assert max(await lag_while(stall=True)) >= STALL * 1000 * 0.9


async def test_idle_loop_has_little_lag() -> None:
    assert min(await lag_while(stall=False)) < STALL * 1000 / 4


def test_gauges_are_recorded_only_when_they_change() -> None:
    sink = CounterSink()
    tracer = RecordingTracer([sink], str)
    queue: list[int] = []
    tracer.watch(["waiting", "always one"], lambda: (len(queue), 1))
    for queue[:] in ([1], [2], [2, 1], [3, 4], [5, 6], [7]):
        with tracer.span("wait", "for anything"):
            pass
    queue.clear()
    tracer.flush(0)
    assert sink.values == {"waiting": [1, 2, 1, 0], "always one": [1]}
