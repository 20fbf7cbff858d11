"""The cancel scopes that a run counts checkpoints in, and cancels."""

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
    """The open targets of one run. As an instrument it notices in which of those cancelled a Cancelled was raised."""

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
        """The names of the targets that a task of the body is inside: the body is one of them."""
        opened = self._open
        names = dict.fromkeys(opened[scope] for scope in internals.scopes_around(task) if scope in opened)
        return list(names) if BODY in names else []

    def all(self) -> list[str]:
        """The names of the open targets."""
        return list(dict.fromkeys(self._open.values()))

    def cancel(self, name: str, task: trio.lowlevel.Task) -> None:
        """Cancel the innermost target of this name that the task is inside, or all if it is inside none."""
        opened = [scope for scope, other in self._open.items() if other == name]
        inside = [scope for scope in internals.scopes_around(task) if scope in opened]
        if not self._cancelled:
            trio.lowlevel.add_instrument(self)
        for scope in inside[:1] or opened:
            self._cancelled.add(scope)
            internals.cancel(scope, "cancel_matrix")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Notice a Cancelled that a cancelled target is going to see."""
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

    With `scopes=[name]`, `cancel_matrix` counts the checkpoints of the tasks inside it, which are the current task and
    those of nurseries that are opened inside, and cancels it at each of them. A scope that is opened again under the
    same name, such as that of a service that is restarted, continues the count. Of several at once, it cancels the one
    that the task at the checkpoint is inside. With `where`, the checkpoints of the chosen tasks count instead, while
    a scope of the name is open; at one of a task that is inside none of them, it cancels all of them. Outside of a
    cancel matrix this is a plain cancel scope.

    Args:
        name: the name, without white space.

    Raises:
        ValueError: the name is empty or has white space, so it can't be written in a plan.
    """
    check_name(name)
    targets = current.get(None)
    with trio.CancelScope() if targets is None else targets.open(name) as scope:
        yield scope


def check_name(name: str) -> None:
    """Check that a name of a scope can be written in a plan.

    Raises:
        ValueError: it can't.
    """
    if name == BODY or len(name.split()) != 1 or name != name.strip():
        raise ValueError(f"the name of a scope must be one word without white space, not {name!r}")
