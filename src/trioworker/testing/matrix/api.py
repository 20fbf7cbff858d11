"""Cancels a trio program at each of its checkpoints, one run after another."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

from trioworker.testing.matrix.cancel_injector import CancelInjector
from trioworker.testing.matrix.report import CancelMatrixReport, Failure
from trioworker.testing.matrix.scheduling import seed_scheduling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioworker.testing.matrix.cancel_injector import Place

FOREVER = 1e9
"""Seconds of virtual time after which a program that waits is deadlocked: it has no deadline before."""


def cancel_matrix(
    body: Callable[[], Awaitable[object]],
    *,
    invariant: Callable[[], object] | None = None,
    allowed: tuple[type[BaseException], ...] = (),
    only: str | None = None,
) -> CancelMatrixReport:
    """Run `body` once, and once more for each of its checkpoints, which cancels it there."""
    numbers = [int(only.removeprefix("cancel:"))] if only else []
    checkpoints, _, error = _run(body, None, invariant, allowed)
    failures: list[Failure] = []
    if error is not None:
        return CancelMatrixReport(checkpoints=checkpoints, failures=(_failure(None, None, error),))
    for number in numbers or range(checkpoints):
        _, place, error = _run(body, number, invariant, allowed)
        if error is not None:
            failures.append(_failure(number, place, error))
    return CancelMatrixReport(checkpoints=checkpoints, failures=tuple(failures))


def _failure(number: int | None, place: Place | None, error: BaseException) -> Failure:
    task, file, line = place or ("", "", 0)
    repeat = f"cancel_matrix(…, only='cancel:{number}')"
    return Failure(number=number, task=task, file=file, line=line, error=error, repeat=repeat)


def _run(
    body: Callable[[], Awaitable[object]],
    number: int | None,
    invariant: Callable[[], object] | None,
    allowed: tuple[type[BaseException], ...],
) -> tuple[int, Place | None, BaseException | None]:
    seed_scheduling(0)
    scope = trio.CancelScope()
    injector: CancelInjector | None = None

    async def main() -> None:
        nonlocal injector
        outer = trio.lowlevel.current_task()
        before = trio.lowlevel.current_statistics().tasks_living
        kept: set[trio.lowlevel.Task] = {outer}

        def counts(task: trio.lowlevel.Task) -> bool:
            if task not in kept and task.parent_nursery is not None and counts(task.parent_nursery.parent_task):
                kept.add(task)
            return task in kept

        injector = CancelInjector(number, scope.cancel, counts)
        trio.lowlevel.add_instrument(injector)
        with trio.move_on_after(FOREVER) as limit, scope:
            with suppress(allowed):
                await body()
        trio.lowlevel.remove_instrument(injector)
        if limit.cancelled_caught:
            raise AssertionError("deadlock: every task waits, and nothing will wake one")
        left = trio.lowlevel.current_statistics().tasks_living - before
        if left > 0:
            raise AssertionError(f"{left} tasks are left")
        if invariant is not None:
            result = invariant()
            if inspect.isawaitable(result):
                await result

    error = None
    try:
        trio.run(main, clock=MockClock(autojump_threshold=0))
    except Exception as caught:
        error = caught
    assert injector is not None  # noqa: S101 - for the type checker
    return injector.checkpoints, injector.place, error
