"""The tick, on a real clock: what holds the loop is seen, and waiting is not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from trioworker.observability.loop_lag import LAG, TICK, measure_loop_lag
from trioworker.observability.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.observability.recording import RecordedSpan
    from trioworker.observability.spans import Attribute

STALL = 0.2
"""Seconds: longer than a busy machine keeps a process waiting for its turn, mostly."""


class Kept:
    """A sink that keeps the counters, and how often it was told to settle."""

    carries = False

    def __init__(self) -> None:
        self.counted: dict[str, list[float]] = {}
        self.settled = 0

    def begin(self, span: RecordedSpan, /) -> None: ...

    def end(self, span: RecordedSpan, /) -> None: ...

    def instant(self, name: str, track: str, at: int, attributes: Mapping[str, Attribute], /) -> None: ...

    def count(self, name: str, at: int, value: float, /) -> None:
        self.counted.setdefault(name, []).append(value)

    def headers(self, span: RecordedSpan, /) -> Mapping[str, str]:
        return {}

    def settle(self) -> None:
        self.settled += 1


async def lag_while(*, stall: bool) -> list[float]:
    kept = Kept()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(measure_loop_lag, Recorder([kept]))
        await trio.sleep(TICK / 2)
        if stall:
            hold_the_loop(TICK / 2 + STALL)
        await trio.sleep(3 * TICK)
        nursery.cancel_scope.cancel()
    assert kept.settled >= 2
    return kept.counted[LAG]


def hold_the_loop(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def test_a_task_that_holds_the_loop_is_seen_as_lag() -> None:
    assert max(await lag_while(stall=True)) >= STALL * 1000 * 0.9


async def test_waiting_is_no_lag() -> None:
    assert min(await lag_while(stall=False)) < STALL * 1000 / 4


def test_gauges_are_told_when_they_change_and_only_then() -> None:
    kept = Kept()
    recorder = Recorder([kept])
    queue: list[int] = []
    recorder.watch(["waiting", "always one"], lambda: (len(queue), 1))
    for queue[:] in ([1], [2], [2, 1], [3, 4], [5, 6], [7]):
        with recorder.span("wait", "for anything"):
            pass
    queue.clear()
    recorder.settle(0)
    assert kept.counted == {"waiting": [1, 2, 1, 0], "always one": [1]}
