"""A trio instrument that counts the checkpoints of a program, and cancels a scope at one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import outcome
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARY = tuple(str(Path(module.__file__).parent) for module in (trio, outcome))


class Place(NamedTuple):
    """Where a task waits: its name, and the innermost frame outside of trio."""

    task: str
    file: str
    line: int


class CancelInjector(trio.abc.Instrument):
    """Counts how often the tasks that `counts` chooses yielded, and calls `cancel` when that is the `number`th time.

    `place` is where that was.
    """

    def __init__(
        self, number: int | None, cancel: Callable[[], object], counts: Callable[[trio.lowlevel.Task], bool]
    ) -> None:
        self.checkpoints = 0
        self.place: Place | None = None
        self._number = number
        self._cancel = cancel
        self._counts = counts

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the checkpoint of a task that has yielded."""
        if task.coro.cr_frame is None or not self._counts(task):
            return
        self.checkpoints += 1
        if self.checkpoints - 1 == self._number:
            self.place = place_of(task)
            self._cancel()


def place_of(task: trio.lowlevel.Task) -> Place:
    """Where a task waits."""
    file, line = "", 0
    for frame, number in task.iter_await_frames():
        if not frame.f_code.co_filename.startswith(LIBRARY):
            file, line = frame.f_code.co_filename, number
    return Place(task.name, file, line)
