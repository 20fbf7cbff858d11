"""The private parts of trio: they are used only in this file and in `scheduling`."""

from __future__ import annotations

import ctypes
import inspect
from typing import TYPE_CHECKING, Any

import outcome
import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trio.testing import MockClock


def cancel(scope: trio.CancelScope, reason: str) -> None:
    """Cancel a scope, with a reason if trio takes one: 0.31 and later."""
    if takes_reason(scope.cancel):
        scope.cancel(reason=reason)
    else:
        scope.cancel()


def takes_reason(cancel: Callable[..., object]) -> bool:
    """Whether this `cancel` method of a scope takes a reason."""
    return "reason" in inspect.signature(cancel).parameters


def scopes_around(task: trio.lowlevel.Task) -> Iterator[trio.CancelScope]:
    """The cancel scopes that a task is in, innermost first, including those around its parent nurseries."""
    status: Any = task._cancel_status  # pyright: ignore[reportPrivateUsage]
    while status is not None:
        yield status._scope
        status = status._parent


def gets_cancelled(task: trio.lowlevel.Task) -> bool:
    """Whether the next step of the task starts by raising Cancelled in it."""
    result: Any = task._next_send  # pyright: ignore[reportPrivateUsage]
    return isinstance(result, outcome.Error) and isinstance(result.error, trio.Cancelled)


def abandon_run(clock: MockClock, tasks: Iterable[trio.lowlevel.Task]) -> None:
    """Make `trio.run` raise TrioInternalError at once, without waiting for its tasks.

    This is for tasks that catch every exception and continue, and for those that can't be cancelled. Such a task would
    also catch the GeneratorExit with which Python closes a coroutine, and never return. So they are never freed.
    """
    for task in tasks:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(task.coro))

    last = clock.current_time()

    def fail() -> float:
        if _is_in(trio.lowlevel.current_task):  # a task that asks for the time might catch the error and continue
            return last
        raise RuntimeError("the cancel matrix has abandoned this run")

    clock._real_clock = fail  # pyright: ignore[reportPrivateUsage]


def is_in_run() -> bool:
    """Whether `trio.run` is running in this thread. Only later versions of trio have a function for it."""
    return _is_in(trio.lowlevel.current_trio_token)


def _is_in(current: Callable[[], object]) -> bool:
    try:
        current()
    except RuntimeError:
        return False
    return True


def tasks_waiting_for_io() -> int:
    """How many tasks wait for sockets, pipes or processes, not counting trio's own wait for wake-ups."""
    statistics: Any = trio.lowlevel.current_statistics().io_statistics
    reading = getattr(statistics, "tasks_waiting_read", 1)
    return reading + getattr(statistics, "tasks_waiting_write", 0) - 1


def all_tasks() -> set[trio.lowlevel.Task]:
    """All living tasks of the run, system tasks included."""
    found: set[trio.lowlevel.Task] = set()
    root = trio.lowlevel.current_root_task()
    waiting = [] if root is None else [root]
    while waiting:
        task = waiting.pop()
        found.add(task)
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return found
