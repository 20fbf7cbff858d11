"""The cancel scopes in which a run counts checkpoints, and which it cancels."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trioworker.testing.matrix import internals
from trioworker.testing.matrix.errors import SwallowedCancelError
from trioworker.testing.matrix.plan import BODY

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Targets(trio.abc.Instrument):
    """The open targets of one run. As an instrument, it notices in which cancelled targets a Cancelled was raised."""

    def __init__(self, on_swallowed: Callable[[SwallowedCancelError], object]) -> None:
        self._open: dict[trio.CancelScope, str] = {}
        self._cancelled: set[trio.CancelScope] = set()
        self._raised_in: set[trio.CancelScope] = set()
        self._on_swallowed = on_swallowed

    @contextmanager
    def open(self, name: str) -> Generator[trio.CancelScope]:
        """Open a scope under a name."""
        has_raised = False
        with trio.CancelScope() as scope:
            self._open[scope] = name
            try:
                yield scope
            except BaseException:
                has_raised = True
                raise
            finally:
                del self._open[scope]
        if scope in self._raised_in and not has_raised:
            where = f"the scope {name!r}" if name else "the body"
            error = SwallowedCancelError(f"{where} was cancelled, but continued: something inside caught the Cancelled")
            self._on_swallowed(error)

    def around(self, task: trio.lowlevel.Task) -> list[str]:
        """The names of the targets that contain a task, the body among them; none if the task is outside the body."""
        opened = self._open
        names = dict.fromkeys(opened[scope] for scope in internals.scopes_around(task) if scope in opened)
        return list(names) if BODY in names else []

    def all(self) -> list[str]:
        """The names of the open targets."""
        return list(dict.fromkeys(self._open.values()))

    def cancel(self, name: str, task: trio.lowlevel.Task) -> None:
        """Cancel the innermost target of this name that contains the task, or if none does, all of this name."""
        opened = [scope for scope, other in self._open.items() if other == name]
        inside = [scope for scope in internals.scopes_around(task) if scope in opened]
        if not self._cancelled:
            trio.lowlevel.add_instrument(self)
        for scope in inside[:1] or opened:
            self._cancelled.add(scope)
            internals.cancel(scope, "cancel_matrix")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Notice a Cancelled that is about to be raised in a cancelled target."""
        if not internals.gets_cancelled(task):
            return
        for scope in internals.scopes_around(task):
            if scope in self._cancelled:
                self._raised_in.add(scope)
            if scope.shield:
                return


current: trio.lowlevel.RunVar[Targets | None] = trio.lowlevel.RunVar("targets of the cancel matrix")


@contextmanager
def cancel_target(name: str) -> Generator[trio.CancelScope]:
    """Open a cancel scope that a cancel matrix finds by its name.

    With `scopes=[name]`, `cancel_matrix` counts the checkpoints of the tasks inside the scope, which are the current
    task and those of nurseries that are opened inside, and cancels the scope at each of them. If a scope of the same
    name is opened again, such as that of a restarted service, the count continues. If several are open at once, the
    one that contains the task at the checkpoint is cancelled. With `where`, the checkpoints of the chosen tasks count
    instead, while a scope of the name is open; if none contains the task at the checkpoint, all are cancelled. Outside
    a cancel matrix, this is a plain cancel scope.

    Args:
        name: the name, without white space.

    Raises:
        ValueError: the name is empty or has white space: it couldn't be written in a plan.
    """
    check_name(name)
    targets = current.get(None)
    with trio.CancelScope() if targets is None else targets.open(name) as scope:
        yield scope


def check_name(name: str) -> None:
    """Check that the name of a scope can be written in a plan.

    Raises:
        ValueError: the name can't be.
    """
    if name == BODY or len(name.split()) != 1 or name != name.strip():
        raise ValueError(f"the name of a scope must be one word without white space, not {name!r}")
