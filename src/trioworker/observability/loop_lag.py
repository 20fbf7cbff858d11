"""The tracer's tick: it tells how late the event loop is, and writes down what was recorded since the last.

A trio instrument would see every pass of the loop, but its two hooks a pass cost more than all the rest of tracing. Who
wants to see that attaches one of their own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

import trio

if TYPE_CHECKING:
    from trioworker.observability.recording import Recorder

LAG = "loop lag (ms)"
"""The counter's name."""
TICK = 0.25
"""Seconds: what a kill can lose of a trace, and a cost that can't be measured."""


async def measure_loop_lag(recorder: Recorder) -> NoReturn:
    """Tick until cancelled. The lag is how much later than it was due a timer's task has its turn."""
    while True:
        due = time.perf_counter_ns() + int(TICK * 1e9)
        await trio.sleep(TICK)
        now = time.perf_counter_ns()
        # Virtual time passes faster than the clock of the trace.
        recorder.count(LAG, now, max(0, now - due) / 1e6)
        recorder.settle(now)
