"""Counts and times the steps of each actor of a trio program.

A step is what a task does between two waits: the event loop runs nothing else meanwhile. An actor is a named task
together with the tasks that it starts.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

OTHER = "other"
"""The name for tasks that belong to none of the given actors."""
NANOSECONDS = 1_000_000_000
"""Per second."""


@dataclass(frozen=True, slots=True, order=True)
class ActorSteps:
    """The steps of an actor so far.

    Attributes:
        seconds: the total time of its steps.
        longest: the time of its longest step, in seconds.
        count: the number of its steps.
        actor: its name.
    """

    seconds: float
    longest: float
    count: int
    actor: str


class Steps(trio.abc.Instrument):
    """A trio instrument that counts and times the steps of each actor, in real time.

    If it is attached when the run ends, it prints its table to stderr.
    """

    def __init__(self, *actors: str) -> None:
        """`actors` are names of tasks, or of the functions that they run; by default, see `actor_of`."""
        self._actors = actors
        self._times: dict[str, _Times] = {}
        self._times_of_task: dict[trio.lowlevel.Task, _Times] = {}
        self._step: tuple[_Times, int] | None = None

    def of(self, actor: str) -> ActorSteps:
        """The steps of an actor; none if it has not run."""
        return self._times.get(actor, _NOTHING).as_steps(actor)

    def all(self) -> list[ActorSteps]:
        """The steps of each actor, the most expensive one first."""
        return sorted(map(self.of, self._times), reverse=True)

    def table(self) -> str:
        """One line per actor, the most expensive one first."""
        rows = self.all()
        width = max((len(steps.actor) for steps in rows), default=0)
        lines = [f"{'actor':<{width}} {'steps':>9} {'seconds':>9} {'longest (ms)':>13}"]
        lines += [
            f"{steps.actor:<{width}} {steps.count:>9} {steps.seconds:>9.3f} {steps.longest * 1000:>13.3f}"
            for steps in rows
        ]
        return "\n".join(lines)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Start the step's time."""
        times = self._times_of_task.get(task)
        if times is None:
            times = self._times_of_task[task] = self._times.setdefault(actor_of(task, self._actors), _Times())
        self._step = times, perf_counter_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - the interface
        """Add the step, unless the instrument was attached during it."""
        if self._step is not None:
            times, began = self._step
            times.add(perf_counter_ns() - began)
            self._step = None

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Forget which actor the task belongs to."""
        self._times_of_task.pop(task, None)

    def after_run(self) -> None:
        """Print the table."""
        print(self.table(), file=sys.stderr)


def actor_of(task: trio.lowlevel.Task, actors: Collection[str] = ()) -> str:
    """The name of the actor that a task belongs to.

    Without `actors`, it is the name of the nearest task, among this one and its ancestors, that was given one, as by
    `nursery.start_soon(run, name="reader")`; otherwise, that of the topmost task below the main task. With `actors`,
    it is the first of them found as the name of a task or of its function, from this task upwards; or `other`.
    """
    lineage = list(_lineage(task))
    if actors:
        named = (name for one in lineage for name in (one.name, one.name.rpartition(".")[2]) if name in actors)
        return next(named, OTHER)
    # The last two are trio's own root and the main task.
    return next((one.name for one in lineage[:-1] if _was_named(one)), lineage[-3:][0].name)


def _lineage(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    """The task, its parent, and so on."""
    while task is not None:
        yield task
        nursery = task.parent_nursery
        task = None if nursery is None else nursery.parent_task


def _was_named(task: trio.lowlevel.Task) -> bool:
    """Whether the name isn't trio's default, which is that of the function that the task runs."""
    return not task.name.endswith(getattr(task.coro, "__qualname__", ""))


class _Times:
    """The times of an actor's steps, in nanoseconds."""

    __slots__ = ("count", "longest", "total")

    def __init__(self) -> None:
        self.count = self.total = self.longest = 0

    def add(self, time: int) -> None:
        """Add a step."""
        self.count += 1
        self.total += time
        self.longest = max(self.longest, time)

    def as_steps(self, actor: str) -> ActorSteps:
        """In seconds."""
        return ActorSteps(self.total / NANOSECONDS, self.longest / NANOSECONDS, self.count, actor)


_NOTHING = _Times()
