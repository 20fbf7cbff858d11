"""Measures the lag of the event loop, and flushes the tracer at the same time.

A trio instrument would see every iteration of the loop, but two hooks per iteration cost more than the rest of tracing.
`--instrument` attaches one where that is needed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

import trio

if TYPE_CHECKING:
    from trioworker.observability.recording import RecordingTracer

LAG = "loop lag (ms)"
"""The counter's name."""
TICK = 0.25
"""Seconds between measurements. A killed worker loses this much of its trace."""


async def measure_loop_lag(recorder: RecordingTracer) -> NoReturn:
    """Record the lag until cancelled.

    The lag is the milliseconds between the deadline of a sleep and the time that it returns.
    """
    while True:
        due = time.perf_counter_ns() + int(TICK * 1e9)
        await trio.sleep(TICK)
        now = time.perf_counter_ns()
        # Under a virtual clock, a sleep returns before its deadline in real time.
        recorder.counter(LAG, now, max(0, now - due) / 1e6)
        recorder.flush(now)
