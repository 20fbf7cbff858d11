"""One process of a simulated run: a trio program with its own clock, which may be killed."""

from __future__ import annotations

import math
import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

from trioworker.errors import ConfigError, ReleasedError, SupersededError, WorkerError
from trioworker.supervision.nurseries import unwrap_single_exception
from trioworker.testing.matrix.cancel_injector import CancelInjector
from trioworker.testing.matrix.scheduling import seed_scheduling
from trioworker.testing.matrix.watch import Watch
from trioworker.testing.simulation.disk import DiskStorage, Killed
from trioworker.testing.simulation.planned_faults import Cancel, Freeze, Signal, Supersede, Suspend
from trioworker.testing.simulation.recorded_tools import recorded
from trioworker.testing.steps import OTHER, actor_of
from trioworker.worker.api import open_job
from trioworker.worker.cancellation import StopRequest
from trioworker.worker.lifecycle import ACTORS
from trioworker.worker.state.journal import Journal, check_owner

if TYPE_CHECKING:
    from trioworker.testing.matrix.errors import InvariantError
    from trioworker.testing.simulation.job import SimulatedRun
    from trioworker.testing.simulation.planned_faults import TimedFault
    from trioworker.worker.lifecycle import RunningJob

WORKSPACE = Path("/")
"""Simulated tools use no files, so any directory will do."""


UNFINISHED = (Killed, SupersededError, ReleasedError)
"""Errors that end a process whose job another process resumes."""


class RealTime(trio.abc.Instrument):
    """Holds a virtual clock while a thread works, such as one that saves a long output: it would jump meanwhile."""

    def __init__(self, clock: MockClock) -> None:
        self._clock = clock
        self._held = False

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - the interface
        """Notice that the step has started a thread, or was the first one after its end."""
        has_thread = trio.testing.active_thread_count() > 0
        if has_thread != self._held:
            self._held = has_thread
            self._clock.autojump_threshold = math.inf if has_thread else 0


class SimulatedProcess:
    """One process of a run."""

    def __init__(self, run: SimulatedRun) -> None:
        self._run = run
        self._world = run.orchestrator
        self._clock = MockClock(autojump_threshold=0)
        self._stop = StopRequest()
        self._job: RunningJob | None = None
        self._watch = Watch(self._clock, self._run_away, waits_for_threads=True)
        self._cancel_injector = CancelInjector(
            ((cancel.actor, cancel.step) for cancel in run.plan.all_of(Cancel)),
            names_of=cache(_actors_of),
            cancel=self._cancel,
            steps=run.steps,
            on_runaway=self._watch.run_away,
            on_error=self._watch.stop,
        )
        self._watch.injector = self._cancel_injector

    def run(self) -> bool:
        """Run it. Return whether it was the last one, and so was not killed, superseded or suspended."""
        run, injector = self._run, self._cancel_injector
        run.was_signalled_last = False
        self._world.epoch -= self._clock.current_time()
        seed_scheduling(run.plan.seed + run.starts)
        try:
            instruments = [self._cancel_injector, self._watch, RealTime(self._clock)]
            trio.run(self._main, clock=self._clock, instruments=instruments)
        except UNFINISHED:
            return False
        except trio.TrioInternalError:
            if not self._watch.abandoned:
                raise
        except BaseExceptionGroup as group:
            if group.split(UNFINISHED)[1] is not None:
                raise
            return False
        finally:
            self._world.epoch += self._clock.current_time()
            run.ended_at = self._world.epoch
            run.cancelled += injector.cancelled
            if self._job is not None:
                run.restarts += Counter({name: actor.restarts for name, actor in self._job.actors.items()})
        return True

    async def _main(self) -> None:
        self._world.contacted = trio.Event()
        before = trio.lowlevel.current_statistics().tasks_living
        self._watch.begin()
        try:
            with self._watch.scope, unwrap_single_exception():
                async with trio.open_nursery() as nursery:
                    for at, text in self._run.job.follow_ups.items():
                        nursery.start_soon(self._send_follow_up, at, text)
                    for fault in self._run.plan.all_of(Signal, Freeze, Supersede, Suspend):
                        nursery.start_soon(self._cause, fault)
                    await self._work()
                    nursery.cancel_scope.cancel()
        except (ConfigError, SupersededError, ReleasedError):
            raise
        except WorkerError as error:
            self._run.error = str(error)
        self._run.tasks_left = trio.lowlevel.current_statistics().tasks_living - before

    async def _work(self) -> None:
        run, world = self._run, self._world
        journal = Journal(DiskStorage(run.disk), bytes(run.disk.content))
        check_owner(journal, run.config.job_id)
        async with open_job(
            run.config,
            transport=world,
            tools=recorded(run.job.tools, run.tool_runs, world.now),
            stop=self._stop,
            rng=random.Random(run.plan.seed),  # noqa: S311 - to repeat runs, not for secrets
            journal=journal,
            clocks=world.clocks,
        ) as job:
            self._job = job
            run.outcome = await job.wait()

    def _cancel(self, actor: str, _: trio.lowlevel.Task) -> bool:
        """Cancel an actor. Returns whether it was running."""
        if self._job is None or self._job.actors[actor].state != "running":
            return False
        self._job.actors[actor].cancel()
        return True

    def _run_away(self, problem: InvariantError) -> None:
        self._run.runaway = str(problem)

    async def _send_follow_up(self, at: float, text: str) -> None:
        if await self._sleep_until(at):
            self._world.send_prompt(text)

    async def _cause(self, fault: TimedFault) -> None:
        """Cause a fault at its time, unless that time has passed."""
        if not await self._sleep_until(fault.at):
            return
        run, world = self._run, self._world
        run.fired.append(fault)
        match fault:
            case Signal():
                run.signalled_at = world.now()
                run.was_signalled_last = True
                run.signalled_in_vain = world.is_reporting_in_vain()
                self._stop.request("stopped by SIGTERM")
            case Freeze(seconds=seconds):
                is_ending = self._job is not None and self._job.job.decided is not None
                run.frozen_at_the_end = run.frozen_at_the_end or is_ending or self._stop.reason is not None
                self._clock.jump(seconds)
            case Supersede():
                world.supersede()
            case Suspend():
                self._stop.suspend("suspended by SIGTERM")

    async def _sleep_until(self, at: float) -> bool:
        """Wait until `at` seconds after the start of the job. Returns False if that time has passed."""
        # While a thread cleans up after an earlier process, the clock would jump to the time of a planned fault.
        await self._world.contacted.wait()
        left = at - self._world.now()
        if left < 0:
            return False
        await trio.sleep(left)
        return True


def _actors_of(task: trio.lowlevel.Task) -> tuple[str, ...]:
    """The actor that a task belongs to, or none."""
    actor = actor_of(task, ACTORS)
    return () if actor == OTHER else (actor,)
