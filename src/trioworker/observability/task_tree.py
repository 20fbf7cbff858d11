"""The tasks of a trio run as a tree: where each of them waits, and for how long.

trio doesn't record when a task last ran, and an instrument that does costs 0.8 µs per step. Instead, `LastSteps` looks
at the tasks' step counters once per second, which costs nothing between two looks; the times are short by at most one
second. It may be called in any thread: what trio may change meanwhile is copied in one operation of the interpreter.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from trioworker.observability.stacks import is_of_trio, running_step, stack_of, steps_of, waiting_places
from trioworker.observability.tree_check import MAX_TASKS, Hold, TaskLine, TaskTree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import trio

    from trioworker.observability.stacks import Step

MAX_NAME = 120
"""Characters of a task's name; longer names are cut."""
MAX_PLACES = 4
"""Places that are shown for a waiting task."""
MAX_LOOKED_AT = 2_000
"""Tasks that one look covers, and children of a nursery that are sorted: about 2 ms."""


class LastSteps:
    """When each task last ran, as far as the looks can tell, and since when one step has held the event loop."""

    def __init__(self, root: trio.lowlevel.Task, thread: int) -> None:
        """`root` is the run's root task, and `thread` the identifier of the thread of its event loop."""
        self.root = root
        self._thread = thread
        self._seen: dict[trio.lowlevel.Task, tuple[int, float]] = {}
        self._held: tuple[Step, float] | None = None

    def look(self) -> Step | None:
        """Look at all tasks, and return the running step, if any."""
        now = time.monotonic()
        step = running_step(self._thread)
        if step is None:
            self._held = None
        elif self._held is None or not step.continues(self._held[0]):
            # Without the frames, which would keep the values of their variables alive.
            self._held = (step._replace(frames=()), now)
        seen: dict[trio.lowlevel.Task, tuple[int, float]] = {}
        for task, _ in zip(tasks_below(self.root), range(MAX_LOOKED_AT), strict=False):
            steps = steps_of(task)
            earlier = self._seen.get(task)
            seen[task] = earlier if earlier is not None and earlier[0] == steps else (steps, now)
        self._seen = seen
        return step

    def held(self) -> float:
        """For at least how many seconds the step that the last look saw has held the loop."""
        return 0.0 if self._held is None else time.monotonic() - self._held[1]

    def waited(self, task: trio.lowlevel.Task) -> float | None:
        """A lower bound of the seconds since the task last ran; None for a task that no look has seen."""
        seen = self._seen.get(task)
        return None if seen is None else round(time.monotonic() - seen[1], 1)


def tasks_below(root: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """The task and all tasks below it."""
    left = [root]
    while left:
        task = left.pop()
        yield task
        for nursery in task.child_nurseries:
            left += nursery.child_tasks


def read_tree(steps: LastSteps, actors: Collection[str], running: Step | None) -> TaskTree:
    """The tree below the run's root task, without the tasks that trio runs for itself.

    Args:
        steps: knows how long the tasks have waited.
        actors: the names of tasks that are actors; the tasks below an actor belong to it.
        running: the step that holds the event loop, if any; None if the event loop itself is the caller.
    """
    lines: list[TaskLine] = []
    # Each entry is a task, or None for a nested nursery, with its level and its actor.
    left: list[tuple[trio.lowlevel.Task | None, int, str]] = [
        (task, 0, "") for task, _, _ in _below(steps.root, 0, "") if task is not None
    ]
    while left and len(lines) < MAX_TASKS:
        task, depth, actor = left.pop()
        if task is None:
            lines.append(TaskLine(depth=depth))
            continue
        actor = task.name if task.name in actors else actor
        left += _below(task, depth + 1, actor)
        lines.append(_line(task, depth, actor, steps, running))
    hold = None if running is None else _hold(running, actors, steps.held())
    return TaskTree(pid=os.getpid(), tasks=tuple(lines), is_cut=bool(left), hold=hold)


def _name(task: trio.lowlevel.Task) -> str:
    return task.name.replace("<locals>.", "")[:MAX_NAME]


def _hold(step: Step, actors: Collection[str], seconds: float) -> Hold:
    task = step.task
    name, actor = ("trio", "") if task is None else (_name(task), _actor_of(task, actors))
    return Hold(task=name, actor=actor, seconds=round(seconds, 1), stack=stack_of(step))


def _actor_of(task: trio.lowlevel.Task | None, actors: Collection[str]) -> str:
    while task is not None and task.name not in actors:
        task = task.parent_nursery.parent_task if task.parent_nursery else None
    return task.name if task else ""


def _below(task: trio.lowlevel.Task, depth: int, actor: str) -> list[tuple[trio.lowlevel.Task | None, int, str]]:
    """The entries below a task, the first one last."""
    entries: list[tuple[trio.lowlevel.Task | None, int, str]] = []
    for level, nursery in enumerate(task.child_nurseries):
        if level > 0:
            entries.append((None, depth + level - 1, actor))
        children = sorted(list(nursery.child_tasks)[:MAX_LOOKED_AT], key=lambda child: child.name)
        entries += [
            (child, depth + level, actor) for child in children if child.child_nurseries or not is_of_trio(child)
        ]
    return entries[::-1]


def _line(task: trio.lowlevel.Task, depth: int, actor: str, steps: LastSteps, running: Step | None) -> TaskLine:
    if getattr(task.coro, "cr_running", False) or (running is not None and task is running.task):
        return TaskLine(depth=depth, name=_name(task), actor=actor, running=True)
    places = waiting_places(task, MAX_PLACES)
    return TaskLine(depth=depth, name=_name(task), actor=actor, waited=steps.waited(task), places=places)
