"""A trio instrument that counts the checkpoints of named groups of tasks, and cancels a group at some of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio

from trioworker.testing.matrix.plan import PlannedCancel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RUNAWAY_STEPS = 200_000
"""Steps after which a run is considered endless: about two seconds."""


class CancelInjector(trio.abc.Instrument):
    """Counts how often the tasks of each group yielded, and cancels a group at the planned counts.

    A group may have several tasks, and a task may be in several groups. The count starts at 0: the cancel `("a", 0)`
    comes right after a task of the group `a` has yielded for the first time. A waiting task gets it at once.

    Exceptions of the functions below are kept in `error`: trio would only log them.

    Args:
        cancels: pairs of a group's name and a checkpoint's number.
        names_of: returns the groups of a task. Called after each step of a task.
        cancel: cancels a group; it gets the name and the task that is at the checkpoint. It returns False if there was
            nothing to cancel.
        steps: counts to continue, for a program that runs in several calls of `trio.run`.
        limit: steps of all tasks together after which `on_runaway` is called.
        on_runaway: ends the run. It may set `limit` to be called again.
        on_error: ends the run because of `error`.

    Attributes:
        steps: how often each group yielded.
        cancelled: how often each group was cancelled.
        total: steps of all tasks, counted or not.
        runaway: whether the limit was reached.
        error: the first exception of a function.
    """

    def __init__(
        self,
        cancels: Iterable[tuple[str, int]],
        *,
        names_of: Callable[[trio.lowlevel.Task], Iterable[str]],
        cancel: Callable[[str, trio.lowlevel.Task], bool | None],
        steps: Counter[str] | None = None,
        limit: float = RUNAWAY_STEPS,
        on_runaway: Callable[[], object] = lambda: None,
        on_error: Callable[[], object] = lambda: None,
    ) -> None:
        self.steps = Counter[str]() if steps is None else steps
        self.cancelled: Counter[str] = Counter()
        self.total = 0
        self.limit = limit
        self.runaway = False
        self.error: BaseException | None = None
        self._cancels = {PlannedCancel(*cancel) for cancel in cancels}
        self._names_of = names_of
        self._cancel = cancel
        self._on_runaway = on_runaway
        self._on_error = on_error

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the checkpoint of a task that has yielded."""
        self.total += 1
        try:
            if self.total > self.limit:
                self._run_away()
            if self.error is None and not _has_ended(task):
                for name in self._names_of(task):
                    self._count(name, task)
        except BaseException as error:
            self.error = self.error or error
            self._on_error()

    def _count(self, name: str, task: trio.lowlevel.Task) -> None:
        number = self.steps[name]
        self.steps[name] = number + 1
        if (name, number) in self._cancels and self._cancel(name, task) is not False:
            self.cancelled[name] += 1

    def _run_away(self) -> None:
        self.runaway = True
        self.limit = float("inf")
        self._on_runaway()


def _has_ended(task: trio.lowlevel.Task) -> bool:
    return getattr(task.coro, "cr_frame", task) is None
