"""Marks in the trace for each time that a computation held the event loop, with the stack that held it.

A trio instrument notes when the loop begins to run tasks, and a thread checks this time 20 times per second. The event
loop isn't woken for it, and its only cost is one hook per iteration: about 1 µs. The thread looks at the stack only if
the time is older than `LIMIT`, and once per iteration: either the loop is held, or it waits. Times are real, even if
the run's clock is virtual.

Time in which the process didn't run isn't a stall: after a SIGSTOP, or on a machine without a free CPU, the thread may
wake late although the process used no CPU. Such a pause is subtracted. If the thread wakes in time while the loop's
thread waits for a CPU, that wait counts. If the thread wakes late because a library holds the GIL, the process used the
CPU, and the time counts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import trio
from loguru import logger

from trioworker.observability.finished_spans import STALL
from trioworker.observability.recording import DEFAULT_TRACK, track_of
from trioworker.observability.stacks import running_step, stack_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from trioworker.observability.recording import RecordingTracer
    from trioworker.observability.spans import Attribute
    from trioworker.observability.stacks import Step

LIMIT = 0.05
"""Seconds for which the loop may be held without a mark."""
TICK = 0.05
"""Seconds between two looks; no more than `LIMIT`, so that none is missed."""
PRECISION = 0.05
"""The time between two looks for a stall's end, as a share of its duration so far."""
MIN_PAUSE = 0.002
"""Minimum number of seconds between two looks for the end."""
LATE = 0.025
"""Seconds by which a pause must end late to suggest that the process didn't run."""
MAX_UNREPORTED = 100
"""Stalls that wait to be recorded; the oldest are dropped."""
THREAD_NAME = "stall-watcher"


class Stall(NamedTuple):
    """A stall: `began` is a time of `perf_counter_ns`."""

    began: int
    seconds: float
    track: str
    stack: tuple[str, ...]


class StallWatcher(trio.abc.Instrument):
    """Finds the stalls of the event loop in which it is created."""

    def __init__(self, recorder: RecordingTracer) -> None:
        """`recorder` records the stalls."""
        self._recorder = recorder
        self._loop_thread = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._began = 0
        # A lock: waiting for it costs half as much as waiting for an event.
        self._stop = threading.Lock()
        self._stopped = False
        self._found: deque[Stall] = deque(maxlen=MAX_UNREPORTED)

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the interface
        """The loop begins to run tasks."""
        self._began = time.perf_counter_ns()

    @contextmanager
    def running(self) -> Generator[None]:
        """Watch while the block runs, if the machine can start a thread."""
        self._stop.acquire()
        thread = threading.Thread(target=self._watch, name=THREAD_NAME, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            logger.debug("the trace will have no stalls of the event loop: {}", error)
            yield
            return
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            # trio has removed it if its hook raised.
            with suppress(KeyError):
                trio.lowlevel.remove_instrument(self)
            self._stopped = True
            self._stop.release()
            thread.join()
            self._record()

    def _record(self) -> None:
        """Record the stalls that have ended since the last call; called in the event loop."""
        while self._found:
            stall = self._found.popleft()
            attributes: dict[str, Attribute] = {
                "milliseconds": round(stall.seconds * 1000),
                "stack": "\n".join(stall.stack),
            }
            self._recorder.mark(STALL, stall.track, stall.began, attributes)

    def _watch(self) -> None:
        try:
            self._look_until_stopped()
        except Exception as error:  # whatever it is, the job continues
            logger.debug("the thread that finds stalls ended: {}: {}", type(error).__name__, error)

    def _look_until_stopped(self) -> None:
        pause = TICK
        lost = 0.0
        idle = 0
        seen = 0
        while not self._stopped:
            absent = self._pause(pause)
            began = self._began
            age = (time.perf_counter_ns() - began) / 1e9
            lost = (lost if began == seen else 0.0) + min(absent, age)
            pause = min(TICK, max(MIN_PAUSE, LIMIT - age + lost + MIN_PAUSE / 2))
            if not began or began == idle:
                pause = TICK
            elif age - lost > LIMIT:
                # Only now, because it costs more than the other checks.
                step = running_step(self._loop_thread)
                if self._began != began:
                    pass  # the step belongs to a later iteration
                elif step is None:
                    idle, pause = began, TICK
                else:
                    self._follow(began, step, lost)
                    pause = MIN_PAUSE
                del step
            seen = began

    def _follow(self, began: int, step: Step, lost: float) -> None:
        """Wait for the end of a stall, and keep it."""
        track, stack = track_of(step.task.context) if step.task else DEFAULT_TRACK, stack_of(step)
        del step  # its frames keep the values of variables alive
        age = (time.perf_counter_ns() - began) / 1e9
        while not self._stopped:
            lost += self._pause(max(MIN_PAUSE, age * PRECISION))
            age = (time.perf_counter_ns() - began) / 1e9
            if self._began != began or running_step(self._loop_thread) is None:
                break
        if age - lost > LIMIT:
            self._found.append(Stall(began, age - lost, track, stack))
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._record, idempotent=True)

    def _pause(self, seconds: float) -> float:
        """Wait, and return for how many seconds the process didn't run meanwhile."""
        began, used = time.perf_counter(), time.process_time()
        if self._stop.acquire(timeout=seconds):
            self._stop.release()
        passed = time.perf_counter() - began
        return max(0.0, passed - (time.process_time() - used)) if passed > seconds + LATE else 0.0
