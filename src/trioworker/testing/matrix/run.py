"""One run of a cancel matrix."""

from __future__ import annotations

import inspect
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import trio
from trio.testing import MockClock

from trioworker.testing.matrix import internals, resources, targets
from trioworker.testing.matrix.cancel_injector import CancelInjector
from trioworker.testing.matrix.errors import EscapedCancelError, InvariantError, TaskLeftError
from trioworker.testing.matrix.places import Place, place_of
from trioworker.testing.matrix.plan import BODY, PlannedCancel
from trioworker.testing.matrix.scheduling import seed_scheduling
from trioworker.testing.matrix.stray import collected_stray_errors
from trioworker.testing.matrix.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trioworker.testing.matrix.plan import CancelPlan


@dataclass(frozen=True)
class Program:
    """What is run: see `cancel_matrix`."""

    body: Callable[[], Awaitable[object]]
    invariant: Callable[[], object] | None = None
    where: Callable[[trio.lowlevel.Task], object] | None = None
    allowed: tuple[type[BaseException], ...] = ()


@dataclass
class PlanResult:
    """What happened in a run.

    Attributes:
        tasks: by the name of a scope, the names of the tasks at its checkpoints.
        cancels: the cancels that were made, and where.
        steps: steps of all tasks.
        problems: what is wrong, in the order in which it was noticed.
    """

    tasks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    cancels: dict[PlannedCancel, Place] = field(default_factory=dict["PlannedCancel", "Place"])
    steps: int = 0
    problems: list[BaseException] = field(default_factory=list[BaseException])

    @property
    def error(self) -> BaseException | None:
        """The first problem, with the others as notes."""
        if not self.problems:
            return None
        first, *others = self.problems
        for other in others:
            first.add_note(f"also: {type(other).__name__}: {other}")
        return first


def run_plan(program: Program, plan: CancelPlan, *, limit: float) -> PlanResult:
    """Run the program once, as planned.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    run = _Run(program, plan, limit)
    seed_scheduling(plan.seed)
    random.seed(plan.seed)
    with collected_stray_errors() as stray:
        run.run()
    if not run.watch.abandoned:
        run.result.problems += stray
    return run.result


class _Run:
    def __init__(self, program: Program, plan: CancelPlan, limit: float) -> None:
        self.result = PlanResult()
        self.clock = MockClock(autojump_threshold=0)
        self.watch = Watch(self.clock, self.result.problems.append)
        self._targets = targets.Targets(self.result.problems.append)
        self._resources = resources.Resources()
        self._program = program
        self.injector = CancelInjector(
            plan.cancels,
            names_of=self._names_of,
            cancel=self._cancel,
            limit=limit,
            on_runaway=self.watch.run_away,
            on_error=self.watch.stop,
        )
        self.watch.injector = self.injector

    def run(self) -> None:
        """Run the program."""
        try:
            trio.run(self._main, clock=self.clock, instruments=[self.injector, self.watch])
        except trio.TrioInternalError as error:
            if not self.watch.abandoned:
                self.result.problems.append(error)
        except BaseException as error:
            _raise_interrupt(error)
            if not self.watch.stopped:
                self.result.problems.append(error)
        if self.injector.error is not None:
            _raise_interrupt(self.injector.error)
            self.result.problems.insert(0, self.injector.error)
        self.result.steps = self.injector.total

    def _names_of(self, task: trio.lowlevel.Task) -> list[str]:
        names = self._targets.around(task)
        if names and self._program.where is not None:
            names = self._targets.all() if self._program.where(task) else []
        for name in names:
            self.result.tasks[name].append(task.name)
        return names

    def _cancel(self, name: str, task: trio.lowlevel.Task) -> None:
        self.result.cancels[PlannedCancel(name, self.injector.steps[name] - 1)] = place_of(task)
        self._targets.cancel(name, task)

    async def _main(self) -> None:
        trio.lowlevel.current_task().name = getattr(self._program.body, "__qualname__", "body")
        before = internals.all_tasks()
        self.watch.begin()
        targets.current.set(self._targets)
        resources.current.set(self._resources)
        with self.watch.scope:
            if await self._body_ends_well():
                await self._check(before)

    async def _body_ends_well(self) -> bool:
        """Run the body. Returns whether it raised nothing but what is allowed."""
        try:
            with self._targets.open(BODY):
                awaitable = self._program.body()
                if not inspect.isawaitable(awaitable):
                    raise TypeError(f"body must be an async function, but it returned {awaitable!r}")
                await awaitable
        except BaseException as error:
            if self.watch.stopped:
                raise
            _raise_interrupt(error)
            rest = _without(error, self._program.allowed)
            if rest is not None:
                self.result.problems.append(rest)
            return rest is None
        return True

    async def _check(self, before: set[trio.lowlevel.Task]) -> None:
        if internals.all_tasks() - before:
            await trio.testing.wait_all_tasks_blocked()
        left = internals.all_tasks() - before
        if left:
            places = "; ".join(sorted(str(place_of(task)) for task in left))
            self.result.problems.append(TaskLeftError(f"still running after the body: {places}"))
        await self._checked(self._resources.check)
        if self._program.invariant is not None:
            await self._checked(self._program.invariant)

    async def _checked(self, check: Callable[[], object]) -> None:
        try:
            result = check()
            if inspect.isawaitable(result):
                result = await result
            if result is False:
                raise InvariantError(f"{getattr(check, '__name__', 'the invariant')} returned False")
        except BaseException as error:
            if self.watch.stopped:
                raise
            _raise_interrupt(error)
            self.result.problems.append(error)


def _without(error: BaseException, allowed: tuple[type[BaseException], ...]) -> BaseException | None:
    """What remains of an error of the body without the allowed exceptions."""
    rest = error
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        rest = group.split(allowed)[1]
    if rest is None or isinstance(rest, allowed):
        return None
    if _contains(rest, trio.Cancelled):
        escaped = EscapedCancelError(
            "a Cancelled left the body, which wasn't cancelled: it was raised outside its scope"
        )
        escaped.__cause__ = rest
        return escaped
    return rest


def _raise_interrupt(error: BaseException) -> None:
    if _contains(error, KeyboardInterrupt):
        raise KeyboardInterrupt from error


def _contains(error: BaseException, kind: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).subgroup(kind) is not None
    return isinstance(error, kind)
