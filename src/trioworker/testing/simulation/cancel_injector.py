"""A trio instrument that counts the awaits of each actor, and cancels an actor at one of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio

from trioworker.testing.simulation.planned_faults import ACTORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trioworker.testing.simulation.planned_faults import Cancel
    from trioworker.worker.lifecycle import RunningJob

RUNAWAY_STEPS = 200_000
"""Steps after which a run is considered endless."""


class CancelInjector(trio.abc.Instrument):
    """Counts in `steps` how often each actor yielded, and cancels where the plan says so.

    `cancelled` counts the cancels that reached a running actor.
    """

    def __init__(self, cancels: Iterable[Cancel], steps: Counter[str]) -> None:
        self.job: RunningJob | None = None
        self.steps = steps
        self.cancelled: Counter[str] = Counter()
        self.runaway = False
        self._cancels = {(cancel.actor, cancel.step) for cancel in cancels}
        self._actors: dict[trio.lowlevel.Task, str | None] = {}
        self._total = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the step of an actor, and cancel it if that is planned."""
        self._total += 1
        if self._total > RUNAWAY_STEPS and not self.runaway and self.job is not None:
            self.runaway = True
            self.job.stop("the run is endless")
        name = self._actor_of(task)
        if name is None or self.job is None:
            return
        step = self.steps[name]
        self.steps[name] += 1
        if (name, step) in self._cancels and self.job.actors[name].state == "running":
            self.cancelled[name] += 1
            self.job.actors[name].cancel()

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget a task."""
        self._actors.pop(task, None)

    def _actor_of(self, task: trio.lowlevel.Task) -> str | None:
        if task not in self._actors:
            name = task.name if task.name in ACTORS else None
            nursery = task.parent_nursery
            if name is None and nursery is not None:
                name = self._actor_of(nursery.parent_task)
            self._actors[task] = name
        return self._actors[task]
