"""Notices that a run won't end, and ends it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from trioworker.testing.matrix import internals
from trioworker.testing.matrix.errors import DeadlockError, InvariantError, RealTimeError, RunawayError
from trioworker.testing.matrix.places import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from trioworker.testing.matrix.cancel_injector import CancelInjector

MAX_IDLE_TURNS = 3
"""Iterations of trio's loop without a step or a deadline after which nothing will wake a task: an event takes one."""
STEPS_TO_END = 5_000
"""Steps in which a stopped run has to end before it is cancelled again."""
MAX_ATTEMPTS = 5
"""Attempts to end a run before it is abandoned."""
THREAD_WAIT = 0.01
MAX_THREAD_WAITS = 200
"""Seconds of each wait for a thread that keeps a stopped run from ending, and how often: two seconds in all."""
MAX_SHOWN = 5
"""Tasks that a message names."""


class Watch(trio.abc.Instrument):
    """Stops a run that is deadlocked, endless, or not in virtual time.

    Args:
        clock: the clock of the run.
        on_problem: called with what is wrong, before the run is stopped.
        waits_for_threads: whether the run may use threads, which are waited for.

    Attributes:
        scope: the scope that has to contain everything that the run does.
        stopped: whether the run was stopped.
        abandoned: whether the run had to be abandoned: `trio.run` raises TrioInternalError.
    """

    def __init__(
        self, clock: MockClock, on_problem: Callable[[InvariantError], object], *, waits_for_threads: bool = False
    ) -> None:
        self.scope = trio.CancelScope()
        self.stopped = False
        self.abandoned = False
        self.injector: CancelInjector | None = None
        self._clock = clock
        self._on_problem = on_problem
        self._waits_for_threads = waits_for_threads
        self._steps = 0
        self._idle_turns = 0
        self._attempts = 0
        self._thread_waits = 0
        self._own: set[trio.lowlevel.Task] = set()

    def begin(self) -> None:
        """Remember which tasks are trio's own."""
        self._own = internals.all_tasks() - {trio.lowlevel.current_task()}

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - the interface
        """Notice that no task has run since the last iteration: the clock has jumped, or nothing happens any more."""
        if self.injector is None:
            return
        if self.injector.total != self._steps:
            self._steps = self.injector.total
            self._idle_turns = 0
            return
        self._idle_turns += 1
        if self.stopped and self._wait_for_thread():
            self._idle_turns = 0
        elif self._idle_turns == 1 and not self._waits_for_threads:
            self._check_real_time()
        elif self._idle_turns >= MAX_IDLE_TURNS and not self._is_awaited():
            self._idle_turns = 0
            self.stop(DeadlockError(f"deadlock: nothing will wake {self._describe()}"))

    def run_away(self) -> None:
        """Stop a run that has taken too many steps."""
        steps = self.injector.total if self.injector else 0
        self.stop(RunawayError(f"no end after {steps:,} steps: {self._describe()}"))

    def stop(self, problem: InvariantError | None = None) -> None:
        """End the run: cancel everything, and let no shield delay it."""
        if not self.stopped and problem is not None:
            self._on_problem(problem)
        self.stopped = True
        self._attempts += 1
        if self._attempts > MAX_ATTEMPTS:
            self.abandoned = True
            internals.abandon_run(self._clock, internals.all_tasks() - self._own)
            return
        internals.cancel(self.scope, "the run has no end")
        for task in internals.all_tasks() - self._own:
            for scope in internals.scopes_around(task):
                scope.shield = False
        if self.injector is not None:
            self.injector.limit = self.injector.total + STEPS_TO_END

    def _is_awaited(self) -> bool:
        if self._waits_for_threads and trio.testing.active_thread_count():
            return True
        statistics = trio.lowlevel.current_statistics()
        return statistics.seconds_to_next_deadline < float("inf") or statistics.tasks_runnable > 0

    def _wait_for_thread(self) -> bool:
        """Give a thread time to end. Returns whether there was one."""
        if trio.testing.active_thread_count() == 0 or self._thread_waits >= MAX_THREAD_WAITS:
            return False
        self._thread_waits += 1
        time.sleep(THREAD_WAIT)
        return True

    def _check_real_time(self) -> None:
        threads = trio.testing.active_thread_count()
        if self.stopped or (threads == 0 and internals.tasks_waiting_for_io() <= 0):
            return
        what = "a thread" if threads else "a socket, a pipe or a process"
        self.stop(
            RealTimeError(
                f"waits for {what}: a cancel matrix runs in virtual time, which doesn't wait for it; "
                f"replace it with a fake ({self._describe()})"
            )
        )

    def _describe(self) -> str:
        """Which tasks wait, and where."""
        tasks = sorted(internals.all_tasks() - self._own, key=lambda task: task.name)
        leaves = [task for task in tasks if not any(nursery.child_tasks for nursery in task.child_nurseries)]
        shown = [str(place_of(task)) for task in leaves[:MAX_SHOWN]]
        more = [f"{len(leaves) - MAX_SHOWN} more"] if len(leaves) > MAX_SHOWN else []
        return "; ".join(shown + more) or "the run"
