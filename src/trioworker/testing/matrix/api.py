"""Cancels a trio program at each of its checkpoints, one run after another."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trioworker.testing.matrix import internals
from trioworker.testing.matrix.matrix import Matrix
from trioworker.testing.matrix.plan import CancelPlan
from trioworker.testing.matrix.run import Program
from trioworker.testing.matrix.scheduling import restored_scheduling
from trioworker.testing.matrix.stray import separated_garbage
from trioworker.testing.matrix.targets import check_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable

    import trio

    from trioworker.testing.matrix.report import CancelMatrixReport

_running = threading.Lock()
"""Two matrices at once would share the task order, `random`, and the hooks that catch stray exceptions."""


def cancel_matrix(
    body: Callable[[], Awaitable[object]],
    *,
    invariant: Callable[[], object] | None = None,
    scopes: Iterable[str] = (),
    where: Callable[[trio.lowlevel.Task], object] | None = None,
    allowed: type[BaseException] | tuple[type[BaseException], ...] = (),
    seeds: int = 0,
    only: str | None = None,
    repeat: Callable[[str], str] | None = None,
) -> CancelMatrixReport:
    """Run `body`, then run it again once per checkpoint and cancel it there.

    A checkpoint is each time that a task inside `body` returns control to trio, to wait or to let others run. The
    cancel comes right after that, so it reaches the task where it waits.

    Each run is in virtual time, as with `trio.testing.MockClock(autojump_threshold=0)`: waiting takes no time. Real
    threads, processes and sockets don't belong in it: time would jump while they work. The order in which ready tasks
    run, and the numbers of the module `random`, depend only on a seed. Both are restored at the end.

    A run fails if one of these happens:

    - `body` raises an exception that isn't `allowed`. Every exception in an exception group has to be allowed. An
      exception by which a test framework skips a test is a failure, too.
    - `Cancelled` is swallowed: it was raised inside the cancelled scope, but the scope ended as if it hadn't been
      cancelled. Or it escapes: it leaves `body` although `body` wasn't cancelled.
    - A task is still running when `body` has ended: a system task, or one in an outer nursery.
    - Every task waits and nothing will wake any of them (a deadlock), or the run takes many times the steps of the
      run without a cancel. In both cases the run is ended by force, even through shields. A loop without a
      checkpoint isn't noticed.
    - A resource given to `must_be_closed` is open.
    - An exception is raised where no task sees it: in a finalizer, in an async generator that is closed late, in an
      instrument. A coroutine that is never awaited counts; a `ResourceWarning` counts if a warning filter turns it
      into an error. Garbage is collected after each run, so this doesn't depend on when that happens.
    - `invariant` raises, or returns False.
    - The run waits for a thread, a process or a socket; or two runs of the same plan differ, because the program
      depends on real time, on the order of a set, or on what an earlier run left.

    Args:
        body: an async function without arguments. It must create everything that it uses: runs must not share state.
        invariant: a function that is called after each run in which `body` didn't fail, and raises or returns False if
            something is wrong. An async function runs in the same `trio.run` and isn't cancelled.
        scopes: names of `cancel_target` scopes to cancel instead of the whole body.
        where: chooses the tasks of the body whose checkpoints count, such as `lambda task: "reader" in task.name`.
            With `scopes`, the chosen tasks count instead of the tasks inside a scope, as long as it is open:
            `lambda task: True` cancels a scope also at the checkpoints of tasks outside it, such as one that has just
            given it what it waits for.
        allowed: exceptions that `body` may raise.
        seeds: the number of additional plans, each with a different order of ready tasks. Three in four have a cancel
            at a random checkpoint, or up to three if `scopes` are given. A failing plan is simplified before it is
            reported: fewer cancels, and the default order.
        only: run only this plan, such as `cancel:37`, `cancel:reader:12` or `seed:7 cancel:37`.
        repeat: returns the text of `Failure.repeat` for a plan; by default, a call of this function.

    Raises:
        RuntimeError: it was called inside `trio.run`, or while another thread runs a cancel matrix.
        ValueError: `only` isn't a plan, a name in `scopes` isn't one word or isn't used by `body`, or there is no
            checkpoint.
        KeyboardInterrupt: it was interrupted.
    """
    if internals.is_in_run():
        raise RuntimeError(
            "cancel_matrix starts trio itself: call it from a synchronous function, "
            "or mark the async test with @pytest.mark.cancel_matrix"
        )
    names = (scopes,) if isinstance(scopes, str) else tuple(dict.fromkeys(scopes))
    for name in names:
        check_name(name)
    plan = None if only is None else CancelPlan.parse(only)
    allowed = allowed if isinstance(allowed, tuple) else (allowed,)
    program = Program(body=body, invariant=invariant, where=where, allowed=allowed)
    with _alone(), restored_scheduling(), separated_garbage():
        matrix = Matrix(program, names, repeat)
        return matrix.run(seeds) if plan is None else matrix.run_only(plan)


@contextmanager
def _alone() -> Generator[None]:
    if not _running.acquire(blocking=False):
        raise RuntimeError("another thread runs a cancel matrix: run one after the other, or in several processes")
    try:
        yield
    finally:
        _running.release()
